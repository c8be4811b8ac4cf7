"""Subnets and addresses, without a kernel."""

from ipaddress import IPv4Network

import pytest

from pydock_daemon.networks.ipam import DOCKER_POOLS, Pool, free_subnet
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
    given = [pool.take() & 0xFF for _ in range(4)]
    assert given == [2, 4, 5, 6]
    with pytest.raises(PydockError, match="no available IPv4 addresses"):
        pool.take()
    pool.release(0x0A000004)
    assert pool.take() == 0x0A000004


def test_an_address_asked_for():
    pool = Pool("net", "10.0.0.0/24", "10.0.0.128/25", ["10.0.0.1"])
    assert pool.claim("10.0.0.200") == 0x0A0000C8
    for address, error in (("10.0.0.200", Forbidden), ("10.0.0.1", Forbidden), ("10.0.1.1", InvalidArgument)):
        with pytest.raises(error):
            pool.claim(address)
    assert pool.take() == 0x0A000080
    pool.claim("10.0.0.2")
    pool.release(0x0A000002)
    assert pool.take() == 0x0A000081
