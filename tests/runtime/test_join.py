"""A further process in a running container."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.runtime import box
from tests.runtime.test_terminal import read_all

from pydock_runtime import join, seccomp
from pydock_runtime.errors import RuntimeFailure

pytestmark = pytest.mark.root


@contextlib.contextmanager
def sleeping(root: Path) -> Iterator[box.Running]:
    """A container that does nothing."""
    with box.ready(box.spec("sleep", "100", root=root)) as running:
        assert running.release() is None
        yield running


def test_it_is_in_all_namespaces_and_cgroups_of_the_container(root: Path) -> None:
    names = ("mnt", "pid", "net", "ipc", "uts", "cgroup")
    with sleeping(root) as running:
        script = "for n in $0; do readlink /proc/self/ns/$n; done; cat /proc/self/cgroup; cat /proc/1/comm; exit 9"
        result = running.exec("sh", "-c", script, " ".join(names))
        inside = [os.readlink(f"/proc/{running.child.pid}/ns/{name}") for name in names]
    assert (result.code, result.lines[: len(names)], result.lines[-1]) == (9, inside, "sleep")
    # Seen from the container's cgroup namespace it is at the root of each hierarchy: in the container's own.
    joined = [line for line in result.lines if line.count(":") >= 2 and "[" not in line]
    assert joined
    assert {line.split(":")[2] for line in joined} == {"/"}


@pytest.mark.parametrize("kind", ["pid", "network", "ipc", "uts", "cgroup"])
def test_a_container_in_a_namespace_of_the_host_s_is_joined_too(root: Path, kind: str) -> None:
    wanted = box.spec("sleep", "100", root=root)
    wanted["linux"]["namespaces"] = [{"type": name} for name in box.NAMESPACES if name != kind]
    wanted["mounts"] = [mount for mount in wanted["mounts"] if mount["destination"] in ("/proc", "/dev")]
    del wanted["hostname"]
    file = {"network": "net"}.get(kind, kind)
    with box.ready(wanted) as running:
        assert running.release() is None
        assert running.exec("readlink", f"/proc/self/ns/{file}").out.strip() == os.readlink(f"/proc/self/ns/{file}")


def test_it_has_nothing_of_its_parent(root: Path) -> None:
    with sleeping(root) as running:
        assert running.exec("ls", "/proc/self/fd").lines == ["0", "1", "2", "3"]


def test_it_has_its_own_user_and_capabilities(root: Path) -> None:
    process = {"user": {"username": "web"}, "capabilities": {"bounding": ["CAP_CHOWN"]}, "noNewPrivileges": True}
    with sleeping(root) as running:
        result = running.exec("grep", "-E", "Uid|CapBnd|NoNew", "/proc/self/status", process=process)
    assert [line.split()[1] for line in result.lines] == ["1000", "0000000000000001", "1"]


def test_its_seccomp_program_is_in_force(root: Path) -> None:
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]}
    with sleeping(root) as running:
        result = running.exec("mkdir", "/tmp/x", program=seccomp.compile_profile(profile))
    assert result.lines == ["mkdir: can't create directory '/tmp/x': Operation not permitted"]


def test_a_terminal_of_the_container_s(root: Path) -> None:
    process = {
        "args": ["sh", "-c", "tty; stty size"],
        "env": ["PATH=/bin"],
        "terminal": True,
        "consoleSize": {"width": 90, "height": 20},
    }
    with sleeping(root) as running:
        child = join.spawn_exec(running.child.pid, process, stdio=None, cgroup=running.child.cgroup, program=None)
        assert box.receive(child) == {"ready": True}
        assert child.console is not None
        assert read_all(child.console).split() == [b"/dev/pts/0", b"20", b"90"]
        assert box.receive(child) is None
        assert box.wait(child) == 0
        os.close(child.console)
        os.close(child.pidfd)
        child.sync.close()


@pytest.mark.parametrize(
    ("command", "process", "kind", "message"),
    [
        ("nothing", {}, "exec-not-found", 'exec: "nothing": executable file not found in $PATH'),
        ("/bin/plain", {}, "exec-denied", 'exec: "/bin/plain": permission denied'),
        (
            "true",
            {"cwd": "/nope"},
            "exec-denied",
            'chdir to cwd ("/nope") set in config.json failed: no such file or directory',
        ),
        (
            "true",
            {"user": {"username": "nobody"}},
            "invalid",
            "unable to find user nobody: no matching entries in passwd file",
        ),
    ],
)
def test_what_cannot_be_run_is_told(
    root: Path, command: str, process: dict[str, object], kind: str, message: str
) -> None:
    with sleeping(root) as running:
        result = running.exec(command, process=process)
    assert (result.code, result.error) == (1, {"kind": kind, "message": message})


def test_it_dies_with_the_container(root: Path) -> None:
    with sleeping(root) as running:
        child = join.spawn_exec(
            running.child.pid,
            {"args": ["sleep", "100"], "env": ["PATH=/bin"]},
            stdio=(0, 1, 2),
            cgroup=running.child.cgroup,
            program=None,
        )
        assert box.receive(child) is None
        os.kill(running.child.pid, 9)
        assert box.wait(child) == 128 + 9
        os.close(child.pidfd)
        child.sync.close()


def test_a_process_that_is_gone_cannot_be_joined(root: Path) -> None:
    with sleeping(root) as running:
        os.kill(running.child.pid, 9)
        box.wait(running.child)
        with pytest.raises((RuntimeFailure, OSError)):
            running.exec("true")
