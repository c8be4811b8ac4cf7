"""Where the files of a build come from: the client's folders, an address, the body of a request. Used by `frontend`."""

import asyncio
import posixpath
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pydock_daemon.builder import dockerfile, fetch, platforms, solve, stages, tree
from pydock_daemon.builder.dockerfile import Dockerfile
from pydock_daemon.builder.options import Options
from pydock_daemon.builder.packs import Pack
from pydock_daemon.builder.stages import Stage
from pydock_daemon.builder.tree import Tree
from pydock_daemon.engine import Engine
from pydock_daemon.images.body import Body
from pydock_daemon.images.model import Platform, parse_platform
from pydock_shared.errors import InvalidArgument, NotFound, NotSupported, PydockError

from . import contexts, filesync, wanted
from .attributes import Asked
from .progress import Telling, Vertex, pulled, vertex, whole_name
from .session import Client

UPLOADED = re.compile(r"https?://buildkit-session(/.*)?")
IMAGE, LOCAL, INPUT = "docker-image://", "local:", "input:"
IGNORE = ".dockerignore"


@dataclass
class Files:
    """What a build is made of: the Dockerfile as text, the context, and named ones (files, or the name of an image)."""

    text: str
    context: Tree
    named: dict[str, Tree | str] = field(default_factory=dict)

    def parsed(self, name: str) -> Dockerfile:
        """Return the Dockerfile; InvalidArgument says where it is wrong."""
        return dockerfile.parse(self.text, name)


@dataclass(frozen=True)
class Sources:
    """Files for one build. `folder` is for those on the way, and the caller's to remove.

    `client` is nobody where a request has no session; `given` is then the context, an archive. `sessions` are of other
    clients, by the names of the folders that these give; `inputs` the results of other builds, by name.
    """

    engine: Engine
    client: Client | None
    telling: Telling
    options: Options
    folder: Path
    given: AsyncIterator[bytes] | None
    sessions: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def asked(self) -> Client:
        """Return who gives files; InvalidArgument: nobody does."""
        if self.client is None:
            raise InvalidArgument("the build needs files of the client, and has no session")
        return self.client

    async def _giver(self, folder: str) -> Client:
        """Return who gives a folder."""
        if folder not in self.sessions:
            return self.asked
        client: Client = await self.engine.buildkit.sessions.get(self.sessions[folder])
        return client

    @asynccontextmanager
    async def opened(self, asked: Asked) -> AsyncIterator[Files]:
        """Give the files, which are there until the end of the block.

        Of a Dockerfile that is wrong no context is read: who parses it again finds out.
        """
        async with AsyncExitStack() as stack:
            if asked.remote or self.given:
                files = await self._remote(asked)
            else:
                files = await self._local(asked, stack)
            for number, (name, place) in enumerate(asked.contexts.items()):
                files.named[name.lower()] = await self._named(name, place, f"named-{number}", stack)
            yield files

    async def _local(self, asked: Asked, stack: AsyncExitStack) -> Files:
        async with vertex(self.telling, f"[internal] load build definition from {asked.filename}") as drawn:
            text, ignored = await self._definition(asked, drawn)
        empty = self.folder / "empty"
        empty.touch()
        files = Files(text, Tree.of(empty, []))
        try:
            paths = set[str]()
            for one in platforms.variants(self.options):
                needed = _needed(files.parsed(asked.filename), one)
                paths |= wanted.paths(needed, await self._triggers(needed, set(asked.contexts), one.platform))
        except PydockError:
            return files  # who builds finds it too, and tells where it is
        if ignored is None:
            ignored = await self._ignored(asked.folder)
        if paths:
            chosen = [] if "" in paths else sorted(paths)
            files.context = await self._folder_of(asked.folder, ignored, chosen, "build context", stack)
        return files

    async def _triggers(self, needed: list[Stage], named: set[str], default: Platform | None) -> dict[str, list[str]]:
        """Return what base images do when they are built on; for that they are here afterwards."""
        bases = {stage.base: stage.platform for stage in needed if stage.parent is None}
        found = {}
        for base in bases.keys() - named - {stages.SCRATCH}:
            platform = parse_platform(bases[base]) if bases[base] else default
            async with vertex(self.telling, f"[internal] load metadata for {whole_name(base)}") as drawn:
                try:
                    image = self.engine.images.resolve(base, platform)
                except NotFound:
                    images = self.engine.images
                    image = await solve.pulled(images, base, platform, self.options, partial(pulled, drawn))
            found[base] = image.settings.get("OnBuild") or []
        return found

    async def _ignored(self, folder: str) -> str:
        async with vertex(self.telling, f"[internal] load {IGNORE}") as drawn:
            found = await self._small(folder, [IGNORE], "transferring context:", drawn)
            return found.text(IGNORE) or ""

    async def _folder_of(self, folder: str, ignored: str, chosen: list[str], what: str, stack: AsyncExitStack) -> Tree:
        """Return the files of a client's folder, which are there until the end of the stack."""
        excluded = [line.strip() for line in ignored.lstrip("\ufeff").splitlines()]
        question = filesync.metadata(
            folder,
            exclude_patterns=[line for line in excluded if line and not line.startswith("#")],
            followpaths=chosen,
        )
        async with vertex(self.telling, f"[internal] load {what}") as drawn:
            count = drawn.counting("transferring context:")
            kept, client = self.engine.build_contexts, await self._giver(folder)
            found = await stack.enter_async_context(contexts.synced(kept, client, folder, question, count.add))
            count.end()
            return found

    async def _named(self, name: str, place: str, archive: str, stack: AsyncExitStack) -> Tree | str:
        if place.startswith(IMAGE):
            return place.removeprefix(IMAGE)
        if place.startswith(INPUT):
            if place.removeprefix(INPUT) not in self.inputs:
                raise InvalidArgument(f"invalid input {place.removeprefix(INPUT)} for context {name}")
            return self.inputs[place.removeprefix(INPUT)]
        if place.startswith(LOCAL):
            folder = place.removeprefix(LOCAL)
            ignored = await self._ignored(folder)
            return await self._folder_of(folder, ignored, [], f"context {name}", stack)
        if not fetch.is_remote(place):
            raise NotSupported(f"the build context {name}={place} is not supported: it is no folder, image or address")
        path = self.folder / archive
        async with vertex(self.telling, f"[internal] load context {name}"):
            await fetch.context(place, path)
            return await asyncio.to_thread(Tree, path)

    async def _remote(self, asked: Asked) -> Files:
        """Return the files that lie at an address, or that the client was given."""
        archive, name = self.folder / "context", None
        uploaded = UPLOADED.fullmatch(asked.remote)
        async with vertex(self.telling, "[internal] load remote build context"):
            pieces = self.given
            if uploaded:
                pieces = self.asked.uploaded("buildkit-session", uploaded[1] or "/")
            if pieces:
                await Body(lambda: anext(pieces, b"")).run(lambda data: tree.spool(data, archive))
            else:
                name = await fetch.context(asked.remote, archive)
            context, text = await asyncio.to_thread(tree.context, archive, name or asked.filename)
        if text is None:
            raise _no_dockerfile(name or asked.filename)
        return Files(text, context)

    async def _definition(self, asked: Asked, drawn: Vertex) -> tuple[str, str | None]:
        """Return the Dockerfile and the ignore file that belongs to it alone, None when there is none."""
        path = posixpath.normpath("/" + asked.filename).lstrip("/")
        lower = posixpath.join(posixpath.dirname(path), posixpath.basename(path).lower())
        names = list(dict.fromkeys([path, f"{path}{IGNORE}", lower]))
        found = await self._small(asked.folder_of_file, names, "transferring dockerfile:", drawn)
        text = found.text(path)
        text = found.text(lower) if text is None and posixpath.basename(path) == "Dockerfile" else text
        if text is None:
            raise _no_dockerfile(asked.filename)
        return text, found.text(f"{path}{IGNORE}")

    async def _small(self, folder: str, paths: list[str], what: str, drawn: Vertex) -> Tree:
        """Return a few files of the client, of which nothing is kept."""
        count = drawn.counting(what)
        pack = Pack(self.folder / f"small-{drawn.digest[7:19]}")
        try:
            question = filesync.metadata(folder, followpaths=paths)
            files = await filesync.receive(await self._giver(folder), question, {}, pack, count.add)
        finally:
            pack.close()
        count.end()
        return Tree.of(pack.path, filesync.nodes(files, pack.rows))


def _needed(file: Dockerfile, options: Options) -> list[Stage]:
    made, _ = stages.stages(file, {**solve.platforms(options), **options.given})
    return stages.needed(made, stages.target(made, options.target))


def _no_dockerfile(name: str) -> InvalidArgument:
    return InvalidArgument(f"failed to read dockerfile: open {name}: no such file or directory")
