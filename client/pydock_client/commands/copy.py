"""`cp`: files between a container and this host, as tar streams.

Where the target is a folder, the source goes into it; where it does not exist, the source takes its name; a source that
ends in `/.` stands for what is in the folder.
"""

from __future__ import annotations

import base64
import json
import os
import posixpath
import stat
import sys

from pydock_client.command import Call, Command, Failure
from pydock_client.flags import BOOL, Flag
from pydock_client.pieces import pieces
from pydock_client.session import STDIN_FD, STDOUT_FD, write
from pydock_client.tarballs import Pieces, pack, unpack
from pydock_shared import units
from pydock_shared.errors import InvalidArgument, NotFound, PydockError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Bits of Go's os.FileMode, which is how the daemon tells what a path is
_GO_FOLDER, _GO_LINK = 1 << 31, 1 << 27
_MOST_LINKS = 40


def _cp(call: Call) -> None:
    for word, what in zip(call.arguments, ("source", "destination"), strict=True):
        if not word:
            raise Failure(f"{what} can not be empty")
    (source_container, source), (target_container, target) = (_split(word) for word in call.arguments)
    if source_container and target_container:
        raise Failure("copying between containers is not supported")
    if source_container:
        _out(call, source_container, source, target)
    elif target_container:
        _in(call, source, target_container, target)
    else:
        raise Failure("must specify at least one container source")


def _split(word: str) -> tuple[str, str]:
    """Return container and path of an argument; a path that begins with a dot or a slash is one of this host."""
    if word.startswith(("/", ".")) or word == "-":
        return "", word
    container, colon, path = word.partition(":")
    return (container, path) if colon else ("", word)


def _contents(path: str) -> bool:
    return path == "." or path.endswith("/.")


def _out(call: Call, container: str, source: str, target: str) -> None:
    options = call.options
    named = path = posixpath.join("/", source) if source else ""  # nothing is no path, and refused by the daemon
    _check_target(target)
    if options["follow-link"]:
        path = _followed(call, container, path)
    answer = call.daemon.request("GET", f"/containers/{container}/archive", {"path": path})
    if target == "-":
        for piece in answer.pieces():
            write(STDOUT_FD, piece)
        return
    about = _decoded(answer.headers.get("x-docker-container-path-stat", ""))
    is_folder = bool(about.get("mode", 0) & _GO_FOLDER)
    stream = Pieces(answer.pieces())
    unpack(stream, _local_target(named, target, is_folder=is_folder), owners=options["archive"])
    _told(call, stream.count, os.path.abspath(target))


def _check_target(target: str) -> None:
    """Refuse what nothing can be put in, and a device, in the place of which the file would be: /dev/null for one."""
    above = os.path.dirname(os.path.abspath(target))
    if target != "-" and not os.path.exists(above):
        raise Failure(f'invalid output path: directory "{above}" does not exist')
    if target != "-" and os.path.exists(target):
        mode = os.stat(target).st_mode
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            raise Failure(f'invalid output path: "{target}" must be a directory or a regular file: got a device')


def _local_target(source: str, target: str, *, is_folder: bool) -> str:
    """Return the path that the source is to become on this host."""
    whole = os.path.abspath(target)
    if os.path.isdir(whole):
        return whole if _contents(source) else os.path.join(whole, posixpath.basename(source.rstrip("/")))
    if os.path.lexists(whole) and is_folder:
        raise Failure("cannot copy directory")
    if not os.path.isdir(os.path.dirname(whole)):
        raise Failure(f'invalid output path: directory "{os.path.dirname(whole)}" does not exist')
    if target.endswith("/") and not is_folder:
        raise Failure("no such directory")
    return whole


def _decoded(text: str) -> dict[str, int]:
    found: dict[str, int] = json.loads(base64.b64decode(text)) if text else {}
    return found


def _stat(call: Call, container: str, path: str) -> dict[str, int]:
    """Return what the daemon says about a path; empty when it is not there."""
    try:
        answer = call.daemon.request("HEAD", f"/containers/{container}/archive", {"path": path})
    except NotFound:
        call.daemon.call("GET", f"/containers/{container}/json")  # is it the container that is not there?
        return {}
    except PydockError:
        # the answer to HEAD has no words: ask for those of the same refusal
        call.daemon.request("GET", f"/containers/{container}/archive", {"path": path}).close()
        raise
    answer.read()
    return _decoded(answer.headers.get("x-docker-container-path-stat", ""))


def _followed(call: Call, container: str, path: str) -> str:
    """Return the path that symbolic links lead to."""
    for _ in range(_MOST_LINKS):
        about = _stat(call, container, path)
        if not about.get("mode", 0) & _GO_LINK:
            return path
        path = posixpath.join(posixpath.dirname(path), str(about["linkTarget"]))
    raise Failure(f"too many links in {path}")


def _in(call: Call, source: str, container: str, target: str) -> None:
    options = call.options
    if source != "-":
        _check_source(source, follow=options["follow-link"])
    path = posixpath.join("/", target)
    try:
        path = _followed(call, container, path)
        about = _stat(call, container, path)
    except InvalidArgument:
        about = {}  # as Docker: it may still go there, else the daemon says why not
    exists, is_folder = bool(about), bool(about.get("mode", 0) & _GO_FOLDER)
    body: Iterator[bytes]
    if source == "-":
        if not is_folder:
            raise Failure(f'destination "{container}:{target}" must be a directory')
        folder, body = path, pieces(STDIN_FD)
    else:
        source_is_folder = os.path.isdir(source) and (
            options["follow-link"] or source.endswith("/") or _contents(source) or not os.path.islink(source)
        )
        folder, name = _remote_target(
            source, path, target, exists=exists, is_folder=is_folder, source_is_folder=source_is_folder
        )
        body = pack(source, name, follow=options["follow-link"])
    query = {"path": folder, "noOverwriteDirNonDir": "true", "copyUIDGID": options["archive"]}
    counted = _Counted(body)
    headers = {"Content_Type": "application/x-tar"}
    call.daemon.request("PUT", f"/containers/{container}/archive", query, iter(counted), **headers).read()
    _told(call, counted.count, f"{container}:{target}")


def _check_source(source: str, *, follow: bool) -> None:
    """Refuse what is not there, or is no folder and is called one."""
    real = os.path.realpath(source) if follow else os.path.abspath(source)
    if not os.path.lexists(real):
        raise Failure(f"lstat {real}: no such file or directory")
    if source.endswith("/") and not os.path.isdir(source):
        raise Failure("not a directory")


def _remote_target(
    source: str, path: str, target: str, *, exists: bool, is_folder: bool, source_is_folder: bool
) -> tuple[str, str]:
    """Return the folder of the container to unpack in, and the name of the source there ("" for its contents)."""
    if is_folder:
        return path, "" if _contents(source) else os.path.basename(os.path.abspath(source))
    if exists and source_is_folder:
        raise Failure("cannot copy directory")
    if not exists and target.endswith("/") and not source_is_folder:
        raise Failure("no such directory")
    plain = path.rstrip("/")
    return posixpath.dirname(plain), posixpath.basename(plain)


class _Counted:
    """Pieces on their way, counted."""

    def __init__(self, source: Iterable[bytes]) -> None:
        self._source = source
        self.count = 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._source:
            self.count += len(piece)
            yield piece


def _told(call: Call, count: int, where: str) -> None:
    if not call.options["quiet"] and os.isatty(STDOUT_FD):
        print(f"Successfully copied {units.format_size(count)} to {where}", file=sys.stderr)


CP = Command(
    _cp,
    "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\t[OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    arguments=(2, 2),
    flags=(
        Flag("-a --archive", BOOL, "Archive mode (copy all uid/gid information)"),
        Flag("-L --follow-link", BOOL, "Always follow a symbolic link in SRC_PATH"),
        Flag("-q --quiet", BOOL, "Suppress output; there is none without a terminal"),
    ),
    about="Copy files/folders between a container and the local filesystem.\n\n"
    "With - as the source a tar archive is read from STDIN and unpacked in a folder of the container; with - as the\n"
    "target a tar archive is written to STDOUT.",
)
