"""From Docker's limits to those of the OCI spec."""

import pytest

from pydock_daemon.containers.resources import resources
from pydock_shared.wire.container import HostConfig

MEGABYTE = 1024 * 1024


def made(**fields):
    found = resources(HostConfig(**fields), extra_rules=[], devices=[])
    found.pop("devices")
    return found


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {}),
        ({"memory": 64 * MEGABYTE}, {"memory": {"limit": 64 * MEGABYTE, "swap": 128 * MEGABYTE}}),
        ({"memory": 64 * MEGABYTE, "memory_swap": -1}, {"memory": {"limit": 64 * MEGABYTE, "swap": -1}}),
        ({"nano_cpus": 1_500_000_000}, {"cpu": {"period": 100_000, "quota": 150_000}}),
        ({"cpu_shares": 512, "cpuset_cpus": "0"}, {"cpu": {"shares": 512, "cpus": "0"}}),
        ({"pids_limit": 10}, {"pids": {"limit": 10}}),
        ({"pids_limit": -1}, {"pids": {"limit": -1}}),
        ({"memory_reservation": MEGABYTE}, {"memory": {"reservation": MEGABYTE}}),
    ],
)
def test_limits(fields, expected):
    assert made(**fields) == expected


def test_devices_begin_with_deny_all():
    rules = resources(HostConfig(), extra_rules=[], devices=[])["devices"]
    assert rules[0] == {"allow": False, "access": "rwm"}
    assert {"allow": True, "type": "c", "access": "rwm", "major": 1, "minor": 3} in rules


def test_a_passed_device_is_allowed_as_far_as_asked():
    device = {"path": "/dev/x", "type": "b", "major": 7, "minor": 1, "access": "r"}
    rules = resources(HostConfig(), extra_rules=[], devices=[device])["devices"]
    assert rules[-1] == {"allow": True, "access": "r", "type": "b", "major": 7, "minor": 1}


def test_privileged_may_use_every_device():
    assert resources(HostConfig(privileged=True), extra_rules=[], devices=[])["devices"] == [
        {"allow": True, "access": "rwm"}
    ]
