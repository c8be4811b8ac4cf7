"""Hooks of a spec: programs of whoever ordered the container, run in order at six points of its life.

Used by `init` (those in the container's namespaces), `container` and the supervisor (those on the host). The programs
are trusted; the container's state is their stdin. Runtime-spec 1.2: config.md, "POSIX-platform Hooks".
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal

from pydock_runtime import linux, sync
from pydock_runtime.errors import INVALID, SYSTEM, RuntimeFailure, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any, NoReturn

PRESTART, CREATE_RUNTIME, CREATE_CONTAINER = "prestart", "createRuntime", "createContainer"
START_CONTAINER, POSTSTART, POSTSTOP = "startContainer", "poststart", "poststop"
KINDS = (PRESTART, CREATE_RUNTIME, CREATE_CONTAINER, START_CONTAINER, POSTSTART, POSTSTOP)
OUTSIDE = (PRESTART, CREATE_RUNTIME)
"""Those that the parent runs while init waits before it changes its root."""
CREATING, CREATED, RUNNING, STOPPED = "creating", "created", "running", "stopped"
SHOWN = 2048  # bytes of a failed hook's output in the error


def check(spec: dict[str, Any]) -> None:
    """Raise RuntimeFailure for hooks that are against the specification."""
    found = spec.get("hooks") or {}
    for kind in KINDS:  # others are of later versions: what is unknown is no error
        for entry in found.get(kind) or ():
            if not str(entry.get("path") or "").startswith("/"):
                raise RuntimeFailure(f"hooks.{kind}: path {entry.get('path')!r} is not absolute", INVALID)
            if entry.get("timeout") is not None and entry["timeout"] <= 0:
                raise RuntimeFailure(f"hooks.{kind}: the timeout of {entry['path']} is not above zero", INVALID)


def of(spec: dict[str, Any], *kinds: str) -> list[dict[str, Any]]:
    """Return the hooks of some kinds, in the order of the kinds."""
    found = spec.get("hooks") or {}
    return [{**entry, "kind": kind} for kind in kinds for entry in found.get(kind) or ()]


def state(spec: dict[str, Any], *, id: str, bundle: str) -> dict[str, Any]:
    """Return what of a container's state is known before it is made; `status` and `pid` come with each run."""
    shown = {"ociVersion": spec.get("ociVersion", ""), "id": id, "bundle": bundle}
    return {**shown, "annotations": spec.get("annotations") or {}}


def run(entries: list[dict[str, Any]], state: dict[str, Any], status: str, pid: int) -> None:
    """Run hooks one after the other, wherever this process is; RuntimeFailure for the first that fails."""
    if not entries:
        return  # of most containers, whose init would touch for nothing what writes JSON
    text = json.dumps({**state, "status": status, "pid": pid}).encode()
    for number, entry in enumerate(entries):
        try:
            _run(entry, text)
        except OSError as error:
            why = f"fork/exec {entry['path']}: {reason(error)}"
            raise RuntimeFailure(f"error running {entry['kind']} hook #{number}: {why}") from error
        except RuntimeFailure as error:
            raise RuntimeFailure(f"error running {entry['kind']} hook #{number}: {error.message}") from error


def _run(entry: dict[str, Any], text: bytes) -> None:
    # Files and not pipes: a hook that does not read, or writes much, waits for nobody.
    stdin, output = (os.memfd_create(name, os.MFD_CLOEXEC) for name in ("state", "output"))
    try:
        os.write(stdin, text)
        os.lseek(stdin, 0, os.SEEK_SET)
        pid = os.posix_spawn(
            entry["path"],
            entry.get("args") or [entry["path"]],
            _environment(entry),
            file_actions=[(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate((stdin, output, output))],
            setpgroup=0,
            setsigmask=(),
            setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
        )
        code = _wait(pid, entry.get("timeout"))
        if code != 0:
            said = os.pread(output, SHOWN, 0).decode("utf-8", "replace").strip()
            how = f"exit status {code}" if code > 0 else f"signal: {-code}"
            raise RuntimeFailure(f"{how}, output: {said}")
    finally:
        os.close(stdin)
        os.close(output)


def _environment(entry: dict[str, Any]) -> dict[str, str]:
    if not entry.get("env"):
        return {"PATH": os.environ.get("PATH", os.defpath)}
    return dict(variable.partition("=")[::2] for variable in entry["env"])


def _wait(pid: int, timeout: float | None) -> int:
    """Return how a hook ended; RuntimeFailure when its time is over: then it is killed, with what it has started."""
    pidfd = linux.pidfd_open(pid)
    try:
        ended = select.select((pidfd,), (), (), timeout)[0]
    finally:
        os.close(pidfd)
    if not ended:
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise RuntimeFailure(f"hook ran past specified timeout of {float(timeout or 0)}s")
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class Runner:
    """A process of ours that runs hooks of the host; the holder waits for `pidfd` and then calls `result`."""

    __slots__ = ("_ear", "pidfd")

    def __init__(self, entries: list[dict[str, Any]], state: dict[str, Any], status: str, pid: int) -> None:
        """Raises OSError."""
        self._ear, mouth = sync.pair()
        with mouth:
            child, self.pidfd = linux.clone3(0, exit_signal=signal.SIGCHLD)
            if child == 0:
                _serve(mouth, entries, state, status, pid)

    def result(self) -> str | None:
        """Reap it and close everything; return what went wrong. Waits while it runs."""
        with self._ear:
            message, _ = sync.receive(self._ear)
        with contextlib.suppress(ChildProcessError):  # the supervisor waits for all orphans when there may be some
            os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        os.close(self.pidfd)
        if message is None:
            return "the process that runs hooks died"
        return str(message["error"]["message"]) if "error" in message else None


def _serve(
    mouth: socket.socket, entries: list[dict[str, Any]], state: dict[str, Any], status: str, pid: int
) -> NoReturn:
    try:
        linux.close_all_but([mouth.fileno()])
        # As with runc, a hook finds itself in the bundle.
        os.chdir(state["bundle"])
        run(entries, state, status, pid)
        sync.send(mouth, {"done": True})
    except RuntimeFailure as error:
        sync.report(mouth, SYSTEM, error.message)
    except BaseException as error:
        sync.report(mouth, SYSTEM, f"hooks: {type(error).__name__}: {error}")
    os._exit(0)
