"""Containers of the runtime's tests: a busybox root, specs like Docker's, and what came of running one."""

import contextlib
import copy
import itertools
import os
import select
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pydock_runtime import abi, cgroup, join, launch, seccomp
from pydock_runtime.cgroup import layout
from pydock_runtime.known import Known

BUSYBOX = "/bin/busybox"
PARENT = f"/pydock-test-{os.getpid()}"
PATIENCE = 10.0
DOCKER_CAPABILITIES = [
    f"CAP_{name}"
    for name in (
        "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL "
        "AUDIT_WRITE"
    ).split()
]
NAMESPACES = ("mount", "pid", "network", "ipc", "uts", "cgroup")
MOUNTS = (
    ("/proc", "proc", "proc", ["nosuid", "noexec", "nodev"]),
    ("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
    ("/dev/pts", "devpts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
    ("/sys", "sysfs", "sysfs", ["nosuid", "noexec", "nodev", "ro"]),
    ("/sys/fs/cgroup", "cgroup", "cgroup", ["nosuid", "noexec", "nodev", "ro"]),
    ("/dev/mqueue", "mqueue", "mqueue", ["nosuid", "noexec", "nodev"]),
    ("/dev/shm", "tmpfs", "shm", ["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"]),
)
_numbers = itertools.count()

Spec = dict[str, Any]


class Result(NamedTuple):
    """What a container left: its exit code and output, or the error that kept it from running."""

    code: int
    out: str
    error: dict[str, str] | None

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


def make_root(folder: Path) -> Path:
    """Make a root file system of busybox with the accounts of a small distribution."""
    for name in ("bin", "etc", "tmp"):
        (folder / name).mkdir(parents=True)
    shutil.copy(BUSYBOX, folder / "bin" / "busybox")
    for applet in subprocess.run([BUSYBOX, "--list"], check=True, capture_output=True, text=True).stdout.split():
        with contextlib.suppress(FileExistsError):
            os.symlink("busybox", folder / "bin" / applet)
    (folder / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001:Web:/srv/web:/bin/sh\n")
    (folder / "etc/group").write_text("root:x:0:\nweb:x:1001:\naudio:x:29:web\nvideo:x:44:other,web\nlast:x:50:other\n")
    (folder / "bin/plain").write_text("not a program")
    return folder


def spec(*args: str, root: Path, shell: str = "") -> Spec:
    """Return Docker's default spec for a command, or for a shell script."""
    return {
        "ociVersion": "1.2.0",
        "process": {
            "args": list(args) or ["sh", "-c", shell],
            "env": ["PATH=/bin"],
            "cwd": "/",
            "user": {"uid": 0, "gid": 0},
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), tuple(DOCKER_CAPABILITIES)),
        },
        "root": {"path": str(root)},
        "hostname": "box",
        "mounts": [
            {"destination": target, "type": type_, "source": source, "options": list(options)}
            for target, type_, source, options in MOUNTS
        ],
        "linux": {
            "namespaces": [{"type": name} for name in NAMESPACES],
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
        },
    }


class Running:
    """A container that stands at its gate, or runs."""

    def __init__(self, child: launch.Child, output: int) -> None:
        self.child = child
        self._output = output

    def text(self) -> str:
        """What has been written so far."""
        return os.pread(self._output, 1 << 20, 0).decode()

    def release(self, interfaces: list[dict[str, Any]] | None = None) -> dict[str, str] | None:
        """Open the gate; return the error that keeps the program from running."""
        launch.release(self.child, interfaces or [])
        message = receive(self.child)
        return message["error"] if message else None

    def wait(self) -> int:
        """The exit code of init."""
        return wait(self.child)

    def exec(
        self,
        *args: str,
        process: dict[str, Any] | None = None,
        program: seccomp.Program | None = None,
        known: Known | None = None,
    ) -> Result:
        """Run a further process to its end; `known` learns as a supervisor's does."""
        output = os.memfd_create("output", os.MFD_CLOEXEC)
        with open(os.devnull, "rb") as null:
            wanted = {"args": list(args), "env": ["PATH=/bin"], "cwd": "/", **(process or {})}
            child = join.spawn_exec(
                self.child.pid,
                wanted,
                stdio=(null.fileno(), output, output),
                cgroup=self.child.cgroup,
                program=program,
                known=known,
            )
        message = receive(child)
        if message is not None and "users" in message:
            assert child.habit is not None
            child.habit.learn(message)
            message = receive(child)
        code = wait(child)
        child.sync.close()
        os.close(child.pidfd)
        text = os.pread(output, 1 << 20, 0).decode()
        os.close(output)
        return Result(code, text, message["error"] if message else None)


def receive(child: launch.Child) -> dict[str, Any] | None:
    """The child's next message; an assertion when none comes."""
    assert select.select([child.sync], (), (), PATIENCE)[0], "the child says nothing"
    return launch.receive(child)


def wait(child: launch.Child) -> int:
    """Reap a child; its exit code as a shell shows it."""
    assert select.select([child.pidfd], (), (), PATIENCE)[0], "the child does not end"
    result = os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED | abi.WALL)
    assert result is not None
    return result.si_status if result.si_code == os.CLD_EXITED else 128 + result.si_status


@contextlib.contextmanager
def ready(
    wanted: Spec,
    *,
    overlay: dict[str, Any] | None = None,
    program: seccomp.Program | None = None,
    resources: Spec | None = None,
    id: str = "",
) -> Iterator[Running]:
    """A container at its gate; killed and removed at the end. NotReady when it does not get there."""
    group = cgroup.create(f"{PARENT}/{next(_numbers)}", resources or wanted["linux"].get("resources") or {})
    output = os.memfd_create("output", os.MFD_CLOEXEC)
    with contextlib.ExitStack() as undo:
        undo.callback(os.close, output)
        undo.callback(_remove, group)
        null = undo.enter_context(open(os.devnull, "rb"))
        tty = wanted["process"].get("terminal")
        stdio = None if tty else (null.fileno(), output, output)
        child = launch.spawn(copy.deepcopy(wanted), stdio=stdio, overlay=overlay, program=program, cgroup=group, id=id)
        undo.callback(_end, child)
        message = receive(child)
        if message is None or "error" in message:
            raise NotReady(message)
        yield Running(child, output)


class NotReady(Exception):
    """The container said this instead of being ready."""

    def __init__(self, message: dict[str, Any] | None) -> None:
        super().__init__(message)
        self.error: dict[str, str] | None = message["error"] if message else None


def _end(child: launch.Child) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(child.pidfd, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED | abi.WALL)
    os.close(child.pidfd)
    child.sync.close()
    if child.console is not None:
        os.close(child.console)


def _remove(group: cgroup.Cgroup) -> None:
    for _ in range(200):
        try:
            group.remove()
            break
        except OSError:
            group.kill()
            select.select((), (), (), 0.01)
    else:
        group.remove()


def run(
    wanted: Spec,
    *,
    overlay: dict[str, Any] | None = None,
    program: seccomp.Program | None = None,
    resources: Spec | None = None,
    interfaces: list[dict[str, Any]] | None = None,
    meanwhile: Callable[[Running], None] | None = None,
) -> Result:
    """Run a container to its end; `meanwhile` sees it at its gate."""
    try:
        with ready(wanted, overlay=overlay, program=program, resources=resources) as running:
            if meanwhile is not None:
                meanwhile(running)
            error = running.release(interfaces)
            return Result(running.wait(), running.text(), error)
    except NotReady as error:
        return Result(-1, "", error.error)


def remove_parent() -> None:
    """Remove the folder that all cgroups of the tests were in; all of them have to be gone."""
    cgroup.open_existing(PARENT).remove()
    host = layout.of_host()
    if host.hierarchies and host.unified and os.path.exists(host.unified + PARENT):
        # Another runtime that the tests were run with makes it there too.
        os.rmdir(host.unified + PARENT)
