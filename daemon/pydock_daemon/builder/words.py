"""The report of `POST /build`: records with words in them, those of Docker's classic builder. Made by `api.buildtrace`.

Stages run side by side and are told one after another, as that builder runs them: what a later one tells waits until
those before it have ended, and when that is much, so does the stage.
"""

import asyncio
import secrets
from collections import deque
from typing import Any

from pydock_daemon.images.model import Image, Platform
from pydock_shared.errors import PydockError
from pydock_shared.reference import Reference

from .dockerfile import Instruction
from .report import Plan, Send
from .stages import Stage

MOST_HELD = 1 << 20
"""Characters that wait for the turn of their stage, or for a failure where nothing else is told."""
SHORT = 12
RED, PLAIN = "\x1b[91m", "\x1b[0m"


class Words:
    """The telling of one build."""

    def __init__(self, send: Send, *, quiet: bool, lean: bool) -> None:
        """`quiet` tells the image's id and, of a build that fails, everything; `lean` leaves out what no step needs."""
        self._send, self._quiet, self.lean = send, quiet, lean
        self.total = 0
        self._tracks: dict[int, WordsOfStage] = {}
        self._turns: deque[WordsOfStage] = deque()
        self._sending = asyncio.Lock()
        self._kept = Held()
        self.told = ""
        """The image that was told last."""

    def of(self, platform: Platform | None) -> "Words":
        """Return the same: the steps of all platforms are counted together."""
        return self

    def plan(self, plan: Plan) -> None:
        """Count the steps, and note whose turn is when."""
        arguments, number = [] if self.lean else plan.arguments, self.total
        for stage in plan.needed:
            made = WordsOfStage(self, stage, number, arguments)
            self._tracks[id(stage)] = made
            self._turns.append(made)
            number += len(arguments) + 1 + len(stage.instructions)
            arguments = []
        self.total = number + (0 if self.lean else plan.labels)

    def track(self, stage: Stage) -> "WordsOfStage":
        """Return the telling of a stage."""
        return self._tracks[id(stage)]

    async def send(self, record: dict[str, Any]) -> None:
        """Tell a record; one that is quiet keeps the last ones."""
        if self._quiet:
            self._kept.add(record, drop=True)
        else:
            await self._send(record)

    def leads(self, track: "WordsOfStage") -> bool:
        """Say whether it is the turn of a stage."""
        return bool(self._turns) and self._turns[0] is track

    async def flush(self, held: "Held") -> None:
        """Tell records that have waited, in their order; more may come meanwhile."""
        async with self._sending:
            while held.records:
                await self.send(held.take())

    async def pass_on(self) -> None:
        """Give the turn to the next stage that has not ended, and tell what those have held that have."""
        while self._turns and self._turns[0].over:
            self._turns.popleft()
            if self._turns:
                await self.flush(self._turns[0].held)
                self._turns[0].turn.set()

    async def fail(self, track: "WordsOfStage") -> None:
        """Tell what led to a failure, whoever's turn it is."""
        await self.flush(track.held)
        self._quiet = False
        await self.flush(self._kept)

    async def identify(self, image: str) -> None:
        """Tell the image of a stage."""
        if image and image != self.told:
            self.told = image
            await self.send({"aux": {"ID": image}})

    async def done(self, image: Image, tags: list[Reference], unused: list[str]) -> None:
        """Tell the result in the order of Docker."""
        await self.identify(image.id)
        if unused:
            await self._say(f"[Warning] One or more build-args [{' '.join(unused)}] were not consumed\n")
        if self._quiet:
            await self._send({"stream": f"{image.id}\n"})
        await self._say(f"Successfully built {image.short}\n")
        for tag in tags:
            await self._say(f"Successfully tagged {tag.familiar()}\n")

    async def _say(self, text: str) -> None:
        await self.send({"stream": text})


class Held:
    """Records that wait."""

    def __init__(self) -> None:
        self.records: deque[dict[str, Any]] = deque()
        self._size = 0

    @property
    def is_much(self) -> bool:
        """Say whether there are enough."""
        return self._size > MOST_HELD

    def add(self, record: dict[str, Any], *, drop: bool = False) -> None:
        """Add one; `drop` lets the oldest go when there are enough."""
        self.records.append(record)
        self._size += _size(record)
        while drop and self.is_much:
            self.take()

    def take(self) -> dict[str, Any]:
        """Take the oldest out."""
        record = self.records.popleft()
        self._size -= _size(record)
        return record


def _size(record: dict[str, Any]) -> int:
    return 100 + len(str(record.get("stream", "")))


class WordsOfStage:
    """One stage in words."""

    def __init__(self, words: Words, stage: Stage, number: int, arguments: list[str]) -> None:
        """`number` is that of the step before its first one; `arguments` are the ARGs that are told first."""
        self._words, self._stage, self._number, self._arguments = words, stage, number, arguments
        self.held, self.turn, self.over = Held(), asyncio.Event(), False
        self._image = ""

    async def begin(self, instruction: Instruction | None, variables: dict[str, str]) -> None:
        """Tell the instruction as it was written."""
        for text in [] if instruction else self._arguments:
            await self._step(text)
        await self._step(instruction.original if instruction else self._stage.original)

    async def _step(self, text: str) -> None:
        self._number += 1
        await self.note(f"Step {self._number}/{self._words.total} : {text}")
        await self.note("\n")

    async def note(self, text: str) -> None:
        """Tell words."""
        await self.pulling({"stream": text})

    async def pulling(self, record: dict[str, Any]) -> None:
        """Tell a record when it is the turn of this stage."""
        self.held.add(record)
        if self._words.leads(self):
            await self._words.flush(self.held)
        elif self.held.is_much:
            await self.turn.wait()

    async def cached(self) -> None:
        """Tell it in Docker's words."""
        await self.note(" ---> Using cache\n")

    async def changed(self) -> None:
        """Tell what Docker tells of settings: it makes a container for each, whose id nobody can use either."""
        if not self._words.lean:
            name = secrets.token_hex(SHORT // 2)
            await self.note(f" ---> Running in {name}\n")
            await self.note(f" ---> Removed intermediate container {name}\n")

    async def made(self, image: str) -> None:
        """Tell the image that a step has made, as far as it is known; of FROM scratch Docker tells an empty one."""
        self._image = image
        short = image.partition(":")[2][:SHORT]
        if short or not self._words.lean:
            await self.note(f" ---> {short}\n")

    async def output(self, text: str, *, error: bool) -> None:
        """Tell output as it came, errors in red as Docker has them."""
        await self.note(f"{RED}{text}{PLAIN}" if error and not self._words.lean else text)

    async def end(self, error: BaseException | None) -> None:
        """Tell the image of the stage; an error is a record of its own."""
        if isinstance(error, PydockError):
            await self._words.fail(self)
        elif error is None:
            if not self._words.lean and self._image:
                self._words.told = self._image
                self.held.add({"aux": {"ID": self._image}})
            self.over = True
            if self._words.leads(self):
                await self._words.flush(self.held)
                await self._words.pass_on()
