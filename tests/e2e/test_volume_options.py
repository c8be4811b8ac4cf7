"""Volumes of the local driver with options: mounted at the first use, unmounted after the last; parts of volumes."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import docker as docker_py
import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, eventually

MEMORY = ("-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=64k,uid=1000")


def mounted(path: str) -> bool:
    return f" {path} " in Path("/proc/self/mountinfo").read_text()


def test_created_and_shown(cli: Cli):
    assert cli("volume", "create", *MEMORY, "memory") == "memory"
    shown = cli("volume", "inspect", "-f", "{{json .Options}}", "memory")
    assert shown == '{"device":"tmpfs","o":"size=64k,uid=1000","type":"tmpfs"}'
    cli("volume", "prune", "-af")
    assert cli("volume", "ls", "-q") == "memory"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-o", "foo=bar"), 'create data: invalid option: "foo"'),
        (("-o", "type=tmpfs"), 'create data: missing required option: "device"'),
        (("-o", "size=1m"), "create data: quota size requested but no quota support"),
    ],
)
def test_refused(cli: Cli, options: tuple[str, ...], message: str):
    cli.fails("volume", "create", *options, "data", code=1, message=message)
    assert cli("volume", "ls", "-q") == ""


def test_mounted_until_the_last_container_ends(cli: Cli):
    cli("volume", "create", *MEMORY, "memory")
    place = cli("volume", "inspect", "-f", "{{.Mountpoint}}", "memory")
    for name in ("one", "two"):
        cli("run", "-d", "--name", name, "-v", "memory:/v", "busybox", "sh", "-c", "touch /v/$HOSTNAME; sleep 600")
    eventually(lambda: len(cli("exec", "two", "ls", "/v").split()) == 2)
    assert "1000" in cli("exec", "one", "stat", "-c", "%u", "/v")
    cli("kill", "one")
    cli("wait", "one")
    assert mounted(place)
    cli("rm", "-f", "two")
    eventually(lambda: not mounted(place))
    assert cli("run", "--rm", "-v", "memory:/v", "busybox", "ls", "/v") == ""


def test_bind(cli: Cli, tmp_path: Path):
    (tmp_path / "file").write_text("content")
    options = f"type=volume,source=data,target=/v,volume-opt=type=none,volume-opt=o=bind,volume-opt=device={tmp_path}"
    assert cli("run", "--rm", "--mount", options, "busybox", "cat", "/v/file") == "content"
    cli("create", "--name", "idle", "-v", "data:/v", "busybox")
    assert "content" in cli("cp", "idle:/v/file", "-")
    cli("rm", "idle")
    cli("volume", "rm", "data")
    assert (tmp_path / "file").read_text() == "content"


@pytest.mark.parametrize(
    ("kind", "words", "code", "reason"),
    [
        ("none", "bind", 127, "flags: 0x1000: no such file or directory"),
        ("no-such-fs", "ro", 125, "flags: 0x1: no such device"),
        ("tmpfs", "bogus=1", 125, "data: bogus=1: invalid argument"),
    ],
)
def test_what_cannot_be_mounted(cli: Cli, kind: str, words: str, code: int, reason: str):
    cli("volume", "create", "-o", f"type={kind}", "-o", "device=/no/such", "-o", f"o={words}", "data")
    text = f"error while mounting volume '.*/data/_data': failed to mount local volume: mount /no/such:.*{reason}"
    cli.fails("run", "--name", "failed", "-v", "data:/v", "busybox", code=code, message=text)
    cli("rm", "failed")
    cli("volume", "rm", "data")


def test_a_part_of_a_volume(cli: Cli):
    script = "mkdir -p /v/sub; echo content >/v/sub/file; ln -s /etc /v/out; ln -s sub /v/in"
    cli("run", "--rm", "-v", "data:/v", "busybox", "sh", "-c", script)
    part = "type=volume,source=data,target=/p,volume-subpath="
    assert cli("run", "--rm", "--mount", part + "in", "busybox", "sh", "-c", "cat /p/file; touch /p/new") == "content"
    assert cli("run", "--rm", "--mount", part + "sub/file", "busybox", "cat", "/p") == "content"
    assert cli("run", "--rm", "-v", "data:/v", "busybox", "ls", "/v/sub") == "file\nnew"
    escape = "path concatenation escapes the base directory, base: .*/data/_data, subpath: out"
    cli.fails("run", "--rm", "--mount", part + "out", "busybox", code=125, message=escape)
    cli.fails("run", "--rm", "--mount", part + "none", "busybox", code=127, message="cannot access path .*/none: lstat")
    relative = "subpath must be a relative path within the volume"
    cli.fails("run", "--rm", "--mount", part + "../x", "busybox", code=125, message=relative)
    cli("create", "--name", "idle", "--mount", part + "sub", "busybox")
    assert "content" in cli("cp", "idle:/p/file", "-")


def test_across_daemons(fresh_daemon: Callable[..., Engine], tmp_path: Path):
    engine = fresh_daemon()
    cli = Cli("pydock", engine.host, tmp_path)
    cli("volume", "create", *MEMORY, "memory")
    place = cli("volume", "inspect", "-f", "{{.Mountpoint}}", "memory")
    for name in ("stays", "ends"):
        cli("volume", "create", *MEMORY, name)
        cli("run", "-d", "--name", name, "-v", f"{name}:/v", "-v", "memory:/m", "busybox", "sleep", "600")
    cli("exec", "stays", "touch", "/m/file")
    pid = int(cli("inspect", "-f", "{{.State.Pid}}", "ends"))
    engine.kill()
    os.kill(pid, signal.SIGKILL)
    engine.start()
    eventually(lambda: not mounted(place.replace("memory", "ends")))
    assert mounted(place.replace("memory", "stays"))
    assert cli("run", "--rm", "-v", "memory:/m", "busybox", "ls", "/m") == "file"
    cli("rm", "-f", "stays")
    eventually(lambda: not mounted(place))


def test_docker_py(client: docker_py.DockerClient, tmp_path: Path):
    """docker-py, as testcontainers and others use it."""
    (tmp_path / "file").write_text("content")
    options = {"type": "none", "o": "bind", "device": str(tmp_path)}
    volume = client.volumes.create("data", driver_opts=options)
    assert volume.attrs["Options"] == options
    output = client.containers.run("busybox", "cat /v/file", volumes={"data": {"bind": "/v"}}, remove=True)
    assert output == b"content"
