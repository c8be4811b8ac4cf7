"""Unpacking an archive into a folder of a container: `PUT /containers/{id}/archive`. Used by `child`, in a view.

The rules are Docker's: a folder over a folder is merged, everything else is replaced, and either may be forbidden to
change its kind. Names are taken as below the folder, absolute ones as well; links of the archive may lead anywhere in
the container, and are followed there, never out of it.
"""

import os
import stat
from collections.abc import Callable

from pydock_daemon.snapshots import extract, tarstream
from pydock_daemon.snapshots.tarstream import Archive, ArchiveError, Entry

User = Callable[[], tuple[int, int] | None]


class Insertion(extract.Extractor):
    """Writes the members of an archive below the working directory, whose name in the container is `place`."""

    def __init__(self, place: str, *, owner: tuple[int, int] | None, keep_kinds: bool, ids: int | None = None) -> None:
        """`ids`: how many the container has, where those are not all."""
        super().__init__()
        self._place, self._owner, self._keep_kinds, self._ids = place, owner, keep_kinds, ids

    def extract(self, archive: Archive) -> None:
        """Write every member; ArchiveError or OSError name the one that cannot be."""
        for entry in archive:
            name = below(entry.name, self._place)
            if name == b"." and entry.kind == tarstream.DIRECTORY:
                continue
            self._own(entry, name)
            self._make_room(entry, name)
            self._makers[entry.kind](archive, entry, name)
        self._set_times()

    def _own(self, entry: Entry, name: bytes) -> None:
        if self._owner:
            entry.uid, entry.gid = self._owner
        if max(entry.uid, entry.gid) > extract.LARGEST_ID or min(entry.uid, entry.gid) < 0:
            raise ArchiveError(f"{os.fsdecode(name)}: owner {entry.uid}:{entry.gid} is out of range")
        if self._ids is not None and max(entry.uid, entry.gid) >= self._ids:
            raise ArchiveError(f"Container ID {max(entry.uid, entry.gid)} cannot be mapped to a host ID")

    def _parents(self, name: bytes) -> None:
        """Make the folders above an entry; they belong to the same owner, where all entries have one."""
        missing, folder = [], os.path.dirname(name)
        while folder and not os.path.lexists(folder):
            missing.append(folder)
            folder = os.path.dirname(folder)
        super()._parents(name)
        if self._owner:
            for made in missing:
                os.chown(made, *self._owner)

    def _make_room(self, entry: Entry, name: bytes) -> None:
        """Make the parents of an entry and remove what it replaces."""
        try:
            found = os.lstat(name)
        except FileNotFoundError:
            if b"/" in name:
                self._parents(name)
            return
        was, will_be = stat.S_ISDIR(found.st_mode), entry.kind == tarstream.DIRECTORY
        if self._keep_kinds and was != will_be:
            kinds = ("non-directory", "directory")
            path = os.path.join(self._place, os.fsdecode(name))
            raise ArchiveError(f'cannot overwrite {kinds[was]} "{path}" with {kinds[will_be]} "{self._place}"')
        if was and not will_be:
            extract.remove_tree(name)
        elif not was:
            os.unlink(name)


def below(name: bytes, place: str) -> bytes:
    """Return a name relative to the folder; ArchiveError with Docker's words when it leads out of it."""
    clean = os.path.normpath(name.lstrip(b"/") or b".")
    if clean == b".." or clean.startswith(b"../"):
        raise ArchiveError(f'"{os.fsdecode(clean)}" is outside of "{place}"')
    return clean
