"""A layer's files against its blob: whatever layers have in them is no difference, any other byte is one."""

import gzip
from pathlib import Path

import pytest
from tests.daemon.snapshots.conftest import Bench
from tests.fixtures.archives import device, digest, entry, folder, hard_link, symlink, tar

from pydock_daemon.snapshots.verify import difference

pytestmark = pytest.mark.root
MEMBERS = [
    folder("usr"),
    folder("usr/lib"),
    symlink("lib", "usr/lib"),
    symlink("absolute", "/usr"),
    entry("lib/by-a-link", b"1" * 3000),
    entry("absolute/by-another", b"2"),
    entry("without/parents/x", b"3"),
    hard_link("usr/hard", "usr/lib/by-a-link"),
    symlink("dangling", "nowhere"),
    device("null", 1, 3),
    entry("twice", b"first"),
    entry("twice", b"and another"),
    entry("was-a-folder/inside", b"4"),
    entry("was-a-folder", b"5"),
    entry(".wh.hidden"),
    folder("opaque"),
    entry("opaque/.wh..wh..opq"),
    entry("empty"),
    entry("setuid", b"6", mode=0o4755),
]


async def unpacked(bench: Bench, data: bytes) -> Path:
    layer = await bench.unpack(data)
    return bench.snapshots.diff(layer.chain)


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
async def test_a_layer_as_it_was_unpacked(bench: Bench, compress: object) -> None:
    data = compress(tar(MEMBERS))  # type: ignore[operator]
    assert difference(bench.root / "blob", [await unpacked(bench, data)]) == ""


@pytest.mark.parametrize(
    ("path", "content", "text"),
    [
        ("usr/lib/by-a-link", b"1" * 2999 + b"0", "lib/by-a-link: has other bytes"),
        ("twice", b"first", "twice: has 5 bytes instead of 11"),
        ("without/parents/x", None, "without/parents/x: is missing"),
        ("dangling", None, "dangling: is missing"),
    ],
)
async def test_what_has_changed(bench: Bench, path: str, content: bytes | None, text: str) -> None:
    place = await unpacked(bench, tar(MEMBERS)) / path
    place.unlink()
    if content is not None:
        place.write_bytes(content)
    assert difference(bench.root / "blob", [place.parents[len(Path(path).parts) - 1]]) == text


async def test_a_link_in_place_of_a_file_is_not_followed(bench: Bench) -> None:
    place = await unpacked(bench, tar([entry("f", b"x"), entry("d/g", b"y")]))
    (place / "f").unlink()
    (place / "f").symlink_to(bench.root / "blob")
    assert difference(bench.root / "blob", [place]) == "f: is no file"


async def test_a_layer_of_two_folders(bench: Bench) -> None:
    base = await bench.unpack(tar([folder("d"), entry("d/a", b"1"), entry("d/b", b"2"), entry("c", b"3")]))
    over = await bench.over(base, tar([folder("d"), entry("d/a", b"4"), entry("d/.wh.b")]), digest(b"1"))
    folders = bench.snapshots.folders(over.chain)
    (bench.root / "blob").write_bytes(tar([folder("d"), entry("d/a", b"4"), entry("c", b"3")]))
    assert difference(bench.root / "blob", folders) == ""
    (folders[1] / "c").write_bytes(b"5")
    assert difference(bench.root / "blob", folders) == "c: has other bytes"
    (folders[0] / "d/a").unlink()
    assert difference(bench.root / "blob", folders) == "d/a: has other bytes"
