"""Snapshots with the ids of a user namespace: whether this host can have them, and mounted for builds.

Used by `app` at start, and by `builder` for what a RUN is shown. How they are made: pydock_runtime.rootfs.mapped.
"""

import os
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydock_runtime import abi, linux
from pydock_runtime.errors import RuntimeFailure
from pydock_runtime.rootfs import mapped
from pydock_shared.errors import PydockError

from .overlay import Snapshots

Owner = tuple[int, int]


def check(snapshots: Snapshots, users: int, owner: Owner) -> None:
    """Raise PydockError unless roots can be mapped here: tries it, out of sight."""
    with tempfile.TemporaryDirectory(dir=snapshots.root / "unpacking") as name:
        folder = Path(name)
        for part in ("lower/hidden", "upper", "work"):
            (folder / part).mkdir(parents=True)
        overlay: dict[str, Any] = {"base": name, "lower": ["lower"], "upper": "upper", "work": "work"}
        if not snapshots.stacks:
            overlay = {"folder": f"{name}/lower"}
        try:
            tree = _mounted(overlay, users, owner)
            with _closing(tree):
                found = _try(tree, folder, owner, stacks=snapshots.stacks)
        except (OSError, RuntimeFailure) as error:
            raise PydockError(f"userns-remap needs mounts with mapped ids, Linux 5.19 or newer: {error}") from error
    if not found:
        raise PydockError(f"userns-remap needs mounts with mapped ids, which {snapshots.root} cannot have")


def _try(tree: int, folder: Path, owner: Owner, *, stacks: bool) -> bool:
    """Say whether what the host's root owns is the container's, and what is removed there can be hidden."""
    info = os.stat("hidden", dir_fd=tree)
    if (info.st_uid, info.st_gid) != owner:
        return False
    if not stacks:
        return True
    os.rmdir("hidden", dir_fd=tree)
    made = (folder / "upper/hidden").lstat()
    return stat.S_ISCHR(made.st_mode) and (made.st_uid, made.st_gid) == (0, 0)


def _mounted(overlay: dict[str, Any], users: int, owner: Owner) -> int:
    """Return a detached mount of an overlay, or of a folder, that is mounted in a thread's own namespace."""
    return _in_thread(lambda: mapped.mounted(overlay, users, owner))


def _in_thread(action: Callable[[], int]) -> int:
    """Run an action in a thread that can have mounts and rights of its own; its errors are raised here."""
    done: list[int] = []
    failed: list[Exception] = []

    def run() -> None:
        try:
            linux.unshare(abi.CLONE_NEWNS)
            done.append(action())
        except (OSError, RuntimeFailure) as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    for error in failed:
        raise error
    return done[0]


@contextmanager
def shown(snapshots: Snapshots, key: str, target: Path, users: int, owner: Owner) -> Iterator[Path]:
    """Mount a snapshot that no container uses now on a folder, with the ids of a user namespace, for the block."""
    overlay = snapshots.overlay(key)
    if plain := overlay.get("plain"):
        overlay = {"folder": plain}
    try:
        tree = _mounted(overlay, users, owner)
    except (OSError, RuntimeFailure) as error:
        raise PydockError(f"mounting a snapshot failed: {error}") from error
    with _closing(tree):
        point = os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        with _closing(point):
            linux.move_mount(tree, point, path=str(target))
    try:
        yield target
    finally:
        linux.umount2(str(target), abi.MNT_DETACH)


@contextmanager
def _closing(fd: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(fd)
