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
        ({"CpusetCpus": "a-b"}, "Invalid value a-b for cpuset cpus"),
        ({"CpusetMems": "7777"}, "Requested memory nodes are not available - requested 7777, available: 0"),
        ({"BlkioWeight": 5}, "Range of blkio weight is from 10 to 1000"),
        ({"ShmSize": -1}, "SHM size can not be less than 0"),
    ],
)
def test_what_cannot_be_is_refused(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        limits.check(HostConfig.model_validate(asked))
    assert message in caught.value.message


@pytest.mark.parametrize(
    "asked",
    [{}, {"MemorySwap": -1}, {"MemorySwappiness": -1}, {"CpusetCpus": "0", "CpusetMems": "0-0"}, {"CpuQuota": -1}],
)
def test_what_can_be(asked: dict[str, Any]) -> None:
    limits.check(HostConfig.model_validate(asked))


def test_what_the_kernel_lacks_is_discarded_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_has", lambda controller, files: controller != "blkio")
    host = HostConfig.model_validate({"BlkioWeight": 100, "MemorySwappiness": 5})
    assert limits.discard(host) == [
        "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded."
    ]
    assert (host.blkio_weight, host.memory_swappiness) == (None, 5)


def test_no_oom_killer_and_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_has", lambda controller, files: True)
    (warning,) = limits.discard(HostConfig.model_validate({"OomKillDisable": True}))
    assert warning.startswith("OOM killer is disabled for the container, but no memory limit is set")
    assert limits.discard(HostConfig.model_validate({"OomKillDisable": True, "Memory": 10**8})) == []
