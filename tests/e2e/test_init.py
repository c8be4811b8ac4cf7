"""`--init`: an init as process 1, which reaps orphans, forwards signals and gives the program's exit code."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import OTHER_HOST
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, eventually

ORPHAN = "(sleep 0.1 & exec true); exec sleep 60"


def zombies(cli: Cli, name: str) -> int:
    return cli("exec", name, "ps", "-o", "stat").split().count("Z")


def test_it_is_process_one_and_reaps(cli: Cli):
    cli("run", "-d", "--init", "--name", "web", "busybox", "sh", "-c", ORPHAN)
    cli("run", "-d", "--name", "plain", "busybox", "sh", "-c", ORPHAN)
    assert cli("exec", "web", "cat", "/proc/1/cmdline").startswith("/sbin/docker-init\0--\0sh\0")
    assert cli("inspect", "-f", "{{.HostConfig.Init}} {{.Path}}", "web") == "true sh"
    eventually(lambda: zombies(cli, "plain") == 1)
    assert zombies(cli, "web") == 0


def test_codes_and_signals_go_through(cli: Cli):
    assert cli.result("run", "--rm", "--init", "busybox", "sh", "-c", "exit 7").returncode == 7
    cli("run", "-d", "--init", "--name", "web", "busybox", "sh", "-c", "touch /up; exec sleep 60")
    cli("exec", "web", "sh", "-c", "until [ -e /up ]; do :; done")
    begun = time.monotonic()
    cli("stop", "web")
    assert time.monotonic() - begun < 5
    assert cli("inspect", "-f", "{{.State.ExitCode}}", "web") == "143"


@pytest.mark.parametrize("options", [("--read-only",), ("--user", "1000", "--security-opt", "no-new-privileges")])
def test_it_runs_where_little_is_allowed(docker: Cli, options: tuple[str, ...]):
    assert docker("run", "--rm", "--init", *options, "busybox", "sh", "-c", "echo $$") not in ("", "1")


def test_the_program_of_the_host_cannot_be_written(docker: Cli):
    script = "echo x >/sbin/docker-init || echo x >/proc/1/exe"
    docker.fails("run", "--rm", "--init", "busybox", "sh", "-c", script, code=1, message="[Rr]ead-only|busy|denied")


def test_in_the_hosts_pid_namespace_there_is_one_already(docker: Cli):
    assert "init" not in docker("run", "--rm", "--init", "--pid", "host", "busybox", "cat", "/proc/self/cmdline")


@pytest.mark.skipif(bool(OTHER_HOST), reason="needs daemons of its own")
def test_settings_of_the_daemon(fresh_daemon: Callable[..., Engine], tmp_path: Path):
    engine = fresh_daemon("--init")
    docker = Cli("docker", engine.host, tmp_path)
    assert docker("run", "--rm", "busybox", "sh", "-c", "echo $$") != "1"
    assert docker("run", "--rm", "--init=false", "busybox", "sh", "-c", "echo $$") == "1"
    assert docker("info", "-f", "{{.InitBinary}}") == "docker-init"
    engine.stop()
    engine.options = ("--init-path", "/nonexistent/init")
    engine.start()
    message = 'exec: "/nonexistent/init": executable file not found'
    docker.fails("run", "--rm", "--init", "busybox", "true", code=127, message=message)
    assert json.loads(docker("info", "-f", "{{json .InitBinary}}")) == "/nonexistent/init"
