"""The layer of a container's changes on top of what it was made from gives the container's tree again."""

import asyncio
import json
import os
import random
import shutil
import stat
import struct
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.daemon.snapshots.conftest import Bench
from tests.daemon.snapshots.conftest import bench as bench
from tests.daemon.snapshots.test_plain import plain as plain
from tests.fixtures.archives import device, entry, folder, hard_link, symlink, tar

from pydock_daemon.files import process

pytestmark = pytest.mark.root
Alter = Callable[[Path, random.Random], None]
NAMES = ["a", "b", "c", "B", "\udcff", "n" * 60]


async def output(bench: Bench, key: str, verb: str) -> bytes:
    """What a child of a `difference` view gives."""
    view = {"kind": "difference", "overlay": bench.snapshots.overlay(key), "stage": str(bench.snapshots.stage)}
    data = b""
    async with process.started(bench.snapshots.forks, verb, view) as child:
        await child.answer()
        while piece := await child.read():
            data += piece
    return data


async def changes(bench: Bench, key: str) -> list[str]:
    """The changes as `docker diff` prints them."""
    found = json.loads(await output(bench, key, "changes"))
    return [f"{'CAD'[change['Kind']]} {change['Path']}" for change in found or ()]


def picture(root: Path) -> dict[str, tuple[object, ...]]:
    """Everything about a tree that a layer keeps; the time of a folder is that of what was last put in it."""
    found: dict[str, tuple[object, ...]] = {}
    for at, folders, files in os.walk(root):
        for name in [".", *folders, *files]:
            path = os.path.join(at, name)
            status = os.lstat(path)
            data: Any = os.readlink(path) if stat.S_ISLNK(status.st_mode) else ""
            if stat.S_ISREG(status.st_mode):
                data = Path(path).read_bytes()
            names = 0 if stat.S_ISDIR(status.st_mode) else status.st_nlink
            time = 0 if stat.S_ISDIR(status.st_mode) else status.st_mtime_ns
            attributes = tuple(
                (key, os.getxattr(path, key, follow_symlinks=False))
                for key in sorted(os.listxattr(path, follow_symlinks=False))
                if not key.startswith("trusted.overlay.")
            )
            found[os.path.normpath(path).removeprefix(str(root))] = (
                status.st_mode, status.st_uid, status.st_gid, time, status.st_rdev, names, data, attributes
            )  # fmt: skip
    return found


def some_folder(tree: Path, chance: random.Random) -> Path:
    """A folder of the tree, any of them."""
    return Path(chance.choice([at for at, _, _ in os.walk(tree)]))


def change(tree: Path, chance: random.Random, alterations: Sequence[Alter]) -> None:
    """Do one thing to a tree."""
    path = some_folder(tree, chance) / chance.choice(NAMES)
    if path.is_symlink() or path.exists():
        if chance.random() < 0.5:
            chance.choice(alterations)(path, chance)
            return
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        if chance.random() < 0.4:
            return
    kind = chance.choice(["file", "file", "folder", "folder", "link", "hard", "pipe", "device", "moved"])
    files = [found for found in tree.rglob("*") if found.is_file() and not found.is_symlink()]
    if kind == "file" or (kind in ("hard", "moved") and not files):
        path.write_bytes(chance.randbytes(chance.randrange(2000)))
    elif kind == "folder":
        path.mkdir(mode=chance.choice([0o755, 0o700]))
    elif kind == "link":
        path.symlink_to(chance.choice(NAMES))
    elif kind == "hard":
        os.link(chance.choice(files), path)
    elif kind == "moved":
        chance.choice(files).rename(path)
    elif kind == "device":
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, chance.randrange(1, 9)))
    else:
        os.mkfifo(path)


def alter_owner(path: Path, chance: random.Random) -> None:
    os.chown(path, chance.randrange(9), chance.randrange(9), follow_symlinks=False)


def alter_mode(path: Path, chance: random.Random) -> None:
    if not path.is_symlink():
        path.chmod(chance.choice([0o4755, 0o2711, 0o1777, 0o600, 0]))


def alter_time(path: Path, chance: random.Random) -> None:
    moment = chance.randrange(1, 1 << 61)
    os.utime(path, ns=(moment, moment), follow_symlinks=False)


def alter_attribute(path: Path, chance: random.Random) -> None:
    if path.is_symlink() or not (path.is_file() or path.is_dir()):
        return
    if path.is_file() and chance.random() < 0.3:
        os.setxattr(path, "security.capability", struct.pack("<5I", 0x02000001, chance.randrange(1, 99), 0, 0, 0))
    elif (keys := os.listxattr(path)) and chance.random() < 0.3:
        os.removexattr(path, keys[0])
    else:
        os.setxattr(path, f"user.{chance.choice('abc')}", chance.randbytes(chance.randrange(20)))


def alter_contents(path: Path, chance: random.Random) -> None:
    """Write as many other bytes, and say that it was never done."""
    if path.is_file() and not path.is_symlink():
        before = path.stat()
        path.write_bytes(chance.randbytes(before.st_size))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


ALTERATIONS = [alter_owner, alter_mode, alter_time, alter_attribute, alter_attribute, alter_contents]


@pytest.mark.parametrize(("kind", "seed"), [*(("bench", n) for n in range(16)), *(("plain", n) for n in range(8))])
async def test_a_layer_makes_the_tree_again(request: pytest.FixtureRequest, kind: str, seed: int) -> None:
    bench: Bench = request.getfixturevalue(kind)
    chance = random.Random(seed)
    # Of whole trees only sizes and times are compared.
    alterations = ALTERATIONS if kind == "bench" else ALTERATIONS[:-1]
    base = await bench.unpack(tar([folder("a"), folder("a/b"), entry("a/b/c", b"1"), entry("b", b"2"), folder("c")]))
    bench.snapshots.prepare("first", [base.chain])
    await bench.snapshots.made("first")
    with bench.snapshots.mounted("first") as tree:
        for _ in range(15):
            change(tree, chance, alterations)
    below = await bench.unpack(await output(bench, "first", "layer"), base)
    bench.snapshots.prepare("second", [base.chain, below.chain])
    await bench.snapshots.made("second")
    with bench.snapshots.mounted("second") as tree:
        before = picture(tree)
        for _ in range(25):
            change(tree, chance, alterations)
        after = picture(tree)
    above = await bench.unpack(await output(bench, "second", "layer"), below)
    bench.snapshots.prepare("third", [base.chain, below.chain, above.chain])
    await bench.snapshots.made("third")
    with bench.snapshots.mounted("third") as tree:
        assert picture(tree) == after
    said = {line[2:]: line[0] for line in await changes(bench, "second")}
    shown = {os.fsencode(path).decode(errors="replace"): path for path in {*before, *after}}
    for path, kind in said.items():
        there = (shown[path] in before, shown[path] in after)
        assert there == {"A": (False, True), "D": (True, False), "C": (True, True)}[kind]
    gone = {path for path in before if path not in after and os.path.dirname(path) in after}
    new = {path for path in after if path not in before}
    assert {path for name, path in shown.items() if said.get(name) == "A"} == new
    assert {path for name, path in shown.items() if said.get(name) == "D"} >= {
        path for path in gone if stat.S_ISDIR(int(str(after[os.path.dirname(path)][0])))
    }


BASE = [
    folder("d"), entry("d/x", b"1"), entry("d/y", b"2"), folder("gone"), entry("gone/x", b"3"), entry("same", b"4"),
    entry("file", b"5"), symlink("link", "file"), folder("etc"), entry("etc/hosts", b"6"), hard_link("hard", "same"),
    device("null", 1, 3),
]  # fmt: skip


async def changed(bench: Bench, *commands: str) -> list[str]:
    """What changes when these commands have run in a container's tree."""
    base = await bench.unpack(tar(BASE))
    bench.snapshots.prepare("k", [base.chain])
    with bench.snapshots.mounted("k") as tree:
        for command in commands:
            await asyncio.to_thread(subprocess.run, ["sh", "-c", command], check=True, cwd=tree)
    return await changes(bench, "k")


CHANGES = [
    (["true"], []),
    (["echo new >d/z"], ["C /d", "A /d/z"]),
    (["mkdir -p a/b", "touch a/b/c"], ["A /a", "A /a/b", "A /a/b/c"]),
    (["rm d/x"], ["C /d", "D /d/x"]),
    (["rm -r gone"], ["D /gone"]),
    (["rm -r gone", "mkdir gone", "touch gone/new"], ["C /gone", "A /gone/new", "D /gone/x"]),
    (["rm -r gone", "touch gone"], ["C /gone"]),
    (["rm file", "mkdir file", "touch file/x"], ["C /file", "A /file/x"]),
    (["mv d e"], ["D /d", "A /e", "A /e/x", "A /e/y"]),
    (["chmod 700 d"], ["C /d"]),
    (["chown 5 file"], ["C /file"]),
    (["touch -d 2001-01-01 d"], []),
    (["touch -d 2001-01-01 file"], ["C /file"]),
    (["ln -sf same link"], ["C /link"]),
    (["mkdir dev proc sys", "touch etc/resolv.conf etc/hostname"], []),
    (["mkdir dev", "touch dev/x"], ["A /dev", "A /dev/x"]),
    (["echo x >etc/hosts", "echo y >etc/hostname"], ["C /etc", "A /etc/hostname", "C /etc/hosts"]),
    (["touch \"$(printf 'x\\377')\""], ["A /x\ufffd"]),
]


@pytest.mark.parametrize(("commands", "expected"), CHANGES)
async def test_what_counts_as_a_change(bench: Bench, commands: list[str], expected: list[str]) -> None:
    assert await changed(bench, *commands) == expected


async def test_no_changes_are_no_layer(bench: Bench) -> None:
    assert await changed(bench, "touch x", "rm x") == []
    assert await output(bench, "k", "layer") == b""
    assert await output(bench, "k", "changes") == b"null\n"


async def test_the_root_itself(bench: Bench) -> None:
    assert await changed(bench, "chmod 711 .") == []
    base = await bench.unpack(tar(BASE))
    above = await bench.unpack(await output(bench, "k", "layer"), base)
    bench.snapshots.prepare("again", [base.chain, above.chain])
    with bench.snapshots.mounted("again") as tree:
        assert stat.S_IMODE(tree.stat().st_mode) == 0o711
