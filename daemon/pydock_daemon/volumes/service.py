"""Volumes of the `local` driver, named and anonymous: DATA_ROOT/volumes/<name>/_data. Used by api and containers.

A volume is a folder and a row. The row is written after the folder is there, and removed before the folder goes, so
that a crash leaves at most a folder nobody names, which the next start removes. It goes by being moved out of sight;
its files, of which there may be very many, are removed by a thread. On the folder of a volume with options
something else is mounted while it is used (`mounts`): what is mounted is never removed.
"""

import asyncio
import json
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydock_daemon import patterns
from pydock_daemon.events import Events
from pydock_daemon.snapshots import layer
from pydock_daemon.snapshots.measuring import Measured
from pydock_daemon.store import Store
from pydock_runtime import abi, linux
from pydock_shared.errors import Conflict, InvalidArgument, NotFound, PydockError
from pydock_shared.filters import Filters
from pydock_shared.times import rfc3339

from . import options
from .mounts import Mounts, mounted_below

SCHEMA = """
create table if not exists volumes (
    name text primary key,
    created integer not null,
    labels text not null
);
create table if not exists volume_options (
    name text primary key references volumes (name) on delete cascade,
    options text not null
);
"""
QUERY = "select volumes.*, options from volumes left join volume_options using (name)"
RULE = "[a-zA-Z0-9][a-zA-Z0-9_.-]"
TRASH = ".removed"
"""A folder beside the volumes; none of them can have this name."""
ANONYMOUS = "com.docker.volume.anonymous"
_NAME = re.compile(RULE + "+")


@dataclass(frozen=True)
class Volume:
    """A volume; `created` in nanoseconds."""

    name: str
    created: int
    labels: dict[str, str]
    options: dict[str, str] = field(default_factory=dict)

    @property
    def anonymous(self) -> bool:
        """Say whether it was made for a container without being named."""
        return ANONYMOUS in self.labels

    @property
    def mounted(self) -> bool:
        """Say whether something is mounted on its folder while it is used."""
        return options.mounted(self.options)


class Volumes:
    """The volumes of one daemon; owns their folders."""

    def __init__(self, store: Store, events: Events, root: Path, mounts: Mounts) -> None:
        self._store = store
        self._events = events
        self._root = root
        self.mounts = mounts
        self.measured: dict[str, Measured] = {}
        """The sizes that were found last, by name."""
        root.mkdir(mode=0o701, parents=True, exist_ok=True)
        (root / TRASH).mkdir(mode=0o700, exist_ok=True)
        self._busy: set[Path] = set()
        """What is being removed."""
        self._sweeper = ThreadPoolExecutor(1, "volumes")
        self._by_name = {row["name"]: _from_row(row) for row in store.all(QUERY)}
        for folder in self.strays():
            self._discard(folder)

    def strays(self) -> list[Path]:
        """Return the folders that no volume owns, and that are not on their way out."""
        found = [folder for folder in self._root.iterdir() if folder.name not in self._by_name and folder.name != TRASH]
        return found + [folder for folder in (self._root / TRASH).iterdir() if folder not in self._busy]

    def _discard(self, folder: Path) -> None:
        """Take a folder out of sight at once and remove its files in the background, but not what is mounted on it."""
        for target in mounted_below(folder):
            linux.umount2(target, abi.MNT_DETACH)
        trash = self._root / TRASH / secrets.token_hex(8)
        folder.rename(trash)
        self._busy.add(trash)
        self._sweeper.submit(self._remove, trash)

    def _remove(self, folder: Path) -> None:
        """Remove a tree; what resists is tried again at the next start."""
        shutil.rmtree(folder, ignore_errors=True)
        self._busy.discard(folder)

    async def settled(self) -> None:
        """Wait until what was removed is gone from the disk as well."""
        await asyncio.wrap_future(self._sweeper.submit(lambda: None))

    def lost(self) -> list[str]:
        """Return the names of the volumes whose folder is gone."""
        # On the others something may be mounted whose server does not answer.
        return [
            name for name, volume in self._by_name.items() if not volume.mounted and not self.mountpoint(name).is_dir()
        ]

    def mend(self, name: str) -> None:
        """Make the folder of a volume anew, empty, or the record of one that has its folder."""
        self.mountpoint(name).parent.mkdir(mode=0o701, exist_ok=True)
        self.mountpoint(name).mkdir(mode=0o755, exist_ok=True)
        if name not in self._by_name:
            self._record(Volume(name, time.time_ns(), {}))

    def __len__(self) -> int:
        return len(self._by_name)

    async def adopt(self, users: Mapping[str, Iterable[str]]) -> None:
        """Begin with the users that volumes have, by their names; what is mounted and not used is unmounted."""
        held = {
            self.mountpoint(name): ids
            for name, ids in users.items()
            if name in self._by_name and self._by_name[name].mounted
        }
        await self.mounts.adopt(held, self._root)

    def exists(self, name: str) -> bool:
        """Say whether there is a volume of this name."""
        return name in self._by_name

    def get(self, name: str) -> Volume:
        """Return a volume; NotFound with Docker's words."""
        try:
            return self._by_name[name]
        except KeyError as error:
            raise NotFound(f"get {name}: no such volume") from error

    def create(self, name: str | None, driver: str, given: dict[str, str], labels: dict[str, str]) -> Volume:
        """Make a volume, or return the one of this name, whatever its options; without a name it is anonymous."""
        labels = labels if name else {**labels, ANONYMOUS: ""}
        name = name or secrets.token_hex(32)
        if driver not in ("", "local"):
            raise NotFound(f'create {name}: error looking up volume plugin {driver}: plugin "{driver}" not found')
        if name in self._by_name:
            return self._by_name[name]
        try:
            _check_name(name)
            options.check(given)
        except InvalidArgument as error:
            raise InvalidArgument(f"create {name}: {error.message}") from error
        volume = Volume(name, time.time_ns(), labels, given)
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
            if volume.options:
                db.execute("insert into volume_options values (?, ?)", (volume.name, json.dumps(volume.options)))
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
        self.measured.pop(volume.name, None)
        try:
            self._discard(self._root / volume.name)
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
            and (not filters.values("name") or patterns.among(filters.values("name"), name))
        ]

    def prunable(self, filters: Filters, in_use: set[str], *, every: bool) -> list[Volume]:
        """Return the volumes that `prune` removes: unused anonymous ones, or every unused one.

        As in Docker those with options are not among them: what they show is not ours alone.
        """
        filters.check_known({"all", "label", "label!"})
        return [
            volume
            for name, volume in sorted(self._by_name.items())
            if name not in in_use
            and not volume.options
            and (every or volume.anonymous)
            and filters.match_labels(volume.labels)
            and not ("label!" in filters and filters.match_labels(volume.labels, "label!"))
        ]

    def usage(self, name: str) -> int:
        """Return the bytes of the files of a volume without options, each once however many names it has; walks it."""
        return layer.size(self.mountpoint(name))


def _check_name(name: str) -> None:
    if len(name) == 1:
        raise InvalidArgument("volume name is too short, names should be at least two alphanumeric characters")
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            f'"{name}" includes invalid characters for a local volume name, only "{RULE}" are '
            "allowed. If you intended to pass a host directory, use absolute path"
        )


def wire(volume: Volume, mountpoint: Path) -> dict[str, Any]:
    """Return a volume as Docker's JSON."""
    return {
        "CreatedAt": rfc3339(volume.created // 10**9 * 10**9),
        "Driver": "local",
        "Labels": volume.labels or None,
        "Mountpoint": str(mountpoint),
        "Name": volume.name,
        "Options": dict(sorted(volume.options.items())) or None,
        "Scope": "local",
    }


def _from_row(row: Any) -> Volume:
    given = json.loads(row["options"]) if row["options"] else {}
    return Volume(row["name"], row["created"], json.loads(row["labels"]), given)
