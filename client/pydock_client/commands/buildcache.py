"""`builder cache ls|rm|export|import`: what builds have kept, and the files of cache mounts out and in.

An extension: docker's command line has `builder prune` alone. The files go by a container that is never started.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager

from pydock_client.command import Call, Command, Failure
from pydock_client.flags import BOOL, STRING, Flag
from pydock_client.pieces import file_pieces, pieces
from pydock_client.session import STDIN_FD
from pydock_shared import units
from pydock_shared.buildcache import LABEL, volume

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

_PLACE = "/cache"
_MOUNT = "exec.cachemount"
_WORDS = "cached mount "


def _cache(call: Call) -> None:
    action, *names = call.arguments
    if action not in ACTIONS:
        raise Failure(f"unknown action {action}: one of {', '.join(ACTIONS)} is needed")
    work, least, most = ACTIONS[action]
    if not least <= len(names) <= most:
        raise Failure(f"builder cache {action}: {'one name' if most == 1 else 'names'} needed")
    work(call, names)


def _entries(call: Call) -> list[dict[str, Any]]:
    usage = call.daemon.call("GET", "/system/df", {"type": "build-cache", "verbose": True})
    told = usage.get("BuildCacheUsage")
    found: list[dict[str, Any]] = (told.get("Items") if told else usage.get("BuildCache")) or []
    return found


def _name(entry: dict[str, Any]) -> str:
    text = str(entry.get("Description", ""))
    return text.removeprefix(_WORDS) if entry["Type"] == _MOUNT else text


def _ls(call: Call, names: list[str]) -> None:
    entries = [entry for entry in _entries(call) if not call.options["mounts"] or entry["Type"] == _MOUNT]
    rows = [("CACHE ID", "TYPE", "SIZE", "IN USE", "NAME")]
    for entry in entries:
        size = units.format_size(entry["Size"])
        rows.append((entry["ID"], entry["Type"], size, str(bool(entry["InUse"])).lower(), _name(entry)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        print("   ".join([*cells, row[-1]]))


def _rm(call: Call, names: list[str]) -> None:
    entries = _entries(call)
    for name in names:
        found = [entry for entry in entries if entry["ID"].startswith(name) or _name(entry) == name]
        if not found:
            raise Failure(f"no such build cache: {name}")
        for entry in found:
            filters = json.dumps({"id": [entry["ID"]]})
            answer = call.daemon.call("POST", "/build/prune", {"all": True, "filters": filters})
            if entry["ID"] not in (answer.get("CachesDeleted") or ()):
                raise Failure(f"build cache {name} is in use")
            print(entry["ID"])


def _export(call: Call, names: list[str]) -> None:
    target = call.options["output"]
    if not target and sys.stdout.isatty():
        raise Failure("cowardly refusing to write to a terminal: use -o, or redirect")
    call.daemon.call("GET", f"/volumes/{volume(names[0])}")
    with _holder(call, names[0]) as container:
        answer = call.daemon.request("GET", f"/containers/{container}/archive", {"path": f"{_PLACE}/."})
        if not target:
            for piece in answer.pieces():
                sys.stdout.buffer.write(piece)
            sys.stdout.flush()
            return
        with open(target, "wb") as file:
            for piece in answer.pieces():
                file.write(piece)


def _import(call: Call, names: list[str]) -> None:
    source = call.options["input"]
    if not source and sys.stdin.isatty():
        raise Failure("requested import from stdin, but stdin is empty")
    call.daemon.call("POST", "/volumes/create", None, {"Name": volume(names[0]), "Labels": {LABEL: names[0]}})
    with _holder(call, names[0]) as container:
        body = file_pieces(source) if source else pieces(STDIN_FD)
        headers = {"Content_Type": "application/x-tar"}
        call.daemon.request("PUT", f"/containers/{container}/archive", {"path": _PLACE}, body, **headers).read()
    print(volume(names[0]))


@contextmanager
def _holder(call: Call, name: str) -> Iterator[str]:
    """Give a container that has the files of a cache; it is made of whatever image there is, and never started."""
    images = call.daemon.call("GET", "/images/json", {"all": True})
    if not images:
        raise Failure("there is no image that a container could be made of")
    mount = {"Type": "volume", "Source": volume(name), "Target": _PLACE, "VolumeOptions": {"NoCopy": True}}
    body = {"Image": images[0]["Id"], "Cmd": ["x"], "HostConfig": {"NetworkMode": "none", "Mounts": [mount]}}
    container = call.daemon.call("POST", "/containers/create", None, body)["Id"]
    try:
        yield container
    finally:
        call.daemon.call("DELETE", f"/containers/{container}", {"force": True})


ACTIONS: dict[str, tuple[Callable[[Call, list[str]], None], int, int]] = {
    "ls": (_ls, 0, 0),
    "rm": (_rm, 1, 1000),
    "export": (_export, 1, 1),
    "import": (_import, 1, 1),
}
"""What is done, and how many names it takes at least and at most."""

CACHE = Command(
    _cache,
    "ls | rm NAME [NAME...] | export NAME | import NAME",
    arguments=(1, None),
    flags=(
        Flag("-i --input", STRING, "Read the archive from a file, instead of STDIN (import)"),
        Flag("--mounts", BOOL, "Only show cache mounts (ls)"),
        Flag("-o --output", STRING, "Write the archive to a file, instead of STDOUT (export)"),
    ),
)
