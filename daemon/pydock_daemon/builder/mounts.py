"""`RUN --mount`: caches, which are volumes of their own, and tmpfs. Used by `steps` and `prune`.

A cache is a volume named for its id, so it is listed, inspected and removed like one; and it is an entry of the build
cache. When it was used last is the time of its folder, set at each use.
"""

import asyncio
import hashlib
import os
import posixpath
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pydock_daemon.containers.service import Containers
from pydock_shared.errors import InvalidArgument, NotSupported
from pydock_shared.filters import Filters
from pydock_shared.units import parse_size

from .expand import Words

PREFIX = "build-cache-"
LABEL = "io.pydock.build.cache"
OPTIONS = {
    "cache": ("id", "target", "sharing", "readonly", "rw"),
    "tmpfs": ("target", "size"),
    "secret": ("id", "target", "required", "mode", "uid", "gid", "env"),
    "ssh": ("id", "target", "required", "mode", "uid", "gid"),
}
ALIASES = {"dst": "target", "destination": "target", "ro": "readonly", "readwrite": "rw"}
_locks: dict[str, asyncio.Lock] = {}


@dataclass(frozen=True)
class RunMount:
    """One mount of a RUN."""

    kind: str
    target: str
    name: str = ""
    sharing: str = "shared"
    read_only: bool = False
    size: int = 0


def parse(given: Sequence[str], words: Words, folder: str) -> list[RunMount]:
    """Return the mounts of an instruction; InvalidArgument and NotSupported name what cannot be."""
    made = [_one(words.one(text), folder) for text in given]
    return [mount for mount in made if mount is not None]


def _one(text: str, folder: str) -> RunMount | None:
    pairs = [part.partition("=") for part in text.split(",")]
    options = {ALIASES.get(name, name): value if equals else "true" for name, equals, value in pairs}
    kind = options.pop("type", "bind")
    if kind not in OPTIONS:
        raise NotSupported(f"RUN --mount=type={kind} is not supported")
    for name in options:
        if name not in OPTIONS[kind]:
            raise NotSupported(f"RUN --mount=type={kind}: option {name} is not supported")
    if kind in ("secret", "ssh"):
        if options.get("required", "false") == "true":
            what = options.get("id") or posixpath.basename(options.get("target", "")) or "default"
            raise InvalidArgument(f"{kind} {what}: not found")
        return None  # not required, and there is none
    target = options.get("target", "")
    if not target:
        raise InvalidArgument(f"RUN --mount=type={kind}: target is required")
    target = posixpath.normpath(posixpath.join(folder, target))
    if kind == "tmpfs":
        return RunMount(kind, target, size=parse_size(options["size"]) if options.get("size") else 0)
    sharing = options.get("sharing", "shared")
    if sharing not in ("shared", "private", "locked"):
        raise InvalidArgument(f"unsupported sharing value {sharing!r}")
    return RunMount(kind, target, options.get("id") or target, sharing, options.get("readonly", "false") == "true")


def volume(name: str) -> str:
    """Return the volume of a cache."""
    plain = re.sub(r"[^a-zA-Z0-9_.-]", "-", name).strip("-.")[:40]
    return f"{PREFIX}{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def host_config(mounts: list[RunMount], host: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a HostConfig that these mounts are."""
    return {
        "Tmpfs": {m.target: f"size={m.size}" if m.size else "" for m in mounts if m.kind == "tmpfs"},
        "Mounts": [
            {
                "Type": "volume",
                "Source": volume(mount.name),
                "Target": mount.target,
                "ReadOnly": mount.read_only,
                "VolumeOptions": {"NoCopy": True, "Labels": {LABEL: mount.name}},
            }
            for mount in mounts
            if mount.kind == "cache"
        ],
    }


@asynccontextmanager
async def locked(mounts: list[RunMount]) -> AsyncIterator[None]:
    """Hold the caches that one RUN at a time may use."""
    async with AsyncExitStack() as stack:
        for name in sorted({mount.name for mount in mounts if mount.kind == "cache" and mount.sharing != "shared"}):
            await stack.enter_async_context(_locks.setdefault(name, asyncio.Lock()))
        yield


def touch(containers: Containers, mounts: list[RunMount]) -> None:
    """Note that the caches are used now."""
    for mount in mounts:
        if mount.kind == "cache":
            os.utime(containers.volumes.mountpoint(volume(mount.name)).parent)


async def caches(containers: Containers) -> list[dict[str, Any]]:
    """Return the caches as Docker's BuildCache records; `Volume` is the name of what keeps it."""
    volumes, found = containers.volumes, []
    for each in volumes.listed(Filters({"label": [LABEL]}), set()):
        size = await asyncio.to_thread(volumes.usage, each.name)
        if not volumes.exists(each.name):
            continue
        found.append({
            "ID": hashlib.sha256(each.name.encode()).hexdigest()[:24], "Type": "exec.cachemount",
            "Description": f"cached mount {each.labels[LABEL]}", "InUse": bool(containers.users_of_volume(each.name)),
            "Shared": False, "Size": size, "CreatedAt": each.created,
            "LastUsedAt": volumes.mountpoint(each.name).parent.stat().st_mtime_ns, "UsageCount": 1,
            "Volume": each.name,
        })  # fmt: skip
    return found
