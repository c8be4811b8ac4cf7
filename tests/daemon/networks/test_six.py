"""Networks with IPv6 beside IPv4: addresses, ways out and in, published ports, names."""

import asyncio
import ipaddress
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fixtures.dns import AAAA, PTR, ask
from tests.fixtures.netns import Box, Setting, ip, nft, server

from pydock_daemon.networks import define, naming
from pydock_shared.errors import Forbidden, InvalidArgument, NotSupported, PydockError

HOST_6, WORLD_6 = "2001:db8::1", "2001:db8::2"


@pytest.fixture
def wide_world(world: Box) -> Box:
    """The world beyond the host, with IPv6."""
    ip(f"address add {HOST_6}/64 dev up0 nodad")
    world.ip(f"address add {WORLD_6}/64 dev eth0 nodad")
    return world


def six(setting: Setting, name: str, subnet: str = "", **fields: object) -> None:
    config = {"IPAM": {"Config": [{"Subnet": subnet}]}} if subnet else {}
    setting.network(name, EnableIPv6=True, **config, **fields)


def says(address: str, port: int, timeout: float = 3) -> str:
    """Return the address that a server saw this client have; empty when nobody answers."""
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
        sock.settimeout(timeout)
        try:
            sock.connect((address, port))
            sock.send(b"?")
            return sock.recv(100).decode()
        except OSError:
            return ""


@contextmanager
def serving(box: Box, port: int) -> Iterator[None]:
    """Tell clients at a port of a container the address they have there, until the block ends."""
    with box.run(_listener, port) as listener, ThreadPoolExecutor(1) as threads:
        done = threads.submit(_answer, listener)
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            done.result()


def nft_list() -> str:
    return subprocess.run(["nft", "list", "tables"], check=True, capture_output=True, text=True).stdout


def _listener(port: int) -> socket.socket:
    return socket.create_server(("::", port), family=socket.AF_INET6)


def _answer(listener: socket.socket) -> None:
    while True:
        try:
            connection, peer = listener.accept()
        except OSError:
            return
        with connection:
            connection.settimeout(3)
            connection.recv(1)
            connection.send(peer[0].encode())


async def test_addresses_are_chosen_or_asked_for(setting, make_box):
    six(setting, "chosen")
    shown = define.inspect(setting.networks, setting.networks.by_name["chosen"], members=False)
    _, sixth = shown["IPAM"]["Config"]
    assert (shown["EnableIPv6"], sixth["Gateway"]) == (True, sixth["Subnet"].replace("::/64", "::1"))
    box = setting.start(make_box(), "chosen")
    assert box.endpoints[0].address6 == sixth["Subnet"].replace("::/64", "::2/64")
    six(setting, "given", "fd00:77::/64")
    box = setting.start(make_box(), "given", IPAMConfig={"IPv6Address": "fd00:77::77"})
    settings = setting.networks.settings(box.id, {"given": {}})["given"]
    names = ("GlobalIPv6Address", "GlobalIPv6PrefixLen", "IPv6Gateway")
    assert [settings[name] for name in names] == ["fd00:77::77", 64, "fd00:77::1"]
    with pytest.raises(Forbidden, match="Address already in use"):
        setting.start(make_box(), "given", IPAMConfig={"IPv6Address": "fd00:77::77"})
    with pytest.raises(InvalidArgument, match="contain the IP address fd00:78::1"):
        setting.start(make_box(), "given", IPAMConfig={"IPv6Address": "fd00:78::1"})
    with pytest.raises(Forbidden, match="Pool overlaps"):
        six(setting, "again", "fd00:77::/80")
    setting.networks.disconnect(box.id)
    assert setting.start(make_box(), "given").endpoints[0].ip6 == "fd00:77::2"


async def test_ways_in_and_out(setting, make_box, wide_world):
    six(setting, "blue", "fd00:1::/64")
    six(setting, "red", "fd00:2::/64")
    web = setting.start(make_box(), "blue", ports={"80/tcp": "8080"})
    near, far = setting.start(make_box(), "blue"), setting.start(make_box(), "red")
    assert web.ports == {
        "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}],
    }
    with serving(wide_world, 9):
        assert web.run(says, WORLD_6, 9) == HOST_6
    with serving(web, 80):
        address = web.endpoints[0].ip6
        assert near.run(says, address, 80) == near.endpoints[0].ip6
        assert far.run(says, address, 80, 0.3) == ""
        assert wide_world.run(says, HOST_6, 8080) == WORLD_6
        assert says(HOST_6, 8080)
        assert far.run(says, HOST_6, 8080)
        assert web.run(says, HOST_6, 8080)
        wide_world.ip(f"route add fd00:1::/64 via {HOST_6}")
        assert wide_world.run(says, address, 80, 0.3) == ""
        setting.networks.disconnect(web.id)
        assert wide_world.run(says, HOST_6, 8080, 0.3) == ""


async def test_published_on_addresses_of_either_family(setting, make_box, wide_world):
    six(setting, "blue")
    web = setting.start(make_box(), "blue", ports={"80/tcp": f"{HOST_6}:8080", "81/tcp": "0.0.0.0:8080"})
    with serving(web, 80):
        assert wide_world.run(says, HOST_6, 8080) == WORLD_6
    with server(web, 81):
        assert setting.networks.bindings(web.id)["80/tcp"] == [{"HostIp": HOST_6, "HostPort": "8080"}]
    with pytest.raises(PydockError, match=r"Bind for \[::\]:8080 failed: port is already allocated"):
        setting.start(make_box(), "blue", ports={"80/tcp": ":::8080"})
    with pytest.raises(NotSupported, match="publishing of sctp on ::1 is not supported"):
        setting.start(make_box(), ports={"80/sctp": "::1:8081"})
    with socket.create_server(("::", 8083), family=socket.AF_INET6), pytest.raises(PydockError, match="already in use"):
        setting.start(make_box(), "blue", ports={"80/tcp": "8083"})


async def test_a_daemon_that_comes_back_and_a_flush(setting, make_box, wide_world):
    six(setting, "blue")
    web = setting.start(make_box(), "blue", ports={"80/tcp": "8080"})
    with serving(web, 80):
        await setting.again()
        assert setting.networks.of_container(web.id) == web.endpoints
        ip6 = setting.start(make_box(), "blue").endpoints[0].ip6
        assert ipaddress.ip_address(ip6) == ipaddress.ip_address(web.endpoints[0].ip6) + 1
        nft(f"delete table ip6 {setting.networks.table}")
        for _ in range(100):
            if wide_world.run(says, HOST_6, 8080, 0.3):
                break
            await asyncio.sleep(0.02)
        assert wide_world.run(says, HOST_6, 8080) == WORLD_6


async def test_the_table_goes_with_the_last_network(setting):
    def present() -> bool:
        return f"table ip6 {setting.networks.table}" in nft_list()

    assert not present()
    six(setting, "blue")
    assert present()
    await define.remove(setting.networks, setting.networks.by_name["blue"])
    assert not present()
    six(setting, "blue")
    await setting.again()
    assert present()


async def test_names_have_both_addresses(setting, make_box):
    six(setting, "blue", "fd00:1::/64")
    web, names = setting.start(make_box("web"), "blue"), setting.networks.nameservers
    await names.serve(web.id, await names.make(web.pid), naming.settings(setting.networks, web.id, (), ()))

    def look_up(name: str, kind: int) -> list[str]:
        return web.run(lambda: ask(name, kind)).found

    address = ipaddress.IPv6Address(web.endpoints[0].ip6)
    assert await asyncio.to_thread(look_up, "web", AAAA) == [address.packed.hex()]
    assert await asyncio.to_thread(look_up, address.reverse_pointer, PTR) == ["web.blue"]
    text = naming.hosts_file(setting.networks, "web", "", [], [], web.endpoints, "blue")
    assert text.endswith(f"{web.address}\tweb\n{address}\tweb\n")


async def test_the_default_network_by_settings(setting, make_box, wide_world, tmp_path):
    wide = Setting(tmp_path / "wide", bip="10.199.3.1/24", ipv6=True, fixed_cidr_v6="fd00:9::/64")
    await wide.networks.open()
    web = wide.start(make_box(), ports={"80/tcp": "8080"})
    assert web.endpoints[0].ip6 == "fd00:9::2"
    with serving(web, 80):
        assert wide_world.run(says, HOST_6, 8080) == WORLD_6
    await wide.again()
    assert wide.networks.by_name["bridge"].six.gateway == "fd00:9::1"
    wide.networks.disconnect(web.id)
    for settings, subnet in (({"fixed_cidr_v6": None}, "fd00:9::/64"), ({"ipv6": False}, "")):
        wide.config = replace(wide.config, **settings)
        await wide.again()
        found = wide.networks.by_name["bridge"].six
        assert (found.subnet if found else "") == subnet
    assert "fd00000000090000" not in Path("/proc/thread-self/net/if_inet6").read_text()
    await wide.end()
