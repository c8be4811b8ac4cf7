"""Which capabilities a container gets."""

import pytest

from pydock_daemon.containers.capabilities import ALL, DEFAULT, available, granted, normalised
from pydock_shared.errors import InvalidArgument

EVERY = set(ALL)


def test_docker_s_fourteen_by_default():
    assert set(granted(None, None, privileged=False, available=EVERY)) == set(DEFAULT)
    assert len(DEFAULT) == 14


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        (["sys_time"], None, {*DEFAULT, "CAP_SYS_TIME"}),
        (None, ["CAP_CHOWN"], set(DEFAULT) - {"CAP_CHOWN"}),
        (["net_admin"], ["ALL"], {"CAP_NET_ADMIN"}),
        (["ALL"], ["sys_admin"], EVERY - {"CAP_SYS_ADMIN"}),
        (["ALL"], None, EVERY),
        (None, ["all"], set()),
    ],
)
def test_add_and_drop(add, drop, expected):
    assert set(granted(add, drop, privileged=False, available=EVERY)) == expected


def test_privileged_is_all_this_host_has():
    assert granted(None, ["ALL"], privileged=True, available={"CAP_CHOWN"}) == ["CAP_CHOWN"]


def test_nothing_the_host_lacks():
    assert granted(["sys_resource"], None, privileged=False, available=EVERY - {"CAP_SYS_RESOURCE"}) == [
        name for name in ALL if name in DEFAULT
    ]


def test_unknown_name_is_refused():
    with pytest.raises(InvalidArgument, match='unknown capability: "CAP_FLY"'):
        normalised(["FLY"])


def test_available_reads_the_bounding_set():
    assert available("Name:\tx\nCapBnd:\t0000000000000021\n") == {"CAP_CHOWN", "CAP_KILL"}
