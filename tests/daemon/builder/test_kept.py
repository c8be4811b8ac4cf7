"""Copies of contexts: there while they are used, listed, limited, removed."""

import os
from pathlib import Path

import pytest

from pydock_daemon.builder import kept
from pydock_daemon.builder.kept import Kept


async def made(copies: Kept, name: str, *, stays: bool = True) -> Path:
    async with copies.used(name, stays=stays) as folder:
        (folder / "pack").write_bytes(b"12345")
    return folder


async def test_a_copy_stays_or_goes(tmp_path: Path) -> None:
    copies = Kept(tmp_path / "c")
    assert (await made(copies, "aa")).exists()
    assert not (await made(copies, "bb", stays=False)).exists()
    [entry] = copies.entries()
    assert (entry["Context"], entry["Size"], entry["InUse"], entry["Type"]) == ("aa", 5, False, "source.local")


async def test_what_is_used_is_not_removed(tmp_path: Path) -> None:
    copies = Kept(tmp_path / "c")
    async with copies.used("aa", stays=True) as folder:
        assert copies.alone("aa")
        async with copies.used("aa", stays=True):
            assert not copies.alone("aa")
        assert copies.entries()[0]["InUse"]
        assert not copies.remove("aa")
        assert folder.exists()
    assert copies.remove("aa")
    assert not folder.exists()


async def test_the_oldest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST", 2)
    copies = Kept(tmp_path / "c")
    for number, name in enumerate(("aa", "bb")):
        os.utime(await made(copies, name), (number, number))
    await made(copies, "cc")
    assert {entry["Context"] for entry in copies.entries()} == {"bb", "cc"}
