"""Snapshots with the ids of a user namespace: the look at the host at start, and what a RUN is shown."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.daemon.snapshots.conftest import Bench
from tests.daemon.snapshots.test_plain import PlainBench

from pydock_daemon.snapshots import mapped
from pydock_runtime import usermaps
from pydock_shared.errors import PydockError

pytestmark = pytest.mark.root
OWNER = (300000, 400000)


@pytest.fixture
def users() -> Iterator[int]:
    """A user namespace whose root is another user and another group."""
    uids, gids = ([{"containerID": 0, "hostID": first, "size": 1000}] for first in OWNER)
    made = usermaps.namespace(uids, gids)
    yield made
    os.close(made)


@pytest.mark.parametrize("kind", [Bench, PlainBench])
async def test_files_of_the_host_s_root_are_shown_as_the_container_s(kind: type[Bench], tmp_path: Path, users: int):
    bench = kind(tmp_path)
    try:
        mapped.check(bench.snapshots, users, OWNER)
        bench.snapshots.prepare("key", [])
        await bench.snapshots.made("key")
        (bench.snapshots.upper("key") / "file").touch()
        place = tmp_path / "place"
        place.mkdir()
        with mapped.shown(bench.snapshots, "key", place, users, OWNER):
            info = (place / "file").stat()
            assert (info.st_uid, info.st_gid) == OWNER
        assert list(place.iterdir()) == list((bench.snapshots.root / "unpacking").iterdir()) == []
    finally:
        bench.close()


def test_where_that_cannot_be(tmp_path: Path, users: int):
    folders = [tmp_path / name for name in ("lower", "upper", "work", "merged")]
    for folder in folders:
        folder.mkdir()
    options = "lowerdir={},upperdir={},workdir={}".format(*folders)
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(folders[3])], check=True)
    try:
        bench = PlainBench(folders[3])
        with pytest.raises(PydockError, match=r"needs mounts with mapped ids, Linux 5\.19 or newer: .*mapped"):
            mapped.check(bench.snapshots, users, OWNER)
        bench.close()
    finally:
        subprocess.run(["umount", str(folders[3])], check=True)
