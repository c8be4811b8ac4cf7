"""`linux.memoryPolicy`: which NUMA nodes memory comes from."""

import os
from pathlib import Path
from typing import Any

import pytest
from tests.runtime import box

from pydock_runtime import mempolicy
from pydock_runtime.errors import RuntimeFailure

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not os.path.exists("/proc/self/numa_maps"), reason="this kernel knows of no NUMA nodes"),
]


def wanted(root: Path, **policy: Any) -> box.Spec:
    made = box.spec("sh", "-c", "head -1 /proc/self/numa_maps | cut -d' ' -f2", root=root)
    made["linux"]["memoryPolicy"] = policy
    return made


@pytest.mark.parametrize(
    ("policy", "shown"),
    [
        ({"mode": "MPOL_BIND", "nodes": "0"}, "bind:0"),
        ({"mode": "MPOL_INTERLEAVE", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}, "interleave=static:0"),
        ({"mode": "MPOL_PREFERRED", "nodes": "0"}, "prefer:0"),
        ({"mode": "MPOL_LOCAL"}, "local"),
        ({"mode": "MPOL_DEFAULT"}, "default"),
    ],
)
def test_the_program_has_it(root: Path, policy: dict[str, Any], shown: str) -> None:
    assert box.run(wanted(root, **policy)).lines == [shown]


def test_a_node_that_is_not_there_is_refused(root: Path) -> None:
    error = box.run(wanted(root, mode="MPOL_BIND", nodes="1000")).error
    assert error == {"kind": "invalid", "message": "error setting memory policy: invalid argument"}


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"mode": "BIND"}, "invalid memory policy mode 'BIND'"),
        ({"mode": "MPOL_BIND", "flags": ["STATIC"]}, "invalid memory policy flag 'STATIC'"),
        ({"mode": "MPOL_BIND", "nodes": "a"}, "memoryPolicy.nodes 'a' is not a list of nodes"),
        ({"mode": "MPOL_BIND", "nodes": "0-1024"}, "has a node above 1023"),
    ],
)
def test_what_there_is_not_is_told(policy: dict[str, Any], message: str) -> None:
    with pytest.raises(RuntimeFailure, match=message):
        mempolicy.check(policy)
