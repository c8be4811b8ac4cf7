"""Volumes: folders and rows."""

import pytest

from pydock_daemon import events
from pydock_daemon.events import Events
from pydock_daemon.forkserver.client import ForkServer
from pydock_daemon.store import Store
from pydock_daemon.volumes import service
from pydock_daemon.volumes.mounts import Mounts
from pydock_daemon.volumes.service import Volumes
from pydock_runtime import abi, linux
from pydock_shared.errors import Conflict, InvalidArgument, NotFound
from pydock_shared.filters import Filters


@pytest.fixture
def store(tmp_path):
    opened = Store.open(tmp_path / "db", [events.SCHEMA, service.SCHEMA])
    yield opened
    opened.close()


@pytest.fixture
def volumes(store, tmp_path):
    return opened(store, tmp_path)


def opened(store, tmp_path):
    return Volumes(store, Events(store), tmp_path / "volumes", Mounts(ForkServer(), tmp_path / "stage"))


def test_create_twice_is_the_same_volume(volumes):
    first = volumes.create("data", "local", {}, {"a": "b"})
    assert volumes.create("data", "local", {}, {}) is first
    assert volumes.mountpoint("data").is_dir()


def test_volumes_are_there_after_a_restart(volumes, store, tmp_path):
    volumes.create("data", "local", {}, {"a": "b"})
    volumes.create("memory", "local", {"type": "tmpfs", "device": "tmpfs"}, {})
    (tmp_path / "volumes" / "leftover").mkdir()
    again = opened(store, tmp_path)
    assert (again.get("data").labels, again.get("data").options) == ({"a": "b"}, {})
    assert again.get("memory").options == {"type": "tmpfs", "device": "tmpfs"}
    assert not (tmp_path / "volumes" / "leftover").exists()


def test_an_anonymous_one_is_marked(volumes):
    made = volumes.create(None, "", {}, {})
    assert len(made.name) == 64
    assert made.anonymous


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("../x", "local", {}, {}), InvalidArgument, "includes invalid characters for a local volume name"),
        (("x", "nfs", {}, {}), NotFound, 'plugin "nfs" not found'),
        (("x", "local", {}, {}), InvalidArgument, "create x: volume name is too short"),
        (("xy", "local", {"type": "tmpfs"}, {}), InvalidArgument, 'create xy: missing required option: "device"'),
    ],
)
def test_refusals_leave_nothing(volumes, tmp_path, arguments, error, message):
    with pytest.raises(error, match=message):
        volumes.create(*arguments)
    assert volumes.strays() == []
    assert len(volumes) == 0


def test_remove(volumes):
    volumes.create("data", "local", {}, {})
    with pytest.raises(Conflict, match=r"remove data: volume is in use - \[abc\]"):
        volumes.remove("data", force=True, in_use=["abc"])
    volumes.remove("data", force=False, in_use=[])
    assert not volumes.exists("data")
    with pytest.raises(NotFound, match="get data: no such volume"):
        volumes.remove("data", force=False, in_use=[])
    volumes.remove("data", force=True, in_use=[])


async def test_what_goes_is_out_of_sight_at_once_and_gone_soon(volumes, store, tmp_path):
    volumes.create("data", "local", {}, {})
    (volumes.mountpoint("data") / "file").write_text("old")
    volumes.remove("data", force=False, in_use=[])
    volumes.create("data", "local", {}, {})
    assert list(volumes.mountpoint("data").iterdir()) == []
    await volumes.settled()
    assert [path.name for path in tmp_path.glob("volumes/*/*")] == ["_data"]
    (tmp_path / "volumes/.removed/left").mkdir()
    (tmp_path / "volumes/nobodys").mkdir()
    again = Volumes(store, Events(store), tmp_path / "volumes", volumes.mounts)
    await again.settled()
    assert [path.name for path in tmp_path.glob("volumes/*/*")] == ["_data"]
    assert again.strays() == []


def test_filters(volumes):
    for name, labels in (("first", {"x": "1"}), ("second", {})):
        volumes.create(name, "local", {}, labels)

    def listed(**values):
        return [volume.name for volume in volumes.listed(Filters(values), in_use={"second"})]

    assert listed() == ["first", "second"]
    assert listed(label=["x=1"]) == ["first"]
    assert listed(dangling=["true"]) == ["first"]
    assert listed(dangling=["false"]) == ["second"]
    assert listed(name=["sec"]) == ["second"]
    assert listed(driver=["nfs"]) == []


def test_prune_takes_unused_anonymous_ones(volumes):
    volumes.create("named", "local", {}, {})
    unnamed = volumes.create(None, "local", {}, {}).name
    used = volumes.create(None, "local", {}, {}).name
    volumes.create("memory", "local", {"type": "tmpfs", "device": "tmpfs"}, {})
    assert [volume.name for volume in volumes.prunable(Filters({}), {used}, every=False)] == [unnamed]
    assert {volume.name for volume in volumes.prunable(Filters({}), {used}, every=True)} == {unnamed, "named"}


def test_what_is_mounted_is_not_removed_with_a_volume(volumes, tmp_path):
    (tmp_path / "device").mkdir()
    (tmp_path / "device" / "file").touch()
    options = {"type": "none", "o": "bind", "device": str(tmp_path / "device")}
    volumes.create("shown", "local", options, {})
    linux.mount(str(tmp_path / "device"), str(volumes.mountpoint("shown")), None, abi.MS_BIND)
    volumes.remove("shown", force=False, in_use=[])
    assert (tmp_path / "device" / "file").exists()
    assert not volumes.mountpoint("shown").parent.exists()
