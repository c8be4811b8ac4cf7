"""Which snapshotter a data root has: the one it has layers of, the one that was asked for, or what this host can do.

Used by `app` at start. The names are Docker's storage drivers.
"""

import os
import stat
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pydock_daemon.store import Store
from pydock_runtime import abi, linux
from pydock_shared.errors import PydockError

from .overlay import EMPTY, Snapshots
from .plain import PlainSnapshots

DRIVERS: dict[str, tuple[str, type[Snapshots]]] = {"overlay2": ("overlay", Snapshots), "vfs": ("vfs", PlainSnapshots)}


def opened(root: Path, store: Store, wanted: str | None) -> Snapshots:
    """Open the snapshots of a data root; PydockError when it has layers of another driver than is wanted."""
    prior = [name for name, (folder, _) in DRIVERS.items() if _used(root / folder)]
    if wanted and prior and prior != [wanted]:
        raise PydockError(
            f"{root} contains layers of storage driver {', '.join(prior)}: {wanted} needs a data root of its own"
        )
    name = wanted or (prior[0] if prior else "overlay2" if overlay_works(root) else "vfs")
    folder, kind = DRIVERS[name]
    return kind(root / folder, store)


def _used(folder: Path) -> bool:
    parts = [folder / "layers", folder / "containers"]
    return any(name != EMPTY for part in parts if part.is_dir() for name in os.listdir(part))


def overlay_works(root: Path) -> bool:
    """Say whether layers below a folder can be mounted as an overlay, with whiteouts; tries it, out of sight."""
    with tempfile.TemporaryDirectory(dir=root, prefix="overlay-") as name:
        folder = Path(name)
        for part in ("lower/hidden", "upper", "work", "merged"):
            (folder / part).mkdir(parents=True)
        return _in_own_mounts(lambda: _try(folder))


def _try(folder: Path) -> bool:
    os.mknod(folder / "upper/hidden", stat.S_IFCHR, 0)
    os.setxattr(folder / "upper", "trusted.overlay.opaque", b"y")
    os.removexattr(folder / "upper", "trusted.overlay.opaque")
    merged = str(folder / "merged")
    linux.mount(
        "overlay", merged, "overlay", 0, f"lowerdir={folder}/lower,upperdir={folder}/upper,workdir={folder}/work"
    )
    try:
        (folder / "merged/file").touch()
        return os.listdir(merged) == ["file"]
    finally:
        linux.umount2(merged, abi.MNT_DETACH)


def _in_own_mounts(action: Callable[[], bool]) -> bool:
    """Run an action in a thread with mounts of its own; an error of the system is a no."""
    said: list[bool] = []

    def run() -> None:
        with suppress(OSError):
            linux.unshare(abi.CLONE_NEWNS)
            linux.mount(None, "/", None, abi.MS_REC | abi.MS_PRIVATE)
            said.append(action())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return bool(said and said[0])
