"""`linux.memoryPolicy`: the NUMA nodes that a process's memory comes from; set_mempolicy(2). Used by launch and join.

Source: OCI runtime-spec 1.3, config-linux.md, "Memory policy".
"""

from __future__ import annotations

from pydock_runtime import linux, scheduling
from pydock_runtime.errors import INVALID, RuntimeFailure, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MODES = {
    "MPOL_DEFAULT": 0,
    "MPOL_PREFERRED": 1,
    "MPOL_BIND": 2,
    "MPOL_INTERLEAVE": 3,
    "MPOL_LOCAL": 4,
    "MPOL_PREFERRED_MANY": 5,
    "MPOL_WEIGHTED_INTERLEAVE": 6,
}
FLAGS = {"MPOL_F_NUMA_BALANCING": 1 << 13, "MPOL_F_RELATIVE_NODES": 1 << 14, "MPOL_F_STATIC_NODES": 1 << 15}
MOST = 1024  # nodes that a kernel can have


def check(entry: dict[str, Any] | None) -> tuple[int, int] | None:
    """Return mode and mask of nodes of a policy, None without one; RuntimeFailure for one that there is not."""
    if not entry:
        return None
    mode = MODES.get(entry.get("mode") or "")
    if mode is None:
        raise RuntimeFailure(f"invalid memory policy mode {entry.get('mode')!r}", INVALID)
    for word in entry.get("flags") or ():
        if word not in FLAGS:
            raise RuntimeFailure(f"invalid memory policy flag {word!r}", INVALID)
        mode |= FLAGS[word]
    nodes = scheduling.numbers("memoryPolicy.nodes", "a list of nodes", entry.get("nodes")) or set()
    if nodes and max(nodes) >= MOST:
        raise RuntimeFailure(f"memoryPolicy.nodes {entry['nodes']!r} has a node above {MOST - 1}", INVALID)
    return mode, sum(1 << node for node in nodes)


def apply(policy: tuple[int, int]) -> None:
    """Let the memory of this process, and of what it will start, come from there."""
    try:
        linux.set_mempolicy(*policy)
    except OSError as error:
        raise RuntimeFailure(f"error setting memory policy: {reason(error)}", INVALID) from error
