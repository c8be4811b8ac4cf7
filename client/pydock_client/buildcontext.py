"""A build context sent bit by bit: a list of its files first, then the contents that the daemon lacks. Used by build.

The digests of files are remembered between builds, by what stat(2) says of them, in a file of the user's cache folder;
without such a folder every file is read each time. A file that was changed just before it was read is not remembered:
a second change within the same tick of the clock would not show.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tarfile
import time
from contextlib import suppress

from pydock_shared import ignore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from typing import Any

    from pydock_client.http import Daemon
    from pydock_shared.ignore import Patterns

_PIECE = 1 << 20
_SETTLED = 2 * 10**9
"""Nanoseconds after which a further change of a file has another time."""
_BATCH = 1 << 20

Known = dict[str, "list[Any]"]


def ignored(folder: str, dockerfile: str) -> Patterns:
    """Return what of a folder is not sent: by `<Dockerfile>.dockerignore`, or else by .dockerignore."""
    for name in (f"{dockerfile}{ignore.FILE}", ignore.FILE):
        try:
            with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
                return ignore.Patterns(file.read())
        except FileNotFoundError:
            continue
    return ignore.Patterns("")


def send(daemon: Daemon, folder: str, ignored: Patterns, kept: Collection[str], more: dict[str, bytes]) -> str:
    """Send a folder and `more` files; return the id that the daemon has given the context.

    NotFound: the daemon does not know this way.
    """
    place = _memory(folder)
    known, now = _read(place), time.time_ns()
    fresh: Known = {}
    sources: dict[str, str | bytes] = {}
    lines = list(_listed(folder, ignored, kept, known, fresh, sources))
    for name, data in more.items():
        digest = hashlib.sha256(data).hexdigest()
        sources[digest] = data
        lines.append([name, "f", 0o644, int(time.time()), len(data), digest])
    answer = daemon.call("POST", "/build/context", None, _batches(json.dumps(line).encode() + b"\n" for line in lines))
    if answer["Missing"]:
        archive = _archive(sources, answer["Missing"])
        daemon.call("POST", f"/build/context/{answer['Id']}", None, archive, Content_Type="application/x-tar")
    _write(place, {path: facts for path, facts in fresh.items() if max(facts[1], facts[2]) < now - _SETTLED}, known)
    return str(answer["Id"])


def _listed(
    folder: str,
    ignored: Patterns,
    kept: Collection[str],
    known: Known,
    fresh: Known,
    sources: dict[str, str | bytes],
) -> Iterator[list[Any]]:
    """Yield a line for every file: path, kind, mode, time, size, digest or target of a link."""
    pending = [("", folder)]
    while pending:
        above, path = pending.pop()
        folders = []
        for entry in sorted(os.scandir(path), key=lambda entry: entry.name):
            name = f"{above}{entry.name}"
            facts = entry.stat(follow_symlinks=False)
            is_folder = stat.S_ISDIR(facts.st_mode)
            left_out = bool(ignored) and name not in kept and ignored.ignores(name)
            if is_folder and not (left_out and _empty_of(name, ignored, kept)):
                folders.append((f"{name}/", entry.path))
            if left_out or stat.S_ISSOCK(facts.st_mode):
                continue
            kind, rest = "d", ""
            if stat.S_ISLNK(facts.st_mode):
                kind, rest = "l", os.readlink(entry.path)
            elif stat.S_ISREG(facts.st_mode):
                kind, rest = "f", _digest(entry.path, name, facts, known, fresh)
                sources[rest] = entry.path
            elif not is_folder:
                kind = "o"
            yield [name, kind, stat.S_IMODE(facts.st_mode), facts.st_mtime_ns / 1e9, facts.st_size, rest]
        pending += reversed(folders)


def _empty_of(name: str, ignored: Patterns, kept: Collection[str]) -> bool:
    return ignored.ignores_all_of(name) and not any(other.startswith(f"{name}/") for other in kept)


def _digest(path: str, name: str, facts: os.stat_result, known: Known, fresh: Known) -> str:
    stamp = [facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino]
    found = known.get(name)
    if not found or found[:4] != stamp:
        with open(path, "rb") as file:
            found = [*stamp, hashlib.file_digest(file, "sha256").hexdigest()]
    fresh[name] = found
    return str(found[4])


def _archive(sources: dict[str, str | bytes], wanted: list[str]) -> Iterator[bytes]:
    """Yield an archive of contents, each named for its digest."""
    return _batches(piece for digest in wanted for piece in _member(digest, sources[digest]))


def _member(digest: str, source: str | bytes) -> Iterator[bytes]:
    info = tarfile.TarInfo(digest)
    if isinstance(source, bytes):
        info.size = len(source)
        yield info.tobuf() + source + b"\0" * (-len(source) % 512)
        return
    with open(source, "rb", buffering=0) as file:
        left = info.size = os.fstat(file.fileno()).st_size
        yield info.tobuf(tarfile.GNU_FORMAT)
        while left:  # what was changed meanwhile has another digest, which the daemon sees
            piece = file.read(min(left, _PIECE)) or b"\0" * min(left, _PIECE)
            left -= len(piece)
            yield piece
    yield b"\0" * (-info.size % 512)


def _batches(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in larger pieces."""
    batch: list[bytes] = []
    size = 0
    for piece in pieces:
        batch.append(piece)
        size += len(piece)
        if size >= _BATCH:
            yield b"".join(batch)
            batch, size = [], 0
    yield b"".join(batch)


def _memory(folder: str) -> str:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    name = hashlib.sha256(os.path.realpath(folder).encode("utf-8", "surrogateescape")).hexdigest()[:24]
    return os.path.join(base, "pydock", "contexts", f"{name}.json")


def _read(place: str) -> Known:
    try:
        with open(place, encoding="utf-8", errors="surrogateescape") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(place: str, facts: Known, before: Known) -> None:
    """Keep what is known; that it cannot be kept is no mistake."""
    if facts == before:
        return
    with suppress(OSError):
        os.makedirs(os.path.dirname(place), mode=0o700, exist_ok=True)
        temporary = f"{place}.{os.getpid()}"
        with open(temporary, "w", encoding="utf-8", errors="surrogateescape") as file:
            json.dump(facts, file)
        os.rename(temporary, place)
