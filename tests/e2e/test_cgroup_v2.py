"""What only a host with cgroup v2 alone has: groups inside a container, groups above it, weights of block devices."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.engine import eventually

from pydock_runtime.cgroup import layout

HOST = layout.of_host()
POINT = Path(HOST.unified or "/")
pytestmark = pytest.mark.skipif(bool(HOST.hierarchies) or not HOST.unified, reason="not a host of cgroup v2 alone")

DELEGATE = """
mkdir /sys/fs/cgroup/init && echo 1 >/sys/fs/cgroup/init/cgroup.procs
echo '+memory +pids' >/sys/fs/cgroup/cgroup.subtree_control
echo ready
exec sleep 1000
"""


@pytest.fixture
def busy() -> Iterator[Path]:
    """A group of the host that has a process of its own."""
    folder = POINT / f"pydock-test-busy-{os.getpid()}"
    folder.mkdir()
    with subprocess.Popen(["sleep", "1000"]) as process:
        (folder / "cgroup.procs").write_text(str(process.pid))
        yield folder
        process.send_signal(signal.SIGKILL)
    eventually(lambda: "populated 0" in (folder / "cgroup.events").read_text())
    folder.rmdir()


def test_limits_are_read_back_from_inside(cli: Cli):
    options = ("-m", "64m", "--memory-swap", "96m", "--cpus", "0.5", "--pids-limit", "20", "--cpuset-cpus", "0")
    names = ("memory.max", "memory.swap.max", "cpu.max", "pids.max", "cpuset.cpus")
    shown = cli("run", "--rm", *options, "busybox", "sh", "-c", f"cd /sys/fs/cgroup; cat {' '.join(names)}")
    assert shown.splitlines() == [str(64 << 20), str(32 << 20), "50000 100000", "20", "0"]


def test_exec_goes_where_the_first_process_is(cli: Cli):
    """A systemd or an engine inside passes controllers on, and the container's top group takes no process any more."""
    cli("run", "-d", "--name", "nest", "--privileged", "busybox", "sh", "-c", DELEGATE)
    eventually(lambda: cli("logs", "nest") == "ready")
    assert cli("exec", "nest", "cat", "/proc/self/cgroup") == "0::/init"
    cli("pause", "nest")
    cli("unpause", "nest")
    assert "sleep 1000" in cli("top", "nest")
    cli("rm", "-f", "nest")


def test_below_a_group_with_processes_there_are_no_limits(cli: Cli, busy: Path):
    assert cli("run", "--rm", "--cgroup-parent", busy.name, "busybox", "echo", "up") == "up"
    cli.fails("run", "--rm", "-m", "20m", "--cgroup-parent", busy.name, "busybox", "true", code=125,
              message="not passed on by the cgroup above")  # fmt: skip
    assert [entry for entry in busy.iterdir() if entry.is_dir()] == []


def test_block_devices_have_a_weight(cli: Cli):
    script = "cat /sys/fs/cgroup/io.bfq.weight /sys/fs/cgroup/io.weight 2>/dev/null"
    shown = cli("run", "--rm", "--blkio-weight", "1000", "busybox", "sh", "-c", f"{script}; true")
    assert not shown or shown.split()[1] in ("1000", "10000")
