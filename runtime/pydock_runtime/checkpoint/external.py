"""Which of a container's mounts come from outside: criu is told a name of each, and at a restore what is behind it.

Used by `dump` and `restore`. A name is the destination in the spec, with what follows for a mount below it, so that a
restore need know no more than the spec. That of masked files is the one runc has for them.
"""

from __future__ import annotations

import os

from pydock_runtime.rootfs import devices, inroot, options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydock_runtime.cgroup import Cgroup

    Table = dict[str, tuple[str, str]]

NOTHING = "/dev/null"
"""What is behind every masked file, and its name."""


def sources(spec: dict[str, Any], cgroup: Cgroup) -> dict[str, str]:
    """Return what is mounted from outside: path of the host by name."""
    host, found = read_table("self"), {}
    for name, source in _asked(spec, cgroup).items():
        found[name] = source
        found.update({name + rest: source + rest for rest in _below(source, host)})
    return {**found, NOTHING: NOTHING}


def names(spec: dict[str, Any], cgroup: Cgroup, pid: int) -> dict[str, str]:
    """Return the name of each mount of a running container that comes from outside, by its place in the container."""
    host, inside, found = read_table("self"), read_table(str(pid)), {}
    root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name, source in _asked(spec, cgroup).items():
            place = _resolve(root, name)
            if place in inside:
                found[place] = name
            for rest in _below(source, host):
                # One that the container itself has put over it is its own.
                if inside.get(place + rest) == host[source + rest]:
                    found[place + rest] = name + rest
        for path in spec.get("linux", {}).get("maskedPaths") or ():
            place = _resolve(root, path)
            if place in inside and not os.path.isdir(f"/proc/{pid}/root{place}"):
                found[place] = NOTHING
    finally:
        os.close(root)
    return found


def _asked(spec: dict[str, Any], cgroup: Cgroup) -> dict[str, str]:
    """Return the bind mounts of a spec, those of its cgroups and of devices: path of the host by destination."""
    found = {}
    for mount in spec.get("mounts") or ():
        target = os.path.normpath(mount.get("destination") or "")
        if options.of(mount).is_bind:
            found[target] = os.path.realpath(mount.get("source") or "")
        elif mount.get("type") == "cgroup":
            found.update({os.path.join(target, name).rstrip("/"): path for name, path in cgroup.views().items()})
    # Where nodes cannot be made the host's own are shown; elsewhere there is no mount by these names.
    paths = [f"/dev/{name}" for name, _, _ in devices.DEFAULT]
    paths += [device["path"] for device in spec.get("linux", {}).get("devices") or ()]
    return {**found, **{path: path for path in paths}}


def _below(source: str, host: Table) -> list[str]:
    """Return what follows the path of a source in the places of mounts below it."""
    return [place[len(source) :] for place in host if place.startswith(f"{source.rstrip('/')}/") and place != "/"]


def _resolve(root: int, path: str) -> str:
    """Return where a path leads inside a root, as the kernel names it; empty for one that leads nowhere."""
    try:
        place = inroot.open_path(root, path)
    except OSError:
        return ""
    try:
        return os.readlink(inroot.by_descriptor(place))
    finally:
        os.close(place)


def read_table(pid: str) -> Table:
    """Return the mounts that a process sees: device and root in it by place, the topmost of several.

    proc_pid_mountinfo(5)
    """
    table: Table = {}
    with open(f"/proc/{pid}/mountinfo", "rb") as file:
        for line in file:
            _, _, device, root, place = (os.fsdecode(_unescape(field)) for field in line.split()[:5])
            table[place] = (device, root)
    return table


def _unescape(field: bytes) -> bytes:
    """Undo the kernel's octal numbers for blanks and backslashes."""
    for byte in b" \t\n\\":
        field = field.replace(b"\\%03o" % byte, bytes([byte]))
    return field
