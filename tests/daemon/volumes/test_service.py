"""Volumes: folders and rows."""

import os
import stat

import pytest

from pydock_daemon import events
from pydock_daemon.events import Events
from pydock_daemon.store import Store
from pydock_daemon.volumes import service
from pydock_daemon.volumes.service import Volumes
from pydock_shared.errors import Conflict, InvalidArgument, NotFound, NotSupported
from pydock_shared.filters import Filters


@pytest.fixture
def store(tmp_path):
    opened = Store.open(tmp_path / "db", [events.SCHEMA, service.SCHEMA])
    yield opened
    opened.close()


@pytest.fixture
def volumes(store, tmp_path):
    return Volumes(store, Events(store), tmp_path / "volumes")


def test_create_twice_is_the_same_volume(volumes):
    first = volumes.create("data", "local", {}, {"a": "b"})
    assert volumes.create("data", "local", {}, {}) is first
    assert volumes.mountpoint("data").is_dir()


def test_volumes_are_there_after_a_restart(volumes, store, tmp_path):
    volumes.create("data", "local", {}, {"a": "b"})
    (tmp_path / "volumes" / "leftover").mkdir()
    again = Volumes(store, Events(store), tmp_path / "volumes")
    assert again.get("data").labels == {"a": "b"}
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
        (("x", "local", {"type": "tmpfs"}, {}), NotSupported, "option 'type'"),
    ],
)
def test_refusals_leave_nothing(volumes, tmp_path, arguments, error, message):
    with pytest.raises(error, match=message):
        volumes.create(*arguments)
    assert list((tmp_path / "volumes").iterdir()) == []


def test_remove(volumes):
    volumes.create("data", "local", {}, {})
    with pytest.raises(Conflict, match=r"remove data: volume is in use - \[abc\]"):
        volumes.remove("data", force=True, in_use=["abc"])
    volumes.remove("data", force=False, in_use=[])
    assert not volumes.exists("data")
    with pytest.raises(NotFound, match="get data: no such volume"):
        volumes.remove("data", force=False, in_use=[])
    volumes.remove("data", force=True, in_use=[])


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
    assert [volume.name for volume in volumes.prunable(Filters({}), {used}, every=False)] == [unnamed]
    assert {volume.name for volume in volumes.prunable(Filters({}), {used}, every=True)} == {unnamed, "named"}


def test_copy_up_keeps_what_a_file_has(volumes, tmp_path):
    root = tmp_path / "root"
    (root / "data" / "sub").mkdir(parents=True)
    file = root / "data" / "sub" / "file"
    file.write_text("content")
    os.chown(file, 12, 34)
    file.chmod(0o4750)
    os.utime(file, ns=(10**9, 123456789))
    os.setxattr(file, "user.key", b"value")
    (root / "data" / "link").symlink_to("/etc/passwd")
    os.mkfifo(root / "data" / "pipe")
    (root / "data").chmod(0o1777)
    volumes.create("vol", "local", {}, {})
    assert volumes.needs_copy_up("vol")
    volumes.copy_up("vol", root, "/data")
    place = volumes.mountpoint("vol")
    info = (place / "sub" / "file").stat()
    assert (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid, info.st_mtime_ns) == (0o4750, 12, 34, 123456789)
    assert os.getxattr(place / "sub" / "file", "user.key") == b"value"
    assert os.readlink(place / "link") == "/etc/passwd"
    assert (place / "pipe").is_fifo()
    assert stat.S_IMODE(place.stat().st_mode) == 0o1777
    assert not volumes.needs_copy_up("vol")


def test_copy_up_stays_inside_the_root(volumes, tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "file").write_text("host")
    root = tmp_path / "root"
    root.mkdir()
    (root / "data").symlink_to(f"../{secret.name}")
    (root / "abs").symlink_to(str(secret))
    volumes.create("vol", "local", {}, {})
    for target in ("/data", "/abs", "/../secret"):
        volumes.copy_up("vol", root, target)
    assert list(volumes.mountpoint("vol").iterdir()) == []
