"""Containers in networks: addresses, names, what a daemon finds again, and nothing left of any of it."""

import asyncio
from contextlib import closing
from pathlib import Path

import pytest
from tests.fixtures.netns import HOST, WORLD, Setting, ip, links, says, server

from pydock_daemon.networks.driveroptions import INTERFACE, SYSCTLS
from pydock_shared.errors import Forbidden, InvalidArgument, NotFound, NotSupported, PydockError, Unavailable

pytestmark = pytest.mark.root


async def test_addresses_are_the_lowest_free_ones(setting, make_box):
    first, second = setting.start(make_box()), setting.start(make_box())
    assert (first.address, second.address) == ("10.199.1.2", "10.199.1.3")
    assert first.endpoints[0].mac == "02:42:0a:c7:01:02"
    setting.networks.disconnect(first.id)
    assert setting.start(make_box()).address == "10.199.1.2"


async def test_an_address_is_its_new_owners_at_once(setting, make_box):
    """The old container's end of the wire outlives it; it must neither answer nor get what is the new one's."""
    old = setting.start(make_box())
    with server(old, 80):
        assert says(old.address, 80)
        setting.networks.disconnect(old.id)
        assert says(old.address, 80, timeout=0.3) == ""
        new = setting.start(make_box())
        assert new.address == old.address
        with server(new, 81):
            # Less than the second after which a lost packet is sent again; twice, for a host that is busy.
            assert "10.199.1.1" in [says(new.address, 81, timeout=0.8) for _ in range(2)]
        assert says(new.address, 80) == ""


async def test_several_networks_of_one_container(setting, make_box, world):
    setting.network("zoo", IPAM={"Config": [{"Subnet": "10.199.8.0/24", "Gateway": "10.199.8.254"}]})
    asked = {"zoo": {"IPAMConfig": {"IPv4Address": "10.199.8.9"}}, "bridge": {}}
    box = setting.start(make_box(), "zoo", endpoints=asked)
    assert [(item.interface, item.address, item.default_route) for item in box.endpoints] == [
        ("eth0", "10.199.8.9/24", False),
        ("eth1", "10.199.1.2/24", True),
    ]
    with server(world, 80):
        assert box.run(says, WORLD, 80) == HOST
    shown = setting.networks.settings(box.id, {"zoo": {"Aliases": ["z"]}, "bridge": {}})
    assert (shown["zoo"]["IPAddress"], shown["zoo"]["Gateway"]) == ("10.199.8.9", "10.199.8.254")
    assert (shown["zoo"]["Aliases"], shown["bridge"]["IPPrefixLen"]) == (["z"], 24)


async def test_settings_of_a_container_that_does_not_run(setting):
    shown = setting.networks.settings("a" * 64, {"bridge": {}, "gone": {"Aliases": ["x"]}})
    assert shown["bridge"]["IPAddress"] == shown["bridge"]["EndpointID"] == ""
    assert shown["gone"]["Aliases"] == ["x"]


@pytest.mark.parametrize(
    ("mode", "asked", "error", "message"),
    [
        ("nosuch", {}, NotFound, "^network nosuch not found$"),
        ("bridge", {"Aliases": ["x"]}, InvalidArgument, "aliases are only supported for user-defined networks"),
        ("bridge", {"IPAMConfig": {"IPv4Address": "10.199.1.9"}}, InvalidArgument, "user defined networks only"),
        ("given", {"IPAMConfig": {"IPv4Address": "10.1.1.1"}}, InvalidArgument, "no configured subnet"),
        ("given", {"IPAMConfig": {"IPv4Address": "10.199.9.1"}}, Forbidden, "^Address already in use$"),
        ("chosen", {"IPAMConfig": {"IPv4Address": "172.17.0.9"}}, InvalidArgument, "with user configured subnets"),
        ("given", {"MacAddress": "zz"}, InvalidArgument, "invalid MAC address: zz"),
        (
            "given",
            {"DriverOpts": {"com.docker.network.x": "b"}},
            NotSupported,
            r"DriverOpts: com\.docker\.network\.x is not supported",
        ),
        ("given", {"DriverOpts": {SYSCTLS: "net.ipv4.x=1"}}, InvalidArgument, "unrecognised network interface sysctl"),
        ("given", {"DriverOpts": {SYSCTLS: "net.ipv4.a.IFNAME.b"}}, InvalidArgument, "to have format name=value"),
        ("given", {"DriverOpts": {INTERFACE: "a/b"}}, InvalidArgument, "invalid interface name: 'a/b'"),
        ("given", {"IPAMConfig": {"LinkLocalIPs": ["zz"]}}, InvalidArgument, "invalid link-local IP address: zz"),
        ("given", {"IPAMConfig": {"LinkLocalIPs": ["10.0.0.1"]}}, InvalidArgument, "invalid link local IP address"),
        ("given", {"Links": ["a:b:c"]}, InvalidArgument, "bad format for links: a:b:c"),
    ],
)
async def test_what_cannot_be_had_takes_nothing(setting, mode, asked, error, message):
    setting.network("given", "10.199.9.0/24")
    setting.network("chosen")
    with pytest.raises(error, match=message):
        setting.networks.connect("a" * 64, "x", "x", mode, {"chosen": {}, mode: asked})
    assert setting.networks.endpoints() == []
    assert setting.networks.connect("b" * 64, "y", "y", "chosen", {})[0].address.endswith(".2/16")


async def test_a_network_that_is_full(setting):
    setting.network("small", IPAM={"Config": [{"Subnet": "10.199.9.0/29", "IPRange": "10.199.9.4/31"}]})
    networks = setting.networks
    given = [networks.connect(f"{number:064x}", "x", "x", "small", {})[0].ip for number in range(2)]
    assert given == ["10.199.9.4", "10.199.9.5"]
    with pytest.raises(PydockError, match="no available IPv4 addresses on this network's address pools: small"):
        networks.connect("f" * 64, "x", "x", "small", {})
    networks.disconnect(f"{1:064x}")
    assert networks.connect("f" * 64, "x", "x", "small", {})[0].ip == "10.199.9.5"


async def test_a_daemon_that_comes_back_finds_everything(setting, make_box):
    setting.network("blue")
    web = setting.start(make_box(), "blue", ports={"80/tcp": "8080"})
    gone = setting.start(make_box(), ports={"80/tcp": "8081"})
    before = web.endpoints
    with server(web, 80):
        await setting.again()
        assert says("127.0.0.1", 8080)
        assert setting.networks.of_container(web.id) == before
        assert len(setting.networks.reconcile({web.id})) == 1
        assert "8081" not in setting.table()
        assert setting.networks.of_container(gone.id) == []
        assert says("127.0.0.1", 8080)
    with pytest.raises(PydockError, match="port is already allocated"):
        setting.start(make_box(), ports={"80/tcp": "8080"})
    assert setting.start(make_box(), "blue").address != web.address


async def test_what_others_removed_is_made_again(setting, make_box):
    web = setting.start(make_box(), ports={"80/tcp": "8080"})
    networks, bridge = setting.networks, setting.config.bridge
    ip(f"link delete {bridge}")
    assert networks.reconcile({web.id}) == [
        f"bridge {bridge} of network bridge made again",
        f"link {web.endpoints[0].link} plugged into {bridge} again",
    ]
    assert networks.reconcile({web.id}) == []
    with server(web, 80):
        assert says("127.0.0.1", 8080)


async def test_a_bridge_belongs_to_one_daemon(setting, tmp_path):
    rival = Setting(tmp_path / "rival", bridge=setting.config.bridge)
    with closing(rival.store), pytest.raises(Unavailable, match="belongs to another daemon that runs"):
        await rival.networks.open()


async def test_a_link_of_somebody_else_is_left_alone(host, tmp_path):
    ip("link add theirs type bridge")
    setting = Setting(tmp_path / "root", bridge="theirs")
    with closing(setting.store), pytest.raises(PydockError, match="a link of that name exists and is not ours"):
        await setting.networks.open()
    assert "theirs" in links()


async def test_the_default_subnet_is_one_nobody_has(host, tmp_path):
    for words in ("link add docker0 type bridge", "address add 172.17.0.1/16 dev docker0", "link set docker0 up"):
        ip(words)
    setting = Setting(tmp_path / "root")
    await setting.networks.open()
    bridge = setting.networks.get("bridge")
    assert (bridge.subnet, bridge.gateway) == ("172.18.0.0/16", "172.18.0.1")
    assert Path("/proc/sys/net/ipv4/ip_forward").read_text() == "1\n"
    await setting.networks.leave(live=False)
    await setting.again()
    assert setting.networks.get("bridge").subnet == "172.18.0.0/16"
    await setting.end()


async def test_nothing_is_left_at_the_end(host, tmp_path, make_box):
    setting = Setting(tmp_path / "root")
    await setting.networks.open()
    setting.network("blue")
    box = setting.start(make_box(), "blue", ports={"80/tcp": "8080"})
    for _ in range(2):
        setting.networks.disconnect(box.id)
    box.close()
    for table in ("endpoints", "ports"):
        assert not setting.store.all(f"select * from {table}")
    await setting.networks.leave(live=False)
    assert setting.table() == ""
    await setting.networks.close()
    setting.store.close()
    for _ in range(100):
        if links() == {"lo"}:
            break
        await asyncio.sleep(0.05)
    assert links() == {"lo"}


async def test_events_of_a_container_in_a_network(setting, make_box):
    box = setting.start(make_box())
    setting.networks.disconnect(box.id)
    told = [(event["Action"], event["Actor"]["Attributes"]) for event in setting.events.between(0, None)]
    attributes = {"container": box.id, "name": "bridge", "type": "bridge"}
    assert told == [("connect", attributes), ("disconnect", attributes)]
