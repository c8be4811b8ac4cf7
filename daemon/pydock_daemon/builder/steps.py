"""The instructions that change files: RUN, COPY, ADD, WORKDIR; from the cache or in a container. Used by `solve`."""

import asyncio
import os
import posixpath
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pydock_daemon.containers import archive
from pydock_daemon.containers.model import Container
from pydock_daemon.containers.service import Containers
from pydock_daemon.images.body import Body
from pydock_daemon.images.model import Image
from pydock_daemon.images.service import Adding
from pydock_daemon.snapshots import compression
from pydock_shared.errors import InvalidArgument, NotFound, NotSupported, PydockError

from . import copying, fetch, mounts, state, tree, work
from .cache import Cache, key
from .copying import Rules
from .dockerfile import Instruction
from .expand import Words
from .options import Options
from .report import Track
from .state import State
from .tree import WILD, Node, Tree

PROXIES = {
    name for word in ("http", "https", "ftp", "no", "all") for name in (f"{word}_proxy", f"{word}_proxy".upper())
}
NOTHING = {"Cmd": ["#(nop)"], "Entrypoint": [""], "HostConfig": {"NetworkMode": "none", "LogConfig": {"Type": "none"}}}
GO_FOLDER = 1 << 31
Source = Callable[[str], Awaitable[State | None]]


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
    ) -> None:
        """`source` returns the stage or image that a `--from` names."""
        self._containers, self._cache, self._adding, self._options = containers, cache, adding, options
        self._folder, self._context, self._track, self._source = folder, context, track, source
        self._numbers = iter(range(1 << 30))

    async def carry_out(self, at: State, instruction: Instruction, words: Words) -> None:
        """Change a state by one instruction. InvalidArgument, Failed and others say what is wrong."""
        await CARRIERS[instruction.name](self, at, instruction, words)

    # RUN

    async def _run(self, at: State, instruction: Instruction, words: Words) -> None:
        if instruction.flag("security") not in (None, "sandbox"):
            raise NotSupported(f"RUN --security={instruction.flag('security')} is not supported")
        network = instruction.flag("network")
        if network not in (None, "default", "none", "host"):
            raise InvalidArgument(f"unsupported network mode: {network}")
        command = list(instruction.words) if instruction.words is not None else [*at.shell, _script(instruction)]
        mounted = mounts.parse(
            instruction.all("mount"), words, posixpath.join("/", at.settings.get("WorkingDir") or "/")
        )
        arguments = {name: value for name, value in sorted(at.arguments.items()) if name not in PROXIES}
        relevant = {name: at.settings.get(name) for name in ("Env", "User", "WorkingDir")}
        wanted = key("run", at.key, command, arguments, relevant, network, [str(mount) for mount in mounted])

        async def make(image: Image) -> None:
            config = self._options.container() | {
                "Cmd": command,
                "Entrypoint": [""],
                "Env": [f"{name}={value}" for name, value in at.variables().items()],
                "User": at.settings.get("User") or "",
                "WorkingDir": at.settings.get("WorkingDir") or "",
                "Healthcheck": {"Test": ["NONE"]},
            }
            host: dict[str, Any] = {**config["HostConfig"], "LogConfig": {"Type": "none"}}
            host |= {"NetworkMode": network} if network not in (None, "default") else {}
            config["HostConfig"] = host | mounts.host_config(mounted, host)
            async with (
                mounts.locked(mounted),
                work.container(self._containers, image, config, keep=not self._options.remove) as made,
            ):
                await self._track.note(f" ---> Running in {made.short}\n")
                mounts.touch(self._containers, mounted)
                code = await work.run(self._containers, made, self._track.output)
                if code:
                    raise Failed(command, code)
                await self._take_layer(at, image, made)
                if self._options.remove:
                    await self._track.note(f" ---> Removed intermediate container {made.short}\n")

        await self._step(at, wanted, " ".join(command), make)

    # COPY and ADD

    async def _copy(self, at: State, instruction: Instruction, words: Words) -> None:
        if instruction.flag("checksum") and instruction.name != "ADD":
            raise InvalidArgument("--checksum is an option of ADD")
        given = instruction.words or tuple(words.several(_without_heredocs(instruction)))
        arguments = [words.one(word) for word in given] if instruction.words else list(given)
        *sources, destination = arguments or [""]
        if not destination or not (sources or instruction.heredocs):
            raise InvalidArgument(f"{instruction.name} requires at least two arguments, but only one was provided. "
                                  "Destination could not be determined.")  # fmt: skip
        owner = _owner(words.one(instruction.flag("chown") or ""))
        rules = Rules(
            words.one(instruction.flag("chmod") or ""),
            tuple(words.one(pattern) for pattern in instruction.all("exclude")),
            parents=_on(instruction, "parents"),
        )
        place = _absolute(destination, at.settings.get("WorkingDir") or "/")
        for number, (origin, names) in enumerate(await self._origins(instruction, sources, words)):
            await self._copy_from(at, instruction, origin, names, place, owner, rules, f"{number}")

    async def _origins(
        self, instruction: Instruction, sources: list[str], words: Words
    ) -> list[tuple[Tree | State, list[str]]]:
        """Return where the sources come from: the context, a stage or image, addresses, documents in the Dockerfile."""
        origins: list[tuple[Tree | State, list[str]]] = []
        name = words.one(instruction.flag("from") or "")
        remote = [text for text in sources if instruction.name == "ADD" and fetch.is_remote(text)]
        local = [text for text in sources if text not in remote]
        if name:
            origins.append((await self._named(name), local))
        elif local:
            origins.append((self._context, local))
        checksum = instruction.flag("checksum")
        for text in remote:
            archive_path = self._new_file()
            found = await fetch.add(text, archive_path, checksum, keep_git=_on(instruction, "keep-git-dir"))
            origins.append((Tree(archive_path), [found]))
        for heredoc in instruction.heredocs:
            text = words.one(_protected(heredoc.text)) if heredoc.expand else heredoc.text
            archive_path = self._new_file()
            archive_path.write_bytes(tree.one_file(heredoc.name, text.encode()))
            origins.append((Tree(archive_path), [heredoc.name]))
        return origins

    async def _copy_from(
        self,
        at: State,
        instruction: Instruction,
        origin: Tree | State,
        names: list[str],
        place: str,
        owner: str,
        rules: Rules,
        number: str,
    ) -> None:
        if isinstance(origin, Tree):
            digest = await asyncio.to_thread(_digest, origin, names, place, rules)
        else:
            digest = key(origin.key, vars(rules))
        unpack = instruction.name == "ADD" and not instruction.flag("from")
        if instruction.flag("unpack") is not None:
            unpack = _on(instruction, "unpack")
        wanted = key("copy", at.key, digest, names, place, owner, unpack, number)

        async def make(image: Image) -> None:
            files = origin if isinstance(origin, Tree) else await self._taken(origin, names)
            async with work.container(self._containers, image, NOTHING) as made:
                is_folder = await self._is_folder(made, place)
                items = await asyncio.to_thread(copying.select, files, names, place, is_folder=is_folder, rules=rules)
                archives = [item for item in items if unpack and _is_archive(files, item.node)]
                rest = [item for item in items if item not in archives]
                made_of = self._new_file()
                await asyncio.to_thread(copying.write, files, rest, rules, made_of, mtime=self._options.epoch)
                await work.insert(self._containers, made, str(made_of), owner=owner)
                for item in archives:
                    await self._unpack(made, files, item.node, place)
                await self._take_layer(at, image, made)

        shown = f"#(nop) {instruction.name} {digest[:16]} in {place} "
        await self._step(at, wanted, f"/bin/sh -c {shown}", make)

    async def _unpack(self, made: Container, origin: Tree, node: Node, place: str) -> None:
        """ADD of an archive: what is in it goes into the destination, which is a folder then."""
        inside = self._new_file()
        await asyncio.to_thread(tree.spool, origin.pieces(node), inside)
        folder = self._new_file()
        if place.strip("/"):
            await asyncio.to_thread(copying.folders, place, folder)
            if not await self._is_folder(made, place):
                await work.insert(self._containers, made, str(folder))
        await work.insert(self._containers, made, str(inside), place=place)

    async def _named(self, name: str) -> State:
        found = await self._source(name)
        if found is None:
            raise InvalidArgument(f"invalid from flag value {name}: no stage and no image of that name")
        return found

    async def _taken(self, found: State, sources: list[str]) -> Tree:
        """Return a tree of what a stage or image has under the names, each at its own place."""
        image = state.commit(self._containers.images, found, [], moment=0)
        self._adding.hold_image(image)
        whole = self._new_file()
        try:
            async with work.container(self._containers, image, NOTHING) as made:
                for source in sources:
                    await self._take(made, source, whole)
        finally:
            self._cache.drop(image)
        return Tree(whole)

    async def _take(self, made: Container, source: str, whole: Path) -> None:
        """Append one source to an archive under its own name; of a pattern the folder that it begins in."""
        path = posixpath.normpath(f"/{source}")
        while WILD & set(path):
            path = posixpath.dirname(path)
        try:
            about = await archive.about(self._containers, made, path)
        except NotFound as error:
            raise InvalidArgument(f"COPY failed: stat {source}: file does not exist") from error
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

    # WORKDIR

    async def _workdir(self, at: State, instruction: Instruction, words: Words) -> None:
        place = _absolute(words.one(instruction.text), at.settings.get("WorkingDir") or "/").rstrip("/") or "/"
        at.settings["WorkingDir"] = place

        async def make(image: Image) -> None:
            async with work.container(self._containers, image, NOTHING) as made:
                if place != "/" and not await self._is_folder(made, place):
                    folder = self._new_file()
                    await asyncio.to_thread(copying.folders, place, folder)
                    await work.insert(self._containers, made, str(folder))
                await self._take_layer(at, image, made)

        await self._step(at, key("workdir", at.key, place), f"/bin/sh -c #(nop) WORKDIR {place}", make)

    # What they share.

    async def _step(self, at: State, wanted: str, text: str, make: Callable[[Image], Awaitable[None]]) -> None:
        """Take a step from the cache, or make it and keep it."""
        images, before = self._containers.images, len(at.diff_ids)
        cached = None if self._options.no_cache else self._cache.find(wanted)
        if cached is not None:
            found = state.of_image(images, cached, self._adding)
            await self._track.cached()
            at.layers, at.diff_ids = found.layers, found.diff_ids
        else:
            image = state.commit(images, at, [], moment=0)
            self._adding.hold_image(image)
            try:
                await make(image)
            finally:
                self._cache.drop(image)
        at.key = wanted
        moment = self._options.moment
        at.note(text, moment=moment, empty=len(at.diff_ids) == before)
        if cached is None:
            self._cache.keep(wanted, state.commit(images, at, [], moment=0), text)

    async def _take_layer(self, at: State, image: Image, made: Container) -> None:
        found = await work.layer(self._containers, made, image, self._adding)
        if found is not None:
            at.add_layer(*found)

    def _new_file(self) -> Path:
        return self._folder / f"{next(self._numbers)}.tar"


CARRIERS: dict[str, Callable[[Steps, State, Instruction, Words], Awaitable[None]]] = {
    "RUN": Steps._run,
    "COPY": Steps._copy,
    "ADD": Steps._copy,
    "WORKDIR": Steps._workdir,
}


def _digest(origin: Tree, names: list[str], place: str, rules: Rules) -> str:
    everything = copying.select(origin, names, f"{place.rstrip('/')}/", is_folder=True, rules=rules)
    return copying.digest(origin, everything, rules)


def _script(instruction: Instruction) -> str:
    """Return what the shell is given: of `RUN <<EOF` alone the document, else the line with its documents below."""
    documents = instruction.heredocs
    if (
        len(documents) == 1
        and instruction.text.split()
        and instruction.text.strip().lstrip("<-").strip("'\"") == documents[0].name
    ):
        return documents[0].text
    return instruction.text + "".join(f"\n{document.text}{document.name}" for document in documents)


def _without_heredocs(instruction: Instruction) -> str:
    return (
        " ".join(word for word in instruction.text.split() if not word.startswith("<<"))
        if instruction.heredocs
        else instruction.text
    )


def _protected(text: str) -> str:
    """Return a document in which quotes are letters: only variables are replaced in it."""
    return text.replace("\\", "\\\\").replace("'", "\\'").replace('"', '\\"').replace("\\\\$", "\\$")


def _owner(text: str) -> str:
    """Return `--chown` with a group: a number alone is the group's too, as in Docker."""
    return f"{text}:{text}" if text.isdigit() else text


def _absolute(path: str, folder: str) -> str:
    """Return a destination from the root, with the slash at its end if it had one."""
    clean = posixpath.normpath(posixpath.join("/", folder, path))
    ends = path.endswith(("/", "/.")) or path == "."
    return f"{clean.rstrip('/')}/" if ends else clean


def _on(instruction: Instruction, flag: str) -> bool:
    value = instruction.flag(flag)
    return value is not None and value.lower() not in ("false", "0")


def _is_archive(origin: Tree, node: Node) -> bool:
    """Say whether a file is an archive that ADD unpacks: a tar, plain or compressed."""
    if node.kind != tree.FILE:
        return False
    head = next(origin.pieces(node), b"")
    kind = compression.detect(head[: compression.HEAD])
    try:
        start = head if kind == "none" else next(compression.opener(kind)(iter([head])), b"")
    except compression.CompressionError:
        return False
    return start[257:262] == b"ustar"


def clean(folder: Path) -> None:
    """Remove the files of a build."""
    for path in folder.iterdir():
        if stat.S_ISREG(path.lstat().st_mode):
            path.unlink()
    os.rmdir(folder)
