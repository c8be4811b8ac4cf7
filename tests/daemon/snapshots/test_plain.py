"""Layers on whole trees: what the layers below had goes or stays as on overlayfs, wherever the archive says so."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.daemon.snapshots.conftest import Bench
from tests.daemon.snapshots.test_layer import picture
from tests.daemon.snapshots.test_unpack import CONTAINED, REFUSED
from tests.fixtures.archives import Entry, entry, folder, hard_link, symlink, tar
from tests.fixtures.forks import FORKS

from pydock_daemon.snapshots import overlay
from pydock_daemon.snapshots.plain import PlainSnapshots
from pydock_daemon.store import Store
from pydock_shared.errors import InvalidArgument, PydockError

pytestmark = pytest.mark.root


class PlainBench(Bench):
    """Whole trees below a folder."""

    def open(self) -> None:
        """Open, for the first time or again."""
        self.store = Store.open(self.root / "plain.db", [overlay.SCHEMA])
        self.snapshots = PlainSnapshots(self.root / "vfs", self.store)
        self.snapshots.forks = FORKS


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[PlainBench]:
    """Whole trees below the test's folder."""
    made = PlainBench(tmp_path)
    yield made
    made.close()


ROOT = folder("./", mode=0o755, mtime=1_600_000_000)
BELOW = [
    ROOT, folder("d", mode=0o2750, uid=7), entry("d/a", b"1"), hard_link("d/same", "d/a"), folder("d/e"),
    entry("d/e/f", b"2"), entry("file", b"3", pax_headers={"SCHILY.xattr.user.k": "v"}), symlink("link", "d"),
    folder("old"), entry("old/x", b"4"),
]  # fmt: skip
LATE = [folder("old"), entry("old/y", b"5"), entry(".wh.old"), entry("file", b"6"), entry(".wh.file")]
ABOVE: dict[str, list[Entry]] = {
    "nothing": [],
    "whiteouts": [folder("d"), entry("d/.wh.a"), entry(".wh.file"), entry(".wh.nothing"), entry(".wh.old")],
    "whiteouts after what is new": LATE,
    "an opaque folder": [folder("d"), entry("d/n", b"7"), entry("d/.wh..wh..opq"), folder("d/e"), entry("d/e/g", b"8")],
    "a folder over a file": [folder("file"), entry("file/x", b"1")],
    "a file over a folder": [entry("d", b"1")],
    "a link over a folder": [symlink("d", "old")],
    "a changed folder": [folder("d", mode=0o700, uid=1, gid=2, mtime=1_700_000_000)],
    "aufs's own books": [entry(".wh..wh.aufs"), entry(".wh..wh.plnk", b"")],
}


@pytest.mark.parametrize("name", ABOVE)
async def test_a_layer_is_what_it_is_on_overlayfs(bench: Bench, plain: PlainBench, name: str) -> None:
    found = []
    for one in (bench, plain):
        below = await one.unpack(tar(BELOW))
        above = await one.unpack(tar([ROOT, *ABOVE[name]]), below)
        one.snapshots.prepare("k", [below.chain, above.chain])
        await one.snapshots.made("k")
        with one.snapshots.mounted("k") as tree:
            found.append({path: comparable(seen) for path, seen in picture(tree).items()})
    assert found[0] == found[1]


def comparable(seen: tuple[object, ...]) -> tuple[object, ...]:
    """Without what differs by nature: a folder that a layer does not name takes its time from what happened in it, and
    overlayfs counts names that a layer above has hidden."""
    is_folder = seen[0] == stat.S_IFDIR
    return (*seen[:4], 0 if is_folder else seen[4], *seen[5:8], *seen[9:])


@pytest.mark.parametrize("name", REFUSED)
async def test_what_no_honest_archive_holds_is_refused(plain: PlainBench, name: str) -> None:
    below = await plain.unpack(tar([symlink("out", "/"), folder("etc"), symlink("a", "../..")]))
    with pytest.raises(InvalidArgument):
        await plain.unpack(tar(REFUSED[name]), below)
    assert plain.left() == [below.short]


@pytest.mark.parametrize("name", CONTAINED)
async def test_what_leads_out_stays_inside(plain: PlainBench, name: str) -> None:
    entries, path = CONTAINED[name]
    root = plain.snapshots.diff((await plain.unpack(tar(entries))).chain)
    assert (root / path).read_bytes() == b"x"
    assert not Path("/etc/pydock-evil").exists()


async def test_links_of_a_layer_below_lead_nowhere_else(plain: PlainBench, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "kept").write_text("kept")
    below = await plain.unpack(tar([symlink("l", str(victim)), symlink("up", "../" * 20 + str(victim)[1:])]))
    for entries in ([entry("l/.wh.kept")], [entry("up/.wh..wh..opq")], [entry(".wh.l")]):
        await plain.unpack(tar(entries), below)
    with pytest.raises(InvalidArgument):
        await plain.unpack(tar([entry("l/kept", b"x")]), below)
    assert (victim / "kept").read_text() == "kept"


async def test_containers_do_not_write_to_layers(plain: PlainBench) -> None:
    below = await plain.unpack(tar(BELOW))
    plain.snapshots.prepare("k", [below.chain])
    await plain.snapshots.made("k")
    assert plain.snapshots.usage("k") == 0
    with plain.snapshots.mounted("k") as tree:
        (tree / "d/a").write_bytes(b"12345")
    assert plain.snapshots.usage("k") == 4
    assert (plain.snapshots.diff(below.chain) / "d/a").read_bytes() == b"1"


async def test_a_copy_that_fails_says_why(plain: PlainBench) -> None:
    plain.snapshots.prepare("k", [])
    plain.snapshots.remove("k")
    plain.snapshots.prepare("again", [])
    (plain.root / "vfs/layers/empty/diff").rmdir()
    with pytest.raises(PydockError, match=r"copying a tree failed: .*No such file"):
        await plain.snapshots.made("again")
