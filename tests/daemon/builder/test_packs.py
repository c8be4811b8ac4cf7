"""Packs of files: found by digest, kept while used, and not believed when they may not be whole."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pydock_daemon.builder import packs
from pydock_daemon.builder.packs import Packs

A, B, C = (hashlib.sha256(data).hexdigest() for data in (b"aaaa", b"bb", b"c"))


def made(kept: Packs, *contents: bytes) -> str:
    """Make a pack that nobody uses and return its name."""
    pack, used = kept.begin(), set[str]()
    for data in contents:
        pack.add([data[:1], data[1:]], {A, B, C})
    kept.end(pack, used, good=True)
    kept.leave(used)
    return pack.path.stem


def test_files_are_found(tmp_path: Path) -> None:
    kept = Packs(tmp_path / "p")
    assert kept.find([A], set()) == {}
    first, second, used = made(kept, b"aaaa"), made(kept, b"other", b"bb"), set[str]()
    assert kept.find([A, B, "0" * 64], used) == {A: (first, 0, 4), B: (second, 0, 2)}
    assert used == {first, second}
    assert not kept.remove(first)
    kept.leave(used)
    assert kept.remove(first)
    assert list(kept.find([A, B], set())) == [B]


def test_what_is_here_is_not_kept_twice(tmp_path: Path) -> None:
    kept = Packs(tmp_path / "p")
    first, pack, used = made(kept, b"aaaa", b"bb"), kept.begin(), set[str]()
    pack.add([b"bb"], {B})
    kept.end(pack, used, good=True)
    assert used == {first}
    assert len(kept.entries()) == 1


@pytest.mark.parametrize(
    "harm",
    [
        lambda root, name: (root / f"{name}.index").unlink(),
        lambda root, name: (root / name).unlink(),
        lambda root, name: (root / f"{name}.index").write_bytes(b"0" * 32 + (root / f"{name}.index").read_bytes()[32:]),
    ],
    ids=["no index", "no pack", "another boot"],
)
def test_what_a_killed_engine_or_host_has_left_goes(tmp_path: Path, harm: Callable[[Path, str], object]) -> None:
    name = made(Packs(tmp_path / "p"), b"aaaa")
    harm(tmp_path / "p", name)
    Packs(tmp_path / "p").begin().close()
    kept = Packs(tmp_path / "p")
    assert kept.find([A], set()) == {}
    assert list((tmp_path / "p").iterdir()) == []


def test_one_that_is_not_good_is_forgotten(tmp_path: Path) -> None:
    kept = Packs(tmp_path / "p")
    pack = kept.begin()
    pack.add([b"aaaa"], {A})
    kept.end(pack, set(), good=False)
    assert list((tmp_path / "p").iterdir()) == []


def test_the_oldest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Packs(tmp_path / "p")
    names = [made(kept, b"aaaa"), made(kept, b"bb"), made(kept, b"c")]
    for number, name in enumerate(names):
        os.utime(tmp_path / "p" / f"{name}.index", (number, number))
    monkeypatch.setattr(packs, "MOST", 2)
    kept.limit()
    assert [entry["Context"] for entry in kept.entries()] == [names[2], names[1]]
    kept.find([B], used := set())
    monkeypatch.setattr(packs, "LARGEST", 1)
    kept.limit()
    assert [entry["Context"] for entry in kept.entries()] == [names[1]]  # in use, and just used
    kept.leave(used)
