"""Published ports: reached from everywhere they should be, and given to one container at a time."""

import socket
import time
from pathlib import Path

import pytest
from tests.fixtures.netns import HOST, WORLD, says, server

from pydock_daemon.networks import ports
from pydock_shared.errors import InvalidArgument, PydockError

pytestmark = pytest.mark.root
TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM


@pytest.mark.parametrize("kind", [TCP, UDP])
async def test_a_published_port_answers_everywhere(setting, make_box, world, kind):
    proto = "udp" if kind is UDP else "tcp"
    web = setting.start(make_box(), ports={f"80/{proto}": "8080"})
    neighbour = setting.start(make_box())
    assert web.ports == {f"80/{proto}": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}
    with server(web, 80, kind):
        assert says("127.0.0.1", 8080, kind) == "10.199.1.1"
        assert says(HOST, 8080, kind) == HOST
        assert says("10.199.1.1", 8080, kind) == "10.199.1.1"
        assert world.run(says, HOST, 8080, kind) == WORLD
        for address in (HOST, "10.199.1.1"):
            assert neighbour.run(says, address, 8080, kind) == "10.199.1.1"
            assert web.run(says, address, 8080, kind) == "10.199.1.1"
        assert neighbour.run(says, web.address, 80, kind) == neighbour.address


@pytest.mark.parametrize("bridged", ["0", "1"])
async def test_a_container_reaches_itself_whatever_netfilter_sees_of_bridges(setting, make_box, bridged):
    switch = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    if switch.exists():
        switch.write_text(bridged)
    elif bridged == "1":
        pytest.skip("br_netfilter is not loaded")
    web = setting.start(make_box(), ports={"80/tcp": "8080"})
    neighbour = setting.start(make_box())
    with server(web, 80):
        assert web.run(says, "10.199.1.1", 8080) == "10.199.1.1"
        assert neighbour.run(says, web.address, 80) == neighbour.address


async def test_published_on_one_address_only(setting, make_box, world):
    web = setting.start(make_box(), ports={"80/tcp": "127.0.0.1:8080"})
    with server(web, 80):
        assert says("127.0.0.1", 8080) == "10.199.1.1"
        assert says(HOST, 8080, timeout=0.5) == ""
        assert world.run(says, HOST, 8080, TCP, 0.5) == ""


async def test_the_port_of_another_container_is_refused(setting, make_box):
    setting.start(make_box("first"), ports={"80/tcp": "8080"})
    words = r"^driver failed programming external connectivity on endpoint second \(\w{64}\): Bind for 127.0.0.1:8080 "
    with pytest.raises(PydockError, match=words + "failed: port is already allocated$") as raised:
        setting.start(make_box("second"), ports={"81/tcp": "8081", "82/tcp": "127.0.0.1:8080"})
    assert raised.value.status == 500
    assert "8081" not in setting.table()
    assert setting.start(make_box(), ports={"80/udp": "8080", "81/tcp": "8081"}).ports["81/tcp"]


async def test_the_port_of_a_program_is_refused(setting, make_box):
    with socket.create_server(("127.0.0.1", 8080)), pytest.raises(PydockError, match="address already in use"):
        setting.start(make_box(), ports={"80/tcp": "8080"})
    with pytest.raises(PydockError, match=r"10\.1\.1\.1:8080.*cannot assign requested address"):
        setting.start(make_box(), ports={"80/tcp": "10.1.1.1:8080"})
    with pytest.raises(PydockError, match=r"10\.1\.1\.1:\d+:.*cannot assign requested address"):
        setting.start(make_box(), ports={"80/tcp": "10.1.1.1:"})


async def test_the_port_of_another_daemon_is_refused(setting, second, make_box):
    setting.start(make_box(), ports={"80/tcp": "8080", "81/tcp": "127.0.0.1:8081"})
    for taken in ("8080", "127.0.0.1:8080", "8081", "127.0.0.1:8081"):
        with pytest.raises(PydockError, match="already allocated by another daemon"):
            second.start(make_box(), ports={"80/tcp": taken})
    assert second.start(make_box(), ports={"80/udp": "8080", "80/tcp": "127.0.0.2:8081"}).ports


async def test_ports_that_are_left_to_us(setting, make_box):
    Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("40000 40003")
    wanted = {"80/tcp": "", "81/tcp": "40000-40009"}
    with socket.create_server(("0.0.0.0", 40001)):
        box = setting.start(make_box(), ports=wanted, publish_all=True, exposed=("90", "91/udp"))
    numbers = {key: [int(binding["HostPort"]) for binding in bindings] for key, bindings in box.ports.items()}
    assert set(numbers) == {"80/tcp", "81/tcp", "90/tcp", "91/udp"}
    assert numbers["80/tcp"] == [40000]
    assert {*numbers["81/tcp"], *numbers["90/tcp"]} == {40002, 40003}
    assert numbers["91/udp"][0] in range(40000, 40004)
    with pytest.raises(PydockError, match="all ports are allocated"):
        setting.start(make_box(), ports={"80/tcp": "", "81/tcp": ""})


async def test_exposed_ports_are_shown_without_a_binding(setting, make_box):
    assert setting.start(make_box(), exposed=("80/tcp", "53/udp")).ports == {"80/tcp": None, "53/udp": None}


async def test_a_thousand_ports_are_one_transaction(setting, make_box):
    began = time.monotonic()
    box = setting.start(make_box(), ports={f"{port}/tcp": str(port) for port in range(20000, 21000)})
    with server(box, 20777):
        assert says("127.0.0.1", 20777) == "10.199.1.1"
    setting.networks.disconnect(box.id)
    assert "20777" not in setting.table()
    assert time.monotonic() - began < 5


async def test_a_flow_of_datagrams_moves_to_the_next_container(setting, make_box, world):
    def ask(sock: socket.socket) -> str:
        sock.sendto(b"?", (HOST, 5353))
        try:
            return sock.recv(100).decode()
        except OSError:
            return ""

    with world.run(socket.socket, socket.AF_INET, UDP) as sock:
        sock.settimeout(0.3)
        assert ask(sock) == ""
        for _ in range(2):
            box = setting.start(make_box(), ports={"53/udp": "5353"})
            setting.start(make_box())
            with server(box, 53, UDP):
                # one may be lost on a busy machine; a flow that stays with the last container loses them all
                assert any(ask(sock) == WORLD for _ in range(10))
            setting.networks.disconnect(box.id)


@pytest.mark.parametrize(
    ("key", "binding", "error", "message"),
    [
        ("80/icmp", {}, InvalidArgument, "invalid proto: icmp"),
        ("x/tcp", {}, InvalidArgument, 'invalid port specification: "x/tcp"'),
        ("80/tcp", {"HostPort": "70000"}, InvalidArgument, 'invalid port specification: "70000"'),
        ("80/tcp", {"HostPort": "9-8"}, InvalidArgument, 'invalid port specification: "9-8"'),
        ("80/tcp", {"HostIp": "300.1.1.1"}, InvalidArgument, "invalid IP address: 300.1.1.1"),
    ],
)
def test_what_cannot_be_published(key, binding, error, message):
    with pytest.raises(error, match=message):
        ports.wanted({key: [binding]}, [], "0.0.0.0", publish_all=False)
