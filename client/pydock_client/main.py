"""The `pydock` program: finds the command, runs it, and is the one place where errors become words and exit codes.

Exit codes are docker's: 125 for a wrong flag and for what stops `run` before the container runs, 126 and 127 when the
program of the container cannot be executed or found, the container's own code after that, 1 for everything else.

A command is called straight from the table of catalog.py, without typer: importing typer takes longer than all of `ps`.
Help, completion and embedding go through the typer application in app.py, which is built from the same tables.
"""

from __future__ import annotations

import os
import signal
import sys

from pydock_shared.errors import PydockError

from . import __version__, catalog
from .command import Failure
from .flags import HelpWanted, UsageError, parse
from .settings import GLOBAL_FLAGS, Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .flags import Options

USAGE = "pydock [OPTIONS] COMMAND"


def main() -> None:
    """Entry point of the console script."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    code = run(sys.argv[1:])
    _leave(code)


def _leave(code: int) -> None:
    """Flush and end without the interpreter's own good-byes, which take milliseconds."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        code = code or 141
    os._exit(code)


def run(words: Sequence[str]) -> int:
    """Carry out a command line and return its exit code."""
    if "_PYDOCK_COMPLETE" in os.environ:
        return _typer(list(words))
    try:
        options, rest = parse(GLOBAL_FLAGS, words, interspersed=False)
    except HelpWanted:
        return _typer(["--help"])
    except UsageError as error:
        return _wrong(error, f"{USAGE} [ARG...]", "pydock")
    if options["version"]:
        print(f"pydock version {__version__}")
        return 0
    if rest[:1] == ["help"]:
        return _help(rest[1:])
    if not rest:
        return _typer(["--help"])
    return _dispatch(options, rest)


def _dispatch(options: Options, rest: list[str]) -> int:
    name, count = catalog.find(rest)
    if name in catalog.BY_NAME:
        return run_command(name, options, rest[count:])
    if not name:
        print(f"pydock: unknown command: pydock {rest[0]}\n\nRun 'pydock --help' for more information", file=sys.stderr)
        return 1
    return _group(name, rest[1:])


def _group(name: str, rest: list[str]) -> int:
    """A group's name alone shows its help; with something else behind it, that is wrong."""
    if not rest or rest[0] in ("--help", "-h"):
        return _typer([name, "--help"])
    if rest[0].startswith("-"):
        what, code = f"unknown flag: {rest[0]}", 125
    else:
        what, code = f"pydock: unknown command: pydock {name} {rest[0]}", 1
    print(f"{what}\n\nUsage:  pydock {name}\n\nRun 'pydock {name} --help' for more information", file=sys.stderr)
    return code


def _help(rest: list[str]) -> int:
    name, _ = catalog.find(rest)
    if rest and not name:
        print(f"unknown help topic: {' '.join(rest)}", file=sys.stderr)
        return 1
    return _typer([*name.split(), "--help"])


def _typer(words: list[str]) -> int:
    from .app import call

    return call(words)


def run_command(name: str, options: Options, rest: list[str]) -> int:
    """Carry out a command of the table with its words, and return its exit code."""
    command = catalog.BY_NAME[name].load()
    try:
        call = command.parse(name, rest, Settings(options))
        try:
            return command.run(call) or 0
        finally:
            call.close()
    except HelpWanted:
        from .app import help_of

        help_of(name)
        return 0
    except UsageError as error:
        return _wrong(error, command.usage_of(name), f"pydock {name}")
    except Failure as error:
        return _failed(error.message, error.code)
    except PydockError as error:
        return _failed(error.message, 1)
    except BrokenPipeError:
        return 141
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        return _failed(words_of(error), 1)


def words_of(error: OSError) -> str:
    """Return a system error as docker words it: `open /x: no such file or directory`."""
    reason = (error.strerror or str(error)).lower()
    return f"open {error.filename}: {reason}" if error.filename else reason


def _failed(message: str, code: int) -> int:
    if message:
        sys.stdout.flush()
        print(message, file=sys.stderr)
    return code


def _wrong(error: UsageError, usage: str, name: str) -> int:
    hint = f"{error.see} '{name} --help' for more information"
    print(f"{error.message}\n\nUsage:  {usage}\n\n{hint}", file=sys.stderr)
    return error.code


if __name__ == "__main__":
    main()
