"""From layer blobs to an unpacked chain: fetched and unpacked side by side, committed bottom up. For pull and load."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from pydock_daemon.snapshots import base
from pydock_shared.errors import InvalidArgument, PydockError, described

from .progress import Reporter
from .service import Adding, Images


class Step(NamedTuple):
    """A layer to be: the digest and size of its blob, and what its tar must be."""

    digest: str
    size: int
    diff_id: str

    @property
    def short(self) -> str:
        """Return the name of the layer in progress records."""
        return self.digest.removeprefix("sha256:")[:12]


class Words(NamedTuple):
    """What progress records call the states of a layer."""

    there: str
    unpacking: str
    done: str


Fetch = Callable[[Step], Awaitable[None]]


async def make(images: Images, adding: Adding, steps: list[Step], fetch: Fetch, report: Reporter, words: Words) -> None:
    """Make every layer of a chain exist, calling `fetch` for each blob that is not here.

    The first failure cancels the rest and is raised alone.
    """
    chain = base.chain_ids(step.diff_id for step in steps)
    committed = [asyncio.Event() for _ in steps]

    async def layer(index: int) -> None:
        step, parent = steps[index], chain[index - 1] if index else None
        if images.snapshots.layer(chain[index]) and step.digest in images.content:
            await _say(report, words.there, step)
        else:
            await fetch(step)
            report.count(words.unpacking, step.short, 0, step.size)
            await _unpack(images, step, parent, report, words, committed[index - 1].wait if index else None)
            report.count(words.unpacking, step.short, step.size, step.size)
            await _say(report, words.done, step)
        committed[index].set()

    adding.hold_layers(chain)
    try:
        async with asyncio.TaskGroup() as group:
            for index in range(len(steps)):
                group.create_task(layer(index))
    except BaseExceptionGroup as failures:
        raise _first(failures) from None


async def _say(report: Reporter, word: str, step: Step) -> None:
    if word:
        await report.say(word, step.short)


async def _unpack(
    images: Images,
    step: Step,
    parent: str | None,
    report: Reporter,
    words: Words,
    ready: Callable[[], Awaitable[object]] | None,
) -> None:
    def counted(current: int) -> None:
        report.count(words.unpacking, step.short, current, step.size)

    try:
        await images.snapshots.unpack(images.content.path(step.digest), parent, step.diff_id, counted, ready)
    except InvalidArgument as error:
        raise InvalidArgument(f"failed to register layer {step.digest}: {error.message}") from error
    except OSError as error:
        raise PydockError(f"failed to register layer {step.digest}: {described(error)}") from error


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return one failure of a group: the first that is not a mere group itself."""
    error = failures.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
