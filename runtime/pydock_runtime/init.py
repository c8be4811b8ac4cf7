"""The story inside: what the forked child does, in order, until it is the user's program. Called by `launch` only.

Nothing is imported from here on: after the root has changed, a file by that name could be the container's.
"""

from __future__ import annotations

import os

from pydock_runtime import credentials, linux, namespaces, netconf, sync, sysctl, terminal
from pydock_runtime.errors import SYSTEM, RuntimeFailure
from pydock_runtime.rootfs import inroot, mask, mounts, options, prepare

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any, NoReturn

    from pydock_runtime.cgroup import Cgroup
    from pydock_runtime.credentials import Process

FAILED = 1
PRELOADED = (inroot, mounts, options)


class Work:
    """Everything the child needs, made by the parent before the fork."""

    __slots__ = ("bundle", "cgroup", "overlay", "plan", "process", "spec", "stdio", "sync")

    def __init__(
        self,
        spec: dict[str, Any],
        *,
        bundle: str,
        overlay: dict[str, Any] | None,
        cgroup: Cgroup,
        plan: namespaces.Plan,
        process: Process,
        stdio: tuple[int, int, int] | None,
        sync: socket.socket,
    ) -> None:
        self.spec = spec
        self.bundle = bundle
        self.overlay = overlay
        self.cgroup = cgroup
        self.plan = plan
        self.process = process
        self.stdio = stdio
        self.sync = sync


def main(work: Work) -> NoReturn:
    """Run the story; whatever goes wrong is told to the parent, and the process ends."""
    try:
        _story(work)
    except RuntimeFailure as error:
        report(work.sync, error.kind, error.message)
    except OSError as error:
        report(work.sync, SYSTEM, f"{error.filename or 'container init'}: {error.strerror or error}")
    except BaseException as error:  # noqa: BLE001 - a forked child must never return into its parent's code
        report(work.sync, SYSTEM, f"container init: {type(error).__name__}: {error}")
    os._exit(FAILED)


def report(channel: socket.socket, kind: str, message: str) -> None:
    """Tell the parent why this ends; when nobody listens any more there is nobody to tell."""
    try:
        sync.send(channel, {"error": {"kind": kind, "message": message}})
    except OSError:
        return


def _story(work: Work) -> NoReturn:
    spec, channel = work.spec, work.sync
    # At its gate this process may stand for long: the pipes of other containers must not be held open meanwhile.
    linux.close_all_but((channel.fileno(), *(work.stdio or ())))
    wait_for(channel, "go")
    # In its cgroup, so a cgroup namespace made now has it as its root.
    for path, flag in work.plan.enter:
        namespaces.enter(path, flag)
    if work.plan.unshare:
        linux.unshare(work.plan.unshare)
    os.setsid()
    os.umask(0)
    prepare.enter(spec, bundle=work.bundle, overlay=work.overlay, cgroup=work.cgroup)
    if work.plan.owns("uts"):
        _name(spec)
    console = _stdio(work)
    linux_part = spec.get("linux", {})
    sysctl.apply(linux_part.get("sysctl") or {})
    mask.make_readonly(linux_part.get("readonlyPaths") or [])
    mask.mask(linux_part.get("maskedPaths") or [])
    sync.send(channel, {"ready": True}, (console,) if console is not None else ())
    if console is not None:
        os.close(console)
    message = wait_for(channel, "interfaces")
    if work.plan.owns("network"):
        netconf.configure(message["interfaces"])
    # The root becomes read-only after the last thing that may have to be made in it.
    make_cwd(work.process.cwd)
    prepare.seal(spec)
    credentials.become(work.process)


def wait_for(channel: socket.socket, key: str) -> dict[str, Any]:
    """Return the parent's message; when the parent has gone, this process goes too."""
    message, _ = sync.receive(channel)
    if message is None or key not in message:
        os._exit(FAILED)
    return message


def make_cwd(path: str) -> None:
    """Make the working directory when the image has none, as Docker does."""
    try:
        os.makedirs(path, 0o755, exist_ok=True)
    except OSError:
        # Its use decides: `become` enters it, and says what is wrong.
        return


def _name(spec: dict[str, Any]) -> None:
    if spec.get("hostname"):
        linux.set_host_name(spec["hostname"])
    if spec.get("domainname"):
        linux.set_domain_name(spec["domainname"])


def _stdio(work: Work) -> int | None:
    """Set descriptors 0 to 2; with a terminal return its master, for the parent."""
    if work.stdio is not None:
        for number, fd in enumerate(work.stdio):
            os.dup2(fd, number)
        return None
    master, slave = terminal.open_pair(work.spec["process"].get("consoleSize"))
    _show_console(slave)
    terminal.adopt(slave)
    os.close(slave)
    return master


def _show_console(slave: int) -> None:
    """Make the terminal /dev/console as well."""
    os.close(os.open("/dev/console", os.O_CREAT | os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666))
    linux.mount(os.ttyname(slave), "/dev/console", None, 4096)
