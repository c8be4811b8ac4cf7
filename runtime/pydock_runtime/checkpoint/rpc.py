"""criu as a program that is asked one thing over a socket (`criu swrk`), and asks back. Used by `dump` and `restore`.

The command line of criu can do less: the master of a terminal, and the moments at which hooks are run, come this way
alone. The forms are those of criu's images/rpc.proto; Debian's 3.17 and 4.2 agree on all that is here.
"""

from __future__ import annotations

import array
import fcntl
import os
import select
import signal
import socket

from pydock_runtime import abi, linux, sync
from pydock_runtime.checkpoint import protobuf
from pydock_runtime.checkpoint.protobuf import NUMBER, TEXT
from pydock_runtime.errors import INVALID, SYSTEM, RuntimeFailure, text
from pydock_runtime.program import DEFAULT_PATH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    Heard = Callable[[str, int, int | None], None]

OPTIONS = {
    "images_dir_fd": (1, NUMBER),
    "pid": (2, NUMBER),
    "leave_running": (3, NUMBER),
    "ext_unix_sk": (4, NUMBER),
    "tcp_established": (5, NUMBER),
    "evasive_devices": (6, NUMBER),
    "shell_job": (7, NUMBER),
    "file_locks": (8, NUMBER),
    "log_level": (9, NUMBER),
    "log_file": (10, TEXT),
    "ps": (11, {"address": (1, TEXT), "port": (2, NUMBER)}),
    "notify_scripts": (12, NUMBER),
    "root": (13, TEXT),
    "parent_img": (14, TEXT),
    "track_mem": (15, NUMBER),
    "auto_dedup": (16, NUMBER),
    "work_dir_fd": (17, NUMBER),
    "link_remap": (18, NUMBER),
    "ext_mnt": (23, {"key": (1, TEXT), "val": (2, TEXT)}),
    "manage_cgroups": (24, NUMBER),
    "cg_root": (25, {"ctrl": (1, TEXT), "path": (2, TEXT)}),
    "rst_sibling": (26, NUMBER),
    "inherit_fd": (27, {"key": (1, TEXT), "fd": (2, NUMBER)}),
    "manage_cgroups_mode": (34, NUMBER),
    "external": (37, TEXT),
    "empty_ns": (38, NUMBER),
    "join_ns": (39, {"ns": (1, TEXT), "ns_file": (2, TEXT)}),
    "freeze_cgroup": (44, TEXT),
    "lazy_pages": (48, NUMBER),
    "orphan_pts_master": (50, NUMBER),
    "config_file": (51, TEXT),
    "lsm_profile": (53, TEXT),
    "lsm_mount_context": (63, TEXT),
}
REQUEST = {
    "type": (1, NUMBER),
    "opts": (2, OPTIONS),
    "notify_success": (3, NUMBER),
    "features": (5, {"mem_track": (1, NUMBER), "lazy_pages": (2, NUMBER)}),
}
ANSWER = {
    "type": (1, NUMBER),
    "success": (2, NUMBER),
    "restore": (4, {"pid": (1, NUMBER)}),
    "notify": (5, {"script": (1, TEXT), "pid": (2, NUMBER)}),
    "cr_errno": (7, NUMBER),
    "features": (8, REQUEST["features"][1]),
    "version": (10, {"major": (1, NUMBER), "minor": (2, NUMBER), "sublevel": (4, NUMBER)}),
}
DUMP, RESTORE, PRE_DUMP, NOTIFY, FEATURE_CHECK, VERSION = 1, 2, 4, 6, 9, 10
NAMES = {DUMP: "DUMP", RESTORE: "RESTORE", PRE_DUMP: "PRE_DUMP", FEATURE_CHECK: "FEATURE_CHECK", VERSION: "VERSION"}

PROGRAM = "criu"
PATH = os.fsdecode(DEFAULT_PATH)
"""Where it is looked for without a PATH."""
NEEDED = (3, 15)
"""The first version that leaves namespaces of the network and of process ids to others, and knows cgroup v2."""
SINCE = {"noNewPrivileges": (3, 19), "lsm-profile": (3, 16), "lsm-mount-context": (3, 16)}
CHANNEL = 3
FIRST_PASSED = CHANNEL + 1
"""The descriptors that criu gets: the socket, and from the next one on those that are passed to it."""
ANSWER_LIMIT = 1 << 16


class Refused(RuntimeFailure):
    """criu could not do it."""


def program(*parts: str, at: str = "") -> str:
    """Return the path of criu; RuntimeFailure when it is not installed, or too old for these parts of what it restores.

    The parts are those of SINCE; an older criu passes over them in silence. `at`: its path, or its name in PATH.
    """
    path = _find(at or PROGRAM)
    version = ask(path, {"type": VERSION})["version"]
    have = (version["major"], version["minor"])
    for needed, why in ((NEEDED, ""), *((SINCE[part], f" for {part}") for part in parts)):
        if have < needed:
            old, new = (".".join(map(str, pair)) for pair in (have, needed))
            raise RuntimeFailure(f"criu {old} is too old: {new} or newer is needed{why}", INVALID)
    return path


def _find(name: str) -> str:
    for folder in os.environ.get("PATH", PATH).split(":"):
        path = name if "/" in name else os.path.join(folder, name)
        if folder and os.access(path, os.X_OK) and not os.path.isdir(path):
            return path
    raise RuntimeFailure(f"checkpoint and restore need {name}, which is not installed", INVALID)


def require(path: str, feature: str) -> None:
    """Raise RuntimeFailure unless criu and the kernel have a feature of the table."""
    answer = ask(path, {"type": FEATURE_CHECK, "features": {feature: True}})
    if not answer.get("features", {}).get(feature):
        raise RuntimeFailure(f"criu, or this kernel, lacks {feature}", INVALID)


def ask(
    path: str,
    request: dict[str, Any],
    *,
    passed: tuple[int, ...] = (),
    before: Callable[[], None] | None = None,
    heard: Heard | None = None,
    sibling: bool = False,
) -> dict[str, Any]:
    """Let criu do one thing and return its answer; Refused when it cannot, RuntimeFailure when it cannot be run.

    It has our stdin, stdout and stderr, and the descriptors `passed` from FIRST_PASSED on; numbers of descriptors among
    its options are ours all the same. `before` is called in the forked child that becomes criu. `heard` is called with
    the name, process id and descriptor of each notice; criu waits for its return, and gives up when it raises. A
    `sibling` is our parent's child, as is what it restores; to reap it is our parent's business.
    """
    ours, theirs = sync.pair()
    with ours:
        with theirs:
            flags, exit_signal = (abi.CLONE_PARENT, 0) if sibling else (0, signal.SIGCHLD)
            pid, pidfd = linux.clone3(flags, exit_signal=exit_signal)
            if pid == 0:
                _become(path, theirs, passed, before)
        try:
            message, _ = sync.receive(ours)
            if message and "error" in message:
                raise RuntimeFailure(message["error"]["message"], message["error"]["kind"])
            ours.send(protobuf.encode(REQUEST, request))
            return _answer(ours, request["type"], heard)
        finally:
            ours.close()
            select.select([pidfd], (), ())
            if not sibling:
                os.waitid(os.P_PIDFD, pidfd, os.WEXITED | abi.WALL)
            os.close(pidfd)


def _become(path: str, channel: socket.socket, passed: tuple[int, ...], before: Callable[[], None] | None) -> NoReturn:
    """Be criu. It must not get the numbers of descriptors mixed up: all are moved out of the way first."""
    try:
        if before:
            before()
        sync.send(channel, {"ready": True})
        above = FIRST_PASSED + len(passed)
        kept = [_dup_from(fd, above) for fd in (channel.fileno(), *passed)]
        for number, fd in enumerate(kept, CHANNEL):
            os.dup2(fd, number)
        linux.close_range(above, 0xFFFFFFFF, 0)
        for name in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(name, signal.SIG_DFL)
        os.execv(path, [PROGRAM, "swrk", str(CHANNEL)])
    except RuntimeFailure as error:
        sync.report(channel, error.kind, error.message)
    except OSError as error:
        sync.report(channel, SYSTEM, f"criu: {text(error)}")
    except BaseException as error:
        # Whatever it is: a forked child must never return into its parent's code.
        sync.report(channel, SYSTEM, f"criu: {type(error).__name__}: {error}")
    os._exit(1)


def _dup_from(fd: int, lowest: int) -> int:
    return fcntl.fcntl(fd, fcntl.F_DUPFD, lowest)


def _answer(channel: socket.socket, kind: int, heard: Heard | None) -> dict[str, Any]:
    while True:
        answer, fd = _receive(channel)
        try:
            if not answer.get("success"):
                raise Refused(_refusal(answer, kind))
            if answer["type"] != NOTIFY:
                return answer
            if heard:
                notice = answer["notify"]
                heard(notice.get("script", ""), notice.get("pid", 0), fd)
        finally:
            if fd is not None:
                os.close(fd)
        channel.send(protobuf.encode(REQUEST, {"type": NOTIFY, "notify_success": True}))


def _receive(channel: socket.socket) -> tuple[dict[str, Any], int | None]:
    """Return a message of criu's and the descriptor with it; Refused when it is gone, or talks nonsense."""
    try:
        data, control, _, _ = channel.recvmsg(ANSWER_LIMIT, socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC)
    except ConnectionError:
        data, control = b"", []
    fd = None
    for level, kind, payload in control:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fd = array.array("i", payload[:4])[0]
    try:
        answer = protobuf.decode(ANSWER, data)
    except ValueError as error:
        raise Refused(f"criu's answer cannot be read: {error}") from error
    if "type" not in answer:
        raise Refused("criu ended without an answer")
    return answer, fd


def _refusal(answer: dict[str, Any], kind: int) -> str:
    """Say that criu failed, in the words of runc's."""
    return f"criu failed: type {NAMES[kind]} errno {answer.get('cr_errno', 0)}"
