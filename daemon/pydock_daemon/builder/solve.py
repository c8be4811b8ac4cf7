"""A build for one platform: its stages side by side as far as they do not need each other, and the image at the end.

Used by `platforms`. A failure or a client that goes ends everything that is under way, and nothing of it is left but
the cache of the steps that went well.
"""

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydock_daemon.containers.service import Containers
from pydock_daemon.images import pull
from pydock_daemon.images.auth import Credentials
from pydock_daemon.images.model import Image, Platform, host_platform, parse_platform
from pydock_daemon.images.service import Adding, Images, Progress
from pydock_shared import reference
from pydock_shared.errors import InvalidArgument, NotFound, PydockError

from . import dockerfile, inline, meta, rewrite, sharing, stages, standing, state
from .cache import EXPORTED, WHOLE, Cache
from .dockerfile import Instruction
from .expand import Words
from .options import EPOCH, NAMING, Options
from .report import Plan, Report, Track
from .sharing import Imported
from .stages import Stage
from .state import State
from .steps import CARRIERS, PROXIES, Steps
from .tree import Tree


class Build:
    """One build under way."""

    def __init__(
        self,
        containers: Containers,
        cache: Cache,
        options: Options,
        folder: Path,
        context: Tree,
        report: Report,
        text: str | None = None,
    ) -> None:
        """`folder` is for the files of this build, and the caller's to remove; `text` a Dockerfile from elsewhere."""
        self._containers, self._images, self._options, self._report = containers, containers.images, options, report
        self._cache, self._folder, self._context = cache, folder, context
        self._adding: Adding
        self._states: dict[int, asyncio.Task[State]] = {}
        self._used: set[str] = set()
        self._notes: list[str] = []
        self._imported: list[Imported] = []
        self._given: list[Image] = []
        self._told: list[BaseException] = []
        self._file, self._stages, self._before = self._plan(text)
        self._target = stages.target(self._stages, options.target)
        self._needed = stages.needed(self._stages, self._target)
        stages.check(self._stages, self._needed, options.contexts)
        arguments = [
            one.original for one in itertools.takewhile(lambda one: one.name == "ARG", self._file.instructions)
        ]
        report.plan(Plan(self._needed, arguments, len(options.labels)))

    def _plan(self, text: str | None) -> tuple[dockerfile.Dockerfile, list[Stage], dict[str, str]]:
        name = self._options.dockerfile
        text = self._context.text(name) if text is None else text
        if text is None:
            raise InvalidArgument(f"Cannot locate specified Dockerfile: {name}")
        file = dockerfile.parse(text, name)
        made, before = stages.stages(file, {**platforms(self._options), **self._options.given})
        return file, made, before

    async def run(self) -> Image:
        """Build the target and return its image, with the names that were asked for."""
        with self._images.adding() as self._adding:
            for name in self._options.cache_from:
                await self._import(name)
            for files in self._options.cache_files:
                self._imported.append(await asyncio.to_thread(sharing.from_files, self._images, files))
            return await self._run()

    async def _import(self, name: str) -> None:
        """Take in the steps of a cache, or of an image; that there is none is no mistake, as in Docker.

        The classic builder looks for images of this engine alone, and tells nothing.
        """
        try:
            found = self._images.resolve(name)
            await self._images.admit(found, name)
        except NotFound:
            if self._options.classic:
                return
            try:
                ref = reference.parse(name)
                cache = await sharing.from_registry(self._images, ref, await login(self._options, ref.domain))
                if cache:
                    self._imported.append(cache)
                    return
                found = await self._pull(name, self._options.platform, _silent)
            except PydockError as error:
                self._notes.append(f"importing cache manifest from {name}: {error.message}\n")
                return
        inline.take(self._images, self._cache, self._adding, found)
        self._given.append(found)

    def _may_take(self, at: State, diff_ids: Sequence[str], text: str | None = None) -> bool:
        """Say whether what an earlier build has made may be taken: with the classic builder from named images alone."""
        if not (self._options.classic and (self._options.cache_from or self._options.cache_files)):
            return True
        return any(standing.leads_to(at, diff_ids, image, text) for image in self._given)

    async def _known(self, at: State, key: str, text: str, send: Progress) -> Image | None:
        """Return what a step has made before, here or where a cache comes from, None when that is nowhere."""
        found = self._cache.find(key)
        if found and self._may_take(at, found.diff_ids, text):
            return found
        for cache in self._imported:
            found = await cache.find(self._images, self._cache, self._adding, key, send)
            if found:
                return found
        return None

    async def _run(self) -> Image:
        try:
            async with asyncio.TaskGroup() as group:
                for stage in self._needed:
                    self._states[stage.index] = group.create_task(self._stage(stage))
        except BaseExceptionGroup as failures:
            raise _first(failures) from None
        final = self._states[self._target.index].result().copy()
        if self._options.labels:
            final.settings["Labels"] = {**(final.settings.get("Labels") or {}), **self._options.labels}
        return await self._image(final)

    @property
    def unused(self) -> set[str]:
        """Return the build arguments that nothing has used."""
        return set(self._options.given) - self._used - PROXIES - {EPOCH, NAMING}

    def states(self, *, whole: bool) -> list[State]:
        """Return what the target has become, that first, and with `whole` all stages, when all is over."""
        wanted = self._needed if whole else [self._target]
        return [self._states[stage.index].result() for stage in wanted]

    async def _image(self, final: State) -> Image:
        """Return the image of the last state: that of an earlier build when nothing but the time is another."""
        options = self._options
        steps = inline.told(final)
        wanted = standing.wanted(final, options)
        kept = EXPORTED if options.only_exported else WHOLE
        if options.classic and standing.is_plain(options) and (last := self._images.get(final.image)):
            if self._images.hidden(last):  # it was a step between until now
                self._cache.keep(wanted, last, kept)
            return self._images.names.add(last, options.tags)
        found = standing.find(self._cache, options, wanted)
        if found and not (options.squash or options.rewrite):
            return state.named(self._images, found.id, final, options.tags, options.annotations)
        if found:
            return self._images.names.add(found, options.tags)
        if options.squash or options.rewrite:
            final, steps = await self._rewritten(final), {}  # the layers are no longer those of the steps
        extra = steps if options.cache_inline else None
        image = state.commit(
            self._images, final, options.tags, moment=options.moment, extra=extra, annotations=options.annotations
        )  # fmt: skip
        self._cache.keep(wanted, image, kept)
        return image

    async def _rewritten(self, final: State) -> State:
        options = self._options
        if options.rewrite and options.epoch is None:
            raise InvalidArgument("rewrite-timestamp needs the build argument SOURCE_DATE_EPOCH")
        made = await rewrite.layers(
            self._images, self._adding, self._folder, final, below=final.below,
            epoch=options.epoch if options.rewrite else None, squash=options.squash,
        )  # fmt: skip
        if options.squash and len(made.diff_ids) > final.below:
            count = 0
            for step in made.history:
                count += not step.get("empty_layer")
                if count > final.below:
                    step["empty_layer"] = True
            below = made.chain[final.below - 1] if final.below else ""
            made.merged(f"merge {made.chain[-1]} to {below}", moment=options.moment)
        return made

    async def _stage(self, stage: Stage) -> State:
        track = self._report.track(stage)
        try:
            at = await self._run_stage(stage, track)
        except BaseException as error:
            # That of a stage which this one waits for has been told by it.
            await asyncio.shield(track.end(None if any(error is told for told in self._told) else error))
            self._told.append(error)
            raise
        await track.end(None)
        return at

    async def _run_stage(self, stage: Stage, track: Track) -> State:
        if stage.parent:
            at = (await self._states[stage.parent.index]).copy()
            await track.begin(None, {})
        else:
            await track.begin(None, {})
            at = await self._base(stage.base, stage.platform, track)
            at.below = len(at.diff_ids)
        while self._notes:
            await track.note(self._notes.pop())
        triggers = at.settings.pop("OnBuild", None) or []
        at.command_given = False
        proxies = {name: value for name, value in self._options.given.items() if name in PROXIES}
        at.arguments, at.declared = {**proxies, **at.arguments}, []
        alone = bool(stage.name) and stage.name in self._options.no_cache_stages
        options = replace(self._options, no_cache=True) if alone else self._options
        steps = Steps(
            self._containers, self._cache, self._adding, options, self._folder, self._context, track,
            lambda name: self._source(stage, name, track), self._known,
        )  # fmt: skip
        if triggers:
            await track.note(f"# Executing {len(triggers)} build trigger{'s' * (len(triggers) > 1)}\n")
        for trigger in triggers:
            for instruction in dockerfile.parse(trigger, "ONBUILD").instructions:
                await self._one(at, instruction, steps, track)
        await track.made(at.image)
        for instruction in stage.instructions:
            await self._await_sources(stage, instruction)
            await track.begin(instruction, at.variables())
            await self._one(at, instruction, steps, track)
            await self._tell_made(at, track)
        if options.classic and stage is self._target:
            await self._label(at, track)
        return at

    async def _tell_made(self, at: State, track: Track) -> None:
        if self._options.classic:
            await track.made(at.image)

    async def _label(self, at: State, track: Track) -> None:
        """Take in the labels of the request, each as a step of its own."""
        for name, value in sorted(self._options.labels.items()):
            text = f"LABEL {name}={value}"
            await track.begin(Instruction("LABEL", "", 0, source=text), {})
            at.settings["Labels"] = {**(at.settings.get("Labels") or {}), name: value}
            at.note(text, moment=self._options.moment, empty=True)
            await self._settled(at, track, text)
            await self._tell_made(at, track)

    async def _settled(self, at: State, track: Track, text: str, *, told: bool = True) -> None:
        """Have an image of a state after a step; `told` when that is all that there is to tell of the step."""
        at.image = "" if told else at.image
        if not self._options.classic:
            return
        known = standing.between(self._images, self._cache, self._adding, self._options, at, text)
        if told:
            await (track.cached() if known and self._may_take(at, at.diff_ids) else track.changed())

    async def _await_sources(self, stage: Stage, instruction: Instruction) -> None:
        """Wait for the stages that an instruction takes files from, so that its own time is told and not theirs."""
        for name in stages.sources([instruction]):
            found = stages.find(self._stages, name)
            if found and name.lower() not in self._options.contexts:
                await self._states[found.index]

    async def _one(self, at: State, instruction: Instruction, steps: Steps, track: Track) -> None:
        words = Words(at.variables(), self._file.escape)
        try:
            if instruction.name == "ARG":
                given = {**platforms(self._options), **self._options.given}
                self._used |= {word.partition("=")[0] for word in instruction.text.split()}
                shown = meta.declare(at, instruction, given, self._before, words)
            elif instruction.name in CARRIERS:
                await steps.carry_out(at, instruction, words)
                await self._settled(at, track, instruction.original, told=False)
                return
            else:
                shown = meta.INSTRUCTIONS[instruction.name](at, instruction, words)
        except InvalidArgument as error:
            message = f"{self._options.dockerfile}:{instruction.line}: {error.message}"
            if instruction.name not in CARRIERS:
                message += f"\n{instruction.original.splitlines()[0]}\n{' ' * len(instruction.name)} ^"
            raise InvalidArgument(message) from error
        if shown:
            at.note(shown, moment=self._options.moment, empty=True)
        await self._settled(at, track, instruction.original)

    async def _source(self, stage: Stage, name: str, track: Track) -> State | Tree:
        """Return what `--from=name` means in a stage: a named context, an earlier stage, or an image."""
        named = self._options.contexts.get(name.lower())
        if isinstance(named, Tree):
            return named
        found = stages.find(self._stages, name)
        if found:
            return await self._states[found.index]
        return await self._base(name, "", track)

    async def _base(self, name: str, platform: str, track: Track) -> State:
        named = self._options.contexts.get(name.lower())
        if isinstance(named, Tree):
            raise InvalidArgument(f"the context {name} is a folder of files and no image that FROM could name")
        name = named or name
        wanted = parse_platform(platform) if platform else self._options.platform
        if name == stages.SCRATCH:
            return state.scratch(wanted)
        image = None
        if not self._options.pull:
            try:
                image = self._images.resolve(name, wanted)
            except NotFound:
                image = None
            else:
                if warning := await self._images.admit(image, name):
                    await track.note(f"{warning}\n")
        if image is None:
            image = await self._pull(name, wanted, track.pulling)
        return state.of_image(self._images, image, self._adding)

    async def _pull(self, name: str, platform: Platform | None, progress: Progress) -> Image:
        return await pulled(self._images, name, platform, self._options, progress)


def platforms(options: Options) -> dict[str, str]:
    """Return the predefined arguments that tell of platforms."""
    host = host_platform()
    found: dict[str, str] = {}
    for word, platform in (("BUILD", host), ("TARGET", options.platform or host)):
        found |= {
            f"{word}PLATFORM": str(platform),
            f"{word}OS": platform.os,
            f"{word}ARCH": platform.architecture,
            f"{word}VARIANT": platform.variant,
        }
    return found


async def pulled(images: Images, name: str, platform: Platform | None, options: Options, progress: Progress) -> Image:
    """Return an image from its registry, with the login that the build was given for that."""
    ref = reference.parse(name)
    return await pull.pull(images, ref, platform, await login(options, ref.domain), progress)


async def login(options: Options, domain: str) -> Credentials:
    """Return the login for a registry that the build was given, an empty one when there is none."""
    if options.session:
        return await options.session.credentials(domain)
    return options.credentials.get(domain, Credentials())


async def _silent(record: dict[str, Any]) -> None:
    return None


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the failure that is one: those of stages that waited for another are its echo."""
    flat: list[BaseException] = []
    pending: list[BaseException] = [failures]
    while pending:
        error = pending.pop(0)
        if isinstance(error, BaseExceptionGroup):
            pending += error.exceptions
        else:
            flat.append(error)
    return next((error for error in flat if isinstance(error, PydockError)), flat[0])
