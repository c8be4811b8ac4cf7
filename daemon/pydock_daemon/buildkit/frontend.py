"""One build for a BuildKit client: its Dockerfile, its files, the build, and errors as BuildKit tells them.

Used by `jobs`.
"""

import asyncio
import base64
import json
import os
import posixpath
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydock_daemon.builder import dockerfile, fetch, solve, stages, tree
from pydock_daemon.builder.dockerfile import Dockerfile, Instruction
from pydock_daemon.builder.steps import Failed
from pydock_daemon.builder.tree import Tree
from pydock_daemon.engine import Engine
from pydock_daemon.images.body import Body
from pydock_daemon.images.model import Image
from pydock_shared.errors import InvalidArgument, NotSupported, PydockError
from pydock_shared.reference import Reference

from . import attributes, contexts, filesync
from .attributes import Asked
from .filesync import Pack
from .progress import Telling, Vertex, Vertices, vertex, words
from .session import Client
from .state import BuildKit

UPLOADED = re.compile(r"https?://buildkit-session(/.*)?")
LINE = re.compile(r"(?:line |:)(\d+)")


class Refused(PydockError):
    """An error with BuildKit's details: `(type url, value)` pairs."""

    def __init__(self, message: str, details: list[tuple[str, bytes]]) -> None:
        super().__init__(message)
        self.details = details


class Frontend:
    """Builds for one client, or for a request with a context (`given`).

    `folder` is for the files of this build, and the caller's to remove.
    """

    def __init__(
        self,
        engine: Engine,
        buildkit: BuildKit,
        client: Client | None,
        telling: Telling,
        folder: Path,
        given: AsyncIterator[bytes] | None,
    ) -> None:
        self._engine, self._buildkit, self._asked = engine, buildkit, client
        self._telling, self._folder, self._given = telling, folder, given

    @property
    def _client(self) -> Client:
        if self._asked is None:
            raise InvalidArgument("the build needs files of the client, and has no session")
        return self._asked

    async def build(
        self,
        name: str,
        given: Mapping[str, str],
        tags: list[Reference],
        allowed: frozenset[str],
        *,
        only_exported: bool,
    ) -> Image:
        """Build what the attributes of a frontend ask for, and return the image. Refused: with BuildKit's details."""
        attributes.frontend(name, given)
        options = replace(
            attributes.options(given, tags), session=self._asked, only_exported=only_exported, allowed=allowed
        )
        asked = attributes.asked(given)
        for named in asked.contexts:
            raise NotSupported(f"the named context {named} is not supported")
        report = Vertices(self._telling)
        async with self._sources(asked) as (text, file, context):
            try:
                syntax = file.directives.get("syntax")
                if syntax:
                    attributes.check_syntax(syntax)
                build = solve.Build(
                    self._engine.containers, self._engine.build_cache, options, self._folder, context, report, text
                )
                return await build.run()
            except PydockError as error:
                raise _detailed(error, asked.filename, text, report) from error

    @asynccontextmanager
    async def _sources(self, asked: Asked) -> AsyncIterator[tuple[str, Dockerfile, Tree]]:
        """Give the Dockerfile and the context, from where they are."""
        if asked.remote or self._given:
            name, context, text = await self._remote(asked)
            if text is None:
                raise InvalidArgument(f"failed to read dockerfile: open {name}: no such file or directory")
            yield text, _parsed(text, name), context
            return
        async with vertex(self._telling, f"[internal] load build definition from {asked.filename}") as drawn:
            text, ignored = await self._definition(asked, drawn)
        file = _parsed(text, asked.filename)
        if ignored is None:
            async with vertex(self._telling, "[internal] load .dockerignore") as drawn:
                found = await self._small(asked.folder, [".dockerignore"], "transferring context:", drawn)
                ignored = found.text(".dockerignore") or ""
        wanted = _wanted(file, self._engine)
        if not wanted:
            empty = self._folder / "empty"
            empty.touch()
            yield text, file, Tree.of(empty, [])
            return
        excluded = [line.strip() for line in ignored.lstrip("\ufeff").splitlines()]
        question = filesync.metadata(
            asked.folder,
            exclude_patterns=[line for line in excluded if line and not line.startswith("#")],
            followpaths=[] if "" in wanted else sorted(wanted),
        )
        drawn = Vertex(self._telling, "[internal] load build context")
        count = drawn.counting("transferring context:")
        try:
            async with contexts.synced(
                self._engine.build_cache.contexts, self._client, asked.folder, question, count.add
            ) as context:
                count.end()
                drawn.end()
                yield text, file, context
        except BaseException as error:
            if not count.over:
                drawn.end(words(error))
            raise

    async def _remote(self, asked: Asked) -> tuple[str, Tree, str | None]:
        """Return the name of the Dockerfile, the context and the Dockerfile itself, from where the client says."""
        archive = self._folder / "context"
        name = None
        uploaded = UPLOADED.fullmatch(asked.remote)
        async with vertex(self._telling, "[internal] load remote build context"):
            pieces = self._given
            if uploaded:
                pieces = self._client.uploaded("buildkit-session", uploaded[1] or "/")
            if pieces:
                await Body(lambda: anext(pieces, b"")).run(lambda data: tree.spool(data, archive))
            else:
                name = await fetch.context(asked.remote, archive)
            name = name or asked.filename
            return name, *await asyncio.to_thread(tree.context, archive, name)

    async def _definition(self, asked: Asked, drawn: Vertex) -> tuple[str, str | None]:
        """Return the Dockerfile and the ignore file that belongs to it alone, None when there is none."""
        path = posixpath.normpath("/" + asked.filename).lstrip("/")
        names = [path, f"{path}.dockerignore"]
        lower = posixpath.join(posixpath.dirname(path), posixpath.basename(path).lower())
        names = list(dict.fromkeys([*names, lower]))
        found = await self._small(asked.folder_of_file, names, "transferring dockerfile:", drawn)
        text = found.text(path)
        text = found.text(lower) if text is None and posixpath.basename(path) == "Dockerfile" else text
        if text is None:
            raise InvalidArgument(f"failed to read dockerfile: open {asked.filename}: no such file or directory")
        return text, found.text(f"{path}.dockerignore")

    async def _small(self, folder: str, paths: Any, what: str, drawn: Vertex) -> Tree:
        """Return a few files of the client, of which nothing is kept."""
        pack = self._folder / f"small-{drawn.digest[7:19]}"
        count = drawn.counting(what)
        opened = os.open(pack, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            nodes = await filesync.receive(
                self._client, filesync.metadata(folder, followpaths=paths), Pack(opened), count.add
            )
        finally:
            os.close(opened)
        count.end()
        return Tree.of(pack, nodes)


def _parsed(text: str, name: str) -> Dockerfile:
    try:
        return dockerfile.parse(text, name)
    except InvalidArgument as error:
        raise _detailed(error, name, text, None) from error


def _wanted(file: Dockerfile, engine: Engine) -> set[str]:
    """Return the paths of the context that the instructions copy or mount; the empty one is all of it.

    Names with variables are not known yet, and neither is what an image that is not here does when it is built on.
    """
    found: set[str] = set()
    names = {""} | {part.lower() for step in file.instructions if step.name == "FROM" for part in step.text.split()[2:]}
    for step in file.instructions:
        if step.name == "FROM":
            found |= _triggered(step.text.split()[0], names, engine)
        found |= set(_paths(step))
    return found


def _triggered(base: str, names: set[str], engine: Engine) -> set[str]:
    if base.lower() in names or base == stages.SCRATCH:
        return set()
    try:
        triggers = engine.images.resolve(base).settings.get("OnBuild") or []
    except PydockError:
        return {""}
    found: set[str] = set()
    for text in triggers:
        for step in dockerfile.parse(text, "ONBUILD").instructions:
            found |= set(_paths(step))
    return found


def _paths(step: Instruction) -> list[str]:
    if step.name == "RUN":
        mounts = [dict(part.partition("=")[::2] for part in text.split(",")) for text in step.all("mount")]
        taken = [mount for mount in mounts if mount.get("type", "bind") == "bind" and not mount.get("from")]
        return [_path(mount.get("source", mount.get("src", ""))) for mount in taken]
    if step.name not in ("COPY", "ADD") or step.flag("from"):
        return []
    words = list(step.words or [word for word in step.text.split() if not word.startswith("<<")])[:-1]
    return [_path(word) for word in words if not (step.name == "ADD" and fetch.is_remote(word))]


def _path(word: str) -> str:
    """Return a path from the top of the context, the empty one when it is not known."""
    return "" if set("$\\'\"") & set(word) else posixpath.normpath("/" + word).lstrip("/")


def _detailed(error: PydockError, name: str, text: str, report: Vertices | None) -> PydockError:
    """Return an error with BuildKit's words and its details: the place in the Dockerfile, the vertex, the exit code."""
    message = words(error)
    details: list[tuple[str, dict[str, Any]]] = []
    step = report.failed[0] if report and report.failed else None
    if isinstance(error, Failed):
        details.append(("gatewayapi.ExitMessage", {"Code": error.exit_code}))
    if report and report.failed and report.failed[1]:
        details.append(("errdefs.Vertex", {"digest": report.failed[1]}))
    place = LINE.search(message) if step is None else None
    if step or place:
        first, last = (step.line, step.end) if step else (int(place[1]), int(place[1])) if place else (0, 0)
        source = {"filename": name, "data": base64.b64encode(text.encode()).decode(), "language": "Dockerfile"}
        ranges = [{"start": {"line": first}, "end": {"line": max(first, last)}}]
        details.append(("errdefs.Source", {"info": source, "ranges": ranges}))
        message = message.splitlines()[0]
    made = [(f"github.com/moby/buildkit/{kind}+json", json.dumps(value).encode()) for kind, value in details]
    return Refused(message, made)
