"""What a build tells of itself while it runs. Told by `solve` and `steps`, written for a protocol by the front.

The stages run side by side, the steps of one stage one after another: each stage has a track of its own.
"""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol

from pydock_daemon.images.model import Image, Platform
from pydock_shared.reference import Reference

from .dockerfile import Instruction
from .stages import Stage

Send = Callable[[dict[str, Any]], Awaitable[None]]


class Plan(NamedTuple):
    """The stages that will run, the ARGs before the first FROM as they were written, and how many labels are steps."""

    needed: list[Stage]
    arguments: list[str]
    labels: int


class Track(Protocol):
    """The telling of one stage."""

    async def begin(self, instruction: Instruction | None, variables: dict[str, str]) -> None:
        """Say that a step begins, with what variables mean in it, and that the one before has ended; None is FROM."""

    async def note(self, text: str) -> None:
        """Tell what happens to the step that is under way; only who reads words is told."""

    async def cached(self) -> None:
        """Say that the step is taken from the cache."""

    async def changed(self) -> None:
        """Say that a step has changed settings, or a folder, and that no program of the user's was run for it."""

    async def made(self, image: str) -> None:
        """Tell the id of the image as it is after a step; empty where there is none."""

    async def output(self, text: str, *, error: bool) -> None:
        """Tell what the program of a RUN has written, and whether to standard error."""

    async def pulling(self, record: dict[str, Any]) -> None:
        """Tell how far an image has come that the step needs."""

    async def end(self, error: BaseException | None) -> None:
        """Say that the last step has ended; with an error the build has."""


class Report(Protocol):
    """The telling of one build."""

    def plan(self, plan: Plan) -> None:
        """Take in what will run, before anything else."""

    def track(self, stage: Stage) -> Track:
        """Return the telling of a stage."""

    async def done(self, image: Image, tags: list[Reference], unused: list[str]) -> None:
        """Tell the result, and which build arguments nothing has used."""

    def of(self, platform: Platform | None) -> "Report":
        """Return the telling of the part of the build that is for one of several platforms."""
