"""What a container has changed, as a list and as a layer: `GET /containers/{id}/changes` and commit. Used by `child`.

As in Docker this compares two trees: a folder counts as changed when its mode or owner is another or something in it
has changed, a file also by its size and time and, which Docker does not see, by what is in it. Only what was written
is walked; the tree below is looked up beside it.
"""

import functools
import json
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

from pydock_daemon.snapshots import layer

from .view import LOWER, WHOLE, WRITTEN

MODIFIED, ADDED, DELETED = range(3)
CAPABILITY = "security.capability"
MOUNT_POINTS = {"/dev", "/proc", "/sys", "/etc", "/etc/resolv.conf", "/etc/hosts", "/etc/hostname"}
"""What a start makes where the image lacks it: as Docker's, nothing of the container's."""
MARK = "/.dockerenv"
"""What every container gets, even from an image that has one, as those have that were exported by Docker."""


class Change(NamedTuple):
    """A path of the container, from its root, and what became of it."""

    kind: int
    path: str


def changes(*, layered: bool = False) -> Iterator[Change]:
    """Yield the changes in a `difference` view, a folder before what is in it, names sorted.

    With `layered` they are those of a layer: also files and attributes that differ in nothing worth a line.
    """
    yield from _inside("", opaque=_hides(""), below=True, layered=layered)


def layer_tar() -> Iterator[bytes]:
    """Yield the layer that makes the image below into the container's tree; nothing when they are the same."""
    links: layer.Links = {}
    empty = True
    if _differs(os.lstat(WRITTEN), os.lstat(LOWER)) or layer.attributes(WRITTEN) != layer.attributes(LOWER):
        empty = False
        yield from layer.member(".", WRITTEN, links)
    for change in changes(layered=True):
        empty = False
        name = change.path.removeprefix("/")
        if change.kind == DELETED:
            yield layer.whiteout(name)
        else:
            yield from layer.member(name, WRITTEN + change.path, links)
    if not empty:
        yield layer.END


def listed() -> Iterator[bytes]:
    """Yield Docker's JSON of the changes, `null` when there are none."""
    before = b"["
    for change in changes():
        path = os.fsencode(change.path).decode(errors="replace")
        yield before + json.dumps({"Path": path, "Kind": change.kind}).encode()
        before = b","
    yield b"null\n" if before == b"[" else b"]\n"


def _inside(folder: str, *, opaque: bool, below: bool, layered: bool) -> Iterator[Change]:
    """Yield the changes in a folder; `below` says that there is one of this name below, `opaque` that it is hidden.

    What is in a hidden folder is hidden as well, whatever the new ones in it say: overlayfs marks the first alone.
    """
    written = [item.name for item in layer.listed(WRITTEN + folder)]
    hidden = {item.name for item in layer.listed(LOWER + folder)} if below and opaque else set[str]()
    for name in sorted({*written, *hidden}):
        path = f"{folder}/{name}"
        if name not in written:
            yield Change(DELETED, path)
            continue
        try:
            yield from _one(path, opaque=opaque, below=below, layered=layered)
        except FileNotFoundError:
            continue  # gone since it was listed


def _one(path: str, *, opaque: bool, below: bool, layered: bool) -> Iterator[Change]:
    new, old = os.lstat(WRITTEN + path), _found(LOWER + path) if below else None
    if stat.S_ISCHR(new.st_mode) and new.st_rdev == 0:
        if old:
            yield Change(DELETED, path)
        return
    is_folder = stat.S_ISDIR(new.st_mode)
    was_folder = old is not None and stat.S_ISDIR(old.st_mode)
    inner: Iterator[Change] = iter(())
    if is_folder:
        inner = _inside(path, opaque=opaque or _hides(path), below=was_folder, layered=layered)
    first = next(inner, None)
    empty = first is None if is_folder else not new.st_size
    if path == MARK and empty and stat.S_ISREG(new.st_mode):
        return
    if not old and not (empty and path in MOUNT_POINTS):
        yield Change(ADDED, path)
    elif old and (first or (layered and _belongs(path, new, old)) or _changed(path, new, old)):
        yield Change(MODIFIED, path)
    if first:
        yield first
        yield from inner


def _hides(path: str) -> bool:
    """Say whether what is missing in a folder is missing: in a whole tree, and in an opaque folder of overlayfs."""
    return os.path.exists(WHOLE) or layer.is_opaque(WRITTEN + path)


def _belongs(path: str, new: os.stat_result, old: os.stat_result) -> bool:
    """Say whether a layer must have a file again that looks as the one below.

    What overlayfs has copied was written to; a folder when its time is another, unless that is a mount's doing. Of a
    whole tree one sees that a file has other names than below, as a layer without it would tear those apart, or other
    attributes.
    """
    if stat.S_ISDIR(new.st_mode) and path not in MOUNT_POINTS and new.st_mtime_ns != old.st_mtime_ns:
        return True
    if stat.S_ISDIR(new.st_mode) or os.path.exists(WHOLE):
        is_linked = not stat.S_ISDIR(new.st_mode) and max(new.st_nlink, old.st_nlink) > 1
        if is_linked and _linked(WRITTEN).get(path) != _linked(LOWER).get(path):
            return True
        return layer.attributes(WRITTEN + path) != layer.attributes(LOWER + path)
    return True


@functools.cache
def _linked(tree: str) -> dict[str, tuple[str, ...]]:
    """Return for each path of a file with several names all of them; walks the tree, once for this process."""
    names: dict[tuple[int, int], list[str]] = {}
    for path, at in layer.walk(tree, "", "/"):
        found = os.lstat(at)
        if found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode):
            names.setdefault((found.st_dev, found.st_ino), []).append(path)
    return {path: tuple(group) for group in names.values() for path in group}


def _found(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _changed(path: str, new: os.stat_result, old: os.stat_result) -> bool:
    if _differs(new, old) or _capability(WRITTEN + path) != _capability(LOWER + path):
        return True
    return new.st_ctime_ns not in _untouched() and not _same_contents(path, new)


@functools.cache
def _untouched() -> range:
    """Return the times of change of files of which it is known that nobody wrote to them."""
    try:
        with open(WHOLE) as file:
            return range(*json.load(file))
    except FileNotFoundError:
        return range(0)


def _same_contents(path: str, status: os.stat_result) -> bool:
    """Compare what is in two files of one kind and size."""
    if stat.S_ISLNK(status.st_mode):
        return os.readlink(WRITTEN + path) == os.readlink(LOWER + path)
    if not stat.S_ISREG(status.st_mode):
        return True
    with ExitStack() as stack:
        files = []
        for tree in (WRITTEN, LOWER):
            files.append(layer.opened(tree + path))
            stack.callback(os.close, files[-1])
        while True:
            new, old = (os.read(file, layer.PIECE) for file in files)
            if new != old:
                return False
            if not new:
                return True


def _differs(new: os.stat_result, old: os.stat_result) -> bool:
    """Compare by Docker's rule: inode and time of change say nothing, and those of a folder's contents neither."""
    if (new.st_mode, new.st_uid, new.st_gid, new.st_rdev) != (old.st_mode, old.st_uid, old.st_gid, old.st_rdev):
        return True
    if stat.S_ISDIR(new.st_mode):
        return False
    return new.st_size != old.st_size or new.st_mtime_ns != old.st_mtime_ns


def _capability(path: str) -> bytes:
    try:
        return os.getxattr(path, CAPABILITY, follow_symlinks=False)
    except OSError:
        return b""
