"""Contexts that are kept: what is asked for, what is remembered, what becomes of what is damaged or left."""

import asyncio
import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from pydock_daemon.builder import contexts, copies, tree
from pydock_daemon.builder.contexts import Contexts
from pydock_daemon.builder.copies import Copying
from pydock_daemon.builder.copying import Rules
from pydock_daemon.builder.listed import Listed
from pydock_shared.errors import InvalidArgument, NotFound

ROWS = [["a", "f", 0o640, 1.5, 1, hashlib.sha256(b"A").hexdigest()], ["d", "d", 0o700, 2, 0, ""]]
ROWS += [["d/l", "l", 0o777, 2, 0, "../a"], ["e", "f", 0o644, 2, 0, hashlib.sha256(b"").hexdigest()]]


def listing(*rows: list[object]) -> list[bytes]:
    text = "".join(f"{json.dumps(row)}\n" for row in rows).encode()
    return [text[:20], text[20:]]


def archive(*contents: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as made:
        for data in contents:
            info = tarfile.TarInfo("whatever")
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def read(found: Listed, path: str) -> bytes:
    node = found.get(path)
    assert node is not None
    return b"".join(found.pieces(node))


async def built(kept: Contexts, *rows: list[object], sent: bytes = b"") -> str:
    """Go through a whole build and return the digest of its list."""
    name, _ = kept.begin(listing(*rows))
    if sent:
        kept.fill(name, [sent])
    found = await kept.tree(name)
    assert found.text("a") == "A"
    await kept.drop(name)
    return hashlib.sha256(b"".join(listing(*rows))).hexdigest()


async def test_only_what_is_missing_is_asked_for(tmp_path: Path):
    kept = Contexts(tmp_path / "c")
    name, missing = kept.begin(listing(*ROWS))
    assert missing == [hashlib.sha256(data).hexdigest() for data in (b"A", b"")]
    with pytest.raises(InvalidArgument, match="not whole"):
        await kept.tree(name)
    kept.fill(name, [archive(b"other", b"A", b"A", b"")])
    found = await kept.tree(name)
    assert (read(found, "d/l"), read(found, "e")) == (b"A", b"")
    node = found.get("a")
    assert node is not None
    assert (node.mode, node.mtime) == (0o640, 1.5)
    await kept.drop(name)
    with pytest.raises(NotFound):
        await kept.tree(name)
    assert kept.begin(listing(["b", *ROWS[0][1:]]))[1] == []
    assert [entry["Size"] for entry in kept.entries()] == [1 + 32 + 2 * 48]  # nothing but what was wanted


async def test_a_list_is_known_with_its_files(tmp_path: Path):
    kept = Contexts(tmp_path / "c")
    digest = await built(kept, *ROWS, sent=archive(b"A", b""))
    assert kept.known("0" * 64) == ""
    name = kept.known(digest)
    found = await kept.tree(name)
    assert found.text("a") == "A"
    assert "_nodes" not in vars(found)  # it was remembered: the list has not been read
    assert read(found, "a") == b"A"
    await kept.drop(name)
    assert kept.clear() > 0
    assert kept.known(digest) == ""
    assert not [path for path in (tmp_path / "c").rglob("*") if path.is_file()]


async def test_digests_of_what_is_copied_are_remembered(tmp_path: Path):
    kept = Contexts(tmp_path / "c")
    digest = await built(kept, *ROWS, [".dockerignore", "f", 0o644, 0, 1, ROWS[0][5]], sent=archive(b"A", b""))
    found = []
    for _ in range(2):
        name = kept.known(digest)
        whole = await kept.tree(name)
        chosen, _ = tree.chosen(whole, "Dockerfile")  # leaves out what is called A, which is nothing
        found += [copies.digest(Copying(one, ["."], "/c/", "", Rules(), unpack=False)) for one in (whole, chosen)]
        indexed = ["_nodes" in vars(one) for one in (whole, chosen)]
        await kept.drop(name)
    assert found[:2] == found[2:]
    assert indexed == [False, False]


async def test_many_files_are_read_in_few_pieces(tmp_path: Path):
    kept, files = Contexts(tmp_path / "c"), [os.urandom(50_000) for _ in range(60)]
    rows = [[f"f{n}", "f", 0o644, 0, 50_000, hashlib.sha256(data).hexdigest()] for n, data in enumerate(files)]
    name, _ = kept.begin(listing(*rows))
    kept.fill(name, [archive(*files)])
    found = await kept.tree(name)
    for number in [*range(60), 7, 8, 59, 0, *range(60)]:
        assert read(found, f"f{number}") == files[number]


async def test_what_is_in_use_stays(tmp_path: Path):
    kept = Contexts(tmp_path / "c")
    name, _ = kept.begin(listing(*ROWS))
    kept.fill(name, [archive(b"A", b"")])
    [entry] = kept.entries()
    assert (entry["InUse"], entry["Type"]) == (True, "source.local")
    assert not kept.remove(entry["Context"])
    assert kept.clear() == 0
    assert read(await kept.tree(name), "a") == b"A"
    await kept.drop(name)
    assert kept.remove(entry["Context"])
    assert kept.entries() == []


async def test_what_nobody_builds_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    kept = Contexts(tmp_path / "c")
    names = [kept.begin(listing(*ROWS[1:2]))[0] for _ in range(2)]
    await kept.tree(names[0])
    monkeypatch.setattr(contexts, "PATIENCE", -1)
    kept.expire()
    await kept.tree(names[0])  # it is built
    with pytest.raises(NotFound):
        await kept.tree(names[1])


async def test_a_size_that_is_a_lie(tmp_path: Path):
    kept = Contexts(tmp_path / "c")
    name, _ = kept.begin(listing(["a", "f", 0o644, 0, 9, ROWS[0][5]]))
    kept.fill(name, [archive(b"A")])
    found = await kept.tree(name)
    with pytest.raises(InvalidArgument, match="has not the size"):
        read(found, "a")


async def test_an_archive_that_is_cut_off_leaves_nothing(tmp_path: Path):
    kept = Contexts(tmp_path / "c")
    name, _ = kept.begin(listing(*ROWS))
    with pytest.raises(InvalidArgument, match="invalid archive"):
        kept.fill(name, [archive(b"A")[:700]])
    assert list((tmp_path / "c/packs").iterdir()) == []


async def test_side_by_side(tmp_path: Path):
    kept = Contexts(tmp_path / "c")
    names = [kept.begin(listing(*ROWS))[0] for _ in range(4)]
    await asyncio.gather(*(asyncio.to_thread(kept.fill, name, [archive(b"A", b"")]) for name in names))
    assert [read(await kept.tree(name), "a") for name in names] == [b"A"] * 4


async def test_too_many_notes_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(contexts, "MOST_NOTES", 1)
    kept = Contexts(tmp_path / "c")
    await built(kept, *ROWS, sent=archive(b"A", b""))
    await built(kept, *ROWS[:1])
    assert [len(list((tmp_path / "c" / kind).iterdir())) for kind in ("lists", "notes")] == [1, 1]
