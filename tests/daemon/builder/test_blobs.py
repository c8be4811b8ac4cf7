"""Blobs of pieces: what is taken over from another is as if it had been compressed again."""

import gzip
import hashlib
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pydock_daemon.builder.blobs import Blob
from pydock_daemon.images.content import Ingest

A, B, C = os.urandom(300_000), b"b" * 3_000_000, b""


@pytest.fixture
def ingest(tmp_path: Path) -> Iterator[Ingest]:
    path = tmp_path / "new"
    with closing(Ingest(path, os.open(path, os.O_RDWR | os.O_CREAT), set())) as made:
        yield made


def written(ingest: Ingest, pieces: dict[bytes, bytes], old: int | None = None, known: Blob | None = None) -> Blob:
    with closing(Blob(ingest, old, known.pieces if known else {})) as blob:
        for key, data in pieces.items():
            blob.write(data, known=blob.has(key))
            blob.end_piece(key)
        blob.write(b"end")
        blob.finish()
    return blob


def test_pieces_are_taken_over(tmp_path: Path, ingest: Ingest) -> None:
    blob = written(ingest, {b"a": A, b"b": B, b"c": C})
    data = (tmp_path / "new").read_bytes()
    assert gzip.decompress(data) == A + B + b"end"
    assert blob.diff_id == f"sha256:{hashlib.sha256(A + B + b'end').hexdigest()}"
    assert ingest.digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
    second, path = blob, tmp_path / "second"
    with path.open("w+b") as file, closing(Ingest(path, os.dup(file.fileno()), set())) as other:
        old = os.open(tmp_path / "new", os.O_RDONLY)
        second = written(other, {b"b": B, b"x": b"new", b"a": A}, old, blob)
        os.close(old)
        data = path.read_bytes()
    assert gzip.decompress(data) == B + b"new" + A + b"end"
    assert second.diff_id == f"sha256:{hashlib.sha256(B + b'new' + A + b'end').hexdigest()}"
    assert [second.pieces[key][1] for key in (b"a", b"b")] == [blob.pieces[key][1] for key in (b"a", b"b")]


def test_an_old_blob_that_is_cut_off(tmp_path: Path, ingest: Ingest) -> None:
    blob = written(ingest, {b"a": A})
    with (tmp_path / "cut").open("w+b") as file, pytest.raises(OSError, match="ends before"):
        written(ingest, {b"a": A}, file.fileno(), blob)
