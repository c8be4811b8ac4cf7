"""A build context sent bit by bit: a list of its files first, then the contents that the daemon lacks. Used by build.

What is known of a folder is remembered between builds in the user's cache folder, by what stat(2) says of its files:
their digests, and the digest of the list that was sent last, so that a folder in which nothing has changed is told by
that alone. Without a cache folder every file is read each time. What was changed just before it was read is not
remembered: a second change within the same tick of the clock would not show.
"""

from __future__ import annotations

import hashlib
import json
import marshal
import operator
import os
import stat
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

_PLAIN = 2
"""The version of marshal that writes the same for the same, however often a value is used."""
_DIGESTS = ".digests"

Known = dict[str, "list[Any]"]
Found = tuple[str, int, int, int, int, int]
"""Name, mode, size, time of the last change, time of the last change of this information, inode."""


def ignored(folder: str, dockerfile: str) -> Patterns:
    """Return what of a folder is not sent: by `<Dockerfile>.dockerignore`, or else by .dockerignore."""
    for name in (f"{dockerfile}{ignore.FILE}", ignore.FILE):
        try:
            with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
                return ignore.Patterns(file.read())
        except FileNotFoundError:
            continue
    return ignore.Patterns("")


def send(daemon: Daemon, folder: str, ignored: Patterns, kept: Collection[str]) -> str:
    """Send a folder; return the id that its context has got. NotFound: the daemon does not know this way."""
    place, now = _memory(folder), time.time_ns()
    found = list(_walk(folder, ignored, kept))
    state = hashlib.sha256(marshal.dumps(found, _PLAIN)).hexdigest()
    before = _read(place)
    if before.get("state") == state:
        answer = daemon.call("POST", "/build/context", {"digest": before["list"]})
        if answer["Id"]:
            return str(answer["Id"])
    known = _read(f"{place}{_DIGESTS}")
    fresh: Known = {}
    data = "".join(_lines(folder, found, known, fresh)).encode()
    answer = daemon.call("POST", "/build/context", None, iter((data,)))
    if answer["Missing"]:
        sources = {facts[4]: os.path.join(folder, name) for name, facts in fresh.items()}
        archive = _archive(sources, answer["Missing"])
        daemon.call("POST", f"/build/context/{answer['Id']}", None, archive, Content_Type="application/x-tar")
    settled = {name: facts for name, facts in fresh.items() if max(facts[1], facts[2]) < now - _SETTLED}
    _write(f"{place}{_DIGESTS}", settled, known)
    if all(max(facts[3], facts[4]) < now - _SETTLED for facts in found):
        _write(place, {"state": state, "list": hashlib.sha256(data).hexdigest()}, before)
    return str(answer["Id"])


def _walk(folder: str, ignored: Patterns, kept: Collection[str]) -> Iterator[Found]:
    """Yield name, mode, size, times and inode of every file that is sent, a folder before what is in it."""
    pending = [("", folder)]
    while pending:
        above, path = pending.pop()
        folders = []
        for entry in sorted(os.scandir(path), key=_name):
            name = f"{above}{entry.name}"
            facts = entry.stat(follow_symlinks=False)
            mode = facts.st_mode
            left_out = bool(ignored) and name not in kept and ignored.ignores(name)
            if stat.S_ISDIR(mode) and not (left_out and _empty_of(name, ignored, kept)):
                folders.append((f"{name}/", entry.path))
            if not left_out and not stat.S_ISSOCK(mode):
                yield name, mode, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino
        pending += reversed(folders)


_name = operator.attrgetter("name")


def _lines(folder: str, found: list[Found], known: Known, fresh: Known) -> Iterator[str]:
    """Yield a line for every file: path, kind, mode, time, size, digest or target of a link."""
    for file in found:
        name, mode, size, mtime = file[:4]
        kind, rest = "o", ""
        if stat.S_ISREG(mode):
            kind, rest = "f", _digest(folder, file, known, fresh)
        elif stat.S_ISDIR(mode):
            kind = "d"
        elif stat.S_ISLNK(mode):
            kind, rest = "l", os.readlink(os.path.join(folder, name))
        facts = f"{stat.S_IMODE(mode)}, {mtime / 1e9}, {size}"
        yield f"[{_quoted(name)}, {_quoted(kind)}, {facts}, {_quoted(rest)}]\n"


def _quoted(text: str) -> str:
    """Return a text as JSON; most are as they are."""
    plain = text.isascii() and text.isprintable() and '"' not in text and "\\" not in text
    return f'"{text}"' if plain else json.dumps(text)


def _empty_of(name: str, ignored: Patterns, kept: Collection[str]) -> bool:
    return ignored.ignores_all_of(name) and not any(other.startswith(f"{name}/") for other in kept)


def _digest(folder: str, file: Found, known: Known, fresh: Known) -> str:
    stamp = [*file[2:]]
    found = known.get(file[0])
    if not found or found[:4] != stamp:
        with open(os.path.join(folder, file[0]), "rb", buffering=0) as opened:
            found = [*stamp, hashlib.file_digest(opened, "sha256").hexdigest()]
    fresh[file[0]] = found
    return str(found[4])


def _archive(sources: dict[str, str], wanted: list[str]) -> Iterator[bytes]:
    """Yield an archive of contents, each named for its digest."""
    return _batches(piece for digest in wanted for piece in _member(digest, sources[digest]))


def _member(digest: str, path: str) -> Iterator[bytes]:
    import tarfile  # what has not changed is not sent: most builds do without it

    info = tarfile.TarInfo(digest)
    with open(path, "rb", buffering=0) as file:
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
    return os.path.join(base, "pydock", "contexts", name)


def _read(place: str) -> dict[str, Any]:
    try:
        with open(f"{place}.json", encoding="utf-8", errors="surrogateescape") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(place: str, facts: dict[str, Any], before: dict[str, Any]) -> None:
    """Keep what is known; that it cannot be kept is no mistake."""
    if facts == before:
        return
    with suppress(OSError):
        os.makedirs(os.path.dirname(place), mode=0o700, exist_ok=True)
        temporary = f"{place}.{os.getpid()}"
        with open(temporary, "w", encoding="utf-8", errors="surrogateescape") as file:
            json.dump(facts, file)
        os.rename(temporary, f"{place}.json")
