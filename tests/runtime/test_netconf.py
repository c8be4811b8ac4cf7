"""Interfaces, configured from the inside."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError
from tests.runtime import box

pytestmark = pytest.mark.root
NAME = "pdrt0"


@contextmanager
def plugged(running: box.Running) -> Iterator[None]:
    """One end of a cable in the container, the other on the host."""
    with IPRoute() as route:
        route.link(
            "add", ifname=NAME, kind="veth", peer={"ifname": "pdrt1", "net_ns_fd": f"/proc/{running.child.pid}/ns/net"}
        )
        index = route.link_lookup(ifname=NAME)[0]
        try:
            route.addr("add", index=index, address="198.18.77.1", prefixlen=24)
            route.link("set", index=index, state="up")
            yield
        finally:
            # It may have gone already, with the container's end.
            with suppress(NetlinkError):
                route.link("del", index=index)


def interface(**changes: Any) -> dict[str, Any]:
    """What the gate's message says of the cable."""
    return {
        "link": "pdrt1",
        "name": "eth0",
        "mac": "02:42:c6:12:4d:05",
        "addresses": ["198.18.77.5/24"],
        "gateway": "198.18.77.1",
        "mtu": 1400,
        "routes": [],
        **changes,
    }


def run(root: Path, script: str, configured: dict[str, Any]) -> box.Result:
    """Run a script in a container with the cable."""
    with box.ready(box.spec(root=root, shell=script)) as running, plugged(running):
        error = running.release([configured])
        return box.Result(running.wait(), running.text(), error)


def test_an_interface_is_as_it_was_asked_for_and_reaches_the_host(root: Path) -> None:
    script = "ip -o link show eth0; ip -4 -o addr show eth0; ip route; ping -c 1 -W 5 198.18.77.1 | grep received"
    result = run(root, script, interface())
    link, address, default, own, ping = result.lines
    assert "mtu 1400" in link
    assert "link/ether 02:42:c6:12:4d:05" in link
    assert "inet 198.18.77.5/24 brd 198.18.77.255" in address
    assert default.startswith("default via 198.18.77.1 dev eth0")
    assert own.startswith("198.18.77.0/24 dev eth0")
    assert "1 packets received" in ping


def test_further_routes_and_ipv6(root: Path) -> None:
    routes = [
        {"destination": "198.51.100.0/24", "gateway": "198.18.77.1"},
        {"destination": "203.0.113.0/24", "gateway": None},
    ]
    addresses = ["198.18.77.5/24", "2001:db8::5/64"]
    result = run(
        root,
        "ip route; ip -6 route; ip -6 -o addr show eth0",
        interface(routes=routes, addresses=addresses, gateway6="2001:db8::1"),
    )
    starts = [line.split(" metric")[0].strip() for line in result.lines]
    assert "198.51.100.0/24 via 198.18.77.1 dev eth0" in starts
    assert any(line.startswith("203.0.113.0/24 dev eth0") for line in starts)
    assert "default via 2001:db8::1 dev eth0" in starts
    # At once, without waiting for somebody to object to the address.
    assert any("2001:db8::5/64" in line and "tentative" not in line for line in result.lines)


def test_the_loopback_is_up_without_any_interface(root: Path) -> None:
    assert "1 packets received" in box.run(box.spec("ping", "-c", "1", "127.0.0.1", root=root)).out


def test_an_interface_that_is_missing_is_named(root: Path) -> None:
    result = box.run(box.spec("true", root=root), interfaces=[interface(link="pdrt9")])
    assert result.error == {"kind": "system", "message": "network interface pdrt9 is missing in the container"}


def test_what_the_kernel_refuses_is_told(root: Path) -> None:
    result = run(root, "true", interface(gateway="198.51.100.1"))
    assert result.error is not None
    assert result.error["message"] == "configuring network interface eth0: Network is unreachable"
