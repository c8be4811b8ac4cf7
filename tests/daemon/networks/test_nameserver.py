"""The name server of a container: its sockets inside the namespace, what it answers, what it asks others."""

import asyncio
import os
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.fixtures.dns import AAAA, HTTPS, PTR, A, Answer, Zone, ask, exchange, question, serving
from tests.fixtures.netns import Box, Setting

from pydock_daemon.networks import dns, dnswire, naming

NXDOMAIN = 3


async def named(setting: Setting, box: Box, *, servers: tuple[str, ...] = (), options: tuple[str, ...] = ()) -> Box:
    """Give a started box its name server."""
    names = setting.networks.nameservers
    await names.serve(box.id, await names.make(box.pid), naming.settings(setting.networks, box.id, servers, options))
    return box


async def inside(box: Box, work: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Return what a function returns in the box, while the event loop goes on answering."""
    return await asyncio.to_thread(box.run, lambda: work(*arguments, **options))


async def found(box: Box, name: str, kind: int = A, **options: Any) -> list[str]:
    answer: Answer = await inside(box, ask, name, kind, **options)
    assert answer.rcode == 0
    return sorted(answer.found)


@pytest.fixture
def outside(setting, tmp_path, monkeypatch):
    """The host's own name server, on its loopback."""
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    monkeypatch.setattr(dns, "HOST_FILE", tmp_path / "resolv.conf")
    with serving(Zone({"example.org": "192.0.2.1", "big.example": "192.0.2.2"})) as zone:
        yield zone


async def test_neighbours_are_known_by_all_their_names(setting, make_box, outside):
    setting.network("pets")
    cat = await named(setting, setting.start(make_box("cat"), "pets", Aliases=["pet"]))
    dog = setting.start(make_box("dog"), "pets", Aliases=["pet", "Rex"])
    for name in ("dog", "DOG", "dog.pets", "rex", dog.id[:12]):
        assert await found(cat, name) == [dog.address]
    assert await found(cat, "pet") == sorted([cat.address, dog.address])
    assert await found(cat, "pet", tcp=True, edns=1232) == sorted([cat.address, dog.address])
    assert await found(cat, "dog", AAAA) == await found(cat, "dog", HTTPS) == []
    reverse = ".".join(reversed(dog.address.split("."))) + ".in-addr.arpa"
    assert await found(cat, reverse, PTR) == ["dog.pets"]
    assert outside.asked == []
    setting.networks.rename(dog.id, "wolf")
    assert await found(cat, "wolf") == [dog.address]
    assert (await inside(cat, ask, "dog")).rcode == NXDOMAIN
    setting.networks.disconnect(dog.id)
    assert (await inside(cat, ask, "wolf")).rcode == NXDOMAIN
    assert await found(cat, "pet") == [cat.address]


async def test_names_of_other_networks_are_nobodys(setting, make_box, outside):
    setting.network("pets")
    setting.network("farm")
    cat = await named(setting, setting.start(make_box("cat"), "pets"))
    setting.start(make_box("cow"), "farm")
    setting.start(make_box("fly"))
    for name in ("cow", "cow.farm", "fly", "fly.bridge", "cat.farm"):
        assert (await inside(cat, ask, name)).rcode == NXDOMAIN


async def test_several_containers_of_an_alias_take_turns(setting, make_box, outside):
    setting.network("pets")
    cat = await named(setting, setting.start(make_box("cat"), "pets", Aliases=["pet"]))
    setting.start(make_box("dog"), "pets", Aliases=["pet"])
    firsts = {(await inside(cat, ask, "pet")).found[0] for _ in range(60)}
    assert len(firsts) == 2


async def test_the_rest_is_asked_of_the_host(setting, make_box, outside):
    setting.network("pets")
    cat = await named(setting, setting.start(make_box("cat"), "pets"))
    for tcp in (False, True):
        assert await found(cat, "example.org", tcp=tcp) == ["192.0.2.1"]
        assert (await inside(cat, ask, "nobody", tcp=tcp)).rcode == NXDOMAIN
    assert (await inside(cat, ask, "big.example")).truncated
    assert await found(cat, "big.example", tcp=True) == ["192.0.2.2"]


async def test_a_server_in_trouble_is_followed_by_the_next(setting, make_box, outside, tmp_path):
    setting.network("pets")
    cat = await named(setting, setting.start(make_box("cat"), "pets"))
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.3\nnameserver 127.0.0.2\nnameserver 127.0.0.1\n")
    with serving(Zone({}, rcode=dnswire.SERVFAIL), "127.0.0.2") as troubled:
        assert await found(cat, "example.org") == ["192.0.2.1"]
        assert troubled.asked == ["example.org"]
        (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.2\n")
        assert (await inside(cat, ask, "example.org")).rcode == dnswire.SERVFAIL
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.3\n")
    assert (await inside(cat, ask, "example.org")).rcode == dnswire.SERVFAIL


async def test_servers_asked_for_are_asked_from_the_container(setting, make_box, outside):
    setting.network("pets")
    cat = await named(setting, setting.start(make_box("cat"), "pets"), servers=("127.0.0.1",))
    with cat.run(lambda: contextless(serving(Zone({"example.org": "192.0.2.7"})))):
        for tcp in (False, True):
            assert await found(cat, "example.org", tcp=tcp) == ["192.0.2.7"]
    assert outside.asked == []


def contextless(manager: Any) -> Any:
    """Enter a context manager here, for a `with` in another thread."""
    manager.__enter__()
    return _Leave(manager)


class _Leave:
    def __init__(self, manager: Any) -> None:
        self._manager = manager

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        self._manager.__exit__(None, None, None)


async def test_who_has_no_way_out_has_none_by_questions(setting, make_box, outside):
    setting.network("closed", Internal=True)
    cat = await named(setting, setting.start(make_box("cat"), "closed"))
    dog = setting.start(make_box("dog"), "closed")
    assert await found(cat, "dog") == [dog.address]
    assert (await inside(cat, ask, "secret.example.org")).rcode == dnswire.SERVFAIL
    assert outside.asked == []


async def test_ndots_keeps_single_names_in_the_house(setting, make_box, outside):
    setting.network("pets")
    cat = await named(setting, setting.start(make_box("cat"), "pets"), options=("ndots:1",))
    assert await found(cat, "single") == []
    assert await found(cat, "example.org") == ["192.0.2.1"]
    assert outside.asked == ["example.org"]


async def test_port_53_is_free_for_the_container(setting, make_box, outside):
    setting.network("pets")
    cat = await named(setting, setting.start(make_box("cat"), "pets"))

    def bind() -> None:
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            with socket.socket(socket.AF_INET, kind) as sock:
                sock.bind(("0.0.0.0", 53))
                if kind is socket.SOCK_STREAM:
                    sock.listen()
                assert ask("cat").found == [cat.address]

    await inside(cat, bind)


async def test_nonsense_hurts_nobody(setting, make_box, outside):
    setting.network("pets")
    cat = await named(setting, setting.start(make_box("cat"), "pets"))

    def pester() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for _ in range(60):
                sock.sendto(os.urandom(60), ("127.0.0.11", 53))
                sock.sendto(b"", ("127.0.0.11", 53))
        for data in (b"", b"\0", b"\xff\xff", b"\0\1a", b"\0\0"):
            with socket.create_connection(("127.0.0.11", 53)) as sock:
                sock.sendall(data)
        assert exchange(question("cat")[:14])[3] & 0xF == dnswire.FORMERR

    await inside(cat, pester)
    assert await found(cat, "cat", tcp=True) == await found(cat, "cat") == [cat.address]


async def test_many_connections_are_not_all_served(setting, make_box, outside):
    setting.network("pets")
    cat = await named(setting, setting.start(make_box("cat"), "pets"))

    def crowd() -> int:
        clients = [socket.create_connection(("127.0.0.11", 53)) for _ in range(40)]
        for client in clients:
            client.settimeout(0.3)
        closed = 0
        for client in clients[32:]:
            try:
                closed += client.recv(1) == b""
            except TimeoutError:
                continue
        for client in clients:
            client.close()
        return closed

    assert await inside(cat, crowd) == 8
    assert await found(cat, "cat", tcp=True) == [cat.address]


async def test_sockets_are_made_anew_or_taken_over(setting, make_box, outside):
    setting.network("pets")
    box = setting.start(make_box("cat"), "pets")
    pair = await setting.networks.nameservers.make(box.pid)
    kept = [sock.dup() for sock in pair]
    cat = await named(setting, box)
    await setting.networks.nameservers.serve(box.id, pair, naming.settings(setting.networks, box.id, (), ()))
    setting.networks.nameservers.close(box.id)
    for sock in kept:
        sock.close()
    cat = await named(setting, box)
    assert await found(cat, "cat") == await found(cat, "cat", tcp=True) == [box.address]
    pair = await setting.networks.nameservers.make(box.pid)
    kept = [sock.dup() for sock in pair]
    await setting.networks.nameservers.serve(box.id, pair, naming.settings(setting.networks, box.id, (), ()))
    setting.networks.nameservers.close(box.id)
    waiting = asyncio.create_task(found(cat, "cat"))
    await asyncio.sleep(0.05)
    settings = naming.settings(setting.networks, box.id, (), ())
    await setting.networks.nameservers.serve(box.id, (kept[0], kept[1]), settings)
    assert await waiting == [box.address]


async def test_a_link_is_a_name_of_ones_own(setting, make_box, outside):
    setting.network("pets")
    dog = await named(setting, setting.start(make_box("dog"), "pets"))
    cat = await named(setting, setting.start(make_box("cat"), "pets", Links=["dog:enemy", "mouse:prey"]))
    assert await found(cat, "enemy") == await found(cat, "enemy.pets") == [dog.address]
    assert (await inside(dog, ask, "enemy")).rcode == (await inside(cat, ask, "prey")).rcode == NXDOMAIN
    mouse = setting.start(make_box("mouse"), "pets")
    assert await found(cat, "prey") == [mouse.address]


async def test_names_in_the_default_network_for_who_wants_them(setting, second, make_box, outside):
    box = setting.start(make_box("cat"))
    assert not box.endpoints[0].named
    second.networks.config = replace(second.config, default_network_names=True)
    cat, dog = await named(second, second.start(make_box("cat"))), second.start(make_box("dog"))
    assert await found(cat, "dog") == await found(cat, "dog.bridge") == [dog.address]
