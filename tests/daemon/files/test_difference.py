"""The layer of a container's changes on top of what it was made from gives the container's tree again."""

import asyncio
import json
import os
import shutil
import stat
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.daemon.snapshots.conftest import Bench
from tests.daemon.snapshots.conftest import bench as bench
from tests.daemon.snapshots.test_plain import plain as plain
from tests.fixtures.archives import device, entry, folder, hard_link, symlink, tar

from pydock_daemon.files import process
from pydock_daemon.snapshots.layer import END

pytestmark = pytest.mark.root
Picture = dict[str, tuple[object, ...]]


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


def picture(root: Path) -> Picture:
    """Everything about a tree that a layer keeps; the time of a folder is that of what was last put in it."""
    found: Picture = {}
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


Step = tuple[str, str, Any]
"""A verb of STEPS, a path, and what the verb takes besides."""
NAMES = st.sampled_from(["a", "b", "c", "B", "\udcff", "n" * 60])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


def room(tree: Path, path: str) -> Path:
    """Make folders of all that is above a path, and remove what is there."""
    at = tree / path
    for above in [tree / above for above in Path(path).parents][::-1]:
        if above.is_symlink() or not above.is_dir():
            above.unlink(missing_ok=True)
            above.mkdir()
    if at.is_dir() and not at.is_symlink():
        shutil.rmtree(at)
    at.unlink(missing_ok=True)
    return at


def write(tree: Path, path: str, data: bytes) -> None:
    is_there = (tree / path).is_file() and not (tree / path).is_symlink()
    (tree / path if is_there else room(tree, path)).write_bytes(data)


def forge(tree: Path, path: str, byte: bytes) -> None:
    """Write as many other bytes, and say that it was never done."""
    if (tree / path).is_file() and not (tree / path).is_symlink():
        before = (tree / path).stat()
        (tree / path).write_bytes(byte * before.st_size)
        os.utime(tree / path, ns=(before.st_atime_ns, before.st_mtime_ns))


def hard(tree: Path, path: str, source: str) -> None:
    if path != source and (at := room(tree, path)) and is_thing(tree / source):
        os.link(tree / source, at, follow_symlinks=False)


def move(tree: Path, path: str, source: str) -> None:
    if path != source and (at := room(tree, path)) and is_thing(tree / source):
        (tree / source).rename(at)


def is_thing(at: Path) -> bool:
    """Say whether there is something that is no folder."""
    return os.path.lexists(at) and (at.is_symlink() or not at.is_dir())


def attribute(tree: Path, path: str, value: tuple[str, bytes | None]) -> None:
    """Set or remove an attribute of a file or folder."""
    at, (key, data) = tree / path, value
    if at.is_symlink() or not (at.is_file() or (at.is_dir() and key.startswith("user."))):
        return
    if data is not None:
        os.setxattr(at, key, data)
    elif key in os.listxattr(at):
        os.removexattr(at, key)


def altered(change: Callable[[Path, Any], None], *, links: bool = True) -> Callable[[Path, str, Any], None]:
    """Make a verb of a function that changes something about what is there already."""

    def verb(tree: Path, path: str, value: Any) -> None:
        at = tree / path
        if os.path.lexists(at) and (links or not at.is_symlink()):
            change(at, value)

    return verb


STEPS: dict[str, tuple[Callable[[Path, str, Any], object], st.SearchStrategy[Any]]] = {
    "write": (write, st.binary(max_size=20)),
    "write much": (write, st.integers(1, 255).map(lambda byte: bytes([byte]) * 2000)),
    "forge": (forge, st.sampled_from([b"x", b"y"])),
    "folder": (lambda tree, path, mode: room(tree, path).mkdir(mode), st.sampled_from([0o755, 0o700])),
    "link": (lambda tree, path, target: room(tree, path).symlink_to(target), NAMES),
    "hard": (hard, PATHS),
    "move": (move, PATHS),
    "pipe": (lambda tree, path, mode: os.mkfifo(room(tree, path), mode), st.just(0o600)),
    "device": (
        lambda tree, path, minor: os.mknod(room(tree, path), stat.S_IFCHR | 0o600, os.makedev(1, minor)),
        st.integers(1, 9),
    ),
    "remove": (lambda tree, path, _: room(tree, path), st.none()),
    "owner": (
        altered(lambda at, owner: os.chown(at, *owner, follow_symlinks=False)),
        st.tuples(st.integers(0, 9), st.integers(0, 9)),
    ),
    "mode": (
        altered(lambda at, mode: at.chmod(mode), links=False),
        st.sampled_from([0, 0o600, 0o4755, 0o2711, 0o1777]),
    ),
    "time": (
        altered(lambda at, moment: os.utime(at, ns=(moment, moment), follow_symlinks=False)),
        st.integers(0, 1 << 61),
    ),
    "attribute": (
        attribute,
        st.tuples(st.sampled_from(["user.a", "user.b"]), st.none() | st.binary(max_size=9)),
    ),
    "capability": (
        attribute,
        st.integers(0, 9).map(
            lambda bits: ("security.capability", struct.pack("<5I", 0x02000001, bits, 0, 0, 0) if bits else None)
        ),
    ),
}
ROOT = {"owner", "mode", "attribute"}
"""What can be done to the root as well, where it is one step of ten."""
MANY = st.lists(
    st.sampled_from(sorted(STEPS)).flatmap(
        lambda verb: st.tuples(st.just(verb), PATHS | st.just(".") if verb in ROOT else PATHS, STEPS[verb][1])
    ),
    max_size=12,
)


def take(tree: Path, steps: list[Step]) -> None:
    """Do the steps, each where it is possible."""
    for verb, path, value in steps:
        STEPS[verb][0](tree, path, value)


@pytest.mark.parametrize("kind", ["bench", "plain"])
@settings(max_examples=15, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=MANY, second=st.lists(MANY, max_size=3).map(lambda lists: [step for steps in lists for step in steps]))
@example(first=[], second=[("remove", "a", None), ("pipe", "a/b/a", 0o600)])
async def test_a_layer_makes_the_tree_again(
    request: pytest.FixtureRequest, kind: str, first: list[Step], second: list[Step]
) -> None:
    bench: Bench = request.getfixturevalue(kind)
    base = await bench.unpack(tar([folder("a"), folder("a/b"), entry("a/b/c", b"1"), entry("b", b"2"), folder("c")]))
    chain = [base.chain]
    try:
        await on_top(bench, "first", chain, first)
        below = await bench.unpack(await output(bench, "first", "layer") or END, base)
        chain.append(below.chain)
        before, after = await on_top(bench, "second", chain, second)
        above = await bench.unpack(await output(bench, "second", "layer") or END, below)
        chain.append(above.chain)
        again, _ = await on_top(bench, "third", chain, [])
        assert again == after
        compare(await changes(bench, "second"), before, after)
    finally:
        for key in ("first", "second", "third"):
            bench.snapshots.remove(key)
        bench.snapshots.sweep([])


async def on_top(bench: Bench, key: str, chain: list[str], steps: list[Step]) -> tuple[Picture, Picture]:
    """Do steps in a new snapshot; return what it was before and after."""
    bench.snapshots.prepare(key, chain)
    await bench.snapshots.made(key)
    with bench.snapshots.mounted(key) as tree:
        before = picture(tree)
        take(tree, steps)
        return before, picture(tree)


def compare(listed: list[str], before: Picture, after: Picture) -> None:
    """Check that what is listed as changed is what differs."""
    said = {line[2:]: line[0] for line in listed}
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
    await bench.snapshots.made("k")
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


@pytest.mark.parametrize("kind", ["bench", "plain"])
async def test_a_rewrite_with_the_same_size_and_time_is_a_change(request: pytest.FixtureRequest, kind: str) -> None:
    bench: Bench = request.getfixturevalue(kind)
    forged = "touch -r file time; printf N >file; touch -r time file; rm time"
    said = await changed(
        bench, forged, "ln -s elif new; touch -hr link new; mv new link", "chmod 600 same; chmod 644 same"
    )
    assert said == ["C /file", "C /link"]


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
