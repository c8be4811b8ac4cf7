"""Limits are read back from inside; what cannot be limited is refused or discarded in Docker's words."""

import json
import os
import re
from pathlib import Path

import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine
from tests.fixtures.http import Api

V1 = not Path("/sys/fs/cgroup/cgroup.controllers").exists()
MIB = 1 << 20
FLAGS = ("--cpu-shares=512", "--cpu-period=50000", "--cpu-quota=25000", "--cpuset-mems=0", "--memory=64m",
         "--memory-swap=96m", "--memory-reservation=32m", "--pids-limit=50")  # fmt: skip
FILES = {
    "cpu/cpu.shares": "512",
    "cpu/cpu.cfs_period_us": "50000",
    "cpu/cpu.cfs_quota_us": "25000",
    "cpuset/cpuset.mems": "0",
    "memory/memory.limit_in_bytes": str(64 * MIB),
    "memory/memory.memsw.limit_in_bytes": str(96 * MIB),
    "memory/memory.soft_limit_in_bytes": str(32 * MIB),
    "pids/pids.max": "50",
} if V1 else {
    "cpu.weight": "20",
    "cpu.max": "25000 50000",
    "cpuset.mems": "0",
    "memory.max": str(64 * MIB),
    "memory.swap.max": str(32 * MIB),
    "memory.low": str(32 * MIB),
    "pids.max": "50",
}  # fmt: skip


def create(api: Api, **host: object) -> tuple[int, dict]:
    """Status and body of the answer to a create."""
    answer = api("POST", "/containers/create", {"Image": "busybox", "Cmd": ["true"], "HostConfig": host})
    return answer.status, answer.body


def inside(cli: Cli, flags: tuple[str, ...], *files: str) -> list[str]:
    """The contents of files below /sys/fs/cgroup of a container with these flags, a line each."""
    return cli("run", "--rm", *flags, "busybox", "cat", *(f"/sys/fs/cgroup/{name}" for name in files)).splitlines()


def test_every_limit_is_seen_inside(cli: Cli):
    assert dict(zip(FILES, inside(cli, FLAGS, *FILES), strict=True)) == FILES


@pytest.mark.skipif(not V1, reason="cgroup v2 has none of these")
def test_those_of_cgroup_v1_alone(docker: Cli, api: Api):
    flags = ("--memory=64m", "--memory-swappiness=7", "--oom-kill-disable")
    assert inside(docker, flags, "memory/memory.swappiness", "memory/memory.oom_control")[:2] == [
        "7",
        "oom_kill_disable 1",
    ]
    status, made = create(api, KernelMemoryTCP=32 * MIB)
    assert (status, made["Warnings"]) == (201, [])


@pytest.mark.skipif(
    not Path("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").exists(), reason="no groups of real-time processes"
)
def test_real_time_processes(docker: Cli, daemon: Engine):
    if not isinstance(daemon, Engine):
        pytest.skip("dockerd wants a setting for that")
    docker("run", "-d", "--name", "soon", "--cpu-rt-runtime=3000", "busybox", "sleep", "100")
    docker("run", "-d", "--name", "late", "busybox", "sleep", "100")
    soon, late = (int(docker("inspect", "-f", "{{.State.Pid}}", name)) for name in ("soon", "late"))
    os.sched_setscheduler(soon, os.SCHED_FIFO, os.sched_param(10))
    assert os.sched_getscheduler(soon) == os.SCHED_FIFO
    with pytest.raises(PermissionError):
        os.sched_setscheduler(late, os.SCHED_FIFO, os.sched_param(10))


def test_a_block_device_is_limited(docker: Cli):
    disks = [path for path in Path("/sys/block").iterdir() if (Path("/dev") / path.name).is_block_device()]
    if not disks:
        pytest.skip("no block device")
    path = f"/dev/{disks[0].name}"
    number = os.stat(path).st_rdev
    flags = (f"--device-read-bps={path}:1mb", f"--device-write-iops={path}:77")
    where = ("blkio/blkio.throttle.read_bps_device", "blkio/blkio.throttle.write_iops_device") if V1 else ("io.max",)
    shown = " ".join(inside(docker, flags, *where))
    assert f"{os.major(number)}:{os.minor(number)} " in shown
    assert re.search(r"\b1048576\b.*\b77\b", shown)


@pytest.mark.parametrize("above", ["/", "../../../", ""])
def test_a_cgroup_parent_of_one_s_own(docker: Cli, daemon: Engine, above: str):
    parent = f"{daemon.marks[-1]}-custom" if isinstance(daemon, Engine) else "custom"
    docker("run", "-d", "--name", "child", "--cgroup-parent", above + parent, "busybox", "sleep", "100")
    id_, pid = docker("inspect", "-f", "{{.Id}} {{.State.Pid}}", "child").split()
    assert f":/{parent}/{id_}\n" in Path(f"/proc/{pid}/cgroup").read_text()


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ({"IOMaximumBandwidth": 10}, "Invalid QoS settings: linux does not support configuration of maximum bandwidth"),
        ({"IOMaximumIOps": 10}, "Invalid QoS settings: linux does not support configuration of maximum IOPs"),
        ({"StorageOpt": {"bad": "1G"}}, "Unknown option bad"),
        ({"Isolation": "hyperv"}, "Invalid isolation: \"hyperv\" - linux only supports 'default'"),
        ({"OomScoreAdj": 2000}, "Invalid value 2000, range for oom score adj is [-1000, 1000]"),
    ],
)
def test_what_cannot_be_is_refused_in_docker_s_words(api: Api, host: dict, message: str):
    status, answer = create(api, **host)
    assert (status >= 400, answer["message"]) == (True, message)


@pytest.mark.parametrize(
    ("host", "mistake"),
    [
        ({"Ulimits": [{"Name": "nofile", "Soft": 2, "Hard": 1}]}, 400),
        ({"Ulimits": [{"Name": "bad", "Soft": 1, "Hard": 1}]}, 400),
        ({"BlkioDeviceReadBps": [{"Path": "/dev/null", "Rate": 5}]}, 500),
        ({"BlkioDeviceReadBps": [{"Path": "/dev/nope", "Rate": 5}]}, 500),
        ({"Devices": [{"PathOnHost": "/dev/nope"}]}, 500),
    ],
)
def test_what_the_kernel_does_not_take_is_said_by_the_start(api: Api, daemon: Engine, host: dict, mistake: int):
    """Docker says 500 of all of them."""
    status, made = create(api, **host)
    assert status == 201
    answer = api("POST", f"/containers/{made['Id']}/start")
    assert answer.status == (mistake if isinstance(daemon, Engine) else 500), answer.body
    assert api.ok("GET", f"/containers/{made['Id']}/json")["State"]["Error"] == answer.body["message"]


def test_an_update_that_the_kernel_does_not_take_changes_nothing(docker: Cli, api: Api, daemon: Engine):
    docker("run", "-d", "--name", "web", "--cpus", "1", "busybox", "sleep", "100")
    answer = api(
        "POST",
        "/containers/web/update",
        {"CpuShares": 512, "CpuRealtimeRuntime": 5 * 10**6} if V1 else {"CpusetMems": "0", "CpuShares": 10**15},
    )
    if isinstance(daemon, Engine) and V1:
        assert (answer.status, answer.body["message"][:23]) == (400, "Cannot update container")
    assert api.ok("GET", "/containers/web/json")["HostConfig"]["CpuShares"] == 0


def test_the_size_of_a_writable_layer_cannot_be_limited(cli: Cli, daemon: Engine):
    if not isinstance(daemon, Engine):
        pytest.skip("another engine may stand on xfs with quotas")
    words = "--storage-opt is supported only for overlay over xfs with 'pquota' mount option"
    cli.fails("run", "--storage-opt", "size=1G", "busybox", code=125, message=words)


def test_what_is_of_windows_is_discarded(api: Api):
    status, made = create(api, CpuPercent=10, Isolation="default")
    assert (status, made["Warnings"]) == (201, ["linux does not support CPU percent. Percent discarded."])
    assert api.ok("GET", f"/containers/{made['Id']}/json")["HostConfig"]["CpuPercent"] == 0


def test_devices_without_a_driver_are_refused_at_the_start(cli: Cli, api: Api):
    words = 'could not select device driver "" with capabilities: [[gpu]]'
    cli.fails("run", "--name", "gpu", "--gpus", "all", "busybox", "true", code=125, message=re.escape(words))
    state = json.loads(cli("inspect", "-f", "{{json .State}}", "gpu"))
    assert (state["Status"], state["ExitCode"], state["Error"]) == ("created", 128, words)
    status, made = create(api, DeviceRequests=[{"Driver": "nvidia", "Capabilities": [["a", "b"], ["c"]]}])
    answer = api("POST", f"/containers/{made['Id']}/start")
    assert (status, answer.status, answer.body["message"]) == (
        201,
        500,
        'could not select device driver "nvidia" with capabilities: [[a b] [c]]',
    )


def test_info_says_what_the_host_can_limit(api: Api, docker: Cli):
    info = api.ok("GET", "/info")
    for name in ("MemoryLimit", "CpuCfsQuota", "CPUShares", "CPUSet", "PidsLimit"):
        assert info[name] is True, name
    assert info["OomKillDisable"] is V1
    assert info["CgroupVersion"] == ("1" if V1 else "2")
    assert info["NCPU"] == len(os.sched_getaffinity(0))
    assert [warning for warning in info["Warnings"] or () if "memory limit" in warning] == []
    assert f"CPUs: {info['NCPU']}" in docker("info")
