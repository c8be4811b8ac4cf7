"""Options of the local volume driver, in dockerd's words."""

import pytest

from pydock_daemon.volumes import options
from pydock_shared.errors import InvalidArgument, PydockError


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"foo": "bar"}, 'invalid option: "foo"'),
        ({"type": "tmpfs"}, 'missing required option: "device"'),
        ({"device": "tmpfs"}, 'missing required option: "type"'),
        ({"o": "size=1m"}, 'missing required option: "device"'),
        ({"o": "size=1m", "device": "tmpfs"}, 'missing required option: "type"'),
        ({"size": "10m"}, "quota size requested but no quota support"),
        ({"size": "abc"}, "invalid size: 'abc'"),
        ({"size": "-5"}, "invalid size: '-5'"),
        ({"type": "none", "device": "/a\0b"}, "invalid value of option device: it has a null character"),
    ],
)
def test_refused(given, message):
    with pytest.raises(InvalidArgument) as caught:
        options.check(given)
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("given", "mounted"),
    [({}, False), ({"size": "0"}, False), ({"type": "", "device": ""}, False), ({"type": "t", "device": "d"}, True)],
)
def test_accepted(given, mounted):
    options.check(given)
    assert options.mounted(given) is mounted


@pytest.mark.parametrize(
    ("given", "resolved"),
    [
        ({"type": "nfs", "device": ":/x", "o": "addr=localhost,rw"}, (":/x", "addr=127.0.0.1,rw")),
        ({"type": "nfs", "device": ":/x", "o": "addr=::1,rw"}, (":/x", "addr=::1,rw")),
        ({"type": "cifs", "device": "//localhost/x", "o": "ro"}, ("//127.0.0.1/x", "ro")),
        ({"type": "ext4", "device": "/dev/localhost", "o": "addr=localhost"}, ("/dev/localhost", "addr=localhost")),
    ],
)
async def test_servers_by_address(given, resolved):
    def four(text):
        return text.replace("::1", "127.0.0.1")  # localhost is either

    device, words = await options.resolved(given)
    assert (four(device), four(words)) == (four(resolved[0]), four(resolved[1]))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"type": "nfs", "device": ":/x", "o": "addr=no.such.invalid"}, "lookup no.such.invalid: no such host"),
        ({"type": "cifs", "device": "//[x/y"}, "error parsing mount device url"),
        ({"type": "tmpfs", "device": ""}, "missing device in volume options"),
    ],
)
async def test_not_resolved(given, message):
    with pytest.raises(PydockError, match=message.replace("[", r"\[")):
        await options.resolved(given)


def test_passwords_are_not_shown():
    words = "username=u,password=secret,vers=3"
    assert options.without_secrets(f"data: {words}: no", words) == "data: username=u,password=********,vers=3: no"
