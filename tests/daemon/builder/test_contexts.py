"""Contexts that come bit by bit."""

import asyncio
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from pydock_daemon.builder import contexts
from pydock_shared.errors import InvalidArgument, NotFound


def listing(*rows: list[object]) -> list[bytes]:
    text = "".join(f"{json.dumps(row)}\n" for row in rows).encode()
    return [text[:20], text[20:]]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def archive(*contents: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as made:
        for data in contents:
            info = tarfile.TarInfo("whatever")
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def test_only_what_is_missing_is_asked_for(tmp_path: Path):
    async def story() -> None:
        store = contexts.Contexts(tmp_path / "contents")
        rows = [["a", "f", 0o640, 1.5, 1, digest(b"A")], ["d", "d", 0o700, 2, 0, ""], ["d/l", "l", 0o777, 2, 0, "../a"]]
        name, missing = await store.begin(contexts.listed(listing(*rows)))
        assert missing == [digest(b"A")]
        with pytest.raises(InvalidArgument, match="not whole"):
            await store.tree(name)
        store.fill(name, [archive(b"other", b"A")])
        tree = await store.tree(name)
        found = tree.get("d/l")
        assert found is not None
        assert b"".join(tree.pieces(found)) == b"A"
        assert (found.mode, found.mtime) == (0o640, 1.5)
        store.drop(name)
        with pytest.raises(NotFound):
            await store.tree(name)
        assert (await store.begin(contexts.listed(listing(["b", "f", 0o644, 0, 1, digest(b"A")]))))[1] == []

    asyncio.run(story())


def test_what_nobody_uses_goes_when_there_is_too_much(tmp_path: Path):
    async def story() -> None:
        store = contexts.Contexts(tmp_path / "contents")
        rows = [[str(n), "f", 0o644, 0, 4, digest(bytes([n]) * 4)] for n in range(3)]
        name, _ = await store.begin(contexts.listed(listing(*rows[:1])))
        store.fill(name, [archive(*(bytes([n]) * 4 for n in range(3)))])
        assert store.contents.shrink(4) == 4
        assert store.contents.shrink(0) == 4
        await store.tree(name)  # what is in use stays
        store.drop(name)
        assert store.contents.shrink(0) == 4

    asyncio.run(story())


@pytest.mark.parametrize(
    "row",
    [
        ["a", "f", 0o644, 0, 1, "zz"],
        ["a", "x", 0, 0, 0, ""],
        ["", "d", 0, 0, 0, ""],
        {"a": 1},
        ["../..", "d", 0, 0, 0, ""],
    ],
)
def test_a_list_that_is_none(row: list[object]):
    with pytest.raises(InvalidArgument, match="invalid context: line 1"):
        contexts.listed(listing(row))
