"""Networks of one's own: made, refused in Docker's words, listed, removed."""

import pytest
from tests.fixtures.netns import ip, links

from pydock_daemon.networks import define
from pydock_shared.errors import Conflict, Forbidden, InvalidArgument, NotFound, NotSupported, PydockError
from pydock_shared.filters import Filters
from pydock_shared.wire.network import NetworkCreate

pytestmark = pytest.mark.root
BRIDGE = "com.docker.network.bridge."
MTU = "com.docker.network.driver.mtu"


def of(subnet: str, **fields: object) -> dict[str, object]:
    return {"IPAM": {"Config": [{"Subnet": subnet, **fields}]}}


async def test_what_is_made_is_shown(setting):
    made = setting.network(
        "blue",
        Labels={"a": "b"},
        Options={f"{BRIDGE}name": "blue0", MTU: "1400"},
        **of(
            "10.199.5.0/24", IPRange="10.199.5.128/25", Gateway="10.199.5.9", AuxiliaryAddresses={"x": "10.199.5.128"}
        ),
    )
    assert "blue0" in links()
    shown = define.inspect(setting.networks, made, members=True)
    assert (shown["Name"], shown["Driver"], shown["Scope"], shown["Labels"]) == ("blue", "bridge", "local", {"a": "b"})
    assert shown["IPAM"]["Config"] == [
        {
            "Subnet": "10.199.5.0/24",
            "IPRange": "10.199.5.128/25",
            "Gateway": "10.199.5.9",
            "AuxiliaryAddresses": {"x": "10.199.5.128"},
        }
    ]
    endpoint = setting.networks.connect("a" * 64, "web", "web", "blue", {})[0]
    assert (endpoint.address, endpoint.mtu) == ("10.199.5.129/24", 1400)
    members = define.inspect(setting.networks, made, members=True)["Containers"]
    assert members["a" * 64]["IPv4Address"] == "10.199.5.129/24"
    assert define.inspect(setting.networks, made, members=False)["Containers"] == {}


async def test_found_by_name_id_and_beginning_of_an_id(setting):
    made = setting.network("blue")
    for name in ("blue", made.id, made.id[:12]):
        assert setting.networks.get(name) is made
    assert setting.networks.get("default").name == "bridge"
    with pytest.raises(NotFound, match=r"^network nosuch not found$"):
        setting.networks.get("nosuch")


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        ({"Name": ""}, InvalidArgument, "invalid name: "),
        ({"Name": "bridge"}, Forbidden, "operation is not permitted on predefined bridge network "),
        ({"Name": "blue"}, Conflict, "network with name blue already exists"),
        ({"Driver": "nosuch"}, NotFound, 'plugin "nosuch" not found'),
        ({"Driver": "macvlan"}, NotSupported, "network driver macvlan is not supported"),
        ({"Driver": "host"}, Forbidden, 'only one instance of "host" network is allowed'),
        ({"IPAM": {"Driver": "zz"}}, NotFound, 'plugin "zz" not found'),
        ({"Options": {"foo": "bar"}}, NotSupported, "network option foo is not supported"),
        ({"Options": {MTU: "x"}}, InvalidArgument, f"failed to parse {MTU} value: x"),
        (
            {"Options": {f"{BRIDGE}enable_icc": "perhaps"}},
            InvalidArgument,
            f"failed to parse {BRIDGE}enable_icc",
        ),
        ({"Options": {f"{BRIDGE}name": "much-too-long-a-name"}}, InvalidArgument, "at most 15 characters"),
        ({"Options": {f"{BRIDGE}name": "theirs"}}, Forbidden, "a link of that name exists and is not ours"),
        ({"Options": {f"{BRIDGE}name": "blue0"}}, Forbidden, "networks have same bridge name"),
        (of("10.199.0.0/99"), InvalidArgument, "invalid subnet 10.199.0.0/99: invalid CIDR block notation"),
        (of("10.199.5.7/24"), InvalidArgument, "invalid subnet 10.199.5.7/24: it should be 10.199.5.0/24"),
        (of("10.199.6.0/24"), Forbidden, "Pool overlaps with other one on this address space"),
        (of("10.199.5.0/24", Gateway="10.1.1.1"), InvalidArgument, "invalid gateway 10.1.1.1: parent subnet"),
        (of("10.199.5.0/24", IPRange="10.1.1.0/25"), InvalidArgument, "invalid ip-range 10.1.1.0/25: parent subnet"),
        (of("fd00::/64"), NotSupported, "the IPv6 subnet fd00::/64 without EnableIPv6 is not supported"),
    ],
)
async def test_refusals_leave_nothing(setting, body, error, message):
    ip("link add theirs type bridge")
    setting.network("blue", Options={f"{BRIDGE}name": "blue0"}, **of("10.199.6.0/24"))
    before, known, table = links(), dict(setting.networks.by_id), setting.table()
    with pytest.raises(error) as raised:
        define.create(setting.networks, NetworkCreate.model_validate({"Name": "new", **body}))
    assert message in raised.value.message
    assert (links(), setting.networks.by_id, setting.table()) == (before, known, table)


async def test_removed_with_everything(setting):
    before, table = links(), setting.table()
    made = setting.network("blue")
    setting.networks.connect("a" * 64, "web", "web", "blue", {})
    with pytest.raises(Forbidden) as raised:
        await define.remove(setting.networks, made)
    assert raised.value.message == f"error while removing network: network blue id {made.id} has active endpoints"
    setting.networks.disconnect("a" * 64)
    await define.remove(setting.networks, made)
    assert links() == before
    assert list(setting.networks.by_name) == ["none", "host", "bridge"]
    assert setting.table().replace(made.link, "") == table or made.link not in setting.table()
    with pytest.raises(Forbidden, match="bridge is a pre-defined network and cannot be removed"):
        await define.remove(setting.networks, setting.networks.get("bridge"))


async def test_prune(setting):
    for name, labels in (("used", {}), ("kept", {"keep": ""}), ("old", {})):
        setting.network(name, Labels=labels)
    setting.networks.connect("a" * 64, "web", "web", "used", {})
    assert await define.prune(setting.networks, Filters({"label!": ["keep"], "until": ["1h"]})) == []
    assert await define.prune(setting.networks, Filters({"label!": ["keep"]})) == ["old"]
    assert await define.prune(setting.networks, Filters({})) == ["kept"]


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({}, ["none", "host", "bridge", "blue", "used"]),
        ({"name": ["b"]}, ["bridge", "blue"]),
        ({"driver": ["host", "null"]}, ["none", "host"]),
        ({"type": ["custom"]}, ["blue", "used"]),
        ({"dangling": ["true"]}, ["blue"]),
        ({"label": ["a=b"]}, ["blue"]),
        ({"scope": ["swarm"]}, []),
    ],
)
async def test_filters(setting, filters, names):
    setting.network("blue", Labels={"a": "b"})
    setting.network("used")
    setting.networks.connect("a" * 64, "web", "web", "used", {})
    assert [item.name for item in define.listed(setting.networks, Filters(filters))] == names


@pytest.mark.parametrize(("key", "error"), [("foo", InvalidArgument), ("type", PydockError)])
async def test_bad_filters(setting, key, error):
    with pytest.raises(error, match="invalid filter"):
        define.listed(setting.networks, Filters({key: ["x"]}))
