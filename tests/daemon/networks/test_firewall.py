"""What is let through and what is not: the world, other networks, other daemons, the host's loopback."""

import asyncio
import socket
from pathlib import Path

import pytest
from tests.fixtures.netns import HOST, WORLD, ip, nft, says, server

pytestmark = pytest.mark.root
TCP = socket.SOCK_STREAM


async def test_containers_reach_the_world_with_the_hosts_address(setting, make_box, world):
    box = setting.start(make_box())
    with server(world, 80):
        assert box.run(says, WORLD, 80) == HOST


async def test_nobody_outside_reaches_what_is_not_published(setting, make_box, world):
    web = setting.start(make_box())
    world.ip(f"route add 10.199.1.0/24 via {HOST}")
    with server(web, 80):
        assert says(web.address, 80) == "10.199.1.1"
        assert world.run(says, web.address, 80, TCP, 0.5) == ""


async def test_the_loopback_of_the_host_stays_its_own(setting, make_box):
    """The switch that lets 127.0.0.1 be published would let containers send there, as CVE-2020-8558 was."""
    box = setting.start(make_box())
    name = box.endpoints[0].interface
    box.ip("address delete 127.0.0.1/8 dev lo")
    box.ip("rule add to 127.0.0.1 lookup 99 priority 0")
    box.ip("rule delete lookup local")
    box.ip("rule add lookup local priority 10")
    box.ip(f"route add 127.0.0.1/32 via 10.199.1.1 dev {name} src {box.address} table 99")
    box.run(Path(f"/proc/sys/net/ipv4/conf/{name}/route_localnet").write_text, "1")
    with server_on_loopback():
        assert says("127.0.0.1", 7000)
        assert box.run(says, "127.0.0.1", 7000, TCP, 0.5) == ""
        nft(f"flush chain ip {setting.networks.table} early")
        assert box.run(says, "127.0.0.1", 7000, TCP, 0.5) == box.address, "the test does not reach the rule"


def server_on_loopback():
    class Host:
        run = staticmethod(lambda work, *arguments: work(*arguments))

    return server(Host(), 7000)


async def test_networks_are_apart(setting, make_box, world):
    for name in ("blue", "green"):
        setting.network(name)
    blue = setting.start(make_box("blue"), "blue", ports={"80/tcp": "8080"})
    other, green = setting.start(make_box(), "blue"), setting.start(make_box("green"), "green")
    with server(blue, 80):
        assert other.run(says, blue.address, 80) == other.address
        assert green.run(says, blue.address, 80, TCP, 0.5) == ""
        assert green.run(says, HOST, 8080) != ""


@pytest.mark.parametrize("filtered", ["0", "1"])
async def test_containers_that_do_not_talk(setting, make_box, filtered):
    """Whether netfilter sees what is bridged (br_netfilter) or not."""
    for tables in ("iptables", "ip6tables"):
        file = Path("/proc/sys/net/bridge", f"bridge-nf-call-{tables}")
        if file.exists():
            file.write_text(filtered)
        elif filtered == "1":
            pytest.skip("br_netfilter is not loaded")
    setting.network("shy", Options={"com.docker.network.bridge.enable_icc": "false"})
    web, near = setting.start(make_box(), "shy", ports={"80/tcp": "8080"}), setting.start(make_box(), "shy")
    gateway = setting.networks.by_name["shy"].gateway
    with server(web, 80):
        assert says("127.0.0.1", 8080)
        assert near.run(says, gateway, 8080)
        assert near.run(says, web.address, 80, TCP, 0.3) == ""
        near.ip(f"route add {web.address}/32 via {gateway} onlink dev eth0")
        assert near.run(says, web.address, 80, TCP, 0.3) == ""
        ip(f"link delete {setting.networks.by_name['shy'].link}")
        setting.networks.reconcile({web.id, near.id})
        near.ip(f"route delete {web.address}/32")
        assert near.run(says, web.address, 80, TCP, 0.3) == ""
        assert near.run(says, gateway, 8080)


async def test_two_daemons_are_apart(setting, second, make_box):
    here, there = setting.start(make_box()), second.start(make_box(), ports={"80/tcp": "8080"})
    with server(there, 80):
        assert here.run(says, there.address, 80, TCP, 0.5) == ""
        assert here.run(says, "10.199.2.1", 8080) != ""


async def test_an_internal_network_leads_nowhere(setting, make_box, world):
    setting.network("quiet", "10.199.7.0/24", Internal=True)
    first = setting.start(make_box(), "quiet")
    second = setting.start(make_box(), "quiet", ports={"80/tcp": "8080"})
    assert second.ports == {"80/tcp": None}
    with server(second, 80), server(world, 80):
        assert first.run(says, second.address, 80) == first.address
        assert world.run(says, HOST, 8080, TCP, 0.5) == ""
        first.ip("route add default via 10.199.7.1")
        assert first.run(says, WORLD, 80, TCP, 0.5) == ""


@pytest.mark.parametrize("command", ["flush ruleset", "flush table ip {}", "delete table ip {}"])
async def test_what_somebody_flushed_is_back_at_once(setting, make_box, command):
    web = setting.start(make_box(), ports={"80/tcp": "8080"})
    with server(web, 80):
        nft(command.format(setting.networks.table))
        await asyncio.sleep(0.1)
        assert says("127.0.0.1", 8080) == "10.199.1.1"


async def test_a_change_after_a_flush_brings_everything_back(setting, make_box):
    web = setting.start(make_box(), ports={"80/tcp": "8080"})
    nft(f"delete table ip {setting.networks.table}")
    setting.start(make_box(), ports={"80/tcp": "8081"})
    with server(web, 80):
        assert says("127.0.0.1", 8080) == "10.199.1.1"


async def test_a_foreign_drop_is_told(setting):
    assert setting.networks.warnings() == []
    nft("table ip filter { chain FORWARD { type filter hook forward priority 0; policy drop; }; }")
    assert "chain ip filter FORWARD of another program drops forwarded packets" in setting.networks.warnings()[0]
