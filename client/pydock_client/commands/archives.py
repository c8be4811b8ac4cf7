"""`load`, `save` and `import`: images from and to tar archives."""

from __future__ import annotations

import os
import stat
import sys

from pydock_client import progress
from pydock_client.command import Call, Command, Failure
from pydock_client.flags import BOOL, LIST, STRING, STRINGS, Flag
from pydock_client.pieces import file_pieces, pieces
from pydock_client.session import STDIN_FD, STDOUT_FD, write
from pydock_shared import reference

from .images import platform_query

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydock_client.http import Query

_URLS = ("http://", "https://")
_NO_OUTPUT = {
    stat.S_ISDIR: "a directory",
    stat.S_ISLNK: "a symbolic link directly",
    stat.S_ISFIFO: "a named pipe (FIFO)",
    stat.S_ISSOCK: "a socket",
    stat.S_ISBLK: "a block device file",
    stat.S_ISCHR: "a character device file",
}


def _load(call: Call) -> None:
    options = call.options
    path = options["input"]
    if not path and os.isatty(STDIN_FD):
        raise Failure("requested load from stdin, but stdin is empty")
    if path:
        os.stat(path)
    quiet = options["quiet"] or not sys.stdout.isatty()
    query: Query = {"quiet": quiet, "platform": [platform_query(name) for name in options["platform"]]}
    body = file_pieces(path) if path else pieces(STDIN_FD)
    response = call.daemon.request("POST", "/images/load", query, body, Content_Type="application/x-tar")
    progress.show(response.objects(), sys.stdout)


def to_file(source: Iterable[bytes], path: str) -> None:
    """Write pieces to a file, which appears only when it is whole."""
    partial = f"{path}.{os.getpid()}.partial"
    try:
        with open(partial, "xb", buffering=0) as file:
            for piece in source:
                file.write(piece)
        os.replace(partial, path)
    except BaseException:
        if os.path.exists(partial):
            os.unlink(partial)
        raise


def check_output(path: str, verb: str) -> None:
    """Refuse a terminal as the target of an archive, and a file that cannot be made."""
    if not path:
        if os.isatty(STDOUT_FD):
            raise Failure("cowardly refusing to save to a terminal. Use the -o flag or redirect")
        return
    folder = os.path.dirname(path)
    if folder and not os.path.isdir(folder):
        raise Failure(f"failed to {verb}: invalid output path: stat {folder}: no such file or directory")
    # The file is written beside and renamed, which would put it in the place of a device: /dev/null for one.
    for is_kind, words in _NO_OUTPUT.items():
        if os.path.lexists(path) and is_kind(os.lstat(path).st_mode):
            raise Failure(f"failed to {verb}: cannot write to {words}")


def output(source: Iterable[bytes], path: str) -> None:
    """Write pieces to a file, or to standard output."""
    if path:
        to_file(source, path)
        return
    for piece in source:
        write(STDOUT_FD, piece)


def _save(call: Call) -> None:
    options = call.options
    check_output(options["output"], "save image")
    query: Query = {"names": call.arguments, "platform": [platform_query(name) for name in options["platform"]]}
    output(call.daemon.request("GET", "/images/get", query).pieces(), options["output"])


def _import(call: Call) -> None:
    options, source = call.options, call.arguments[0]
    query: Query = {"changes": options["change"], "message": options["message"], "platform": options["platform"]}
    if len(call.arguments) > 1:
        name = reference.parse(call.arguments[1], default_tag=False)
        query |= {"repo": name.name, "tag": name.tag}
    body: Iterator[bytes] | None = None
    if source == "-":
        body = pieces(STDIN_FD)
    elif not source.startswith(_URLS):
        os.stat(source)
        body, source = file_pieces(source), "-"
    query["fromSrc"] = source
    response = call.daemon.request("POST", "/images/create", query, body, Content_Type="application/x-tar")
    progress.show(response.objects(), sys.stdout)


LOAD = Command(
    _load,
    "[OPTIONS]",
    flags=(
        Flag("-i --input", STRING, "Read from a tar archive file, instead of STDIN"),
        Flag("--platform", STRINGS, 'Load only this platform of it ("os[/arch[/variant]]")'),
        Flag("-q --quiet", BOOL, "Suppress the load output"),
    ),
)
SAVE = Command(
    _save,
    "[OPTIONS] IMAGE [IMAGE...]",
    arguments=(1, None),
    flags=(
        Flag("-o --output", STRING, "Write to a file, instead of STDOUT"),
        Flag("--platform", STRINGS, 'Save only this platform of it ("os[/arch[/variant]]")'),
    ),
)
IMPORT = Command(
    _import,
    "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
    arguments=(1, None),
    flags=(
        Flag("-c --change", LIST, "Apply a Dockerfile instruction to the created image"),
        Flag("-m --message", STRING, "Set the commit message of the imported image"),
        Flag("--platform", STRING, "Platform of the image, if it is there for several"),
    ),
)
