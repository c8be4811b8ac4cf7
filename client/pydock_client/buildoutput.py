"""What becomes of a build's result besides an image of the daemon: files, archives, a push, a cache. Used by build.

Everything is fetched from the daemon after the build by what its API has anyway: a container that is never started is
exported, an image saved or pushed.
"""

from __future__ import annotations

import os
import sys
from contextlib import closing, suppress

from pydock_client import auth, buildcontext, progress
from pydock_client.command import Failure
from pydock_shared import ignore, reference
from pydock_shared.mounts import split_csv

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from pydock_client.command import Call

KNOWN = {
    "local": ("dest",),
    "tar": ("dest",),
    "docker": ("dest", "name", "rewrite-timestamp"),
    "oci": ("dest", "name", "rewrite-timestamp"),
    "image": ("name", "push", "rewrite-timestamp"),
    "registry": ("name", "push", "rewrite-timestamp"),
}
CACHES = {"registry": ("ref", "mode"), "local": ("dest", "src", "mode"), "inline": ()}
_TRUE = ("true", "1")


class Output:
    """One `--output`: its kind, where it goes (`-` is standard output), the names it gives, whether it is pushed."""

    __slots__ = ("dest", "kind", "names", "push", "rewrite")

    def __init__(self, kind: str, options: dict[str, str]) -> None:
        self.kind = kind
        self.dest = options.get("dest", "")
        self.names = [name for name in options.get("name", "").split("+") if name]
        self.push = options.get("push", "").lower() in _TRUE
        self.rewrite = options.get("rewrite-timestamp", "").lower() in _TRUE

    @property
    def is_image(self) -> bool:
        """Say whether the result is an image of the daemon."""
        return self.kind == "image" or (self.kind == "docker" and not self.dest)


def output(text: str) -> Output:
    """Return what `-o` says: a folder, `-`, or `type=KIND,...`; Failure names what is wrong."""
    if "=" not in text:
        return Output("tar", {"dest": "-"}) if text == "-" else Output("local", {"dest": text})
    options = dict(part.partition("=")[::2] for part in split_csv(text))
    kind = options.pop("type", "")
    if kind not in KNOWN:
        raise Failure(f"the output type {kind!r} is not supported" if kind else "type is required for output")
    for name in options:
        if name not in KNOWN[kind]:
            raise Failure(f"the option {name} of the output type {kind} is not supported")
    if kind == "registry":
        kind, options = "image", {**options, "push": "true"}
    if kind == "local" and not options.get("dest"):
        raise Failure("dest is required for local exporter")
    if kind in ("tar", "oci") and not options.get("dest"):
        options["dest"] = "-"
    made = Output(kind, options)
    if made.dest == "-" and sys.stdout.isatty():
        raise Failure(f"dest file is required for {kind} exporter. refusing to write to console")
    return made


def cache(text: str, what: str) -> dict[str, str]:
    """Return the fields of `--cache-from` or `--cache-to`; a name alone is an image of a registry."""
    if "=" not in text:
        return {"type": "registry", "ref": text}
    fields = dict(part.partition("=")[::2] for part in split_csv(text))
    kind = fields.get("type", "")
    if kind not in CACHES or (kind == "inline" and what == "cache-from"):
        raise Failure(f"--{what} type={kind} is not supported")
    for name in fields:
        if name != "type" and name not in CACHES[kind]:
            raise Failure(f"--{what} type={kind}: the option {name} is not supported")
    if fields.get("mode", "min") not in ("min", "max"):
        raise Failure(f"--{what} mode={fields['mode']} is not supported: min and max are")
    needed = {"registry": "ref", "local": "src" if what == "cache-from" else "dest"}.get(kind)
    if needed and not fields.get(needed):
        raise Failure(f"--{what} type={kind} requires {needed}")
    return fields


def send_cache(call: Call, folder: str) -> str:
    """Send a folder that `--cache-to type=local` has written; return what the request calls it."""
    if not os.path.exists(os.path.join(folder, "index.json")):
        raise Failure(f"could not read {folder}/index.json: no such file or directory")
    return f"context:{buildcontext.send(call.daemon, folder, ignore.Patterns(''), ())}"


def write(call: Call, made: Output, identity: str, tags: list[str]) -> None:
    """Carry out an output of an image."""
    if made.kind in ("local", "tar"):
        _root(call, made, identity)
    elif made.dest:
        query = {"as": [reference.parse(name).familiar() for name in made.names or tags]}
        _into(made.dest, call.daemon.request("GET", f"/images/{identity}/get", query).pieces())
    for name in (made.names or tags) if made.push else ():
        push(call, name)
    if made.push and not (made.names or tags):
        raise Failure("tag is needed when pushing to registry")


def push(call: Call, name: str) -> None:
    """Push an image by its name."""
    ref = reference.parse(name)
    headers = {"X_Registry_Auth": auth.header(call.settings, ref.domain)}
    answer = call.daemon.request("POST", f"/images/{ref.name}/push", {"tag": ref.tag}, **headers)
    progress.show(answer.objects(), sys.stderr)


def keep(call: Call, fields: dict[str, str], identity: str) -> None:
    """Carry out `--cache-to` with the cache that the build has made for it."""
    if fields["type"] == "local":
        os.makedirs(fields["dest"], exist_ok=True)
        _files(call.daemon.request("GET", f"/build/cache/{identity}").pieces(), fields["dest"])
    elif fields["type"] == "registry":
        headers = {"X_Registry_Auth": auth.header(call.settings, reference.parse(fields["ref"]).domain)}
        answer = call.daemon.request("POST", f"/build/cache/{identity}/push", {"ref": fields["ref"]}, **headers)
        progress.show(answer.objects(), sys.stderr)


def _root(call: Call, made: Output, identity: str) -> None:
    body = {"Image": identity, "Cmd": ["x"], "HostConfig": {"NetworkMode": "none"}}
    container: dict[str, Any] = call.daemon.call("POST", "/containers/create", None, body)
    try:
        pieces = call.daemon.request("GET", f"/containers/{container['Id']}/export").pieces()
        if made.kind == "tar":
            _into(made.dest, pieces)
        else:
            os.makedirs(made.dest, exist_ok=True)
            _files(pieces, made.dest)
    finally:
        call.daemon.call("DELETE", f"/containers/{container['Id']}", {"force": True, "v": True})


def _into(dest: str, pieces: Iterable[bytes]) -> None:
    """Write an archive to a file, by another name first, or to standard output."""
    if dest == "-":
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.flush()
        return
    partial = f"{dest}.{os.getpid()}"
    try:
        with open(partial, "xb") as file:
            for piece in pieces:
                file.write(piece)
        os.replace(partial, dest)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(partial)
        raise


def _files(pieces: Iterable[bytes], folder: str) -> None:
    from pydock_client.tarballs import Pieces, unpack  # it loads tarfile, which few builds need

    with closing(Pieces(pieces)) as source:
        unpack(source, folder, owners=os.geteuid() == 0, whole=True)
