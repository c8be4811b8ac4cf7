"""The systemd driver: names and limits here, and on a host with systemd a container in a scope of it."""

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.runtime.test_verbs import OTHER, Runtime

from pydock_runtime import dbus
from pydock_runtime.cgroup import systemd
from pydock_runtime.cgroup.systemd import INFINITY, Unit
from pydock_runtime.errors import RuntimeFailure

with_systemd = pytest.mark.skipif(not os.path.exists(dbus.SYSTEMD), reason="systemd does not run here")
JOB = "/org/freedesktop/systemd1/job/7"


@pytest.mark.parametrize(
    ("path", "name", "folder"),
    [
        ("", "runc-box.scope", "/system.slice/runc-box.scope"),
        ("a-b-c.slice:pydock:x", "pydock-x.scope", "/a.slice/a-b.slice/a-b-c.slice/pydock-x.scope"),
        ("user.slice::x", "x.scope", "/user.slice/x.scope"),
        (":pod:x", "pod-x.scope", "/system.slice/pod-x.scope"),
        ("-.slice:p:x", "p-x.scope", "/p-x.scope"),
    ],
)
def test_names(path: str, name: str, folder: str) -> None:
    unit = Unit(path, "box")
    assert (unit.name, unit.path) == (name, folder)


@pytest.mark.parametrize("path", ["/a/b", "a:b", "a.slice:b:c:d", "a:b:c", "a/b.slice:b:c", "a--b.slice:b:c"])
def test_what_is_no_name(path: str) -> None:
    with pytest.raises(RuntimeFailure):
        Unit(path, "box")


def test_limits() -> None:
    resources = {
        "memory": {"limit": 100, "swap": 150, "reservation": 50},
        "cpu": {"shares": 1024, "quota": 33_333, "period": 100_000},
        "pids": {"limit": -1},
    }
    new = dict(systemd.properties(resources, unified=True))
    assert new["MemoryMax"] == ("t", 100)
    assert new["MemorySwapMax"] == ("t", 50)
    assert new["MemoryLow"] == ("t", 50)
    assert new["CPUWeight"] == ("t", 39)
    assert new["CPUQuotaPerSecUSec"] == ("t", 340_000), "in steps of 10 ms, upwards"
    assert new["TasksMax"] == ("t", INFINITY)
    old = dict(systemd.properties(resources, unified=False))
    assert (old["MemoryLimit"], old["CPUShares"]) == (("t", 100), ("t", 1024))
    assert systemd.properties({}, unified=True) == []
    assert dict(systemd.properties({"cpu": {"quota": -1}}, unified=True)) == {"CPUQuotaPerSecUSec": ("t", INFINITY)}


class Systemd(threading.Thread):
    """Answers one connection as systemd's own socket does, and remembers what it was asked."""

    def __init__(self, path: Path, result: str) -> None:
        super().__init__()
        self.result, self.asked = result, []  # type: tuple[str, list[tuple[str, list[Any]]]]
        self.existed = result == "exists"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()

    def run(self) -> None:
        with self._listener, self._listener.accept()[0] as sock, sock.makefile("rb") as stream:
            assert stream.readline().startswith(b"\0AUTH EXTERNAL ")
            assert stream.readline() == b"BEGIN\r\n"
            sock.sendall(b"OK 0123\r\n")
            while first := stream.read(16):
                length, serial, size = (int.from_bytes(first[at : at + 4], "little") for at in (4, 8, 12))
                rest = stream.read(size + -size % 8 + length)
                fields = dict(dbus.unmarshal(dbus.HEADER, first + rest)[-1])
                self.answer(sock, serial, fields, rest[len(rest) - length :])

    def answer(self, sock: socket.socket, serial: int, fields: dict[int, Any], body: bytes) -> None:
        member = fields[dbus.MEMBER]
        self.asked.append((member, dbus.unmarshal(fields.get(dbus.SIGNATURE, ""), body)))
        if member == "StartTransientUnit" and self.existed:
            self.existed = False
            self.send(sock, dbus.ERROR, {dbus.ERROR_NAME: ("s", systemd.EXISTS), dbus.REPLY: ("u", serial)}, "s", "no")
        elif member == "StartTransientUnit":
            ended = {dbus.MEMBER: ("s", "JobRemoved")}
            self.send(sock, dbus.SIGNAL, ended, "uoss", 6, "/another", "other.scope", "failed")
            self.send(sock, dbus.RETURN, {dbus.REPLY: ("u", serial)}, "o", JOB)
            self.send(sock, dbus.SIGNAL, ended, "uoss", 7, JOB, "x.scope", self.result.replace("exists", "done"))
        else:
            self.send(sock, dbus.RETURN, {dbus.REPLY: ("u", serial)}, "")

    def send(self, sock: socket.socket, kind: int, fields: dict[int, Any], signature: str, *values: Any) -> None:
        data = dbus.marshal(signature, values)
        pairs = [*fields.items(), *([(dbus.SIGNATURE, ("g", signature))] if signature else [])]
        head = dbus.marshal(dbus.HEADER, (ord("l"), kind, 0, 1, len(data), 1, pairs))
        sock.sendall(head + bytes(-len(head) % 8) + data)


@pytest.fixture
def fake(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    """A systemd that answers as the test's parameter says."""
    monkeypatch.setattr(dbus, "SYSTEMD", str(tmp_path / "private"))
    made = Systemd(tmp_path / "private", request.param)
    made.start()
    yield made
    made.join()


@pytest.mark.parametrize("fake", ["done", "exists"], indirect=True)
def test_a_scope_is_made_around_a_helper(fake: Systemd) -> None:
    tried = ["StartTransientUnit", "ResetFailedUnit"] if fake.existed else []
    with systemd.scope(Unit("a.slice:p:x", "x"), "x", {"pids": {"limit": 9}}):
        wanted = dict(fake.asked[-1][1][2])
        (helper,) = wanted["PIDs"]
        assert os.path.exists(f"/proc/{helper}")
    assert not os.path.exists(f"/proc/{helper}")
    assert (wanted["Slice"], wanted["Delegate"], wanted["TasksMax"]) == ("a.slice", True, 9)
    assert [member for member, _ in fake.asked] == ["Subscribe", *tried, "StartTransientUnit"]


@pytest.mark.parametrize("fake", ["timeout"], indirect=True)
def test_a_scope_that_is_not_made(fake: Systemd) -> None:
    with (
        pytest.raises(RuntimeFailure, match=r"systemd did not make p-x\.scope: timeout"),
        systemd.scope(Unit("a.slice:p:x", "x"), "x", {}),
    ):
        pytest.fail("there is none")
    (helper,) = dict(fake.asked[-1][1][2])["PIDs"]
    assert not os.path.exists(f"/proc/{helper}")


@pytest.fixture
def runtime(tmp_path: Path, root: Path) -> Iterator[Runtime]:
    made = Runtime(tmp_path, root)
    yield made
    for id in made.ids:
        made("delete", "--force", id)


@with_systemd
@pytest.mark.skipif(OTHER is not None, reason="of our own runtime")
def test_a_container_in_a_scope(runtime: Runtime) -> None:
    def change(spec: dict[str, Any]) -> None:
        spec["linux"]["cgroupsPath"] = f"pdt.slice:pdt:{os.getpid()}"
        spec["linux"]["resources"] = {"pids": {"limit": 33}, "memory": {"limit": 100 << 20}}

    def shown(name: str) -> str:
        unit = f"pdt-{os.getpid()}.scope"
        return subprocess.run(["systemctl", "show", "-P", name, unit], stdout=subprocess.PIPE, text=True).stdout.strip()

    id = runtime.configure("sleep", "100", change=change)
    command = [*runtime.command, "--systemd-cgroup", "run", "--detach", "--bundle", str(runtime.bundle), id]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=30)  # its output is the container's
    assert shown("ControlGroup") == f"/pdt.slice/pdt-{os.getpid()}.scope"
    assert (shown("ActiveState"), shown("TasksMax"), shown("MemoryMax")) == ("active", "33", str(100 << 20))
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    runtime.ok("--systemd-cgroup", "update", "--pids-limit", "44", id)
    assert shown("TasksMax") == "44"
    runtime.ok("delete", "--force", id)
    assert shown("ActiveState") == "inactive"
