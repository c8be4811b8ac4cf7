"""Whether an unpacked layer still has the files of its blob, byte for byte. Used by `upkeep`, in a thread.

A power cut may take what a file system had not written yet, and a failing disk anything; the blob tells what was there.
"""

import errno
import os
import stat
from contextlib import ExitStack, suppress
from pathlib import Path

from pydock_runtime import abi, linux

from . import compression, tarstream
from .extract import WHITEOUT, blob, inside
from .tarstream import Archive, Entry

PIECE = 1 << 20


def difference(source: Path, folders: list[Path]) -> str:
    """Return in what a layer differs from its blob, as `path: what`, nothing when it does not.

    Its folders lie one over the other, the upper one first.
    """
    wrong: dict[bytes, str] = {}
    with source.open("rb") as file, ExitStack() as stack:
        archive = Archive(compression.decompressed(blob(file.fileno())))
        roots = [os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for folder in folders]
        for root in roots:
            stack.callback(os.close, root)
        for entry in archive:
            name = inside(entry.name)
            if name.rpartition(b"/")[2].startswith(WHITEOUT):
                continue
            # A later entry of the same name takes the place of an earlier one and of what is below it.
            for earlier in [other for other in wrong if other == name or other.startswith(name + b"/")]:
                del wrong[earlier]
            if text := _compared(roots, archive, entry, name):
                wrong[name] = text
    return next((f"{os.fsdecode(name)}: {text}" for name, text in wrong.items()), "")


def _opened(roots: list[int], name: bytes) -> int | None:
    """Return a file of the first folder that has it, None when none has."""
    for root in roots:
        with suppress(FileNotFoundError, NotADirectoryError):
            # As the archive was unpacked: links on the way lead below the root, the last one is not followed.
            flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
            return linux.openat2(root, os.fsdecode(name), flags, resolve=abi.RESOLVE_IN_ROOT)
    return None


def _compared(roots: list[int], archive: Archive, entry: Entry, name: bytes) -> str:
    try:
        place = _opened(roots, name)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        place = None
    if place is None:
        return "is missing"
    try:
        status = os.fstat(place)
        if entry.kind != tarstream.FILE:
            return ""
        if not stat.S_ISREG(status.st_mode):
            return "is no file"
        if status.st_size != entry.real_size:
            return f"has {status.st_size} bytes instead of {entry.real_size}"
        if entry.sparse is None and not _has(place, archive):
            return "has other bytes"
        return ""
    finally:
        os.close(place)


def _has(place: int, archive: Archive) -> bool:
    """Say whether a file has the bytes of the archive's current member, its size being the same."""
    with open(f"/proc/self/fd/{place}", "rb", buffering=0) as file:
        for piece in archive.contents():
            view = memoryview(piece)
            while view:
                found = file.read(min(len(view), PIECE))
                if not found or found != view[: len(found)]:
                    return False
                view = view[len(found) :]
    return True
