"""cgroup v1 and hybrid: limits that hold, on this machine's own hierarchies."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
from tests.runtime import box

from pydock_runtime import cgroup
from pydock_runtime.cgroup import layout, v1
from pydock_runtime.errors import RuntimeFailure

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not layout.of_host().hierarchies, reason="this machine has no cgroup v1"),
]
MIB = 1 << 20


def value(running: box.Running, controller: str, name: str) -> str:
    """A file of a container's cgroup."""
    group = running.child.cgroup
    assert isinstance(group, v1.Cgroup)
    return Path(group.folder(controller), name).read_text().strip()


@pytest.mark.parametrize(
    ("resources", "controller", "name", "expected"),
    [
        ({"memory": {"limit": 64 * MIB}}, "memory", "memory.limit_in_bytes", str(64 * MIB)),
        ({"memory": {"limit": 64 * MIB, "swap": 96 * MIB}}, "memory", "memory.memsw.limit_in_bytes", str(96 * MIB)),
        ({"memory": {"reservation": 32 * MIB}}, "memory", "memory.soft_limit_in_bytes", str(32 * MIB)),
        ({"memory": {"disableOOMKiller": True}}, "memory", "memory.oom_control", "oom_kill_disable 1"),
        ({"cpu": {"shares": 512}}, "cpu", "cpu.shares", "512"),
        ({"cpu": {"quota": 25000, "period": 50000}}, "cpu", "cpu.cfs_quota_us", "25000"),
        ({"cpu": {"quota": 25000, "period": 50000}}, "cpu", "cpu.cfs_period_us", "50000"),
        ({"cpu": {"cpus": "0"}}, "cpuset", "cpuset.cpus", "0"),
        ({"pids": {"limit": 20}}, "pids", "pids.max", "20"),
        ({"pids": {"limit": -1}}, "pids", "pids.max", "max"),
    ],
)
def test_a_limit_is_set(root: Path, resources: dict[str, Any], controller: str, name: str, expected: str) -> None:
    with box.ready(box.spec("true", root=root), resources=resources) as running:
        assert value(running, controller, name).startswith(expected)


def test_too_much_memory_is_death_and_is_counted(root: Path) -> None:
    limited = {"memory": {"limit": 16 * MIB, "swap": 16 * MIB}}
    with box.ready(box.spec("tail", "/dev/zero", root=root), resources=limited) as running:
        assert running.release() is None
        assert running.wait() == 128 + 9
        assert running.child.cgroup.oom_kills() == 1


def test_the_smallest_memory_that_docker_allows_is_enough_to_start(root: Path) -> None:
    limited = {"memory": {"limit": 6 * MIB, "swap": 6 * MIB}}
    assert box.run(box.spec("echo", "small", root=root), resources=limited).out == "small\n"


def test_more_processes_than_allowed_are_refused(root: Path) -> None:
    script = "for n in 1 2 3 4 5 6; do sleep 5 & done; true"
    result = box.run(box.spec(root=root, shell=script), resources={"pids": {"limit": 4}})
    assert "can't fork" in result.out


def test_the_cgroup_is_the_root_of_what_is_seen_inside(root: Path) -> None:
    script = "cat /proc/self/cgroup; cat /sys/fs/cgroup/pids/pids.max; touch /sys/fs/cgroup/pids/x 2>&1"
    result = box.run(box.spec(root=root, shell=script), resources={"pids": {"limit": 33}})
    assert {line.split(":")[2] for line in result.lines if line[0].isdigit() and ":" in line} == {"/"}
    assert result.lines[-2:] == ["33", "touch: /sys/fs/cgroup/pids/x: Read-only file system"]


def test_limits_change_while_it_runs_up_and_down(root: Path) -> None:
    with box.ready(
        box.spec("sleep", "100", root=root), resources={"memory": {"limit": 64 * MIB, "swap": 64 * MIB}}
    ) as running:
        assert running.release() is None
        for limit in (256, 32):
            running.child.cgroup.update(
                {"memory": {"limit": limit * MIB, "swap": limit * MIB}, "cpu": {"quota": limit * 1000}}
            )
            assert value(running, "memory", "memory.memsw.limit_in_bytes") == str(limit * MIB)
            assert value(running, "cpu", "cpu.cfs_quota_us") == str(limit * 1000)
        running.child.cgroup.update({"memory": {"limit": -1, "swap": -1}})
        assert int(value(running, "memory", "memory.limit_in_bytes")) > 1 << 60


def test_what_the_kernel_refuses_is_named_and_leaves_nothing() -> None:
    path = f"{box.PARENT}/refused"
    with pytest.raises(RuntimeFailure, match=r"cpu\.cfs_period_us: invalid argument \(writing '1'\)"):
        cgroup.create(path, {"cpu": {"quota": 7777, "period": 1}})
    with pytest.raises((OSError, RuntimeFailure), match=r"No such|invalid|numerical"):
        cgroup.create(path, {"cpu": {"cpus": "900"}})
    assert [point for point in layout.of_host().hierarchies.values() if os.path.exists(point + path)] == []


@pytest.mark.parametrize("path", ["relative", "/a/../../b"])
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(OSError, match="not an absolute cgroup path"):
        cgroup.open_existing(path)


def test_pause_stops_time_and_resume_lets_it_go_on(root: Path) -> None:
    script = "while :; do echo x; sleep 0.01; done"
    with box.ready(box.spec(root=root, shell=script)) as running:
        group = running.child.cgroup
        assert running.release() is None
        group.freeze()
        assert group.frozen()
        before = running.text()
        time.sleep(0.1)
        assert running.text() == before
        group.thaw()
        deadline = time.monotonic() + box.PATIENCE
        while running.text() == before:
            assert time.monotonic() < deadline
        assert not group.frozen()


def test_kill_reaches_every_process_also_in_cgroups_below(root: Path) -> None:
    wanted = box.spec(
        root=root,
        shell="mkdir /sys/fs/cgroup/pids/sub; sleep 100 & echo $! > /sys/fs/cgroup/pids/sub/cgroup.procs; wait",
    )
    wanted["mounts"] = [
        {**mount, "options": [option for option in mount["options"] if option != "ro"]} for mount in wanted["mounts"]
    ]
    with box.ready(wanted) as running:
        assert running.release() is None
        deadline = time.monotonic() + box.PATIENCE
        while len(running.child.cgroup.pids()) < 2:
            assert time.monotonic() < deadline, running.text()
        running.child.cgroup.kill()
        assert running.wait() == 128 + 9


def test_statistics_have_the_form_of_runc(root: Path) -> None:
    with box.ready(
        box.spec("sleep", "100", root=root), resources={"memory": {"limit": 64 * MIB}, "pids": {"limit": 9}}
    ) as running:
        assert running.release() is None
        stats = running.child.cgroup.stats()
    assert stats["pids"] == {"current": 1, "limit": 9}
    assert stats["memory"]["usage"]["limit"] == 64 * MIB
    assert 0 < stats["memory"]["usage"]["usage"] < 64 * MIB
    assert stats["cpu"]["usage"]["total"] > 0
    assert len(stats["cpu"]["usage"]["percpu"]) >= 1
    assert stats["blkio"]["ioServiceBytesRecursive"] == [] or "major" in stats["blkio"]["ioServiceBytesRecursive"][0]


def test_a_cpuset_directly_below_the_root_takes_processes() -> None:
    group = cgroup.create(f"/pydock-test-top-{os.getpid()}", {})
    pid = os.fork()
    if pid == 0:
        try:
            group.add(0)
        finally:
            os._exit(0 if group.pids() == [os.getpid()] else 1)
    assert os.waitpid(pid, 0)[1] == 0
    group.remove()


@pytest.mark.skipif(
    not Path(layout.of_host().hierarchies.get("cpu", "/nowhere"), "cpu.rt_runtime_us").exists(),
    reason="this kernel does not group real-time processes",
)
def test_real_time_is_lent_by_those_above(root: Path) -> None:
    both = {"cpu": {"realtimeRuntime": 2000, "realtimePeriod": 500_000}}
    for _ in range(2):
        with (
            box.ready(box.spec("true", root=root), resources=both) as first,
            box.ready(box.spec("true", root=root), resources={"cpu": {"realtimeRuntime": 3000}}) as second,
        ):
            assert value(first, "cpu", "cpu.rt_runtime_us") == "2000"
            assert value(first, "cpu", "cpu.rt_period_us") == "500000"
            assert value(second, "cpu", "cpu.rt_runtime_us") == "3000"
            above = Path(second.child.cgroup.folder("cpu")).parent  # type: ignore[union-attr]
            # 4000 and 3000 of a second: what has ended is not counted again.
            assert (above / "cpu.rt_runtime_us").read_text().strip() == "7000"


def test_more_real_time_than_there_is_is_refused(root: Path) -> None:
    if not Path(layout.of_host().hierarchies.get("cpu", "/nowhere"), "cpu.rt_runtime_us").exists():
        pytest.skip("this kernel does not group real-time processes")
    with pytest.raises(RuntimeFailure, match="rt_runtime_us: invalid argument"):
        cgroup.create(f"{box.PARENT}/refused", {"cpu": {"realtimeRuntime": 999_999}})
