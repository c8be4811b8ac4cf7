"""`events`: what runc tells of a container, in its names, and the OOM killer as it strikes."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.runtime import box
from tests.runtime.test_checkpoint import wait_until
from tests.runtime.test_resctrl import ID, plain
from tests.runtime.test_verbs import Runtime, runtime

from pydock_runtime import cgroup, resctrl
from pydock_runtime.cgroup import details
from pydock_runtime.errors import RuntimeFailure
from pydock_runtime.verbs import events

__all__ = ["plain", "runtime"]
pytestmark = pytest.mark.root
RUNC = shutil.which("runc")
MIB = 1 << 20


@pytest.mark.skipif(RUNC is None, reason="needs runc")
def test_runc_and_we_tell_the_same_of_one_container(tmp_path: Path, root: Path) -> None:
    theirs = Runtime(tmp_path, root)
    theirs.command = [str(RUNC), "--root", str(theirs.state)]
    limits = {"memory": {"limit": 64 * MIB}, "pids": {"limit": 20}}
    writes = "dd if=/dev/zero of=/tmp/events bs=4k count=5 oflag=direct 2>/dev/null; rm /tmp/events; echo; sleep 100"
    id = theirs.create(shell=writes, change=lambda spec: spec["linux"]["resources"].update(limits))
    try:
        theirs.ok("start", id)
        wait_until(lambda: theirs.output() != "")
        group = cgroup.open_existing(f"{box.PARENT}/{id}")
        for _ in range(50):
            before = json.loads(theirs.ok("events", "--stats", id))["data"]
            ours = group.details()
            if json.loads(theirs.ok("events", "--stats", id))["data"] == before:
                break  # nothing has changed meanwhile
        assert ours == {name: part for name, part in before.items() if name in ours}
        assert before.keys() - ours.keys() == {"intel_rdt", "network_interfaces"}
        assert before["pids"] == {"current": 1, "limit": 20}
    finally:
        theirs("delete", "--force", id)


def test_the_line_has_the_form_of_runc(runtime: Runtime) -> None:
    id = runtime.create("sleep", "100")
    runtime.ok("start", id)
    text = runtime.ok("events", "--stats", id)
    assert text.startswith(f'{{"type":"stats","id":"{id}","data":{{"cpu":{{"usage":{{"total":')
    data = json.loads(text)["data"]
    assert sorted(data) == [
        "blkio",
        "cpu",
        "cpuset",
        "hugetlb",
        "intel_rdt",
        "memory",
        "network_interfaces",
        "pids",
    ]
    assert (data["intel_rdt"], data["network_interfaces"]) == ({}, None)


def test_an_interval_passes_first_and_the_end_ends_it(runtime: Runtime) -> None:
    id = runtime.create("sleep", "100")
    runtime.ok("start", id)
    command = [*runtime.command, "events", "--interval", "20ms", id]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        lines = [json.loads(following.stdout.readline()) for _ in range(3)]
        runtime.ok("delete", "--force", id)
        lines += map(json.loads, following.stdout)
        assert following.wait(box.PATIENCE) == 0
    assert {line["type"] for line in lines} == {"stats"}


def test_the_oom_killer_is_told_of_at_once(runtime: Runtime) -> None:
    hungry = "read go < /tmp/go; (tail -c 80000000 /dev/zero; true); echo done; sleep 100"
    limits = {"memory": {"limit": 20 * MIB, "swap": 20 * MIB}}
    id = runtime.create(shell=hungry, change=lambda spec: spec["linux"]["resources"].update(limits))
    go = runtime.root / "tmp" / "go"
    subprocess.run(["mkfifo", go], check=True)
    try:
        runtime.ok("start", id)
        command = [*runtime.command, "events", "--interval", "1h", id]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as following:
            assert following.stdout is not None
            wait_until(lambda: listens(following.pid))
            go.write_text("go\n")
            assert json.loads(following.stdout.readline()) == {"type": "oom", "id": id}
            runtime.ok("delete", "--force", id)
            assert following.wait(box.PATIENCE) == 0
    finally:
        go.unlink()


def listens(pid: int) -> bool:
    """Whether `events` has been given the descriptor by which the kernel tells of the OOM killer."""
    links = [entry.readlink().name for entry in Path(f"/proc/{pid}/fd").iterdir()]
    return "anon_inode:inotify" in links or "anon_inode:[eventfd]" in links


@pytest.mark.parametrize(
    ("text", "length"), [("5s", 5), ("500ms", 0.5), ("1m30s", 90), ("1.5h", 5400), (".5s", 0.5), ("2us", 2e-6)]
)
def test_intervals(text: str, length: float) -> None:
    assert events.seconds(text) == pytest.approx(length)


@pytest.mark.parametrize("text", ["", "5", "0s", "-1s", "s", "5 s", "1s2"])
def test_what_is_no_interval(text: str) -> None:
    with pytest.raises(RuntimeFailure, match="duration"):
        events.seconds(text)


V2 = {
    "cpu.stat": "usage_usec 30\nuser_usec 20\nsystem_usec 0\nnr_periods 3\nnr_throttled 0\nthrottled_usec 0\n",
    "cpu.pressure": "some avg10=0.00 avg60=1.50 avg300=0.00 total=77\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
    "memory.current": "4096\n",
    "memory.max": "8192\n",
    "memory.swap.current": "10\n",
    "memory.swap.max": "max\n",
    "memory.peak": "5000\n",
    "memory.stat": "anon 100\nfile 0\n",
    "memory.events": "max 5\n",
    "hugetlb.2MB.current": "4194304\n",
    "hugetlb.2MB.max": "max\n",
    "hugetlb.2MB.rsvd.current": "0\n",
    "hugetlb.2MB.events": "max 3\n",
    "pids.current": "4\n",
    "pids.max": "max\n",
    "io.stat": "8:0 rbytes=10 wbytes=0 rios=1 wios=2 dbytes=0 dios=0\n7:0 \n",
}


def test_what_is_told_of_cgroup_v2(tmp_path: Path) -> None:
    for name, text in V2.items():
        (tmp_path / name).write_text(text)
    rest = {"avg10": 0.0, "avg60": 0.0, "avg300": 0.0, "total": 0}
    assert details.of_v2(str(tmp_path)) == {
        "cpu": {
            "usage": {"total": 30000, "kernel": 0, "user": 20000},
            "throttling": {"periods": 3},
            "psi": {"some": rest | {"avg60": 1.5, "total": 77}, "full": rest},
        },
        "cpuset": dict.fromkeys(details.CPUSET, 0),
        "memory": {
            "usage": {"limit": 8192, "usage": 4096, "max": 5000, "failcnt": 5},
            "swap": {"limit": (1 << 64) - 1, "usage": 4106, "failcnt": 0},
            "kernel": {"limit": 0, "failcnt": 0},
            "kernelTCP": {"limit": 0, "failcnt": 0},
            "raw": {"anon": 100, "file": 0},
        },
        "pids": {"current": 4},
        "blkio": {
            "ioServiceBytesRecursive": [{"major": 8, "op": "Read", "value": 10}, {"major": 8, "op": "Write"}],
            "ioServicedRecursive": [
                {"major": 8, "op": "Read", "value": 1},
                {"major": 8, "op": "Write", "value": 2},
            ],
        },
        "hugetlb": {"2MB": {"usage": 4194304, "failcnt": 3}},
    }


def test_huge_pages_and_schedulers_of_cgroup_v1(tmp_path: Path) -> None:
    for name, text in {
        "hugetlb.1GB.usage_in_bytes": "0",
        "hugetlb.1GB.max_usage_in_bytes": "1073741824",
        "hugetlb.1GB.failcnt": "2",
        "hugetlb.1GB.rsvd.usage_in_bytes": "0",
        "blkio.bfq.io_serviced_recursive": "Total 0\n",
        "blkio.throttle.io_serviced_recursive": "8:16 Read 3\n8:16 Total 3\nTotal 3\n",
        "blkio.throttle.io_service_bytes_recursive": "8:16 Read 512\nTotal 512\n",
        "blkio.sectors_recursive": "8:16 7\n",
    }.items():
        (tmp_path / name).write_text(text)
    found = details.of_v1({"hugetlb": str(tmp_path), "blkio": str(tmp_path)})
    assert found["hugetlb"] == {"1GB": {"max": 1 << 30, "failcnt": 2}}
    assert found["blkio"] == {
        "ioServicedRecursive": [
            {"major": 8, "minor": 16, "op": "Read", "value": 3},
            {"major": 8, "minor": 16, "op": "Total", "value": 3},
        ],
        "ioServiceBytesRecursive": [{"major": 8, "minor": 16, "op": "Read", "value": 512}],
    }
    (tmp_path / "blkio.io_serviced_recursive").write_text("8:16 Read 1\nTotal 1\n")
    assert details.of_v1({"blkio": str(tmp_path)})["blkio"]["sectorsRecursive"] == [
        {"major": 8, "minor": 16, "value": 7}
    ]


def test_what_is_told_of_resctrl(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resctrl, "_found", [str(plain)])
    told: dict[str, Any] = {
        "info/L3": {"cbm_mask": "7ff", "min_cbm_bits": "2", "num_closids": "4"},
        "info/MB": {"bandwidth_gran": "10", "delay_linear": "1", "min_bandwidth": "10", "num_closids": "8"},
        "info/L3_MON": {"mon_features": "llc_occupancy\nmbm_total_bytes\nmbm_local_bytes"},
        f"{ID}/mon_data/mon_L3_00": {"llc_occupancy": "5", "mbm_total_bytes": "6", "mbm_local_bytes": "0"},
        "": {"schemata": "    MB:0=100\n    L3:0=7ff\n"},
        ID: {"schemata": "    MB:0= 20\n    L3:0=00f\n"},
    }
    for folder, texts in told.items():
        (plain / folder).mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (plain / folder / name).write_text(f"{text}\n")
    assert resctrl.details(ID, {"l3CacheSchema": "L3:0=f"}) == {
        "l3_cache_info": {"cbm_mask": "7ff", "min_cbm_bits": 2, "num_closids": 4},
        "l3_cache_schema_root": "L3:0=7ff",
        "l3_cache_schema": "L3:0=00f",
        "mem_bw_info": {"bandwidth_gran": 10, "delay_linear": 1, "min_bandwidth": 10, "num_closids": 8},
        "mem_bw_schema_root": "MB:0=100",
        "mem_bw_schema": "MB:0= 20",
        "mbm_stats": [{"mbm_total_bytes": 6, "mbm_local_bytes": 0}],
        "cmt_stats": [{"llc_occupancy": 5}],
    }
    assert resctrl.details(ID, None) == {}
