"""/etc/hosts of containers."""

import pytest

from pydock_daemon.networks import hosts
from pydock_shared.errors import InvalidArgument


@pytest.mark.parametrize(
    ("hostname", "domain", "line"),
    [
        ("web", "", "10.0.0.2\tweb"),
        ("web", "example.org", "10.0.0.2\tweb.example.org web"),
        ("web.example.org", "", "10.0.0.2\tweb.example.org web"),
    ],
)
def test_the_containers_own_line(hostname, domain, line):
    assert hosts.own_lines(["10.0.0.2"], hostname, domain) == [line]


def test_added_hosts():
    entries = ["a:1.2.3.4", "b:::1", "c:[fe80::1]", "d=5.6.7.8", "host:host-gateway"]
    lines = ["1.2.3.4\ta", "::1\tb", "fe80::1\tc", "5.6.7.8\td", "10.0.0.1\thost"]
    assert hosts.extra_lines(entries, "10.0.0.1") == lines


@pytest.mark.parametrize("entry", ["a", "a:", ":1.2.3.4", ""])
def test_a_bad_one(entry):
    with pytest.raises(InvalidArgument, match="bad format for add-host"):
        hosts.extra_lines([entry], "10.0.0.1")


def test_edit_keeps_what_others_wrote(tmp_path):
    file = tmp_path / "hosts"
    file.write_text("127.0.0.1\tlocalhost\n10.0.0.3\tgone\n1.1.1.1\tby-hand\n")
    hosts.edit(file, add=["10.0.0.4\tcame"], remove=["10.0.0.3\tgone"])
    hosts.edit(file, add=["10.0.0.4\tcame"])
    assert file.read_text() == "127.0.0.1\tlocalhost\n1.1.1.1\tby-hand\n10.0.0.4\tcame\n"


def test_edit_follows_no_link(tmp_path):
    """The container can put anything in place of a file of its own, but this one is ours."""
    (tmp_path / "secret").write_text("x\n")
    (tmp_path / "hosts").symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match="symbolic links"):
        hosts.edit(tmp_path / "hosts", add=["y"])
    hosts.edit(tmp_path / "missing", add=["y"])
    assert (tmp_path / "secret").read_text() == "x\n"
