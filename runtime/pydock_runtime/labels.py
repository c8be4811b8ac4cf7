"""AppArmor profiles and SELinux labels of processes: asked for before the root changes, in force from exec on.

Used by init and join. Labels of mounts are here too, for rootfs.

The file is opened by the host's /proc, which nobody in the container can have mounted something else over
(CVE-2019-16884, CVE-2019-19921).
"""

from __future__ import annotations

import os

from pydock_runtime.errors import INVALID, RuntimeFailure, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

APPARMOR_ENABLED = "/sys/module/apparmor/parameters/enabled"
SELINUX = "/sys/fs/selinux/enforce"
OWN_APPARMOR = "/proc/self/attr/apparmor/exec"  # since Linux 5.8; the other one is for whichever module is the first
EXEC = "/proc/self/attr/exec"
ATTRIBUTE = "security.selinux"


def check(process: dict[str, Any]) -> None:
    """Raise RuntimeFailure for what of a `process` this host does not have."""
    if process.get("apparmorProfile") and not has_apparmor():
        raise RuntimeFailure("apparmor: config provided but apparmor not supported", INVALID)
    if process.get("selinuxLabel") and not has_selinux():
        raise RuntimeFailure("selinux label is specified in config, but selinux is disabled or not supported", INVALID)


def check_mounts(label: str | None) -> None:
    """Raise RuntimeFailure for a `linux.mountLabel` on a host without SELinux: the kernel would refuse the mounts."""
    if label and not has_selinux():
        raise RuntimeFailure("mount label is specified in config, but selinux is disabled or not supported", INVALID)


def mount_data(data: str, label: str) -> str:
    """Return the data of a mount that gives all its files a label; mount(8), "context"."""
    return ",".join(filter(None, (data, f'context="{label}"' if label else "")))


def set_on_file(path: str, label: str) -> None:
    """Give a file a label. Raises OSError."""
    os.setxattr(path, ATTRIBUTE, os.fsencode(label) + b"\0")


def has_apparmor() -> bool:
    """Say whether the kernel runs with AppArmor."""
    try:
        with open(APPARMOR_ENABLED) as file:
            return file.read(1) == "Y"
    except OSError:
        return False


def has_selinux() -> bool:
    """Say whether the kernel runs with SELinux."""
    return os.path.exists(SELINUX)


class Labels:
    """What is to be written just before exec, each with the open file that takes it."""

    __slots__ = ("_writes",)

    def __init__(self, process: dict[str, Any]) -> None:
        """Open the files, while the host's /proc is there. Raises OSError."""
        self._writes: list[tuple[int, str]] = []
        if process.get("apparmorProfile"):
            path = OWN_APPARMOR if os.path.exists(OWN_APPARMOR) else EXEC
            self._writes.append((os.open(path, os.O_WRONLY | os.O_CLOEXEC), f"exec {process['apparmorProfile']}"))
        if process.get("selinuxLabel"):
            self._writes.append((os.open(EXEC, os.O_WRONLY | os.O_CLOEXEC), process["selinuxLabel"]))

    def apply(self) -> None:
        """Let the next program of this process run under them."""
        for fd, text in self._writes:
            try:
                os.write(fd, text.encode())
            except OSError as error:
                raise RuntimeFailure(
                    f"unable to apply {text.removeprefix('exec ')}: {reason(error)}", INVALID
                ) from error
            finally:
                os.close(fd)
