"""Intel's RDT: shares of caches and memory bandwidth, by the folders of resctrl. Used by launch, join and who deletes.

Documentation/filesystems/resctrl.rst of the kernel. The rules are those of the runtime-spec 1.3 (config-linux.md,
"IntelRdt"), and where it leaves a choice runc's: the group that a container has for itself is named by its id and goes
with it; one that the configuration names stays, since others may use it.
"""

from __future__ import annotations

import contextlib
import os

from pydock_runtime.cgroup import files
from pydock_runtime.errors import INVALID, RuntimeFailure, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

TASKS, SCHEMATA, MONITORS = "tasks", "schemata", "mon_groups"
OF_THE_KERNEL = (".", "..", "info", MONITORS, "mon_data")  # folders that are no group
LONGEST = 255  # bytes of a folder's name
MONITORED = "info/L3_MON"
DECIMAL = ("MB", "SMBA")
"""Resources whose values are numbers; the others' are bit masks in base 16."""

_found: list[str | None] = []


def mounted(*, anew: bool = False) -> str | None:
    """Return the folder of resctrl, None where the host has none; looked for once, and `anew` if there was none."""
    if not _found or (anew and _found[0] is None):
        with open("/proc/self/mountinfo") as file:
            _found[:] = [find(file.read())]
    return _found[0]


def find(mountinfo: str) -> str | None:
    """Return the mount point of resctrl in a text of /proc/self/mountinfo; proc_pid_mountinfo(5)."""
    for line in mountinfo.splitlines():
        head, _, tail = line.partition(" - ")
        if tail.split()[0] == "resctrl":
            return head.split()[4]
    return None


def of(asked: dict[str, Any] | None, id: str) -> Share | None:
    """Return what `linux.intelRdt` asks for, not made yet, None without it; RuntimeFailure where it cannot be."""
    if asked is None:
        return None
    name = asked.get("closID") or id
    if name in OF_THE_KERNEL or "/" in name or "\n" in name or len(os.fsencode(name)) > LONGEST:
        raise RuntimeFailure(f"invalid intelRdt.closID {name!r}", INVALID)
    root = mounted(anew=True)
    if root is None:
        raise RuntimeFailure("intelRdt is specified in config, but Intel RDT is not enabled", INVALID)
    return Share(root, id, asked)


def update(id: str, asked: dict[str, Any] | None, changed: dict[str, Any]) -> None:
    """Change the schemata of a container's group. RuntimeFailure where it has none of its own, or they cannot be."""
    if asked is None or asked.get("closID"):
        raise RuntimeFailure("intelRdt: the container has no group of its own", INVALID)
    share = of({**asked, **changed}, id)
    assert share is not None
    share.write()


class Share:
    """What one container has of a host's caches and memory bandwidth."""

    __slots__ = ("_id", "_monitored", "_named", "_schemata", "folder")

    def __init__(self, root: str, id: str, asked: dict[str, Any]) -> None:
        self._id = id
        if (asked.get("enableCMT") or asked.get("enableMBM")) and not os.path.isdir(f"{root}/{MONITORED}"):
            # Where the host monitors, every group is monitored.
            raise RuntimeFailure("intelRdt: this host does not monitor caches and memory bandwidth", INVALID)
        self._named = bool(asked.get("closID"))
        self._monitored = bool(asked.get("enableMonitoring"))
        self._schemata = list(_schemata(asked))
        self.folder = f"{root}/{asked.get('closID') or id}"

    def make(self) -> None:
        """Make the group, or find the one that is named to be as it is asked for. RuntimeFailure, OSError."""
        exists = os.path.isdir(self.folder)
        if self._named and not self._schemata and not exists:
            raise RuntimeFailure(f"intelRdt: closID {os.path.basename(self.folder)} does not exist", INVALID)
        if exists and self._named:
            _compare(self._schemata, files.read(self.folder, SCHEMATA))
        else:
            if not exists:
                _mkdir(self.folder)
            self.write()
        if self._monitored and not os.path.isdir(self._monitor):
            _mkdir(self._monitor)

    @property
    def _monitor(self) -> str:
        return f"{self.folder}/{MONITORS}/{self._id}"

    def write(self) -> None:
        """Write the schemata. RuntimeFailure says what the kernel has against them."""
        for text in self._schemata:
            try:
                files.write(self.folder, SCHEMATA, f"{text}\n")
            except OSError as error:
                raise RuntimeFailure(f"intelRdt: {_why(self.folder, error)} (writing {text!r})", INVALID) from error

    def add(self, pid: int) -> None:
        """Put a process into it."""
        for folder in (self.folder, self._monitor) if self._monitored else (self.folder,):
            files.write(folder, TASKS, str(pid))


def _schemata(asked: dict[str, Any]) -> Iterator[str]:
    """Yield what is written at once: first the older fields together, then `schemata`."""
    cache, bandwidth = asked.get("l3CacheSchema") or "", asked.get("memBwSchema") or ""
    if bandwidth:
        if not bandwidth.startswith("MB:") or "\n" in bandwidth:
            raise RuntimeFailure(f"invalid intelRdt.memBwSchema {bandwidth!r}", INVALID)
        cache = "\n".join(line for line in cache.splitlines() if not line.startswith("MB:"))
    if cache or bandwidth:
        yield "\n".join(filter(None, (cache, bandwidth)))
    lines = asked.get("schemata") or []
    if lines:
        yield lines if isinstance(lines, str) else "\n".join(lines)


def _compare(wanted: list[str], present: str) -> None:
    """Raise RuntimeFailure where a group that others may use is not as it is asked for."""
    has = _values(present)
    for key, value in _values("\n".join(wanted)).items():
        if has.get(key) != value:
            raise RuntimeFailure(f"intelRdt: schemata of the closID do not match: {key[0]}:{key[1]}", INVALID)


def _values(text: str) -> dict[tuple[str, str], int]:
    """Return the numbers of schemata by resource and cache: neither zeros, spaces nor the order count."""
    found = {}
    for line in filter(str.strip, text.splitlines()):
        resource, _, rest = line.strip().partition(":")
        for entry in filter(None, rest.split(";")):
            cache, _, value = entry.partition("=")
            try:
                number = int(value, 10 if resource in DECIMAL else 16)
            except ValueError:
                raise RuntimeFailure(f"invalid schemata of intelRdt: {line!r}", INVALID) from None
            found[resource, cache.strip().lstrip("0")] = number
    return found


def _mkdir(folder: str) -> None:
    try:
        os.mkdir(folder, 0o755)
    except OSError as error:
        raise RuntimeFailure(f"intelRdt: {folder}: {_why(os.path.dirname(folder), error)}") from error


def _why(folder: str, error: OSError) -> str:
    """Return what went wrong: the kernel tells more in a file than by an errno."""
    with contextlib.suppress(OSError):
        told = files.read(mounted() or folder, "info/last_cmd_status").strip()
        if told and told != "ok":
            return f"{reason(error)}: {told}"
    return reason(error)


def entrances(pid: int) -> list[int]:
    """Return open files of the groups a process is in: who writes "0" there joins. The caller closes them."""
    root = mounted()
    if root is None:
        return []
    try:
        with open(f"/proc/{pid}/cpu_resctrl_groups") as file:
            return files.entrances(groups(root, file.read()), TASKS)
    except FileNotFoundError:
        return []


def groups(root: str, text: str) -> list[str]:
    """Return the folders that a text of /proc/PID/cpu_resctrl_groups names, but for the host's own."""
    names = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    group = f"{root}/{names.get('res', '').strip('/')}".rstrip("/")
    found = [group] if group != root else []
    if names.get("mon"):
        found.append(f"{group}/{MONITORS}/{names['mon'].strip('/')}")
    return found


INFO = (
    ("info/L3", "L3", "l3_cache", (("cbm_mask", str), ("min_cbm_bits", int), ("num_closids", int))),
    (
        "info/MB",
        "MB",
        "mem_bw",
        (("bandwidth_gran", int), ("delay_linear", int), ("min_bandwidth", int), ("num_closids", int)),
    ),
)
COUNTERS = (("mbm_stats", ("mbm_total_bytes", "mbm_local_bytes")), ("cmt_stats", ("llc_occupancy",)))


def details(id: str, asked: dict[str, Any] | None) -> dict[str, Any]:
    """Return what runc's `events` tells of the group of a container, nothing where it has none."""
    share = of(asked, id)
    return _details(share.folder, mounted() or "") if share is not None else {}


def _details(folder: str, root: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for info, resource, name, kinds in INFO:
        if os.path.isdir(f"{root}/{info}"):
            found[f"{name}_info"] = {key: kind(files.read(f"{root}/{info}", key).strip()) for key, kind in kinds}
            found[f"{name}_schema_root"] = _schema(root, resource)
            found[f"{name}_schema"] = _schema(folder, resource)
    features = files.read(f"{root}/{MONITORED}", "mon_features").split() if os.path.isdir(f"{root}/{MONITORED}") else []
    for name, counters in COUNTERS:
        if set(counters) & set(features):
            nodes = sorted(os.listdir(f"{folder}/mon_data"))
            found[name] = [
                {key: int(files.read(f"{folder}/mon_data/{node}", key)) for key in counters if key in features}
                for node in nodes
            ]
    return found


def _schema(folder: str, resource: str) -> str:
    lines = [line.strip() for line in files.read(folder, SCHEMATA).splitlines()]
    return next((line for line in lines if line.startswith(f"{resource}:")), "")


def remove(id: str, asked: dict[str, Any] | None = None) -> None:
    """Remove what a container had for itself; what is not there is fine, and so is no resctrl.

    `asked` is its `linux.intelRdt`, where that is still known: a group that it names is never removed.
    """
    root = mounted()
    if root is None or not id:
        return
    for name in ("", *os.listdir(root)):
        _rmdir(os.path.normpath(f"{root}/{name}/{MONITORS}/{id}"))
    if not (asked or {}).get("closID"):
        _rmdir(f"{root}/{id}")


def _rmdir(folder: str) -> None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.rmdir(folder)
