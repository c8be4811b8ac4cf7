"""`restore`: the processes of a checkpoint run again, in a container of the same spec. Used by the verb and `aside`.

criu makes them children of ours. It runs in the container's cgroups, whose limits they have from the first moment, and
where we are: in a mount namespace that is not the host's, so that nothing of the root is seen there.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal

from pydock_runtime import abi, launch, linux, namespaces, netconf, sync, sysctl
from pydock_runtime import spec as specs
from pydock_runtime.checkpoint import dump, external, rpc
from pydock_runtime.errors import INVALID, SYSTEM, RuntimeFailure, text
from pydock_runtime.rootfs import prepare

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from typing import Any, NoReturn

    from pydock_runtime.cgroup import Cgroup
    from pydock_runtime.checkpoint.folders import Folders

LOG = "restore.log"
LABELS = ("lsm-profile", "lsm-mount-context")
"""Flags that are options of criu by another name, with a text."""
NAMESPACES, PTS_MASTER = "setup-namespaces", "orphan-pts-master"
"""Notices of criu: the namespaces are there, nothing is in them yet; the other end of a terminal is in the message."""


@contextlib.contextmanager
def rooted(spec: dict[str, Any], bundle: str, overlay: dict[str, Any] | None = None) -> Iterator[str]:
    """Leave the host's mounts for good; give the path of the root, which `launch.spawn` has of the same.

    Meanwhile it is a mount below one that is not shared, as criu wants it. Folders that criu works in are to be opened
    here: it makes mounts in them.
    """
    linux.unshare(abi.CLONE_NEWNS)
    # What the host unmounts later goes here too.
    linux.mount(None, "/", None, abi.MS_REC | abi.MS_SLAVE)
    if overlay:
        path = os.path.join(overlay["base"], prepare.mount_overlay(overlay))
    else:
        path = os.path.abspath(prepare.bind_folder(spec, bundle))
    # Where the root had been a slave of the host's, criu makes it one of this.
    linux.mount(None, path, None, abi.MS_SHARED)
    try:
        yield path
    finally:
        linux.umount2(path, abi.MNT_DETACH)


def restore(
    spec: dict[str, Any],
    cgroup: Cgroup,
    folders: Folders,
    wanted: dict[str, Any],
    *,
    root: str,
    prepared: Callable[[int], list[dict[str, Any]]],
    sibling: bool = False,
) -> launch.Child:
    """Run the processes of a checkpoint in this container and return its init; RuntimeFailure says why criu could not.

    `root` is the path that `rooted` gave, `wanted` are further options of criu. `prepared` is called with the pid of an
    init that does not run yet, when it has its namespaces, and returns what is to be configured of its network besides
    the loopback. Pipes that were init's stdin, stdout or stderr are ours from now on; with `sibling` init is our
    parent's child.
    """
    dump.check(spec)
    labels = [name for name in LABELS if name.replace("-", "_") in wanted]
    program = rpc.program(*dump.parts(spec), *labels, at=folders.criu)
    if any(entry["type"] == "user" for entry in spec.get("linux", {}).get("namespaces") or ()):
        folders.let_search()
    else:
        _in_child(lambda: _make_mount_points(spec, root, cgroup))
    console: list[int] = []

    def heard(script: str, pid: int, fd: int | None) -> None:
        if script == NAMESPACES:
            interfaces = prepared(pid)
            if specs.owns(spec, "network"):
                # Before sockets are bound, or their addresses would not be there.
                _in_child(lambda: _bring_up(spec, pid, interfaces))
        elif script == PTS_MASTER and fd is not None:
            console.append(os.dup(fd))

    joined = _joined(spec)
    options = {**folders.options(LOG), **_options(spec, cgroup, root), **wanted}
    options["inherit_fd"] = _pipes(folders) + [
        {"key": name, "fd": number} for number, name in enumerate(joined, rpc.FIRST_PASSED)
    ]
    with contextlib.ExitStack() as opened:
        passed = tuple(_open(path, opened) for path in joined.values())
        opened.callback(_close_all, console)
        with folders.explained(LOG):
            answer = rpc.ask(
                program,
                {"type": rpc.RESTORE, "opts": options},
                passed=passed,
                before=lambda: cgroup.add(0),
                heard=heard,
                sibling=sibling,
            )
        pid = answer["restore"]["pid"]
        silent, _ = sync.pair()
        child = launch.Child(pid, linux.pidfd_open(pid), silent, cgroup)
        child.console = console.pop() if console else None
    return child


def _options(spec: dict[str, Any], cgroup: Cgroup, root: str) -> dict[str, Any]:
    found = external.sources(spec, cgroup)
    return {
        "root": root,
        "rst_sibling": True,
        "evasive_devices": True,
        "notify_scripts": True,
        "orphan_pts_master": True,
        "empty_ns": dump.EMPTY,
        "ext_mnt": [{"key": name, "val": path} for name, path in sorted(found.items())],
        "cg_root": cgroup_roots(cgroup),
        "join_ns": [
            {"ns": namespaces.KINDS[entry["type"]][1], "ns_file": entry["path"]}
            for entry in spec.get("linux", {}).get("namespaces") or ()
            if entry.get("path") and entry["type"] not in dump.OF_OTHERS
        ],
    }


def cgroup_roots(cgroup: Cgroup) -> list[dict[str, str]]:
    """Return where the restored processes belong, for each controller: criu moves them there from where they were."""
    ours = {controller for names in cgroup.views() for controller in names.split(",")}
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        rows = [line.rstrip("\n").split(":", 2)[1:] for line in file]
    return [
        {"ctrl": controller, "path": cgroup.path if controller.removeprefix("name=") in ours else path}
        for names, path in rows
        for controller in names.split(",")
    ]


def _joined(spec: dict[str, Any]) -> dict[str, str]:
    """Return the paths of namespaces that are left to others, by their names in a checkpoint."""
    entries = spec.get("linux", {}).get("namespaces") or ()
    return {dump.OF_OTHERS[entry["type"]][1]: entry["path"] for entry in entries
            if entry.get("path") and entry["type"] in dump.OF_OTHERS}  # fmt: skip


def _pipes(folders: Folders) -> list[dict[str, Any]]:
    """Say which of our stdin, stdout and stderr takes the place of which pipe."""
    try:
        was = json.loads(folders.read(dump.DESCRIPTORS))
        keys = {text: number for number, text in enumerate(was) if text.startswith("pipe:") and number < 3}
    except (ValueError, TypeError, AttributeError) as error:
        raise RuntimeFailure(f"not a checkpoint: {dump.DESCRIPTORS}: {error}", INVALID) from error
    return [{"key": key, "fd": number} for key, number in keys.items()]


def _open(path: str, opened: contextlib.ExitStack) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    opened.callback(os.close, fd)
    return fd


def _close_all(descriptors: list[int]) -> None:
    for fd in descriptors:
        os.close(fd)


def _make_mount_points(spec: dict[str, Any], root: str, cgroup: Cgroup) -> None:
    """Build the root as for a start, in mounts that go away: what stays is what criu mounts on."""
    linux.unshare(abi.CLONE_NEWNS)
    os.umask(0)
    spec = {**spec, "root": {**spec["root"], "path": root}}
    prepare.enter(spec, bundle="/", overlay=None, cgroup=cgroup, sources={}, pivot=True, prepared=lambda: None)


def _bring_up(spec: dict[str, Any], pid: int, interfaces: list[dict[str, Any]]) -> None:
    """Configure the network of an init that does not run yet: a new one, in which nothing is as it was."""
    namespaces.enter(f"/proc/{pid}/ns/net", abi.CLONE_NEWNET)
    settings = spec.get("linux", {}).get("sysctl") or {}
    sysctl.apply({name: value for name, value in settings.items() if name.replace("/", ".").startswith("net.")})
    netconf.configure(interfaces)


def _in_child(work: Callable[[], None]) -> None:
    """Do something in a forked child that may change its namespaces; RuntimeFailure says what went wrong there."""
    ours, theirs = sync.pair()
    with ours:
        with theirs:
            pid, pidfd = linux.clone3(0, exit_signal=signal.SIGCHLD)
            if pid == 0:
                _work(theirs, work)
        message, _ = sync.receive(ours)
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | abi.WALL)
        os.close(pidfd)
    if message is None:
        raise RuntimeFailure("a helper of restore died")
    if "error" in message:
        raise RuntimeFailure(message["error"]["message"], message["error"]["kind"])


def _work(channel: socket.socket, work: Callable[[], None]) -> NoReturn:
    try:
        work()
        sync.send(channel, {"ready": True})
    except RuntimeFailure as error:
        sync.report(channel, error.kind, error.message)
    except OSError as error:
        sync.report(channel, SYSTEM, text(error))
    except BaseException as error:
        # Whatever it is: a forked child must never return into its parent's code.
        sync.report(channel, SYSTEM, f"{type(error).__name__}: {error}")
    os._exit(0)
