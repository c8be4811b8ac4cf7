"""What is mounted for volumes: at the first use, until the last ends."""

import asyncio
from pathlib import Path

import pytest

from pydock_daemon.forkserver.client import ForkServer
from pydock_daemon.volumes import mounts as module
from pydock_daemon.volumes.mounts import Mounts, mounted_at, mounted_below, mounted_on
from pydock_runtime import abi, linux
from pydock_shared.errors import InvalidArgument, NotFound, PydockError

MEMORY = {"type": "tmpfs", "device": "tmpfs", "o": "size=64k"}


@pytest.fixture
async def mounts(tmp_path):
    (tmp_path / "volumes").mkdir()
    forks = ForkServer()
    made = Mounts(forks, tmp_path / "stage")
    yield made
    await made.adopt({}, tmp_path / "volumes")
    made._users.clear()
    await made.adopt({}, tmp_path / "volumes")
    forks.close()
    assert mounted_below(tmp_path) == []


@pytest.fixture
def place(tmp_path, mounts) -> Path:
    made = tmp_path / "volumes" / "a b\\c"
    made.mkdir()
    return made


async def test_mounted_while_somebody_uses_it(mounts, place):
    await asyncio.gather(mounts.hold(place, MEMORY, "one"), mounts.hold(place, MEMORY, "two"))
    assert mounted_below(place.parent) == [str(place)]
    (place / "file").touch()
    await mounts.release("one")
    await mounts.release("nobody")
    assert (place / "file").exists()
    await mounts.release("two")
    assert not mounted_at(str(place))
    await mounts.release("two")


async def test_one_that_fails(mounts, place):
    given = {"type": "no-such-fs", "device": "/x", "o": "ro,password=p,foo"}
    with pytest.raises(PydockError) as caught:
        await mounts.hold(place, given, "one")
    assert caught.value.message == (
        f"error while mounting volume '{place}': failed to mount local volume: mount /x:{place}, flags: 0x1, "
        "data: password=********,foo: no such device"
    )
    await mounts.release("one")
    await mounts.hold(place, MEMORY, "one")
    assert mounted_at(str(place))


async def test_read_only_bind(mounts, place, tmp_path):
    await mounts.hold(place, {"type": "none", "device": str(tmp_path), "o": "bind,ro"}, "one")
    with pytest.raises(OSError, match="Read-only file system"):
        (place / "file").touch()


async def test_who_uses_it_is_told_to_the_next_daemon(mounts, place, tmp_path):
    other = tmp_path / "volumes" / "other"
    other.mkdir()
    for target in (place, other):
        await mounts.hold(target, MEMORY, "one")
    after = Mounts(mounts._forks, tmp_path / "stage")
    await after.adopt({place: ["one"]}, tmp_path / "volumes")
    assert mounted_below(tmp_path) == [str(place)]
    await after.hold(place, MEMORY, "two")
    await after.release("two")
    assert mounted_at(str(place))
    await after.release("one")
    assert mounted_below(tmp_path) == []


async def test_one_that_takes_too_long(mounts, place, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    with pytest.raises(PydockError, match=r"mount .*: no end after 0 s"):
        await mounts.hold(place, MEMORY, "one")
    monkeypatch.undo()
    await mounts.release("one")
    assert not mounted_at(str(place))


async def test_a_part_is_shown_for_a_while(mounts, place, tmp_path):
    (place / "folder").mkdir()
    (place / "folder" / "file").write_text("content")
    (place / "link").symlink_to("folder")
    for path in ("folder", "link", "folder/../folder/."):
        async with mounts.shown(place, path) as shown:
            assert (shown / "file").read_text() == "content"
    async with mounts.shown(place, "folder/file") as shown:
        assert shown.read_text() == "content"
    assert list((tmp_path / "stage").iterdir()) == []


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("none", NotFound, "cannot access path {place}/none: lstat {place}/none: no such file or directory"),
        ("loop", NotFound, "cannot access path {place}/loop: lstat {place}/loop: too many levels of symbolic links"),
        ("up", InvalidArgument, "path concatenation escapes the base directory, base: {place}, subpath: up"),
        ("root", InvalidArgument, "path concatenation escapes the base directory, base: {place}, subpath: root"),
    ],
)
async def test_a_part_that_is_not_there(mounts, place, path, error, message):
    for name, target in (("up", "../.."), ("root", "/etc"), ("loop", "loop")):
        (place / name).symlink_to(target)
    with pytest.raises(error) as caught:
        async with mounts.shown(place, path):
            pass
    assert caught.value.message == message.format(place=place)


async def test_where_a_path_is_mounted_and_how_that_spreads(mounts, place):
    await mounts.hold(place, MEMORY, "user")
    (place / "inside").mkdir()
    linux.mount(None, str(place), None, abi.MS_PRIVATE)
    assert mounted_on(str(place / "inside")) == (str(place), set())
    linux.mount(None, str(place), None, abi.MS_SHARED)
    assert mounted_on(str(place)) == (str(place), {"shared"})
    await mounts.release("user")
    assert mounted_on(str(place))[0] != str(place)
