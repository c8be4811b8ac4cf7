"""Subnets and addresses, without a kernel."""

from ipaddress import IPv4Network, IPv6Network

import pytest

from pydock_daemon.networks.ipam import DOCKER_POOLS, Pool, free_subnet, unique_subnet
from pydock_shared.errors import Forbidden, InvalidArgument, PydockError


def test_the_first_subnet_of_dockers_pools_that_overlaps_nothing():
    assert free_subnet(DOCKER_POOLS, []) == IPv4Network("172.17.0.0/16")
    taken = [IPv4Network("172.16.0.0/13"), IPv4Network("172.24.5.0/24")]
    assert free_subnet(DOCKER_POOLS, taken) == IPv4Network("172.25.0.0/16")
    assert free_subnet(DOCKER_POOLS, [IPv4Network("172.16.0.0/12")]) == IPv4Network("192.168.0.0/20")


def test_pools_that_are_used_up():
    with pytest.raises(InvalidArgument, match="all predefined address pools have been fully subnetted"):
        free_subnet([("10.0.0.0/24", 25)], [IPv4Network("10.0.0.0/24")])


def test_addresses_of_a_pool():
    pool = Pool("net", "10.0.0.0/29", "", ["10.0.0.1", "10.0.0.3"])
    assert [pool.take() for _ in range(4)] == [f"10.0.0.{number}" for number in (2, 4, 5, 6)]
    with pytest.raises(PydockError, match="no available IPv4 addresses"):
        pool.take()
    pool.release("10.0.0.4")
    assert pool.take() == "10.0.0.4"


def test_an_address_asked_for():
    pool = Pool("net", "10.0.0.0/24", "10.0.0.128/25", ["10.0.0.1"])
    assert pool.claim("10.0.0.200") == "10.0.0.200"
    for address, error in (("10.0.0.200", Forbidden), ("10.0.0.1", Forbidden), ("10.0.1.1", InvalidArgument)):
        with pytest.raises(error):
            pool.claim(address)
    assert pool.take() == "10.0.0.128"
    pool.claim("10.0.0.2")
    pool.release("10.0.0.2")
    assert pool.take() == "10.0.0.129"


def test_addresses_of_ipv6():
    pool = Pool("net", "fd00:1::/64", "", ["fd00:1::1"])
    assert [pool.take(), pool.claim("fd00:1::f00"), pool.take()] == ["fd00:1::2", "fd00:1::f00", "fd00:1::3"]
    with pytest.raises(InvalidArgument, match="no configured subnet contains IP address fd00:2::1"):
        pool.claim("fd00:2::1")
    full = Pool("net", "fd00:1::/126", "", ["fd00:1::1", "fd00:1::2"])
    assert full.take() == "fd00:1::3"
    with pytest.raises(PydockError, match="no available IPv6 addresses"):
        full.take()
    assert {unique_subnet().subnet_of(IPv6Network("fd00::/8")) for _ in range(9)} == {True}
