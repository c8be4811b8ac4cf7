"""What a command is: its flags, its arguments, and the function that carries it out. Used by commands/* and main.py."""

from __future__ import annotations

from .flags import UsageError, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .flags import Flag, Options
    from .http import Daemon
    from .settings import Settings


class Failure(Exception):
    """Ends a command: `message` goes to standard error (unless empty) and `code` is the exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class Call:
    """One call of a command: what was given, and the daemon it speaks to. The daemon's connections end with it."""

    __slots__ = ("_daemon", "arguments", "options", "settings", "words")

    def __init__(self, words: str, options: Options, arguments: list[str], settings: Settings) -> None:
        self.words = words
        self.options = options
        self.arguments = arguments
        self.settings = settings
        self._daemon: Daemon | None = None

    @property
    def daemon(self) -> Daemon:
        """The daemon, reached at the first request."""
        if self._daemon is None:
            self._daemon = self.settings.daemon()
        return self._daemon

    def close(self) -> None:
        """Close the connections."""
        if self._daemon is not None:
            self._daemon.close()


class Command:
    """One row of a group's table; `run` returns the exit code, None for 0."""

    __slots__ = ("_high", "_low", "about", "flags", "interspersed", "run", "usage")

    def __init__(
        self,
        run: Callable[[Call], int | None],
        usage: str = "",
        *,
        arguments: tuple[int, int | None] = (0, 0),
        flags: Sequence[Flag] = (),
        interspersed: bool = True,
        about: str = "",
    ) -> None:
        self.run = run
        self.usage = usage
        self._low, self._high = arguments
        self.flags = flags
        self.interspersed = interspersed
        self.about = about

    def usage_of(self, words: str) -> str:
        """Return how the command is called; some can be called in more than one way, one a line."""
        return f"pydock {words} {self.usage}".rstrip().replace("\n\t", f"\n\tpydock {words} ")

    def parse(self, words: str, rest: Sequence[str], settings: Settings) -> Call:
        """Return the call that a command line stands for; UsageError when it is wrong."""
        options, arguments = parse(self.flags, rest, interspersed=self.interspersed)
        self._check(words, len(arguments))
        return Call(words, options, arguments, settings)

    def _check(self, words: str, count: int) -> None:
        """The numbers of arguments, in docker's words (its hint says See where a minimum is missed)."""
        low, high = self._low, self._high
        if low <= count and (high is None or count <= high):
            return
        name = f"'pydock {words}'"
        if high == 0:
            raise UsageError(f"pydock: {name} accepts no arguments", code=1)
        if high is None:
            raise UsageError(f"pydock: {name} requires at least {_arguments(low)}", code=1, see="See")
        if low == high:
            raise UsageError(f"pydock: {name} requires {_arguments(low)}", code=1)
        if low == 0:
            raise UsageError(f"pydock: {name} requires at most {_arguments(high)}", code=1)
        raise UsageError(f"pydock: {name} requires at least {low} and at most {_arguments(high)}", code=1)


def _arguments(count: int) -> str:
    return f"{count} argument" if count == 1 else f"{count} arguments"
