"""Descriptors that the supervisor keeps for the next pydockd."""

import os
import socket

import pytest
from tests.runtime.supervisor.house import House, wait_until

pytestmark = pytest.mark.root


def kept(house: House, name: str) -> list[socket.socket]:
    return [socket.socket(fileno=fd) for fd in house.client.request("kept", container=name).get("fds", ())]


def test_they_are_given_back_as_often_as_asked(house: House) -> None:
    ours, theirs = socket.socketpair()
    other = socket.socketpair()
    name = house.create("sleep", "100")
    house.client.request("start", fds=[theirs.fileno()], container=name, interfaces=[])
    theirs.close()
    house.client.close()
    house.client = house.connect()
    for _ in range(2):
        ours.send(b"one")
        (back,) = kept(house, name)
        with back:
            assert back.recv(10) == b"one"
    house.client.request("keep", fds=[end.fileno() for end in other], container=name)
    assert ours.recv(10) == b""
    both = kept(house, name)
    assert [os.fstat(end.fileno()).st_ino for end in both] == [os.fstat(end.fileno()).st_ino for end in other]
    for end in (ours, *other, *both):
        end.close()


def test_they_are_closed_with_the_container(house: House) -> None:
    ours, theirs = socket.socketpair()
    name = house.run("sleep", "100")
    assert kept(house, name) == []
    house.client.request("keep", fds=[theirs.fileno()], container=name)
    theirs.close()
    house.client.request("signal", container=name, signal=9)
    house.exit(name)
    wait_until(lambda: ours.recv(1, socket.MSG_DONTWAIT) == b"")
    ours.close()


def test_a_start_that_fails_keeps_nothing(house: House) -> None:
    ours, theirs = socket.socketpair()
    with pytest.raises(Exception, match="nothing-here"):
        house.client.request("start", fds=[theirs.fileno()], container=house.create("nothing-here"), interfaces=[])
    theirs.close()
    assert ours.recv(1) == b""
    ours.close()
