"""A container that takes all it can get: a fork bomb against its limit, and what is left of it afterwards."""

import os
import time
from pathlib import Path

import pytest
from tests.runtime import box
from tests.runtime.test_verbs import Runtime, runtime

pytestmark = pytest.mark.root
__all__ = ["runtime"]
LIMIT = 30


def processes_in(group: str) -> int:
    """How many processes a cgroup counts, of whichever version."""
    for point in ("/sys/fs/cgroup/pids", "/sys/fs/cgroup"):
        path = Path(f"{point}{group}/pids.current")
        if path.exists():
            return int(path.read_text())
    pytest.skip("no controller of processes")


def test_a_fork_bomb_stays_within_its_limit_and_goes_with_the_container(runtime: Runtime) -> None:
    def change(wanted: box.Spec) -> None:
        wanted["linux"]["resources"]["pids"] = {"limit": LIMIT}

    # A shell that cannot fork gives up: what it has started stays, and another one tries at once.
    bomb = "trap '' TERM; bomb() { sleep 100 & bomb & sleep 100 & bomb; }; (bomb) 2>/dev/null & exec sleep 100"
    id = runtime.create(shell=bomb, change=change)
    runtime.ok("start", id)
    group = f"{box.PARENT}/{id}"
    deadline = time.monotonic() + box.PATIENCE
    most = 0
    while most < LIMIT and time.monotonic() < deadline:
        most = max(most, processes_in(group))
    assert most == LIMIT
    assert runtime.status(id) == "running"
    runtime.ok("kill", id, "TERM")  # is ignored
    runtime.ok("delete", "--force", id)
    assert runtime("state", id).returncode == 1
    assert not os.path.exists(f"/sys/fs/cgroup/pids{group}")


def test_what_a_container_leaves_in_the_background_goes_with_it(runtime: Runtime) -> None:
    id = runtime.configure(shell="setsid sh -c 'trap \"\" TERM HUP; sleep 4711' & echo done")
    assert runtime.ok("run", "--bundle", str(runtime.bundle), id) == "done\n"
    lines = [Path(f"/proc/{pid}/cmdline") for pid in os.listdir("/proc") if pid.isdigit()]
    assert not any(path.exists() and path.read_bytes() == b"sleep\x004711\x00" for path in lines)
