"""The program that works on a container's files: a child of the fork server for `process`, one operation a child.

The request is JSON: `verb`, `view` (what to enter) and what the verb needs. The answer is lines of JSON: `{}` once the
view is entered, then the verb's; an archive or a document follows it as it is. `{"error", "kind"}` takes the place of
either line. What fails after that ends the program with another code than 0.
"""

import errno
import json
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

from pydock_daemon.snapshots import compression, extract, layer
from pydock_daemon.snapshots.compression import CompressionError
from pydock_daemon.snapshots.tarstream import Archive, ArchiveError
from pydock_runtime.errors import RuntimeFailure
from pydock_runtime.user import resolve

from . import difference, insert, paths, view

DEEPEST = 10_000
"""More than a path can have parts: trees are walked by recursion."""
GONE, MISSING, INVALID, READ_ONLY, FAILED = "gone", "missing", "invalid", "read-only", "failed"
CALLERS = {*extract.INVALID, errno.EBUSY, errno.EPERM, errno.EISDIR, errno.ENOTEMPTY, errno.EXDEV}
"""Errors that the archive or the path causes, and no disk does."""
READERS = {kind: compression.opener(kind) for kind in compression.OPENERS}
"""Loaded by the fork server; which of them an archive needs only shows when nothing can be imported any more."""
Request = dict[str, Any]


class Refused(Exception):
    """The container does not allow it."""


class Output:
    """Standard output; `begun` from the moment on when an error can no longer be told."""

    def __init__(self) -> None:
        self.begun = False
        self._file = open(1, "wb", buffering=1 << 18, closefd=False)  # noqa: SIM115

    def say(self, answer: dict[str, Any]) -> None:
        """Send one line of JSON."""
        self._file.write(json.dumps(answer).encode() + b"\n")
        self._file.flush()

    def stream(self, pieces: Iterable[bytes]) -> None:
        """Send a line that says it goes well, and then what comes."""
        for piece in pieces:
            if not self.begun:
                self.say({})
                self.begun = True
            self._file.write(piece)
        if not self.begun:
            self.say({})
        self._file.flush()


Work = Callable[[Output], None]


def _stat(request: Request) -> Work:
    return lambda output: output.say(paths.about(paths.absolute(request["path"])))


def _get(request: Request) -> Work:
    def work(output: Output) -> None:
        path = paths.absolute(request["path"])
        output.say(paths.about(path))
        output.begun = True
        output.stream(layer.subtree(path, paths.base(path)))

    return work


def _put(request: Request) -> Work:
    def work(output: Output) -> None:
        place = paths.enter_folder(paths.absolute(request["path"]))
        if os.statvfs(".").f_flag & os.ST_RDONLY:
            inside = any(place == target or place.startswith(f"{target}/") for target in request["mounted"])
            raise Refused("mounted volume is marked read-only" if inside else "container rootfs is marked read-only")
        owner = None
        if request["user"]:
            user = resolve({"username": request["user"]})
            owner = user.uid, user.gid
        archive = Archive(compression.decompressed(extract.blob(0), READERS))
        os.umask(0)
        insert.Insertion(place, owner=owner, keep_kinds=request["keep_kinds"], ids=request["ids"]).extract(archive)
        output.say({})

    return work


def _export(request: Request) -> Work:
    return lambda output: output.stream(layer.export_rootfs("/"))


def _changes(request: Request) -> Work:
    return lambda output: output.stream(difference.listed())


def _layer(request: Request) -> Work:
    return lambda output: output.stream(difference.layer_tar())


VERBS: dict[str, Callable[[Request], Work]] = {
    "stat": _stat,
    "get": _get,
    "put": _put,
    "export": _export,
    "changes": _changes,
    "layer": _layer,
}
"""Each makes what it needs, while that can be trusted, and returns the work that is done inside."""


def carry_out(request: Request, output: Output) -> None:
    """Carry out a request and answer it."""
    work = VERBS[request["verb"]](request)
    view.enter(request["view"])
    output.say({})
    work(output)


def _told(error: Exception) -> dict[str, str] | None:
    """Return the answer for an error that is not a defect of this program."""
    if isinstance(error, view.Gone):
        return {"kind": GONE, "error": "the container has ended"}
    if isinstance(error, paths.Missing):
        return {"kind": MISSING, "error": "no such file"}
    if isinstance(error, Refused):
        return {"kind": READ_ONLY, "error": str(error)}
    if isinstance(error, ArchiveError | CompressionError | RuntimeFailure | paths.NoFolder):
        return {"kind": INVALID, "error": str(error)}
    if isinstance(error, OSError):
        kind = READ_ONLY if error.errno == errno.EROFS else INVALID if error.errno in CALLERS else FAILED
        return {"kind": kind, "error": extract.describe(error)}
    return None


def main(request: str) -> None:
    """Carry out a request and end."""
    sys.setrecursionlimit(DEEPEST)
    output = Output()
    try:
        carry_out(json.loads(request), output)
    except BrokenPipeError:
        os._exit(1)
    except Exception as error:
        answer = _told(error)
        if output.begun or answer is None:
            raise
        output.say(answer)
    os._exit(0)
