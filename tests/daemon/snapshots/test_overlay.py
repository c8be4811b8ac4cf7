"""Snapshots: short names, reference by containers, sweeps, and what a crash leaves."""

import asyncio
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from tests.daemon.snapshots.conftest import Bench
from tests.fixtures.archives import digest, entry, folder, tar

from pydock_daemon.snapshots import base
from pydock_shared.errors import NotFound

pytestmark = pytest.mark.root


def mounted(bench: Bench) -> bool:
    """Whether anything is mounted for these snapshots."""
    return str(bench.root) in Path("/proc/self/mountinfo").read_text()


async def test_a_deep_image_fits_the_options_of_a_mount(bench: Bench) -> None:
    layer, chain = None, []
    blob = bench.root / "blob"
    for number in range(3):
        layer = await bench.unpack(tar([entry(f"f{number}", b"x")]), layer)
        chain.append(layer.chain)
    bench.snapshots.prepare("k", chain)
    mount = bench.snapshots.overlay("k")
    assert len(mount["lower"]) == 3
    assert len(":".join(mount["lower"])) / 3 * 127 < 3000
    assert [(Path(mount["base"]) / name / f"f{2 - n}").exists() for n, name in enumerate(mount["lower"])] == [True] * 3
    assert bench.snapshots.chain("k") == chain
    assert blob.exists()


async def test_the_same_chain_is_unpacked_once(bench: Bench) -> None:
    data = tar([entry("x", b"1")])
    one, two = await asyncio.gather(bench.unpack(data, None, digest(data)), bench.unpack(data, None, digest(data)))
    assert one is two
    assert len(bench.left()) == 1


async def test_a_snapshot_is_written_and_its_layers_are_not(bench: Bench) -> None:
    layer = await bench.unpack(tar([entry("x", b"1"), entry("y", b"2")]))
    bench.snapshots.prepare("k", [layer.chain])
    with bench.snapshots.mounted("k") as tree:
        assert mounted(bench)
        (tree / "x").write_bytes(b"changed")
        (tree / "y").unlink()
    assert not mounted(bench)
    assert (bench.snapshots.diff(layer.chain) / "x").read_bytes() == b"1"
    assert (bench.snapshots.upper("k") / "x").read_bytes() == b"changed"
    assert bench.snapshots.usage("k") == len(b"changed")


async def test_a_failing_block_is_unmounted_too(bench: Bench) -> None:
    bench.snapshots.prepare("k", [])
    with pytest.raises(FileNotFoundError), bench.snapshots.mounted("k") as tree:
        (tree / "nothing").read_bytes()
    assert not mounted(bench)


async def test_sweeps_keep_what_images_containers_and_pins_need(bench: Bench) -> None:
    below = await bench.unpack(tar([entry("a", b"12")]))
    above = await bench.unpack(tar([entry("b", b"345")]), below)
    other = await bench.unpack(tar([entry("c", b"6")]))
    bench.snapshots.prepare("k", [below.chain, above.chain])
    with bench.snapshots.pinned([other.chain]):
        assert bench.snapshots.sweep([]) == 0
    assert bench.snapshots.sweep([other.chain]) == 0
    assert bench.snapshots.sweep([]) == 1
    bench.snapshots.remove("k")
    assert bench.snapshots.sweep([below.chain]) == 3
    assert bench.left() == [below.short]
    with pytest.raises(NotFound, match="layer does not exist"):
        bench.snapshots.prepare("k", [below.chain, above.chain])


async def test_a_layer_over_the_folder_of_another(bench: Bench) -> None:
    below = await bench.unpack(tar([entry("below", b"0")]))
    base = await bench.unpack(tar([folder("d"), entry("d/a", b"1"), entry("d/b", b"22"), entry("c", b"3")]), below)
    over = await bench.over(base, tar([folder("d"), entry("d/a", b"4444"), entry("d/.wh.b")]), digest(b"1"))
    assert (over.size, over.used, over.base, over.parent) == (100, 4, base.chain, below.chain)
    assert bench.snapshots.total() == 1 + 4 + 4
    bench.snapshots.prepare("k", [below.chain, over.chain])
    for _ in range(2):
        assert bench.snapshots.overlay("k")["lower"] == [f"{one.short}/diff" for one in (over, base, below)]
        with bench.snapshots.mounted("k") as tree:
            assert {str(path.relative_to(tree)) for path in tree.rglob("*")} == {"below", "c", "d", "d/a"}
            assert ((tree / "d/a").read_bytes(), (tree / "c").stat().st_nlink) == (b"4444", 1)
        bench.close()
        bench.open()
    assert bench.snapshots.stands_on("k", base.chain)
    assert bench.snapshots.sweep([]) == 0
    bench.snapshots.remove("k")
    assert bench.snapshots.sweep([base.chain]) == 4
    assert sorted(bench.left()) == sorted([base.short, below.short])


async def test_what_stood_on_a_lost_folder_is_lost(bench: Bench) -> None:
    base = await bench.unpack(tar([entry("a", b"1")]))
    over = await bench.over(base, tar([entry("b", b"2")]), digest(b"1"))
    shutil.rmtree(bench.snapshots.diff(base.chain).parent)
    bench.close()
    bench.open()
    assert (bench.snapshots.layer(base.chain), bench.snapshots.layer(over.chain)) == (None, None)
    assert bench.left() == []


async def test_what_a_crash_leaves_is_cleared_at_the_next_start(bench: Bench) -> None:
    layer = await bench.unpack(tar([entry("a", b"1")]))
    bench.snapshots.prepare("kept", [layer.chain])
    root = bench.snapshots.root
    for name in ("unpacking/tmp1/diff/x", "layers/0123456789/diff/x", "containers/lost/diff/x", "trash/old/x"):
        (root / name).mkdir(parents=True)
    bench.close()
    bench.open()
    bench.close()
    names = {folder: sorted(os.listdir(root / folder)) for folder in ("unpacking", "trash", "containers", "layers")}
    bench.open()
    assert names == {
        "unpacking": [],
        "trash": [],
        "containers": ["kept"],
        "layers": sorted([layer.short, "empty"]),
    }
    assert bench.snapshots.overlay("kept")["lower"] == [f"{layer.short}/diff"]


async def test_cancelling_ends_the_child_and_removes_its_work(bench: Bench, tmp_path: Path) -> None:
    endless, begun = tmp_path / "endless", asyncio.Event()
    with endless.open("wb") as file:
        file.truncate(1 << 40)
    task = asyncio.create_task(bench.snapshots.unpack(endless, None, None, lambda _: begun.set()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bench.left() == []
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    assert [child for child in children if b"unpack" in Path(f"/proc/{child}/cmdline").read_bytes()] == []


async def test_removing_an_unknown_snapshot_is_fine(bench: Bench) -> None:
    bench.snapshots.remove("nobody")
    with pytest.raises(NotFound):
        bench.snapshots.overlay("nobody")


async def test_prepare_is_quick(bench: Bench) -> None:
    """Not a measurement: a hundred of them in a time that no walk of a tree or start of a process would fit into."""
    layer = await bench.unpack(tar([entry(f"f{n}", b"x") for n in range(500)]))
    begin = time.monotonic()
    for number in range(100):
        bench.snapshots.prepare(f"k{number}", [layer.chain])
    assert time.monotonic() - begin < 2


def test_chain_ids_are_those_of_the_specification() -> None:
    diffs = [digest(b"1"), digest(b"2"), digest(b"3")]
    second = digest(f"{diffs[0]} {diffs[1]}".encode())
    assert base.chain_ids(diffs) == [diffs[0], second, digest(f"{second} {diffs[2]}".encode())]


def test_layers_are_made_apart_from_each_other_on_the_disk(bench: Bench) -> None:
    """lsattr's `T`, where the file system knows it: else ext4 looks at every inode that was freed lately."""
    told = subprocess.run(["lsattr", "-d", str(bench.root / "overlay/unpacking")], capture_output=True, check=False)
    if told.returncode:
        pytest.skip(f"no attributes here: {told.stderr!r}")
    assert "T" in told.stdout.decode().split()[0]
