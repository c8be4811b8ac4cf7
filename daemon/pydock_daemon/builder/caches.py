"""What `RUN --mount=type=cache` keeps: volumes named for the ids of the caches. Used by `given`, `prune` and the API.

A cache is listed, inspected and removed as a volume; and it is an entry of the build cache. When it was used last is
the time of its folder, set at each use.
"""

import hashlib
import os
from typing import Any

from pydock_daemon.containers import sizes
from pydock_daemon.containers.service import Containers
from pydock_shared.buildcache import LABEL
from pydock_shared.filters import Filters


def touch(containers: Containers, name: str) -> None:
    """Note that a volume is used now."""
    os.utime(containers.volumes.mountpoint(name).parent)


async def entries(containers: Containers) -> list[dict[str, Any]]:
    """Return the caches as Docker's BuildCache records; `Volume` is the name of what keeps it."""
    volumes, found = containers.volumes, []
    listed = volumes.listed(Filters({"label": [LABEL]}), set())
    measured = await sizes.of_volumes(containers, [each.name for each in listed])
    for each, size in zip(listed, measured, strict=True):
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
