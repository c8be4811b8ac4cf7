"""Command lines of the verbs: a table of flags each, and the reading of them. Used by `cli` and the verbs.

By hand, because argparse costs more than most verbs do. The rules are those of runc: flags come before the first word
that is not one, `--flag=value` and `--flag value` are the same, one dash does as well as two.
"""

from __future__ import annotations

from pydock_runtime.errors import INVALID, RuntimeFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SWITCH, TEXT, NUMBER, SIZE, LIST = "switch", "text", "number", "size", "list"
UNITS = "bkmgtp"


class Flag:
    """A row of a verb's table."""

    __slots__ = ("help", "kind", "name", "short")

    def __init__(self, name: str, kind: str, help: str, short: str = "") -> None:
        self.name = name
        self.kind = kind
        self.help = help
        self.short = short


HELP = Flag("help", SWITCH, "show this help", "h")


class Call:
    """A command line that was read: values by flag, the words that follow, and what was said for all verbs."""

    __slots__ = ("criu", "failure", "root", "rootless", "systemd", "values", "verb", "words")

    def __init__(self, values: dict[str, Any], words: list[str]) -> None:
        self.values = values
        self.words = words
        self.verb = ""
        self.root = ""
        self.criu = ""
        self.rootless = ""
        self.failure = 1
        self.systemd = False

    def text(self, name: str) -> str:
        """Return the value of a flag that takes text; empty without it."""
        value: str = self.values.get(name, "")
        return value

    def number(self, name: str) -> int | None:
        """Return the value of a flag that takes a number; None without it."""
        value: int | None = self.values.get(name)
        return value

    def list(self, name: str) -> list[str]:
        """Return the values of a flag that may come several times."""
        value: list[str] = self.values.get(name, [])
        return value

    def has(self, name: str) -> bool:
        """Say whether a flag was given, a switch not as false."""
        return bool(self.values.get(name, False))

    def id(self) -> str:
        """Return the one word that is a container's id."""
        self.require(1, 1)
        return self.words[0]

    def require(self, least: int, most: int | None = None) -> None:
        """Raise RuntimeFailure, in runc's words, for another number of words."""
        if not least <= len(self.words) <= (len(self.words) if most is None else most):
            told = f"exactly {least}" if least == most else f"a minimum of {least}"
            if len(self.words) > least and most is not None and most > least:
                told = f"a maximum of {most}"
            raise RuntimeFailure(f'"{self.verb}" requires {told} argument(s)', INVALID)


def parse(argv: list[str], flags: tuple[Flag, ...]) -> Call:
    """Read a command line; RuntimeFailure for an unknown flag or a missing value."""
    known = {name: flag for flag in (*flags, HELP) for name in (flag.name, flag.short) if name}
    values: dict[str, Any] = {}
    at = 0
    while at < len(argv) and argv[at].startswith("-") and argv[at] != "-":
        word = argv[at]
        at += 1
        if word == "--":
            break
        name, equals, value = word.lstrip("-").partition("=")
        flag = known.get(name)
        if flag is None:
            raise RuntimeFailure(f"unknown flag {word.partition('=')[0]}", INVALID)
        if flag.kind == SWITCH:
            values[flag.name] = _switch(word, value) if equals else True
            continue
        if not equals:
            if at == len(argv):
                raise RuntimeFailure(f"flag needs an argument: {word}", INVALID)
            value = argv[at]
            at += 1
        _store(values, flag, value)
    return Call(values, argv[at:])


def _switch(word: str, value: str) -> bool:
    if value not in ("true", "false", "1", "0"):
        raise RuntimeFailure(f"not true or false: {word}", INVALID)
    return value in ("true", "1")


def _store(values: dict[str, Any], flag: Flag, value: str) -> None:
    if flag.kind == LIST:
        values.setdefault(flag.name, []).append(value)
    elif flag.kind == TEXT:
        values[flag.name] = value
    elif flag.kind == SIZE:
        values[flag.name] = size(flag.name, value)
    else:
        try:
            values[flag.name] = int(value)
        except ValueError:
            raise RuntimeFailure(f"flag --{flag.name} needs a number: {value}", INVALID) from None


def size(name: str, text: str) -> int:
    """Return the bytes of a size such as 100, 64m or 1.5GiB, as Docker writes them; -1 is one too."""
    if text == "-1":
        return -1
    number = text.lower().removesuffix("ib").removesuffix("b")
    factor = 1
    if number[-1:] and number[-1] in UNITS:
        factor = 1024 ** UNITS.index(number[-1])
        number = number[:-1]
    number = number.removesuffix(" ")
    if not number.replace(".", "", 1).isdigit():
        raise RuntimeFailure(f"invalid value for {name}: invalid size: '{text}'", INVALID)
    return int(float(number) * factor)


def usage(flags: tuple[Flag, ...]) -> str:
    """Return the lines of a help text about flags."""
    lines = []
    for flag in (*flags, HELP):
        name = f"--{flag.name}" + (f", -{flag.short}" if flag.short else "") + ("" if flag.kind == SWITCH else " VALUE")
        lines.append(f"  {name:32}{flag.help}")
    return "\n".join(lines)
