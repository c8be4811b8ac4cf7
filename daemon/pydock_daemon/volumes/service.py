"""Volumes of the `local` driver, named and anonymous: DATA_ROOT/volumes/<name>/_data. Used by api and containers.

A volume is a folder and a row. The row is written after the folder is there, and removed before the folder goes, so
that a crash leaves at most a folder nobody names, which the next start removes.
"""

import json
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydock_daemon.events import Events
from pydock_daemon.store import Store
from pydock_runtime import abi, linux
from pydock_shared.errors import Conflict, InvalidArgument, NotFound, NotSupported, PydockError
from pydock_shared.filters import Filters
from pydock_shared.times import rfc3339

SCHEMA = """
create table if not exists volumes (
    name text primary key,
    created integer not null,
    labels text not null
);
"""
RULE = "[a-zA-Z0-9][a-zA-Z0-9_.-]"
ANONYMOUS = "com.docker.volume.anonymous"
_NAME = re.compile(RULE + "+")


@dataclass(frozen=True)
class Volume:
    """A volume; `created` in nanoseconds."""

    name: str
    created: int
    labels: dict[str, str]

    @property
    def anonymous(self) -> bool:
        """Say whether it was made for a container without being named."""
        return ANONYMOUS in self.labels


class Volumes:
    """The volumes of one daemon; owns their folders."""

    def __init__(self, store: Store, events: Events, root: Path) -> None:
        self._store = store
        self._events = events
        self._root = root
        root.mkdir(mode=0o701, parents=True, exist_ok=True)
        self._by_name = {row["name"]: _from_row(row) for row in store.all("select * from volumes")}
        for folder in self.strays():
            shutil.rmtree(folder)

    def strays(self) -> list[Path]:
        """Return the folders that no volume owns."""
        return [folder for folder in self._root.iterdir() if folder.name not in self._by_name]

    def lost(self) -> list[str]:
        """Return the names of the volumes whose folder is gone."""
        return [name for name in self._by_name if not self.mountpoint(name).is_dir()]

    def mend(self, name: str) -> None:
        """Make the folder of a volume anew, empty, or the record of one that has its folder."""
        self.mountpoint(name).parent.mkdir(mode=0o701, exist_ok=True)
        self.mountpoint(name).mkdir(mode=0o755, exist_ok=True)
        if name not in self._by_name:
            self._record(Volume(name, time.time_ns(), {}))

    def __len__(self) -> int:
        return len(self._by_name)

    def exists(self, name: str) -> bool:
        """Say whether there is a volume of this name."""
        return name in self._by_name

    def get(self, name: str) -> Volume:
        """Return a volume; NotFound with Docker's words."""
        try:
            return self._by_name[name]
        except KeyError as error:
            raise NotFound(f"get {name}: no such volume") from error

    def create(self, name: str | None, driver: str, options: dict[str, str], labels: dict[str, str]) -> Volume:
        """Make a volume, or return the one of this name; without a name it is anonymous."""
        if driver not in ("", "local"):
            raise NotFound(f'create {name or ""}: error looking up volume plugin {driver}: plugin "{driver}" not found')
        if options:
            raise NotSupported(f"option {sorted(options)[0]!r} of the local volume driver is not supported")
        if name and not _NAME.fullmatch(name):
            raise InvalidArgument(
                f'create {name}: "{name}" includes invalid characters for a local volume name, only "{RULE}" are '
                "allowed. If you intended to pass a host directory, use absolute path"
            )
        if name and name in self._by_name:
            return self._by_name[name]
        volume = Volume(name or secrets.token_hex(32), time.time_ns(), labels if name else {**labels, ANONYMOUS: ""})
        folder = self._root / volume.name
        folder.mkdir(mode=0o701)
        try:
            (folder / "_data").mkdir(mode=0o755)
            self._record(volume)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self._events.publish("volume", "create", volume.name, {"driver": "local"})
        return volume

    def _record(self, volume: Volume) -> None:
        with self._store.transaction() as db:
            db.execute(
                "insert into volumes (name, created, labels) values (?, ?, ?)",
                (volume.name, volume.created, json.dumps(volume.labels)),
            )
        self._by_name[volume.name] = volume

    def remove(self, name: str, *, force: bool, in_use: Sequence[str]) -> None:
        """Remove a volume; Conflict while containers use it. With force a missing one is fine."""
        if name not in self._by_name and force:
            return
        volume = self.get(name)
        if in_use:
            raise Conflict(f"remove {name}: volume is in use - [{', '.join(in_use)}]")
        with self._store.transaction() as db:
            db.execute("delete from volumes where name = ?", (volume.name,))
        del self._by_name[volume.name]
        try:
            shutil.rmtree(self._root / volume.name)
        except OSError as error:
            raise PydockError(f"remove {name}: {error.strerror}: {error.filename}") from error
        self._events.publish("volume", "destroy", volume.name, {"driver": "local"})

    def mountpoint(self, name: str) -> Path:
        """Return the folder with the data of a volume."""
        return self._root / name / "_data"

    def listed(self, filters: Filters, in_use: set[str]) -> list[Volume]:
        """Return the volumes that filters choose, by name; `in_use` are those that containers mount."""
        filters.check_known({"dangling", "driver", "label", "name"})
        dangling = filters.flag("dangling")
        return [
            volume
            for name, volume in sorted(self._by_name.items())
            if filters.match_labels(volume.labels)
            and (dangling is None or dangling == (name not in in_use))
            and (not filters.values("driver") or "local" in filters.values("driver"))
            and (not filters.values("name") or any(value in name for value in filters.values("name")))
        ]

    def prunable(self, filters: Filters, in_use: set[str], *, every: bool) -> list[Volume]:
        """Return the volumes that `prune` removes: unused anonymous ones, or every unused one."""
        filters.check_known({"all", "label", "label!"})
        return [
            volume
            for name, volume in sorted(self._by_name.items())
            if name not in in_use
            and (every or volume.anonymous)
            and filters.match_labels(volume.labels)
            and not ("label!" in filters and filters.match_labels(volume.labels, "label!"))
        ]

    def needs_copy_up(self, name: str) -> bool:
        """Say whether a volume is empty, so that the image's files at its place are copied in."""
        with os.scandir(self.mountpoint(name)) as entries:
            return next(entries, None) is None

    def copy_up(self, name: str, root: Path, target: str) -> None:
        """Fill an empty volume with what the image has at `target` below `root`: owner, mode, times, links, xattrs.

        Runs in a thread. The path is resolved below the root, whatever links the image has.
        """
        source = open_below(root, target)
        if source is None:
            return
        try:
            copy_tree(f"/proc/self/fd/{source}", self.mountpoint(name))
        finally:
            os.close(source)

    def usage(self, name: str) -> int:
        """Return the bytes on disk of a volume; walks it."""
        total = 0
        for folder, _, files in os.walk(self.mountpoint(name)):
            total += sum(os.lstat(os.path.join(folder, file)).st_blocks * 512 for file in files)
        return total


def open_below(root: Path, target: str) -> int | None:
    """Return a descriptor of a directory below a root, None when there is none; no link leads out of it."""
    above = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        flags = os.O_RDONLY | os.O_DIRECTORY
        return linux.openat2(above, target, flags, resolve=abi.RESOLVE_IN_ROOT | abi.RESOLVE_NO_MAGICLINKS)
    except (FileNotFoundError, NotADirectoryError):
        return None
    finally:
        os.close(above)


def copy_tree(source: str, target: Path) -> None:
    """Copy what is in a directory into another, with everything a file system keeps of a file."""
    with os.scandir(source) as entries:
        for entry in entries:
            _copy(entry, target / entry.name)
    _copy_metadata(source, target, os.stat(source))


def _copy(entry: os.DirEntry[str], target: Path) -> None:
    info = entry.stat(follow_symlinks=False)
    if stat.S_ISLNK(info.st_mode):
        target.symlink_to(os.readlink(entry.path))
        os.chown(target, info.st_uid, info.st_gid, follow_symlinks=False)
        return
    if stat.S_ISDIR(info.st_mode):
        target.mkdir()
        copy_tree(entry.path, target)
        return
    if stat.S_ISREG(info.st_mode):
        shutil.copyfile(entry.path, target)
    else:
        os.mknod(target, info.st_mode, info.st_rdev)
    _copy_metadata(entry.path, target, info)


def _copy_metadata(source: str, target: Path, info: os.stat_result) -> None:
    os.chown(target, info.st_uid, info.st_gid)
    target.chmod(stat.S_IMODE(info.st_mode))
    for name in os.listxattr(source):
        if not name.startswith("trusted.overlay."):
            os.setxattr(target, name, os.getxattr(source, name))
    os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns))


def wire(volume: Volume, mountpoint: Path) -> dict[str, Any]:
    """Return a volume as Docker's JSON."""
    return {
        "CreatedAt": rfc3339(volume.created // 10**9 * 10**9),
        "Driver": "local",
        "Labels": volume.labels or None,
        "Mountpoint": str(mountpoint),
        "Name": volume.name,
        "Options": None,
        "Scope": "local",
    }


def _from_row(row: Any) -> Volume:
    return Volume(row["name"], row["created"], json.loads(row["labels"]))
