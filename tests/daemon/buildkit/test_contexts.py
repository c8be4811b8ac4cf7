"""Copies of a client's folder: what comes again, what does not, and what becomes of one that is damaged."""

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.fixtures.buildkit import Files

from pydock_daemon.builder.contexts import Contexts
from pydock_daemon.buildkit import contexts
from pydock_daemon.buildkit.session import Client, Identity
from pydock_daemon.buildkit.transport import serve


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[tuple[Client, Files]]:
    root = tmp_path / "folder"
    (root / "d").mkdir(parents=True)
    for name in ("a", "b", "d/c"):
        (root / name).write_text(name * 100)
    (root / "empty").touch()
    files = Files({"context": root})
    ours, theirs = socket.socketpair()
    answering = asyncio.create_task(serve(theirs, files.methods()))
    made = Client(ours, Identity("i", "n", "key", frozenset(path.lower() for path in files.methods())))
    await made.open()
    yield made, files
    made.close()
    await asyncio.wait([answering])


async def synced(kept: Contexts, client: Client) -> dict[str, str]:
    """Return the names of the files and what is in them; each has the digest that it should."""
    async with contexts.synced(kept, client, "context", [("dir-name", "context")], lambda count: None) as tree:
        found = {}
        for node in tree.below(tree.root):
            if node.kind == "file":
                data = b"".join(tree.pieces(node))
                assert node.digest in (hashlib.sha256(data).hexdigest(), "" if not data else None)
                found[node.path] = data.decode()
        return found


async def test_only_what_changes_comes(tmp_path: Path, client: tuple[Client, Files]) -> None:
    asked, files = client
    kept, root = Contexts(tmp_path / "kept"), files.folders["context"]
    whole = {"a": "a" * 100, "b": "b" * 100, "d/c": "d/c" * 100, "empty": ""}
    assert await synced(kept, asked) == whole
    assert sorted(files.sent) == ["a", "b", "d/c"]
    files.sent.clear()
    assert await synced(kept, asked) == whole
    assert files.sent == []
    (root / "a").write_text("other")
    (root / "b").unlink()
    assert await synced(kept, asked) == {"a": "other", "d/c": "d/c" * 100, "empty": ""}
    assert files.sent == ["a"]


async def test_a_copy_that_is_damaged_is_begun_anew(tmp_path: Path, client: tuple[Client, Files]) -> None:
    asked, files = client
    kept = Contexts(tmp_path / "kept")
    whole = await synced(kept, asked)
    for harm in (lambda path: path.write_bytes(b"nonsense"), lambda path: path.write_bytes(b"\x91\x01"), Path.unlink):
        [told] = (tmp_path / "kept/told").iterdir()
        harm(told)
        files.sent.clear()
        assert await synced(kept, asked) == whole
        assert sorted(files.sent) == ["a", "b", "d/c"]


async def test_what_is_pruned_comes_again(tmp_path: Path, client: tuple[Client, Files]) -> None:
    asked, files = client
    kept = Contexts(tmp_path / "kept")
    whole = await synced(kept, asked)
    assert kept.clear() > 0
    files.sent.clear()
    assert await synced(kept, asked) == whole
    assert sorted(files.sent) == ["a", "b", "d/c"]


async def test_files_are_shared_between_fronts_and_clients(tmp_path: Path, client: tuple[Client, Files]) -> None:
    asked, _ = client
    kept = Contexts(tmp_path / "kept")
    await synced(kept, asked)
    digest = hashlib.sha256(b"a" * 100).hexdigest()
    _, missing = kept.begin([f'["x", "f", 420, 0, 100, "{digest}"]'.encode()])
    assert missing == []
