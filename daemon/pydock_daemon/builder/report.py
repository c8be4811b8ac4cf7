"""What a build tells of itself while it runs. Told by `solve` and `steps`, written for a protocol by the front.

The stages run side by side, the steps of one stage one after another: each stage has a track of its own.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from pydock_daemon.images.model import Image, Platform
from pydock_shared.reference import Reference

from .dockerfile import Instruction
from .stages import Stage

Send = Callable[[dict[str, Any]], Awaitable[None]]


class Track(Protocol):
    """The telling of one stage."""

    async def begin(self, instruction: Instruction | None, variables: dict[str, str]) -> None:
        """Say that a step begins, with what variables mean in it, and that the one before has ended; None is FROM."""

    async def note(self, text: str) -> None:
        """Tell what happens to the step that is under way; only who reads words is told."""

    async def cached(self) -> None:
        """Say that the step is taken from the cache."""

    async def output(self, text: str) -> None:
        """Tell what the program of a RUN has written."""

    async def pulling(self, record: dict[str, Any]) -> None:
        """Tell how far an image has come that the step needs."""

    async def end(self, error: BaseException | None) -> None:
        """Say that the last step has ended; with an error the build has."""


class Report(Protocol):
    """The telling of one build."""

    def plan(self, needed: list[Stage]) -> None:
        """Take in which stages will run, before anything else."""

    def track(self, stage: Stage) -> Track:
        """Return the telling of a stage."""

    async def done(self, image: Image, tags: list[Reference], unused: list[str]) -> None:
        """Tell the result, and which build arguments nothing has used."""

    def of(self, platform: Platform | None) -> "Report":
        """Return the telling of the part of the build that is for one of several platforms."""


class Words:
    """The report of `POST /build`: records with words in them, a line for each step."""

    def __init__(self, send: Send, *, quiet: bool) -> None:
        """`quiet` tells the image's id and nothing else."""
        self._send, self._quiet = send, quiet
        self._number = self._total = 0

    def of(self, platform: Platform | None) -> "Words":
        """Return the same: the steps of all platforms are counted together."""
        return self

    def plan(self, needed: list[Stage]) -> None:
        """Count the steps."""
        self._total += sum(1 + len(stage.instructions) for stage in needed)

    def track(self, stage: Stage) -> "WordsOfStage":
        """Return the telling of a stage; all of them count the steps together."""
        return WordsOfStage(self, stage)

    async def begin(self, text: str) -> None:
        """Tell the next step."""
        self._number += 1
        await self.say(f"Step {self._number}/{self._total} : {text}\n")

    async def say(self, text: str) -> None:
        """Tell words."""
        await self.send({"stream": text})

    async def send(self, record: dict[str, Any]) -> None:
        """Tell a record."""
        if not self._quiet:
            await self._send(record)

    async def done(self, image: Image, tags: list[Reference], unused: list[str]) -> None:
        """Tell the result in the order of Docker."""
        if unused:
            await self.say(f"[Warning] One or more build-args [{' '.join(unused)}] were not consumed\n")
        await self.send({"aux": {"ID": image.id}})
        if self._quiet:
            await self._send({"stream": f"{image.id}\n"})
        await self.say(f"Successfully built {image.short}\n")
        for tag in tags:
            await self.say(f"Successfully tagged {tag.familiar()}\n")


class WordsOfStage:
    """One stage in words."""

    def __init__(self, words: Words, stage: Stage) -> None:
        self._words, self._stage = words, stage
        self.note = self.output = words.say
        self.pulling = words.send

    async def begin(self, instruction: Instruction | None, variables: dict[str, str]) -> None:
        """Tell the instruction as it was written."""
        await self._words.begin(instruction.original if instruction else self._stage.original)

    async def cached(self) -> None:
        """Tell it in Docker's words."""
        await self._words.say(" ---> Using cache\n")

    async def end(self, error: BaseException | None) -> None:
        """Tell nothing: an error is a record of its own."""
