"""A tree becomes a tar and the tar the same tree again: export, and the difference that commit takes."""

import os
import stat
import tarfile
from pathlib import Path

import pytest
from tests.daemon.snapshots.conftest import Bench
from tests.fixtures.archives import device, entry, folder, hard_link, symlink, tar

from pydock_daemon.snapshots import layer

pytestmark = pytest.mark.root


def picture(root: Path) -> dict[str, tuple[object, ...]]:
    """Everything about a tree that an archive keeps."""
    found = {}
    for path in [root, *sorted(root.rglob("*"))]:
        status = os.lstat(path)
        kind = stat.S_IFMT(status.st_mode)
        data = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        link = os.readlink(path) if path.is_symlink() else ""
        xattrs = {
            key: os.getxattr(path, key, follow_symlinks=False) for key in os.listxattr(path, follow_symlinks=False)
        }
        found[str(path.relative_to(root))] = (
            kind, status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, status.st_rdev, data, link,
            status.st_nlink if not path.is_dir() else 0, tuple(sorted(xattrs.items())),
        )  # fmt: skip
    return found


ENTRIES = [
    folder("./", mode=0o755, pax_headers={"mtime": "1500000000.5"}),
    folder("d", mode=0o1777, uid=7, pax_headers={"mtime": "1600000000.25"}),
    entry("d/file", b"contents", uid=1, gid=2, mode=0o4711, pax_headers={"SCHILY.xattr.user.k": "v\udcff"}),
    hard_link("d/same", "d/file"),
    symlink("link", "../out"),
    device("null", 1, 3),
    entry("pipe", kind=tarfile.FIFOTYPE),
    entry("n" * 200, b"long", pax_headers={"mtime": "1700000000.000000007"}),
]


async def test_export_and_unpack_give_the_same_tree(bench: Bench) -> None:
    first = await bench.unpack(tar(ENTRIES))
    data = b"".join(layer.export_rootfs(bench.snapshots.diff(first.chain)))
    second = await bench.unpack(data)
    assert picture(bench.snapshots.diff(second.chain)) == picture(bench.snapshots.diff(first.chain))
    assert b"".join(layer.export_rootfs(bench.snapshots.diff(second.chain))) == data


async def test_a_difference_and_its_application_give_the_same_tree(bench: Bench) -> None:
    below = await bench.unpack(tar([*ENTRIES, folder("gone"), entry("gone/x", b"1"), entry("old", b"2")]))
    bench.snapshots.prepare("k", [below.chain])
    with bench.snapshots.mounted("k") as tree:
        (tree / "gone/x").unlink()
        (tree / "gone").rmdir()
        (tree / "gone").mkdir()
        (tree / "gone/y").write_bytes(b"new")
        (tree / "old").unlink()
        (tree / "d/file").write_bytes(b"changed")
        expected = picture(tree)
    above = await bench.unpack(b"".join(layer.layer_of(bench.snapshots.upper("k"))), below)
    bench.snapshots.prepare("again", [below.chain, above.chain])
    with bench.snapshots.mounted("again") as tree:
        assert picture(tree) == expected


def test_size_counts_each_file_once(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/a").write_bytes(b"12345")
    os.link(tmp_path / "d/a", tmp_path / "b")
    (tmp_path / "l").symlink_to("four")
    assert layer.size(tmp_path) == 5 + 4
