"""Time namespaces, and kinds of namespaces that are joined in a mix."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
from tests.runtime import box

from pydock_runtime.errors import RuntimeFailure

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not os.path.exists("/proc/self/ns/time"), reason="this kernel has no time namespaces"),
]


def in_time(root: Path, shell: str, **offsets: Any) -> box.Spec:
    wanted = box.spec(root=root, shell=shell)
    wanted["linux"]["namespaces"].append({"type": "time"})
    wanted["linux"]["timeOffsets"] = offsets
    return wanted


def test_clocks_run_from_where_they_were_set(root: Path) -> None:
    wanted = in_time(root, "cut -d . -f 1 /proc/uptime", boottime={"secs": 1_000_000}, monotonic={"secs": 5})
    (uptime,) = box.run(wanted).lines
    assert int(uptime) - 1_000_000 == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=20)


def test_an_exec_has_the_container_s_clocks(root: Path) -> None:
    wanted = in_time(root, "sleep 100", boottime={"secs": 1_000_000})
    with box.ready(wanted) as running:
        running.release()
        assert int(running.exec("cut", "-d", ".", "-f", "1", "/proc/uptime").out) > 1_000_000


def test_a_time_namespace_is_joined(root: Path) -> None:
    with box.ready(in_time(root, "true", boottime={"secs": 1_000_000})) as running:
        wanted = box.spec(root=root, shell="cut -d . -f 1 /proc/uptime")
        wanted["linux"]["namespaces"].append({"type": "time", "path": f"/proc/{running.child.pid}/ns/time"})
        assert int(box.run(wanted).lines[0]) > 1_000_000


def test_clocks_of_the_host_cannot_be_set(root: Path) -> None:
    wanted = box.spec("true", root=root)
    wanted["linux"]["timeOffsets"] = {"boottime": {"secs": 1}}
    with pytest.raises(RuntimeFailure, match="timeOffsets need a new time namespace"):
        box.run(wanted)


def test_a_clock_that_would_run_before_zero_is_refused(root: Path) -> None:
    error = box.run(in_time(root, "true", boottime={"secs": -(1 << 40)})).error
    assert error is not None
    assert error["message"] == "timeOffsets: numerical result out of range"


def test_namespaces_of_another_container_are_joined_with_its_processes(root: Path) -> None:
    names = {"pid": "pid", "ipc": "ipc", "uts": "uts", "network": "net"}
    with box.ready(box.spec("sleep", "100", root=root)) as running:
        running.release()
        wanted = box.spec(root=root, shell="readlink /proc/self/ns/net; hostname; ls -d /proc/1; echo $$")
        del wanted["hostname"]
        for entry in wanted["linux"]["namespaces"]:
            if entry["type"] in names:
                entry["path"] = f"/proc/{running.child.pid}/ns/{names[entry['type']]}"
        net, host, first, pid = box.run(wanted).lines
        assert net == os.readlink(f"/proc/{running.child.pid}/ns/net")
        assert (host, first) == ("box", "/proc/1")
        assert int(pid) > 1
