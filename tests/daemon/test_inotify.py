"""Watches of folders: many of them, on one descriptor, each told of its own folder alone."""

import asyncio
import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from pydock_daemon.inotify import FolderWatch


async def test_as_many_as_one_likes(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with ExitStack() as stack:
        folders = [tmp_path / str(number) for number in range(300)]
        for folder in folders:
            folder.mkdir()
        watches = [stack.enter_context(FolderWatch(folder)) for folder in folders]
        second = stack.enter_context(FolderWatch(folders[7]))
        (folders[7] / "x").write_text("x")
        assert await watches[7].wait(5)
        assert await second.wait(5)
        assert not await watches[8].wait(0.05)
        with FolderWatch(folders[8]):
            pass  # the other one of this folder stays
        (folders[8] / "x").write_text("x")
        assert await watches[8].wait(5)
        assert len(os.listdir("/proc/self/fd")) == before + 1
    assert len(os.listdir("/proc/self/fd")) == before


async def test_a_folder_that_is_not_there_or_goes(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError), FolderWatch(tmp_path / "none"):
        pass
    (tmp_path / "goes").mkdir()
    with FolderWatch(tmp_path / "goes") as watch:
        (tmp_path / "goes").rmdir()
        assert await watch.wait(5)
    assert len(os.listdir("/proc/self/fd")) == before


async def test_who_leaves_while_others_are_told(tmp_path: Path) -> None:
    with ExitStack() as stack:
        first, second = (stack.enter_context(FolderWatch(tmp_path)) for _ in range(2))
        leaver = ExitStack()
        leaver.enter_context(FolderWatch(tmp_path))
        first.on_change = second.on_change = leaver.close
        (tmp_path / "x").write_text("x")
        assert await asyncio.gather(first.wait(5), second.wait(5)) == [True, True]
