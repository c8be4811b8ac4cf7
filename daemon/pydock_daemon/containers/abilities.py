"""Which limits this host's kernel can set: the files that a new cgroup has. Used by `limits`, and by api.hostinfo."""

import functools
import logging
import os

from pydock_runtime import cgroup as cgroups

log = logging.getLogger("pydockd.containers")


@functools.cache
def files() -> frozenset[str]:
    """Return the names of the files of a new cgroup, in all hierarchies; the kernel is asked once, by making one.

    The root has fewer, and those below it only what was passed on to them.
    """
    try:
        group = cgroups.open_existing(f"/pydock-probe-{os.getpid()}")
        try:
            group.make()
            return frozenset(name for folder in group.views().values() for name in os.listdir(folder))
        finally:
            group.remove()
    except OSError as error:
        log.warning("no cgroup can be made, and nothing limited: %s", error)
        return frozenset()


def has(*names: str) -> bool:
    """Say whether there is one of these files; cgroup v1 and v2 have different names for the same limit."""
    return not files().isdisjoint(names)
