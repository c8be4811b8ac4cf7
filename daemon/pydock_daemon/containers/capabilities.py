"""Which capabilities a container gets: Docker's default set, changed by --cap-add, --cap-drop and --privileged.

Used by `create` (to refuse unknown names) and by `spec`. Default set as documented in Docker's "Runtime privilege and
Linux capabilities".
"""

from collections.abc import Iterable

from pydock_shared.errors import InvalidArgument

DEFAULT = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
)

# In the order of their numbers, capabilities(7).
ALL = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
]


def normalised(names: Iterable[str] | None, flag: str = "CapAdd") -> list[str]:
    """Return names in upper case with their prefix, `ALL` kept as it is; InvalidArgument for one `flag` cannot take."""
    result = []
    for name in names or ():
        upper = name.upper()
        full = upper if upper == "ALL" or upper.startswith("CAP_") else f"CAP_{upper}"
        if full != "ALL" and full not in ALL:
            raise InvalidArgument(f'invalid {flag}: unknown capability: "{full}"')
        result.append(full)
    return result


def granted(
    add: Iterable[str] | None, drop: Iterable[str] | None, *, privileged: bool, available: set[str]
) -> list[str]:
    """Return what the container may have, of what this host has, in the order of their numbers."""
    if privileged:
        return [name for name in ALL if name in available]
    added, dropped = normalised(add), normalised(drop)
    base = set(ALL) if "ALL" in added else set() if "ALL" in dropped else set(DEFAULT)
    chosen = (base - set(dropped)) | (set(added) if "ALL" not in added else set())
    return [name for name in ALL if name in chosen and name in available]


def available(status: str) -> set[str]:
    """Return the names in the bounding set of a process, given the text of its /proc/PID/status."""
    line = next(line for line in status.splitlines() if line.startswith("CapBnd:"))
    bits = int(line.split()[1], 16)
    return {name for number, name in enumerate(ALL) if bits >> number & 1}
