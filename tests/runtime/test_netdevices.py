"""`linux.netDevices`: interfaces of the host that become the container's."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError
from tests.runtime import box

from pydock_runtime.errors import RuntimeFailure

pytestmark = pytest.mark.root
KEPT, GIVEN = "pdnd0", "pdnd1"


@pytest.fixture
def cable() -> Iterator[IPRoute]:
    """A cable of the host; one end has addresses."""
    with IPRoute() as route:
        route.link("add", ifname=KEPT, kind="veth", peer=GIVEN)
        index = route.link_lookup(ifname=GIVEN)[0]
        route.addr("add", index=index, address="198.18.78.5", prefixlen=24)
        route.addr("add", index=index, address="198.18.79.5", prefixlen=32, scope=253)
        route.link("set", index=index, state="up")
        route.addr("add", index=index, address="2001:db8:78::5", prefixlen=64)
        try:
            yield route
        finally:
            # The kernel destroys it when the namespace of its other end goes.
            with suppress(NetlinkError, IndexError):
                route.link("del", index=route.link_lookup(ifname=KEPT)[0])


def wanted(root: Path, shell: str, **devices: Any) -> box.Spec:
    made = box.spec(root=root, shell=shell)
    made["linux"]["netDevices"] = devices
    return made


def test_a_device_comes_with_its_addresses_and_another_name(root: Path, cable: IPRoute) -> None:
    with box.ready(wanted(root, "ip -o link show eth9; ip -o addr show eth9", pdnd1={"name": "eth9"})) as running:
        assert not cable.link_lookup(ifname=GIVEN)
        assert running.release() is None
        assert running.wait() == 0
        link, *addresses = running.text().splitlines()
    assert ",UP" in link
    found = [line.split()[2:4] for line in addresses]
    assert ["inet", "198.18.78.5/24"] in found
    assert ["inet6", "2001:db8:78::5/64"] in found
    # What is good on that link alone was the host's.
    assert not any("198.18.79.5" in line for line in addresses)


def test_it_keeps_its_name_when_none_is_said(root: Path, cable: IPRoute) -> None:
    assert "198.18.78.5" in box.run(wanted(root, f"ip -o addr show {GIVEN}", pdnd1={})).out


@contextmanager
def namespace() -> Iterator[str]:
    name = f"pdnd{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        yield f"/run/netns/{name}"
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def test_a_namespace_that_is_joined_gets_it(root: Path, cable: IPRoute) -> None:
    with namespace() as path:
        made = wanted(root, "ip -o addr show eth9", pdnd1={"name": "eth9"})
        for entry in made["linux"]["namespaces"]:
            if entry["type"] == "network":
                entry["path"] = path
        assert "198.18.78.5/24" in box.run(made).out


def test_a_user_namespace_gets_it(root: Path, cable: IPRoute) -> None:
    made = wanted(root, "ip -o addr show eth9; id -u", pdnd1={"name": "eth9"})
    ids = [{"containerID": 0, "hostID": 0, "size": 65536}]
    made["linux"] |= {"uidMappings": ids, "gidMappings": ids}
    made["linux"]["namespaces"].append({"type": "user"})
    result = box.run(made)
    assert result.error is None
    lines = result.lines
    assert "198.18.78.5/24" in "".join(lines)
    assert lines[-1] == "0"


def test_a_name_that_is_taken_is_refused(root: Path, cable: IPRoute) -> None:
    with pytest.raises(RuntimeFailure, match="fail to move network device pdnd1 to network namespace as lo: file exis"):
        box.run(wanted(root, "true", pdnd1={"name": "lo"}))


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        ({"pdnd9": {}}, "link not found for interface pdnd9 on runtime namespace"),
        ({"eth0": {"name": "a/b"}}, "invalid network device name 'a/b'"),
        ({"..": {}}, r"invalid network device name '\.\.'"),
        ({"sixteen-letters-": {}}, "invalid network device name"),
        ({"a b": {}}, "invalid network device name"),
    ],
)
def test_what_cannot_be_moved_is_told(root: Path, devices: dict[str, Any], message: str) -> None:
    with pytest.raises(RuntimeFailure, match=message):
        box.run(wanted(root, "true", **devices))


def test_the_host_s_own_network_is_given_nothing(root: Path) -> None:
    made = wanted(root, "true", eth0={})
    made["linux"]["namespaces"] = [entry for entry in made["linux"]["namespaces"] if entry["type"] != "network"]
    with pytest.raises(RuntimeFailure, match="unable to move network devices without a NET namespace"):
        box.run(made)
