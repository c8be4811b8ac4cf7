"""The instructions that change files: RUN, COPY, ADD, WORKDIR; from the cache or in a container. Used by `solve`."""

import asyncio
import functools
import itertools
import posixpath
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pydock_daemon.containers import archive
from pydock_daemon.containers.model import Container
from pydock_daemon.containers.service import Containers
from pydock_daemon.images.body import Body
from pydock_daemon.images.manifest import Descriptor
from pydock_daemon.images.model import Image
from pydock_daemon.images.service import Adding
from pydock_shared.errors import Forbidden, InvalidArgument, NotFound, PydockError

from . import copies, copying, direct, fetch, forms, mounts, state, tree, work
from .cache import Cache, key
from .copies import Copying
from .copying import Rules
from .dockerfile import Instruction
from .expand import Words
from .given import Given, Giver
from .mounts import RunMount
from .options import Options
from .report import Send, Track
from .state import State
from .tree import WILD, Node, Tree

PROXIES = {
    name for word in ("http", "https", "ftp", "no", "all") for name in (f"{word}_proxy", f"{word}_proxy".upper())
}
NOTHING = {"Cmd": ["#(nop)"], "Entrypoint": [""], "HostConfig": {"NetworkMode": "none", "LogConfig": {"Type": "none"}}}
PIPES = "/dev/pipes"
"""Where BuildKit puts such scripts."""
GO_FOLDER = 1 << 31
_numbers = itertools.count()
"""Of files, for all stages: they share the folder of the build."""
Source = Callable[[str], Awaitable[State | Tree]]
Known = Callable[[State, str, str, Send], Awaitable[Image | None]]


class Failed(PydockError):
    """A RUN that ended with another code than 0."""

    def __init__(self, command: list[str], code: int) -> None:
        super().__init__(f"The command '{' '.join(command)}' returned a non-zero code: {code}")
        self.command = command
        self.exit_code = code


class Steps:
    """Carries out the file instructions of one build."""

    def __init__(
        self,
        containers: Containers,
        cache: Cache,
        adding: Adding,
        options: Options,
        folder: Path,
        context: Tree,
        track: Track,
        source: Source,
        known: Known,
    ) -> None:
        """`source` returns the stage or image that a `--from` names, `known` what a step has made before."""
        self._containers, self._cache, self._adding, self._options = containers, cache, adding, options
        self._folder, self._context, self._track, self._source = folder, context, track, source
        self._known = known

    async def carry_out(self, at: State, instruction: Instruction, words: Words) -> None:
        """Change a state by one instruction. InvalidArgument, Failed and others say what is wrong."""
        await CARRIERS[instruction.name](self, at, instruction, words)

    # RUN

    async def _run(self, at: State, instruction: Instruction, words: Words) -> None:
        wanted = self._wanted(at, instruction, words)
        mounted = [mount for mount in wanted.mounts if mount.has_origin]
        origins = {mount: await self._origin_of(mount) for mount in mounted}
        arguments = {name: value for name, value in sorted(at.arguments.items()) if name not in PROXIES}
        relevant = {name: at.settings.get(name) for name in ("Env", "User", "WorkingDir")}
        relevant["Hostname"] = self._options.hostname
        named = [(str(mount), origins[mount].key if mount in origins else "") for mount in wanted.mounts]
        script = wanted.script.text if wanted.script else ""
        step = key(
            "run", at.key, wanted.command, arguments, relevant, wanted.network, wanted.privileged, named, script
        )  # fmt: skip

        async def files(mount: RunMount) -> State:
            return origins[mount]

        async def make(image: Image) -> None:
            giver = Giver(self._containers, self._folder, self._options.session, files)
            async with giver.given(wanted.mounts) as given:
                if wanted.script:
                    given.bind(self._file_of(wanted.script.text), wanted.command[-1], read_only=True)
                await self._run_with(at, image, wanted, given)

        values = at.variables()
        shown = [f"{name}={values.get(name, '')}" for name in at.declared if name not in PROXIES]
        prefix = f"|{len(shown)} {' '.join(shown)} " if shown else ""
        await self._step(at, step, f"RUN {prefix}{' '.join(wanted.command)} # buildkit", make)

    def _file_of(self, script: str) -> Path:
        file = self._new_file()
        file.write_text(script)
        file.chmod(0o755)
        return file

    def _wanted(self, at: State, instruction: Instruction, words: Words) -> forms.Wanted:
        """Return what a RUN asks for; InvalidArgument when the build may not have it."""
        network, security = instruction.flag("network") or "default", instruction.flag("security") or "sandbox"
        if network not in ("default", "none", "host"):
            raise InvalidArgument(f"unsupported network mode: {network}")
        if security not in ("sandbox", "insecure"):
            raise InvalidArgument(f'unsupported security mode "{security}"')
        for asked, name in ((network == "host", "network.host"), (security == "insecure", "security.insecure")):
            if asked and name not in self._options.allowed:
                raise Forbidden(f"{name} is not allowed")
        text, script = forms.script(instruction), None
        if text.startswith("#!") and len(instruction.heredocs) == 1:
            script = instruction.heredocs[0]
            text = f"{PIPES}/{script.name}"
        command = list(instruction.words) if instruction.words is not None else [*at.shell, text]
        folder = posixpath.join("/", at.settings.get("WorkingDir") or "/")
        mounted = mounts.parse(instruction.all("mount"), words, folder)
        return forms.Wanted(command, mounted, network, security == "insecure", script)

    async def _origin_of(self, mount: RunMount) -> State:
        """Return the files that a mount shows; those of a context become a layer of their own, kept as any step."""
        found = await self._source(mount.origin) if mount.origin else self._context
        if isinstance(found, State):
            return found
        at = state.scratch()
        names = [mount.source.lstrip("/") or "."]
        taken = [Copying(found, names, mount.source, "", Rules(alike=True), unpack=False)]
        await self._copy_all(at, taken, "", told=False)
        return at

    async def _run_with(self, at: State, image: Image, wanted: forms.Wanted, given: Given) -> None:
        config = self._options.container()
        host: dict[str, Any] = {**config["HostConfig"], "LogConfig": {"Type": "none"}, "Privileged": wanted.privileged}
        host |= {"NetworkMode": wanted.network} if wanted.network != "default" else {}
        variables = dict(entry.partition("=")[::2] for entry in given.variables) | at.variables()
        config |= {
            "Cmd": wanted.command,
            "Entrypoint": [""],
            "Env": [f"{name}={value}" for name, value in variables.items()],
            "User": at.settings.get("User") or "",
            "WorkingDir": at.settings.get("WorkingDir") or "",
            "Healthcheck": {"Test": ["NONE"]},
            "HostConfig": host | {"Mounts": given.mounts, "Tmpfs": given.tmpfs},
        }
        async with work.container(self._containers, image, config, keep=not self._options.remove) as made:
            made.hidden = given.hidden
            new = await work.missing(self._containers, made, [mount.target for mount in wanted.mounts])
            await self._track.note(f" ---> Running in {made.short}\n")
            code = await work.run(self._containers, made, self._track.output)
            if code:
                if self._options.remove_failed:
                    await self._track.note(f" ---> Removed intermediate container {made.short}\n")
                raise Failed(wanted.command, code)
            work.remove_stubs(self._containers, made, new)
            await self._take_layer(at, image, made)
            if self._options.remove:
                await self._track.note(f" ---> Removed intermediate container {made.short}\n")

    # COPY and ADD

    async def _copy(self, at: State, instruction: Instruction, words: Words) -> None:
        if instruction.flag("checksum") and instruction.name != "ADD":
            raise InvalidArgument("--checksum is an option of ADD")
        given = instruction.words or tuple(words.several(forms.without_heredocs(instruction)))
        arguments = [words.one(word) for word in given] if instruction.words else list(given)
        *sources, destination = arguments or [""]
        if not destination or not (sources or instruction.heredocs):
            raise InvalidArgument(f"{instruction.name} requires at least two arguments, but only one was provided. "
                                  "Destination could not be determined.")  # fmt: skip
        owner = forms.owner(words.one(instruction.flag("chown") or ""))
        rules = Rules(
            words.one(instruction.flag("chmod") or ""),
            tuple(words.one(pattern) for pattern in instruction.all("exclude")),
            parents=forms.on(instruction, "parents"),
            owners=bool(instruction.flag("from")),
        )
        place = forms.absolute(destination, at.settings.get("WorkingDir") or "/")
        asked = forms.on(instruction, "unpack") if instruction.flag("unpack") is not None else None
        flags = [f"--{name}={words.one(value)}" for name in ("chown", "chmod") if (value := instruction.flag(name))]
        documents = [f"<<{document.name}" for document in instruction.heredocs]
        shown = " ".join([instruction.name, *flags, *sources, *documents, destination, "# buildkit"])
        origins = await self._origins(instruction, sources, words)
        taken = [
            Copying(origin, names, place, owner, rules, unpack=unpacked if asked is None else asked)
            for origin, names, unpacked in origins
        ]
        await self._copy_all(at, taken, shown)

    async def _origins(
        self, instruction: Instruction, sources: list[str], words: Words
    ) -> list[tuple[Tree | State, list[str], bool]]:
        """Return where the sources come from: the context, a stage or image, addresses, documents in the Dockerfile.

        Each with its names there, and whether archives are unpacked by themselves: those that ADD has of the context.
        """
        origins: list[tuple[Tree | State, list[str], bool]] = []
        name = words.one(instruction.flag("from") or "")
        remote = [text for text in sources if instruction.name == "ADD" and fetch.is_remote(text)]
        local = [text for text in sources if text not in remote]
        if name:
            origins.append((await self._source(name), local, False))
        elif local:
            origins.append((self._context, local, instruction.name == "ADD"))
        checksum = instruction.flag("checksum")
        for text in remote:
            archive_path = self._new_file()
            found = await fetch.add(text, archive_path, checksum, keep_git=forms.on(instruction, "keep-git-dir"))
            origins.append((Tree(archive_path), [found], False))
        for heredoc in instruction.heredocs:
            text = words.one(forms.protected(heredoc.text)) if heredoc.expand else heredoc.text
            archive_path = self._new_file()
            archive_path.write_bytes(tree.one_file(heredoc.name, text.encode()))
            origins.append((Tree(archive_path), [heredoc.name], False))
        return origins

    async def _copy_all(self, at: State, taken: list[Copying], shown: str, *, told: bool = True) -> None:
        """Take everything that an instruction copies as one step."""
        digests = [
            await asyncio.to_thread(copies.digest, copy) if isinstance(copy.origin, Tree) else key(copy.origin.key)
            for copy in taken
        ]
        named = [(copy.names, copy.place, copy.owner, vars(copy.rules), copy.unpack) for copy in taken]
        wanted = key("copy", at.key, digests, named)

        async def make(image: Image) -> None:
            if len(taken) == 1 and (found := await self._copied_directly(at, taken[0])):
                at.add_layer(*found)
                return
            async with work.container(self._containers, image, NOTHING) as made:
                for copy in taken:
                    await self._copy_from(made, copy)
                await self._take_layer(at, image, made)

        await self._step(at, wanted, shown, make, told=told)

    async def _copied_directly(self, at: State, copy: Copying) -> tuple[Descriptor, str] | None:
        """Return the layer of what is copied, None when that needs a container: where files of the image matter."""
        if (owner := forms.numbers(copy.owner)) is None:
            return None
        files = copy.origin if isinstance(copy.origin, Tree) else await self._taken(copy.origin, copy.names)
        async with direct.shown(self._containers.snapshots, at.chain) as root:
            planned = await asyncio.to_thread(copies.plan, root, files, copy, owner)
        if planned is None:
            return None
        (above, items), given = planned, owner if copy.owner else None
        rows = functools.partial(copying.rows, items, copy.rules, mtime=self._options.epoch, owner=given, above=above)
        slot = key("layer", at.key, copy.names, copy.place, copy.owner, vars(copy.rules), copy.unpack)
        images, contexts = self._containers.images, self._cache.contexts
        making = direct.Making(images, self._adding, contexts, self._folder, at.chain, files, rows, slot)
        return await making.layer(fresh=self._options.no_cache)

    async def _copy_from(self, made: Container, copy: Copying) -> None:
        place = copy.place
        files = copy.origin if isinstance(copy.origin, Tree) else await self._taken(copy.origin, copy.names)
        is_folder = await self._is_folder(made, place)
        rest, archives, top = await asyncio.to_thread(copies.parted, files, copy, is_folder=is_folder)
        made_of, epoch = self._new_file(), self._options.epoch
        above = [copying.folder(place, top.mtime)] if top and not is_folder else []
        rows = copying.rows(rest, copy.rules, mtime=epoch, above=above)
        await asyncio.to_thread(copying.write, files, rows, made_of)
        await work.insert(self._containers, made, str(made_of), owner=copy.owner)
        await asyncio.to_thread(made_of.unlink)
        for item in archives:
            await self._unpack(made, files, item.node, place, copy.owner)
        if top and is_folder:
            await work.set_time(self._containers, made, place, top.mtime if epoch is None else min(top.mtime, epoch))

    async def _unpack(self, made: Container, origin: Tree, node: Node, place: str, owner: str) -> None:
        """ADD of an archive: what is in it goes into the destination, which is a folder then."""
        inside = self._new_file()
        await asyncio.to_thread(tree.spool, origin.pieces(node), inside)
        if place.strip("/") and not await self._is_folder(made, place):
            await self._make_folder(made, place, owner)
        await work.insert(self._containers, made, str(inside), place=place)

    async def _taken(self, found: State, sources: list[str]) -> Tree:
        """Return a tree of what a stage or image has under the names, each at its own place."""
        image = state.commit(self._containers.images, found, [], moment=0)
        self._adding.hold_image(image)
        whole = self._new_file()
        with self._cache.begun(image):
            async with work.container(self._containers, image, NOTHING) as made:
                for source in sources:
                    await self._take(made, source, whole)
        return Tree(whole)

    async def _take(self, made: Container, source: str, whole: Path) -> None:
        """Append one source to an archive under its own name; of a pattern the folder that it begins in."""
        path = posixpath.normpath(f"/{source}")
        while WILD & set(path):
            path = posixpath.dirname(path)
        try:
            about = await archive.about(self._containers, made, path)
        except NotFound as error:
            raise InvalidArgument(f'COPY failed: "{path}": not found') from error
        real = about["linkTarget"] or path
        part = self._new_file()
        async with archive.taken(self._containers, made, real) as (_, child):
            await Body(child.read).run(lambda pieces: tree.spool(pieces, part))
        await asyncio.to_thread(tree.append, part, whole, posixpath.basename(real), path)

    async def _is_folder(self, made: Container, place: str) -> bool:
        """Say whether a path of a container is a folder, or a link to one."""
        try:
            about = await archive.about(self._containers, made, f"{place.rstrip('/')}/.")
        except (NotFound, InvalidArgument):
            return False
        return bool(about["mode"] & GO_FOLDER)

    async def _make_folder(self, made: Container, place: str, owner: str) -> None:
        folder = self._new_file()
        await asyncio.to_thread(copying.folders, place, folder, mtime=self._options.epoch)
        await work.insert(self._containers, made, str(folder), owner=owner)

    # WORKDIR

    async def _workdir(self, at: State, instruction: Instruction, words: Words) -> None:
        place = forms.absolute(words.one(instruction.text), at.settings.get("WorkingDir") or "/").rstrip("/") or "/"
        at.settings["WorkingDir"] = place
        user = forms.owner(at.settings.get("User") or "")

        async def make(image: Image) -> None:
            async with work.container(self._containers, image, NOTHING) as made:
                if place != "/" and not await self._is_folder(made, place):
                    if not await work.missing(self._containers, made, [place]):
                        raise InvalidArgument(f"mkdir {place}: not a directory")
                    await self._make_folder(made, place, user)
                await self._take_layer(at, image, made)
            await self._track.changed()

        await self._step(at, key("workdir", at.key, place, user), f"WORKDIR {place}", make)

    # What they share.

    async def _step(
        self, at: State, wanted: str, text: str, make: Callable[[Image], Awaitable[None]], *, told: bool = True
    ) -> None:
        """Take a step from the cache, or make it and keep it; it is `told` unless it is a part of another."""
        images, before = self._containers.images, len(at.diff_ids)
        cached = self._options.made.get(wanted)
        if cached and not images.is_whole(cached):
            cached = None  # it was pruned meanwhile
        if cached is None and not self._options.no_cache:
            cached = await self._known(at, wanted, text, self._track.pulling)
        if cached is not None:
            found = state.of_image(images, cached, self._adding)
            if told:
                await self._track.cached()
            at.layers, at.diff_ids = found.layers, found.diff_ids
        else:
            image = state.commit(images, at.bare(), [], moment=0)
            self._adding.hold_image(image)
            with self._cache.begun(image):
                await make(image)
        at.key = at.files
        at.trail.append((wanted, len(at.diff_ids), text))
        moment = self._options.moment
        at.note(text, moment=moment, empty=len(at.diff_ids) == before)
        at.image = ""
        if cached is None:
            kept = state.commit(images, at, [], moment=moment if self._options.classic else 0)
            self._options.made[wanted], at.image = kept, kept.id
            self._cache.keep(wanted, kept, text)

    async def _take_layer(self, at: State, image: Image, made: Container) -> None:
        found = await work.layer(self._containers, made, image, self._adding)
        if found is not None:
            at.add_layer(*found)

    def _new_file(self) -> Path:
        return self._folder / f"{next(_numbers)}.tar"


CARRIERS: dict[str, Callable[[Steps, State, Instruction, Words], Awaitable[None]]] = {
    "RUN": Steps._run,
    "COPY": Steps._copy,
    "ADD": Steps._copy,
    "WORKDIR": Steps._workdir,
}
