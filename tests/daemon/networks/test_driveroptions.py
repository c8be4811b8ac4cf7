"""DriverOpts of an endpoint."""

import pytest

from pydock_daemon.networks.driveroptions import INTERFACE, SYSCTLS, read
from pydock_shared.errors import NotSupported


def test_what_is_read():
    text = "net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.conf.ifname.accept_ra=2"
    problems: list[str] = []
    found = read({SYSCTLS: text, INTERFACE: "lan.5"}, problems)
    assert problems == []
    assert found.interface == "lan.5"
    assert found.sysctls == (("net.ipv4.conf.IFNAME.log_martians", "1"), ("net.ipv6.conf.ifname.accept_ra", "2"))


@pytest.mark.parametrize(
    "text",
    [
        "kernel.x=1",
        "net.ipv4.conf.eth0.x=1",
        "net.ipv4.conf.IFNAME.../x=1",
        "net.ipv4.../../x.IFNAME.y=1",
        ",",
        "=",
        "x\0",
    ],
)
def test_parameters_of_something_else(text: str):
    problems: list[str] = []
    read({SYSCTLS: text}, problems)
    assert "unrecognised network interface sysctl" in problems[0]


def test_what_others_have_named_is_let_be_and_what_docker_means_for_others_is_not():
    assert read({"org.example.note": "x"}, []) == ("", ())
    with pytest.raises(NotSupported, match=r"com\.docker\.network\.windowsshim\.dnssuffix is not supported"):
        read({"com.docker.network.windowsshim.dnssuffix": "x"}, [])


@pytest.mark.parametrize("name", ["lo", ".", "..", "a b", "a/b", "sixteen-letters-", "a:1", "a%d"])
def test_names_that_no_interface_has(name: str):
    problems: list[str] = []
    read({INTERFACE: name}, problems)
    assert problems == [f"invalid interface name: {name!r}"]
