"""tmpcopyup: a tmpfs that begins with what lay below it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.runtime import box
from tests.runtime.test_mounts import with_mounts

pytestmark = pytest.mark.root
Overlay = Callable[[], dict[str, Any]]


def entry(target: str, *options: str, type_: str = "tmpfs") -> dict[str, Any]:
    return {"destination": target, "type": type_, "source": type_, "options": list(options)}


def test_files_links_folders_owners_and_modes_come_along(root: Path, tmp_path: Path, overlay: Overlay) -> None:
    layers = overlay()
    data = tmp_path / "upper/data"
    (data / "deep/er").mkdir(parents=True)
    (data / "deep/er/file").write_text("content\n")
    os.chown(data / "deep/er/file", 7, 8)
    (data / "deep/er/file").chmod(0o4750)
    (data / "link").symlink_to("/etc/passwd")
    os.mkfifo(data / "pipe", 0o640)
    data.chmod(0o711)
    script = (
        "cat /data/deep/er/file; stat -c '%a %u %g' /data/deep/er/file; readlink /data/link; "
        "stat -c '%F %a' /data/pipe /data; touch /data/new"
    )
    result = box.run(with_mounts(root, script, entry("/data", "tmpcopyup", "size=1m")), overlay=layers)
    assert result.lines == ["content", "4750 7 8", "/etc/passwd", "fifo 640", "directory 711"]
    assert not (data / "new").exists()


def test_what_is_not_there_is_an_empty_folder(root: Path, overlay: Overlay) -> None:
    assert box.run(with_mounts(root, "ls -A /new", entry("/new", "tmpcopyup")), overlay=overlay()).lines == []


def test_what_does_not_fit_is_an_error(root: Path, tmp_path: Path, overlay: Overlay) -> None:
    layers = overlay()
    (tmp_path / "upper/data").mkdir(parents=True)
    (tmp_path / "upper/data/file").write_bytes(bytes(1 << 20))
    error = box.run(with_mounts(root, "true", entry("/data", "tmpcopyup", "size=64k")), overlay=layers).error
    assert error is not None
    assert error["message"] == 'error mounting "tmpfs" to rootfs at "/data": no space left on device'


def test_only_a_tmpfs_can_begin_so(root: Path, overlay: Overlay) -> None:
    error = box.run(with_mounts(root, "true", entry("/m", "tmpcopyup", type_="mqueue")), overlay=overlay()).error
    assert error is not None
    assert error["message"] == "mount option tmpcopyup is only for tmpfs"
