"""A supervisor that does not answer: reads go on, operations fail within their deadline, and all works afterwards."""

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine

LOOP = "trap 'exit 7' TERM; touch /up; while :; do sleep 0.1; done"


def test_reads_go_on_and_operations_say_what_is_wrong(fresh_daemon: Callable[..., Engine], tmp_path: Path):
    engine = fresh_daemon()
    docker = Cli("docker", engine.host, tmp_path)
    docker("run", "-d", "--name", "up", "busybox", "sh", "-c", LOOP)
    docker("run", "-d", "--name", "down", "busybox", "sh", "-c", LOOP)
    docker("create", "--name", "new", "busybox", "sh", "-c", "touch /ran; sleep 60")
    for name in ("up", "down"):
        docker("exec", name, "sh", "-c", "until [ -e /up ]; do :; done")
    [supervisor] = engine.supervisors()
    os.kill(supervisor, signal.SIGSTOP)
    try:
        calls = (
            ("exec", "up", "touch", "/late"),
            ("stop", "down"),
            ("start", "new"),
            ("run", "--rm", "busybox", "true"),
            ("pause", "up"),
        )
        begun = time.monotonic()
        with ThreadPoolExecutor(len(calls)) as pool:
            results = list(pool.map(lambda call: docker.result(*call), calls))
            assert time.monotonic() - begun < 10
            begun = time.monotonic()
            assert docker("inspect", "-f", "{{.State.Status}}", "up", "new") == "running\ncreated"
            assert docker("ps", "--format", "{{.Names}}") == "down\nup"
            assert time.monotonic() - begun < 1
        for call, result in zip(calls, results, strict=True):
            assert result.returncode != 0, call
            assert f"the supervisor (process {supervisor}) is stopped" in result.stdout + result.stderr, call
    finally:
        os.kill(supervisor, signal.SIGCONT)
    # What was said to have failed does not happen later.
    docker.fails("exec", "up", "test", "-e", "/late", code=1)
    assert docker("exec", "down", "echo", "alive") == "alive"
    docker("pause", "up")
    docker("unpause", "up")
    assert docker("start", "new") == "new"
    docker("exec", "new", "sh", "-c", "until [ -e /ran ]; do :; done")
    docker("stop", "up")
    assert docker("inspect", "-f", "{{.State.ExitCode}}", "up") == "7"
