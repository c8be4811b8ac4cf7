"""Containers by another OCI runtime (`--add-runtime`, `--runtime`), through real clients."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, eventually
from tests.fixtures.registry import free_port
from tests.fixtures.web import fetch

SERVE = "mkdir /www; echo up >/www/index.html; exec httpd -f -p 80 -h /www"


@pytest.fixture
def engine(fresh_daemon: Callable[..., Engine]) -> Engine:
    runc = shutil.which("runc")
    if runc is None:
        pytest.skip("needs runc")
    return fresh_daemon("--add-runtime", f"runc={runc}", "--add-runtime", "gone=/nowhere/gone")


@pytest.mark.parametrize("program", ["docker", "pydock"])
def test_a_container_of_another_runtime_is_like_any(engine: Engine, program: str, tmp_path: Path):
    cli = Cli(program, engine.host, tmp_path)
    assert cli("run", "--rm", "--runtime", "runc", "busybox", "sh", "-c", "hostname -i; id -u").endswith("\n0")
    assert "runc" in cli("info", "--format", "{{json .Runtimes}}")
    port = free_port()
    cli(
        "run", "-d", "--name", "web", "--runtime", "runc", "-m", "64m", "-p", f"{port}:80", "busybox", "sh", "-c", SERVE
    )
    eventually(lambda: fetch("127.0.0.1", port) == "up")
    assert cli("inspect", "-f", "{{.HostConfig.Runtime}} {{.State.Status}}", "web") == "runc running"
    assert cli("exec", "-i", "web", "cat", stdin="through") == "through"
    assert "httpd" in cli("top", "web")
    cli("pause", "web")
    cli("unpause", "web")
    engine.kill()
    engine.start()
    eventually(lambda: fetch("127.0.0.1", port) == "up")
    cli("restart", "-t", "0", "web")
    eventually(lambda: fetch("127.0.0.1", port) == "up")
    cli("stop", "-t", "0", "web")
    assert cli("inspect", "-f", "{{.State.ExitCode}}", "web") == "137"
    cli("rm", "web")


def test_what_cannot_be_run_has_the_exit_code_it_has_elsewhere(engine: Engine, tmp_path: Path):
    cli = Cli("pydock", engine.host, tmp_path)
    for runtime, command, code, words in (
        ("runc", "no-such-program", 127, "no-such-program"),
        ("runc", "/etc", 126, "/etc"),
        ("nowhere", "true", 125, "unknown or invalid runtime name: nowhere"),
        ("gone", "true", 125, "OCI runtime gone: there is no program /nowhere/gone"),
    ):
        cli.fails("run", "--rm", "--runtime", runtime, "busybox", command, code=code, message=words)
    assert cli("ps", "-aq") == ""
