"""A supervisor that does not answer: reads go on, operations fail within their deadline, and all works afterwards."""

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, eventually

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
            ("pause", "up"),
            ("stop", "down"),
            ("start", "new"),
            ("exec", "up", "touch", "/late"),
            ("run", "--rm", "busybox", "true"),
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
    # What a stopped supervisor was asked for it finds when it goes on: the pause came late, and is known of.
    eventually(lambda: docker("inspect", "-f", "{{.State.Status}}", "up") == "paused")
    docker("unpause", "up")
    eventually(lambda: docker("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "down") == "exited 7")
    assert docker("start", "new") == "new"
    docker("exec", "new", "sh", "-c", "until [ -e /ran ]; do :; done")
    docker.fails("exec", "up", "test", "-e", "/late", code=1)  # what was said to have failed does not run later
    docker("stop", "up")
    assert docker("inspect", "-f", "{{.State.ExitCode}}", "up") == "7"
