"""Limits that cannot be, in Docker's words, and limits that this kernel does not have."""

from typing import Any

import pytest

from pydock_daemon.containers import limits
from pydock_shared.errors import InvalidArgument
from pydock_shared.wire.container import HostConfig


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"Memory": 1000}, "Minimum memory limit allowed is 6MB"),
        ({"MemorySwap": 10**8}, "You should always set the Memory limit when using Memoryswap limit, see usage"),
        ({"Memory": 10**8, "MemorySwap": 10**7}, "Minimum memoryswap limit should be larger than memory limit"),
        ({"MemorySwappiness": 101}, "Invalid value: 101, valid memory swappiness range is 0-100"),
        ({"MemoryReservation": 1}, "Minimum memory reservation allowed is 6MB"),
        ({"Memory": 10**7, "MemoryReservation": 10**8}, "can not be less than memory reservation limit"),
        ({"NanoCpus": 10**9, "CpuQuota": 5000}, "Conflicting options: Nano CPUs and CPU Quota cannot both be set"),
        ({"NanoCpus": 10**15}, "Range of CPUs is from 0.01 to "),
        ({"CpuPeriod": 10}, "CPU cfs period can not be less than 1ms"),
        ({"CpuQuota": 10}, "CPU cfs quota can not be less than 1ms"),
        ({"CpusetCpus": "7777"}, "Requested CPUs are not available - requested 7777, available: 0"),
        ({"CpuShares": 1}, "the minimum allowed cpu-shares is 2"),
        ({"CpuShares": 262145}, "the maximum allowed cpu-shares is 262144"),
        ({"CpusetCpus": "a-b"}, "Invalid value a-b for cpuset cpus"),
        ({"CpusetMems": "7777"}, "Requested memory nodes are not available - requested 7777, available: 0"),
        ({"BlkioWeight": 5}, "Range of blkio weight is from 10 to 1000"),
        ({"ShmSize": -1}, "SHM size can not be less than 0"),
        ({"OomScoreAdj": 2000}, "Invalid value 2000, range for oom score adj is [-1000, 1000]"),
        ({"CpuRealtimeRuntime": 1000, "CpuRealtimePeriod": 10}, "cpu real-time runtime cannot be higher than "),
    ],
)
def test_what_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], message: str) -> None:
    monkeypatch.setattr(limits, "has", lambda *files: True)
    with pytest.raises(InvalidArgument) as caught:
        limits.check(HostConfig.model_validate(asked))
    assert message in caught.value.message


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"MemorySwap": -1},
        {"MemoryReservation": -1},
        {"CpuShares": 2},
        {"MemorySwappiness": -1},
        {"CpusetCpus": "0", "CpusetMems": "0-0"},
        {"CpuQuota": -1},
    ],
)
def test_what_can_be(asked: dict[str, Any]) -> None:
    limits.check(HostConfig.model_validate(asked))


def test_what_the_kernel_lacks_is_discarded_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "has", lambda *files: bool(files) and not files[0].startswith(("blkio", "cpu.cfs")))
    asked = {"BlkioWeight": 100, "MemorySwappiness": 5, "CpuQuota": 5000, "CpuPeriod": 5000, "KernelMemory": 10**8}
    host = HostConfig.model_validate(asked | {"CpuPercent": 5, "CpuCount": 2, "PidsLimit": 7})
    assert limits.discard(host) == [
        "linux does not support CPU percent. Percent discarded.",
        "linux does not support CPU count. Count discarded.",
        "Your kernel does not support kernel memory limit capabilities or the cgroup is not mounted. "
        "Limitation discarded.",
        "Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.",
        "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.",
    ]
    left = {name: value for name, value in host.model_dump(by_alias=True).items() if value is not None}
    assert left == {"MemorySwappiness": 5, "PidsLimit": 7}


def test_memory_is_limited_where_swap_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "has", lambda *files: files != limits.SWAP_FILES)
    host = HostConfig.model_validate({"Memory": 10**8, "MemorySwap": 2 * 10**8})
    (warning,) = limits.discard(host)
    assert warning.endswith("or the cgroup is not mounted. Memory limited without swap.")
    assert (host.memory, host.memory_swap) == (10**8, -1)


def test_no_swapping_at_all_is_a_setting_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "has", lambda *files: False)
    assert len(limits.discard(HostConfig.model_validate({"MemorySwappiness": 0}))) == 1
    assert limits.discard(HostConfig.model_validate({"MemorySwappiness": -1, "Memory": 0, "PidsLimit": -1})) == []


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"CpuRealtimeRuntime": 1000}, "Your kernel does not support CPU real-time scheduler"),
        ({"NanoCpus": 10**9}, "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler"),
    ],
)
def test_what_is_asked_of_a_kernel_that_lacks_it_and_refused(
    monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], message: str
) -> None:
    monkeypatch.setattr(limits, "has", lambda *files: False)
    with pytest.raises(InvalidArgument, match=message):
        limits.check(HostConfig.model_validate(asked))


def test_no_oom_killer_and_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "has", lambda *files: True)
    (warning,) = limits.discard(HostConfig.model_validate({"OomKillDisable": True}))
    assert warning.startswith("OOM killer is disabled for the container, but no memory limit is set")
    assert limits.discard(HostConfig.model_validate({"OomKillDisable": True, "Memory": 10**8})) == []
