"""cgroup v2: what is written, on a plain folder; what needs no controller, on this machine's own unified hierarchy."""

import errno
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pydock_runtime.cgroup import devices_bpf, layout, stats, v2

MIB = 1 << 20


@pytest.fixture
def unified() -> Iterator[v2.Cgroup]:
    """A cgroup of the kernel's one v2 hierarchy."""
    point = layout.of_host().unified
    if point is None or os.geteuid() != 0:
        pytest.skip("no unified hierarchy, or not root")
    group = v2.Cgroup(f"/pydock-test-v2-{os.getpid()}", point)
    os.mkdir(point + group.path)
    yield group
    group.remove()


def child(group: v2.Cgroup, action: Any = signal.pause) -> int:
    """A process in a cgroup; the errno of what it did becomes its exit code."""
    pid = os.fork()
    if pid == 0:
        code = 255
        try:
            group.add(0)
            action()
            code = 0
        except OSError as error:
            code = error.errno or 255
        finally:
            os._exit(code)
    return pid


def exit_code(pid: int) -> int:
    """Reap a process."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        (
            {"memory": {"limit": 64 * MIB, "swap": 96 * MIB}},
            [("memory.swap.max", str(32 * MIB)), ("memory.max", str(64 * MIB))],
        ),
        ({"memory": {"limit": 64 * MIB, "swap": -1}}, [("memory.swap.max", "max"), ("memory.max", str(64 * MIB))]),
        ({"memory": {"limit": -1}}, [("memory.max", "max")]),
        ({"memory": {"reservation": MIB}}, [("memory.low", str(MIB))]),
        ({"cpu": {"shares": 1024}}, [("cpu.weight", "39")]),
        ({"cpu": {"shares": 2}}, [("cpu.weight", "1")]),
        ({"cpu": {"shares": 262144}}, [("cpu.weight", "10000")]),
        ({"cpu": {"quota": 50000}}, [("cpu.max", "50000 100000")]),
        ({"cpu": {"quota": -1, "period": 50000}}, [("cpu.max", "max 50000")]),
        ({"cpu": {"cpus": "0-1", "mems": "0"}}, [("cpuset.cpus", "0-1"), ("cpuset.mems", "0")]),
        ({"pids": {"limit": 7}}, [("pids.max", "7")]),
        ({"pids": {"limit": 0}}, [("pids.max", "max")]),
        ({"blockIO": {"weight": 10}}, [("io.weight", "1")]),
        ({"blockIO": {"weight": 1000}}, [("io.weight", "10000")]),
        (
            {"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1000}]}},
            [("io.max", "8:0 rbps=1000")],
        ),
        ({"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]}, [("hugetlb.2MB.max", "0")]),
        ({"unified": {"memory.high": "1000"}}, [("memory.high", "1000")]),
        ({"memory": {}, "cpu": {}, "pids": {}, "blockIO": {}}, []),
    ],
)
def test_the_spec_s_v1_words_become_v2_files(resources: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert v2.settings(resources) == expected


def test_weights_of_block_devices() -> None:
    block = {"blockIO": {"weight": 100, "weightDevice": [{"major": 8, "minor": 0, "weight": 505}]}}
    assert v2.settings(block, bfq=True) == [("io.bfq.weight", "100"), ("io.bfq.weight", "8:0 505")]
    assert v2.settings(block) == [("io.weight", "910")]


def test_controllers_are_passed_on_at_every_level(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "pydock"):
        folder.mkdir(exist_ok=True)
        (folder / "cgroup.controllers").write_text("cpu memory pids\n")
        (folder / "cgroup.subtree_control").write_text("")
    v2.Cgroup("/pydock/box", str(tmp_path)).make()
    assert (tmp_path / "pydock/box").is_dir()
    for folder in (tmp_path, tmp_path / "pydock"):
        assert (folder / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"


@pytest.mark.root
def test_a_group_with_processes_passes_nothing_on_and_has_children_all_the_same(unified: v2.Cgroup) -> None:
    """Some controllers could be passed on, and then the child would be of no use: `domain invalid`."""
    pid = child(unified)
    while unified.pids() != [pid]:
        pass
    group = v2.Cgroup(f"{unified.path}/box", layout.of_host().unified or "")
    group.make()
    below = child(group)
    while group.pids() != [below]:
        pass
    if "pids" in (Path(layout.of_host().unified or "") / "cgroup.controllers").read_text().split():
        with pytest.raises(FileNotFoundError, match=r"not passed on by the cgroup above.*pids\.max"):
            group.update({"pids": {"limit": 5}})
    unified.kill()
    assert (exit_code(pid), exit_code(below)) == (-signal.SIGKILL, -signal.SIGKILL)


def test_limits_are_written_to_their_files(tmp_path: Path) -> None:
    group = v2.Cgroup("/box", str(tmp_path))
    (tmp_path / "box").mkdir()
    for name in ("memory.max", "memory.swap.max", "pids.max", "cgroup.procs"):
        (tmp_path / "box" / name).write_text("")
    group.update({"memory": {"limit": 1000, "swap": 1500}, "pids": {"limit": 5}})
    group.add(77)
    written = {name: (tmp_path / "box" / name).read_text() for name in ("memory.max", "memory.swap.max", "pids.max")}
    assert written == {"memory.max": "1000", "memory.swap.max": "500", "pids.max": "5"}
    assert (tmp_path / "box/cgroup.procs").read_text() == "77"


def test_a_controller_that_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "box").mkdir()
    with pytest.raises(FileNotFoundError, match=r"pids\.max"):
        v2.Cgroup("/box", str(tmp_path)).update({"pids": {"limit": 5}})


def test_statistics_have_the_form_of_runc(tmp_path: Path) -> None:
    files = {
        "cpu.stat": "usage_usec 30\nuser_usec 20\nsystem_usec 10\nnr_periods 3\nnr_throttled 2\nthrottled_usec 1\n",
        "memory.current": "4096\n",
        "memory.max": "max\n",
        "memory.peak": "8192\n",
        "memory.stat": "anon 100\nfile 200\n",
        "memory.events": "low 0\nmax 5\noom_kill 1\n",
        "pids.current": "4\n",
        "pids.max": "9\n",
        "io.stat": "8:0 rbytes=10 wbytes=20 rios=1 wios=2\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    found = stats.of_v2(str(tmp_path))
    assert found["cpu"]["usage"] == {"total": 30000, "percpu": [], "kernel": 10000, "user": 20000}
    assert found["cpu"]["throttling"] == {"periods": 3, "throttledPeriods": 2, "throttledTime": 1000}
    assert found["memory"]["usage"] == {"usage": 4096, "max": 8192, "failcnt": 5, "limit": 0}
    assert found["pids"] == {"current": 4, "limit": 9}
    assert [(row["op"], row["value"]) for row in found["blkio"]["ioServiceBytesRecursive"]] == [
        ("Read", 10),
        ("Write", 20),
    ]
    assert [(row["op"], row["value"]) for row in found["blkio"]["ioServicedRecursive"]] == [("Read", 1), ("Write", 2)]
    assert v2.Cgroup("", str(tmp_path)).oom_kills() == 1


@pytest.mark.root
def test_freeze_thaw_and_kill(unified: v2.Cgroup) -> None:
    pid = child(unified)
    while unified.pids() != [pid]:
        pass
    unified.freeze()
    assert unified.frozen()
    unified.thaw()
    assert not unified.frozen()
    unified.kill()
    assert exit_code(pid) == -signal.SIGKILL


def opening(path: str, flags: int) -> Any:
    """An action that opens a device."""
    return lambda: os.close(os.open(path, flags))


@pytest.mark.root
@pytest.mark.parametrize(
    ("rules", "read_null", "write_null", "read_zero"),
    [
        ([], errno.EPERM, errno.EPERM, errno.EPERM),
        ([{"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rw"}], 0, 0, errno.EPERM),
        ([{"allow": True, "type": "c", "major": 1, "minor": 3, "access": "r"}], 0, errno.EPERM, errno.EPERM),
        ([{"allow": True, "type": "c", "major": 1, "access": "r"}], 0, errno.EPERM, 0),
        (
            [{"allow": True, "type": "b", "major": 1, "minor": 3, "access": "rwm"}],
            errno.EPERM,
            errno.EPERM,
            errno.EPERM,
        ),
        ([{"allow": True, "access": "rwm"}], 0, 0, 0),
        # The last rule that matches decides.
        (
            [{"allow": True, "access": "rwm"}, {"allow": False, "type": "c", "major": 1, "minor": 3, "access": "rwm"}],
            errno.EPERM,
            errno.EPERM,
            0,
        ),
    ],
)
def test_device_rules_are_kept_by_the_kernel(
    unified: v2.Cgroup, rules: list[dict[str, Any]], read_null: int, write_null: int, read_zero: int
) -> None:
    unified.update({"devices": [{"allow": False, "access": "rwm"}, *rules]})
    found = [
        exit_code(child(unified, opening(path, flags)))
        for path, flags in (("/dev/null", os.O_RDONLY), ("/dev/null", os.O_WRONLY), ("/dev/zero", os.O_RDONLY))
    ]
    assert found == [read_null, write_null, read_zero]


@pytest.mark.root
def test_new_device_rules_take_the_place_of_the_old(unified: v2.Cgroup) -> None:
    unified.update({"devices": [{"allow": False, "access": "rwm"}]})
    assert exit_code(child(unified, opening("/dev/null", os.O_RDONLY))) == errno.EPERM
    unified.update({"devices": [{"allow": True, "access": "rwm"}]})
    assert exit_code(child(unified, opening("/dev/null", os.O_RDONLY))) == 0


def test_the_program_ends_in_a_refusal() -> None:
    assert devices_bpf.assemble([])[-16:] == bytes.fromhex("b400000000000000" + "9500000000000000")
