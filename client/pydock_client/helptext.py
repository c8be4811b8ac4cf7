"""The texts of `--help`, laid out as docker does. Used by app.py."""

from __future__ import annotations

import shutil
import textwrap

from . import catalog
from .settings import GLOBAL_FLAGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .command import Command
    from .flags import Flag

_PROGRAM = "pydock"
_WIDEST = 80
_NEAREST = 36  # columns kept for the text of a flag, however long the names are


def of_program() -> str:
    """Return the help of the program itself."""
    entries = dict(catalog.members(""))
    common = [(name, entries.pop(name)) for name in catalog.COMMON]
    lines = [f"Usage:  {_PROGRAM} [OPTIONS] COMMAND", "", "An engine and a command line for containers, in Python"]
    lines += _section("Common Commands", common)
    lines += _section("Management Commands", sorted(catalog.GROUPS.items()))
    lines += _section("Commands", sorted(entries.items()))
    lines += ["", "Global Options:", *_flags(GLOBAL_FLAGS)]
    lines += ["", f"Run '{_PROGRAM} COMMAND --help' for more information on a command."]
    return "\n".join(lines) + "\n"


def of_group(name: str) -> str:
    """Return the help of a group of commands."""
    lines = [f"Usage:  {_PROGRAM} {name} COMMAND", "", catalog.GROUPS[name]]
    lines += _section("Commands", catalog.members(name))
    lines += ["", f"Run '{_PROGRAM} {name} COMMAND --help' for more information on a command."]
    return "\n".join(lines) + "\n"


def of_command(name: str, command: Command) -> str:
    """Return the help of a command."""
    entry = catalog.BY_NAME[name]
    lines = [f"Usage:  {command.usage_of(name)}", "", command.about or entry.summary]
    if len(entry.names) > 1:
        lines += ["", "Aliases:", "  " + ", ".join(f"{_PROGRAM} {alias}" for alias in entry.names)]
    shown = [flag for flag in command.flags if not flag.hidden]
    if shown:
        lines += ["", "Options:", *_flags(shown)]
    return "\n".join(lines) + "\n"


def _section(title: str, rows: Iterable[tuple[str, str]]) -> list[str]:
    return ["", f"{title}:", *(f"  {name:<11} {summary}" for name, summary in rows)]


def _flags(flags: Iterable[Flag]) -> list[str]:
    """One entry a flag, by name, with its text folded beside it."""
    rows = []
    for flag in sorted(flags, key=lambda flag: flag.long):
        head = f"  -{flag.short}, " if flag.short else "      "
        rows.append((f"{head}--{flag.long} {flag.kind.word}".rstrip(), flag.help + _default(flag)))
    left = max(len(head) for head, _ in rows) + 3
    width = max(_NEAREST, min(_WIDEST, shutil.get_terminal_size().columns) - left)
    lines = []
    for head, text in rows:
        first, *rest = textwrap.wrap(text, width) or [""]
        lines.append(f"{head:<{left}}{first}".rstrip())
        lines += [f"{'':<{left}}{line}" for line in rest]
    return lines


def _default(flag: Flag) -> str:
    if flag.default in (None, "", False, 0):
        return ""
    return (
        f" (default {flag.default!r})".replace("'", '"')
        if isinstance(flag.default, str)
        else f" (default {_word(flag)})"
    )


def _word(flag: Flag) -> str:
    return str(flag.default).lower()
