"""Layers are unpacked faithfully, by a child that cannot reach outside, whatever the archive says."""

import bz2
import gzip
import io
import lzma
import os
import random
import stat
import struct
import subprocess
import tarfile
from pathlib import Path

import pytest
import zstandard
from tests.daemon.snapshots.conftest import Bench
from tests.fixtures.archives import Entry, device, digest, entry, folder, hard_link, symlink, tar

from pydock_daemon.snapshots import tarstream
from pydock_shared.errors import InvalidArgument

pytestmark = pytest.mark.root


async def unpacked(bench: Bench, *entries: Entry) -> Path:
    """The folder of a layer with these entries."""
    return bench.snapshots.diff((await bench.unpack(tar(entries))).chain)


async def test_files_keep_owner_mode_time_and_contents(bench: Bench) -> None:
    root = await unpacked(
        bench,
        folder("etc", uid=3, gid=4, mode=0o2750, pax_headers={"mtime": "1700000000.123456789"}),
        entry("etc/plain", b"hello", uid=1000, gid=70000, mode=0o640, pax_headers={"mtime": "1600000000.000000001"}),
        entry("etc/su", b"x", mode=0o4755),
        entry("etc/none", b"x", mode=0),
        folder("tmp", mode=0o1777),
        entry("big", bytes(3 << 20) + b"end", uid=3_000_000_000),
    )
    status = os.lstat(root / "etc")
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o2750, 3, 4)
    assert status.st_mtime_ns == 1_700_000_000_123_456_789
    plain = os.lstat(root / "etc/plain")
    assert (stat.S_IMODE(plain.st_mode), plain.st_uid, plain.st_gid) == (0o640, 1000, 70000)
    assert plain.st_mtime_ns == 1_600_000_000_000_000_001
    assert (root / "etc/plain").read_bytes() == b"hello"
    modes = {name: stat.S_IMODE(os.lstat(root / name).st_mode) for name in ("etc/su", "etc/none", "tmp")}
    assert modes == {"etc/su": 0o4755, "etc/none": 0, "tmp": 0o1777}
    assert (root / "big").read_bytes() == bytes(3 << 20) + b"end"
    assert os.lstat(root / "big").st_uid == 3_000_000_000


async def test_links_devices_fifos_and_attributes(bench: Bench) -> None:
    capability = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
    xattrs = {"SCHILY.xattr.security.capability": capability.decode("utf-8", "surrogateescape")}
    xattrs |= {"SCHILY.xattr.user.note": "hi", "SCHILY.xattr.trusted.overlay.redirect": "/etc"}
    root = await unpacked(
        bench,
        entry("a", b"1", pax_headers=xattrs, uid=5),
        hard_link("b", "a"),
        hard_link("sub/c", "./a"),
        symlink("absolute", "/etc/passwd"),
        device("null", 1, 3),
        device("disk", 7, 300, tarfile.BLKTYPE),
        entry("pipe", kind=tarfile.FIFOTYPE),
    )
    assert os.lstat(root / "a").st_nlink == 3
    assert os.getxattr(root / "a", "security.capability") == capability
    assert os.getxattr(root / "a", "user.note") == b"hi"
    assert "trusted.overlay.redirect" not in os.listxattr(root / "a")
    assert os.readlink(root / "absolute") == "/etc/passwd"
    assert stat.S_ISCHR(os.lstat(root / "null").st_mode)
    assert os.lstat(root / "null").st_rdev == os.makedev(1, 3)
    assert os.lstat(root / "disk").st_rdev == os.makedev(7, 300)
    assert stat.S_ISFIFO(os.lstat(root / "pipe").st_mode)


async def test_access_lists_are_of_those_that_have_them_and_inherited_by_none(bench: Bench) -> None:
    entries = [(1, 7, 2**32 - 1), (2, 5, 1000), (4, 5, 2**32 - 1), (16, 5, 2**32 - 1), (32, 0, 2**32 - 1)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *one) for one in entries)
    text = acl.decode("utf-8", "surrogateescape")
    root = await unpacked(
        bench,
        folder("d", mode=0o777, pax_headers={"SCHILY.xattr.system.posix_acl_default": text}),
        entry("d/file", b"1", mode=0o666),
        folder("d/folder", mode=0o777),
        entry("own", b"2", mode=0o750, pax_headers={"SCHILY.xattr.system.posix_acl_access": text}),
    )
    assert os.getxattr(root / "d", "system.posix_acl_default") == acl
    assert os.getxattr(root / "own", "system.posix_acl_access") == acl
    for name, mode in (("d/file", 0o666), ("d/folder", 0o777)):
        assert (stat.S_IMODE(os.lstat(root / name).st_mode), os.listxattr(root / name)) == (mode, [])


async def test_long_names_in_every_format(bench: Bench) -> None:
    long = "d" * 100 + "/" + "e" * 120 + "/" + "ü" * 60
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        layer = await bench.unpack(tar([entry(long, b"x"), symlink("link", "t" * 300)], form=form))
        root = bench.snapshots.diff(layer.chain)
        assert (root / long).read_bytes() == b"x"
        assert os.readlink(root / "link") == "t" * 300
    split = "p" * 90 + "/" + "q" * 90
    layer = await bench.unpack(tar([entry(split, b"y")], form=tarfile.USTAR_FORMAT))
    assert (bench.snapshots.diff(layer.chain) / split).read_bytes() == b"y"


async def test_names_that_are_no_text(bench: Bench) -> None:
    name = os.fsdecode(b"caf\xe9")
    root = await unpacked(bench, entry(name, b"x"))
    assert os.listdir(os.fsencode(root)) == [b"caf\xe9"]


def sparse(form: str, tmp_path: Path) -> bytes:
    """A file with holes as GNU tar itself writes it."""
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        for offset in (0, 1 << 20, 5 << 20):
            file.seek(offset)
            file.write(b"data" * 2048)
        file.truncate(8 << 20)
    options = {"gnu": ["--format=gnu"]} | {
        version: ["--format=pax", f"--sparse-version={version}"] for version in ("0.0", "0.1", "1.0")
    }
    command = ["tar", "-C", str(tmp_path), "-S", *options[form], "-cf", "-", "sparse"]
    return subprocess.run(command, capture_output=True, check=True, timeout=10).stdout


@pytest.mark.parametrize("form", ["gnu", "0.0", "0.1", "1.0"])
async def test_sparse_files(bench: Bench, tmp_path: Path, form: str) -> None:
    layer = await bench.unpack(sparse(form, tmp_path))
    made = bench.snapshots.diff(layer.chain) / "sparse"
    assert made.read_bytes() == (tmp_path / "sparse").read_bytes()
    assert made.stat().st_blocks * 512 < 1 << 20
    assert layer.size == 8 << 20


async def test_whiteouts_and_opaque_folders(bench: Bench) -> None:
    root = await unpacked(
        bench,
        entry("etc/.wh.gone"),
        folder("opaque"),
        entry("opaque/.wh..wh..opq"),
        entry("opaque/new", b"n"),
        entry(".wh..wh.plnk"),
        entry(".wh.again"),
        folder("again"),
        folder("other"),
        entry(".wh.other"),
        entry(".wh.file"),
        entry("file", b"f"),
    )
    gone = os.lstat(root / "etc/gone")
    assert stat.S_ISCHR(gone.st_mode)
    assert gone.st_rdev == 0
    for name in ("opaque", "again", "other"):
        assert os.getxattr(root / name, "trusted.overlay.opaque") == b"y"
    assert (root / "file").read_bytes() == b"f"
    assert not list(root.glob("**/.wh.*"))


async def test_layers_hide_and_reveal_in_a_mounted_snapshot(bench: Bench) -> None:
    below = await bench.unpack(tar([entry("d/a", b"1"), entry("d/b", b"2"), entry("e/c", b"3"), entry("keep", b"4")]))
    above = await bench.unpack(tar([entry("d/.wh..wh..opq"), entry("d/n", b"5"), entry("e/.wh.c")]), below)
    bench.snapshots.prepare("k", [below.chain, above.chain])
    with bench.snapshots.mounted("k") as tree:
        names = sorted(str(path.relative_to(tree)) for path in tree.rglob("*"))
        assert names == ["d", "d/n", "e", "keep"]


async def test_the_root_of_an_archive_is_the_root_of_the_tree(bench: Bench) -> None:
    below = await bench.unpack(tar([folder("./", mode=0o711, uid=7), entry("./x", b"1")]))
    above = await bench.unpack(tar([entry("y", b"2")]), below)
    bench.snapshots.prepare("k", [below.chain, above.chain])
    with bench.snapshots.mounted("k") as tree:
        status = tree.stat()
        assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o711, 7)


COMPRESSIONS = {
    "gzip": gzip.compress,
    "two members": lambda data: gzip.compress(data[:700]) + gzip.compress(data[700:]) + bytes(100),
    "zstd": zstandard.compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
}


@pytest.mark.parametrize("name", COMPRESSIONS)
async def test_every_compression_gives_the_same_layer(bench: Bench, name: str) -> None:
    plain = tar([entry("x", random.Random(1).randbytes(100_000))])
    layer = await bench.unpack(COMPRESSIONS[name](plain), None, digest(plain))
    assert layer.diff_id == digest(plain)


REFUSED = {
    "up": [entry("../evil", b"x")],
    "up, deep": [entry("a/../../evil", b"x")],
    "up by a folder": [folder("../evil")],
    "up by a link": [symlink("../evil", "/")],
    "up by a device": [device("../../evil", 1, 3)],
    "hard link up": [hard_link("x", "../evil")],
    "hard link up, deep": [folder("a"), hard_link("a/x", "../../../etc/passwd")],
    "hard link to nothing": [hard_link("x", "/etc/passwd")],
    "hard link to a folder": [folder("d"), hard_link("x", "d")],
    "whiteout of up": [entry("a/.wh..", b"")],
    "whiteout of up, deep": [entry("../.wh.etc", b"")],
    "whiteout of itself": [entry(".wh..", b"")],
    "nameless whiteout": [entry("a/.wh.", b"")],
    "the root is a file": [entry(".", b"x")],
    "the root is a link": [symlink("./", "/etc")],
    "below a file": [entry("f", b"x"), entry("f/g", b"y")],
    "through a link to nothing": [symlink("l", "nowhere"), entry("l/x", b"y")],
    "through links in a circle": [symlink("a", "b"), symlink("b", "a"), entry("a/x", b"y")],
    "an endless name": [entry("n" * 300, b"x")],
    "an endless path": [entry("d/" * 3000 + "x", b"x")],
    "an unknown kind": [entry("x", kind=b"Q")],
    "an owner out of range": [entry("x", pax_headers={"uid": "4294967295"})],
    "a negative owner": [entry("x", pax_headers={"uid": "-5"})],
    "an endless pax record": [entry("x", pax_headers={"comment": "c" * (2 << 20)})],
    "a nul in a name": [entry("x", pax_headers={"path": "a\0b"})],
    "no name": [entry("", b"x")],
    "a sparse map that lies": [entry("x", b"abc", pax_headers={"GNU.sparse.map": "0,1", "GNU.sparse.size": "9"})],
    "a sparse map backwards": [entry("x", b"ab", pax_headers={"GNU.sparse.map": "5,1,0,1", "GNU.sparse.size": "9"})],
    "a sparse map beyond": [entry("x", b"ab", pax_headers={"GNU.sparse.map": "50,2", "GNU.sparse.size": "9"})],
    "up by a pax path": [entry("x", b"y", pax_headers={"path": "../evil"})],
    "up by a pax link": [entry("x", kind=tarfile.LNKTYPE, link="y", pax_headers={"linkpath": "../../etc/passwd"})],
    "up by a sparse name": [entry("x", b"y", pax_headers={"GNU.sparse.name": "../evil", "GNU.sparse.map": "0,1"})],
    "up behind the root": [entry("/../evil", b"x")],
    "a hard link to a pipe's folder": [folder("d"), hard_link("d", "."), entry("d/x", b"y")],
    "a size of exabytes": [entry("x", b"y", pax_headers={"size": str(1 << 62)})],
    "a size that is no number": [entry("x", b"y", pax_headers={"size": "-1"})],
    "a sparse file of exabytes": [entry("x", b"y", pax_headers={"GNU.sparse.map": "0,1", "GNU.sparse.size": "9" * 19})],
    "a sparse map without end": [
        entry("x", b"9" * 512, pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0"})
    ],
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_no_honest_archive_holds_is_refused(bench: Bench, name: str) -> None:
    with pytest.raises(InvalidArgument):
        await bench.unpack(tar(REFUSED[name]))
    assert bench.left() == []
    assert not Path("/evil").exists()


CONTAINED = {
    # entries, then a path in the layer with its contents: what a confined extraction makes of it
    "an absolute name": ([entry("/etc/pydock-evil", b"x")], "etc/pydock-evil"),
    "through an absolute link": (
        [symlink("l", "/etc"), folder("etc"), entry("l/pydock-evil", b"x")],
        "etc/pydock-evil",
    ),
    "through a link upwards": (
        [symlink("l", "../../../../../../etc"), folder("etc"), entry("l/pydock-evil", b"x")],
        "etc/pydock-evil",
    ),
    "through a link to a link": (
        [symlink("a", "b/.."), symlink("b", "/"), folder("etc"), entry("a/etc/pydock-evil", b"x")],
        "etc/pydock-evil",
    ),
    "a file over a link out": ([symlink("l", "/etc/pydock-evil"), entry("l", b"x")], "l"),
    "a file over a device": ([device("kmsg", 1, 11), entry("kmsg", b"x")], "kmsg"),
    "a file over a fifo": ([entry("p", kind=tarfile.FIFOTYPE), entry("p", b"x")], "p"),
    "a file over a folder": ([folder("d"), entry("d/e", b"1"), symlink("d/out", "/etc"), entry("d", b"x")], "d"),
    "a folder over a link": ([symlink("d", "/etc"), folder("d"), entry("d/pydock-evil", b"x")], "d/pydock-evil"),
    "a folder over a device": ([device("d", 1, 3), folder("d"), entry("d/f", b"x")], "d/f"),
    "a link over a file twice": ([entry("f", b"x"), entry("f", b"y"), entry("f", b"x")], "f"),
    "a hard link through a link": (
        [symlink("l", "/"), folder("etc"), entry("etc/a", b"x"), hard_link("h", "l/etc/a")],
        "h",
    ),
    "a hard link to a link out": ([symlink("l", "/etc/pydock-evil"), hard_link("h", "l"), entry("h", b"x")], "h"),
    "the root by an absolute hard link": ([entry("a", b"x"), hard_link("h", "/a")], "h"),
    "a whiteout through a link": ([symlink("l", "/"), folder("etc"), entry("l/.wh.passwd"), entry("f", b"x")], "f"),
    "an opaque mark through a link": ([symlink("l", "/"), entry("l/.wh..wh..opq"), entry("f", b"x")], "f"),
    "a folder through a link": ([symlink("l", "/etc"), folder("etc"), folder("l/d"), entry("l/d/f", b"x")], "etc/d/f"),
    "a hard link over its target": ([entry("f", b"x"), hard_link("f", "f"), hard_link("./f", "f")], "f"),
    "names that differ in case": ([symlink("D", "/etc"), folder("d"), entry("d/pydock-evil", b"x")], "d/pydock-evil"),
    "a global header with a path": (
        [entry("g", b"20 path=/etc/evil-x\n", kind=b"g"), entry("f", b"x")],
        "f",
    ),
    "the same folder twice": ([folder("d", mode=0), entry("d/f", b"y"), folder("d"), entry("d/f", b"x")], "d/f"),
    "dots in the middle": ([folder("a"), entry("a/./../a//f", b"x")], "a/f"),
}


@pytest.mark.parametrize("name", CONTAINED)
async def test_what_leads_out_stays_inside(bench: Bench, name: str) -> None:
    entries, path = CONTAINED[name]
    root = await unpacked(bench, *entries)
    assert (root / path).read_bytes() == b"x"
    assert not (root / path).is_symlink()
    assert not Path("/etc/pydock-evil").exists()


async def test_gigabytes_of_zeros_take_no_disk(bench: Bench) -> None:
    """A thousandth of it comes in; the files are as long as they say and empty."""
    info, _ = entry("zeros")
    info.size = 64 << 24
    parts = [info.tobuf(tarfile.PAX_FORMAT), *[bytes(1 << 24)] * 64, bytes(1024)]
    members = {part: gzip.compress(part) for part in set(parts)}
    layer = await bench.unpack(b"".join(members[part] for part in parts))
    status = os.lstat(bench.snapshots.diff(layer.chain) / "zeros")
    assert (status.st_size, layer.size) == (1 << 30, 1 << 30)
    assert status.st_blocks * 512 < 1 << 20


async def test_long_zeros_are_in_their_place(bench: Bench) -> None:
    data = b"a" + bytes(300_000) + b"b" + bytes(3 << 20)
    root = await unpacked(bench, entry("x", data), entry("y", bytes(200_000)))
    assert (root / "x").read_bytes() == data
    assert (root / "y").read_bytes() == bytes(200_000)


CORRUPT = {
    "cut in a header": lambda data: data[:700],
    "cut in a file": lambda data: data[:20_000],
    "a wrong checksum": lambda data: b"\x01" + data[1:],
    "noise": lambda data: random.Random(2).randbytes(5000),
    "gzip, cut": lambda data: gzip.compress(data)[:-500],
    "gzip, wrong sum": lambda data: gzip.compress(data)[:-8] + bytes(8),
    "gzip, noise after it": lambda data: gzip.compress(data) + b"noise",
    "zstd, cut": lambda data: zstandard.compress(data)[:-5000],
    "zstd, noise": lambda data: zstandard.compress(data)[:10] + random.Random(3).randbytes(500),
    "xz, cut": lambda data: lzma.compress(data)[:-100],
}


@pytest.mark.parametrize("name", CORRUPT)
async def test_a_corrupt_layer_leaves_nothing(bench: Bench, name: str) -> None:
    plain = tar([entry("x", random.Random(1).randbytes(30_000)), entry("y", b"z")])
    with pytest.raises(InvalidArgument):
        await bench.unpack(CORRUPT[name](plain), None, digest(plain))
    assert bench.left() == []


async def test_another_layer_than_was_named_is_refused(bench: Bench) -> None:
    with pytest.raises(InvalidArgument, match="layer verification failed"):
        await bench.unpack(tar([entry("x", b"1")]), None, digest(b"something else"))
    assert bench.left() == []


def test_old_gnu_numbers_and_negative_times() -> None:
    info, _ = entry("x", uid=5_000_000)
    info.mtime = -12345
    data = info.tobuf(tarfile.GNU_FORMAT) + bytes(1024)
    (found,) = list(tarstream.Archive(io.BytesIO(data)))
    assert (found.uid, found.mtime) == (5_000_000, -12345 * 10**9)


async def test_folders_without_an_entry_of_their_own(bench: Bench) -> None:
    layer = await bench.unpack(tar([entry("a/b/c/file"), entry("x/y/.wh.gone")]))
    for name in ("a", "a/b", "a/b/c", "x", "x/y"):
        assert stat.S_IMODE((bench.snapshots.diff(layer.chain) / name).stat().st_mode) == 0o755
