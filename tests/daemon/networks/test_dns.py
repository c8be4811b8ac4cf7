"""resolv.conf of containers."""

import pytest

from pydock_daemon.networks.dns import resolv_conf

HOST = """\
# made by hand
nameserver 127.0.0.53
nameserver 10.0.0.53
nameserver ::1
search one.example two.example ; a remark
options ndots:2 edns0
"""


def test_of_the_host_without_its_loopback():
    text = resolv_conf([], [], [], host=HOST)
    assert text == "nameserver 10.0.0.53\nsearch one.example two.example\noptions ndots:2 edns0\n"


def test_public_ones_when_no_other_can_be_reached():
    assert resolv_conf([], [], [], host="nameserver 127.0.0.1\n") == "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"


def test_in_the_hosts_own_network():
    assert "nameserver 127.0.0.53\n" in resolv_conf([], [], [], host=HOST, keep_loopback=True)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ((["127.0.0.1"], [], []), "nameserver 127.0.0.1"),
        (([], ["x.example"], []), "search x.example"),
        (([], [], ["ndots:5"]), "options ndots:5"),
    ],
)
def test_what_is_given_wins(given, line):
    lines = resolv_conf(*given, host=HOST).splitlines()
    assert [found for found in lines if found.split()[0] == line.split()[0]] == [line]


def test_no_search_at_all():
    assert "search" not in resolv_conf([], ["."], [], host=HOST)
