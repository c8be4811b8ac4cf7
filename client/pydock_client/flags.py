"""Flags as tables, and the reading of a command line by them. Used by main.py, and by app.py for help and completion.

The rules and the words of errors are those of the docker command line (Go's pflag): `-it`, `-p80:80`, `-p=80:80`,
`--rm=false`, `--` ends flags, and commands that run a program stop at the first word that is no flag.
"""

from __future__ import annotations

from pydock_shared import units
from pydock_shared.errors import InvalidArgument
from pydock_shared.mounts import split_csv

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


class UsageError(Exception):
    """The command line itself is wrong; `code` is the exit code, `see` the word docker puts before the hint."""

    def __init__(self, message: str, *, code: int = 125, see: str = "Run") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.see = see


class HelpWanted(Exception):
    """`--help` was given."""


class Kind:
    """What a flag takes: how its text is read, the word for it in the help, and what it is when it is not given.

    Without a `zero` the flag may be repeated: its value is a list, and `read` returns the entries of one text.
    """

    __slots__ = ("many", "read", "word", "zero")

    def __init__(self, read: Callable[[str], Any], word: str, *, zero: Any = None) -> None:
        self.read = read
        self.word = word
        self.zero = zero
        self.many = zero is None


def many(read: Callable[[str], Any], word: str) -> Kind:
    """Return the kind of a flag that may be repeated, with one entry for each text."""
    return Kind(lambda text: [read(text)], word)


class Flag:
    """One row: `Flag("-m --memory", BYTES, "Memory limit")`; `default` is what the option is when it is not given."""

    __slots__ = ("default", "help", "hidden", "kind", "long", "short", "unsupported")

    def __init__(
        self, names: str, kind: Kind, text: str, default: Any = None, *, unsupported: bool = False, hidden: bool = False
    ) -> None:
        *short, long = names.split()
        self.short = short[0][1:] if short else ""
        self.long = long[2:]
        self.kind = kind
        self.help = text
        self.default = default
        self.unsupported = unsupported
        self.hidden = hidden

    @property
    def shown(self) -> str:
        """The name as errors show it: `-m, --memory`."""
        return f"-{self.short}, --{self.long}" if self.short else f"--{self.long}"

    @property
    def value(self) -> Any:
        """What the option is when it is not given."""
        if self.default is not None:
            return self.default
        return [] if self.kind.many else self.kind.zero


class Options(dict[str, "Any"]):
    """The options of one call by their long names; `given` holds those that stood on the command line."""

    __slots__ = ("given",)

    def __init__(self, flags: Iterable[Flag]) -> None:
        super().__init__((flag.long, flag.value) for flag in flags)
        self.given: set[str] = set()


def parse(flags: Sequence[Flag], words: Sequence[str], *, interspersed: bool = True) -> tuple[Options, list[str]]:
    """Return options and arguments of a command line; UsageError when it is wrong, HelpWanted when it asks for help."""
    options = Options(flags)
    longs = {flag.long: flag for flag in flags}
    shorts = {flag.short: flag for flag in flags if flag.short}
    arguments: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            arguments += rest
            break
        if word.startswith("--"):
            _long(longs, word, rest, options)
        elif word.startswith("-") and word != "-":
            _short(shorts, word, rest, options)
        else:
            arguments.append(word)
            if not interspersed:
                arguments += rest
                break
    return options, arguments


def _long(longs: dict[str, Flag], word: str, rest: list[str], options: Options) -> None:
    name, equals, text = word[2:].partition("=")
    if not name or name.startswith("-"):
        raise UsageError(f"bad flag syntax: {word}")
    flag = longs.get(name)
    if name == "help":
        raise HelpWanted
    if flag is None:
        raise UsageError(f"unknown flag: --{name}")
    if not equals:
        if flag.kind is BOOL:
            text = "true"
        elif rest:
            text = rest.pop(0)
        else:
            raise UsageError(f"flag needs an argument: --{name}")
    _set(flag, text, options)


def _short(shorts: dict[str, Flag], word: str, rest: list[str], options: Options) -> None:
    letters = word[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        flag = shorts.get(letter)
        if flag is None:
            if letter == "h":
                print("Flag shorthand -h has been deprecated, use --help")
                raise HelpWanted
            raise UsageError(f"unknown shorthand flag: {letter!r} in {word}")
        if letters.startswith("="):
            text, letters = letters[1:], ""
        elif flag.kind is BOOL:
            text = "true"
        elif letters:
            text, letters = letters, ""
        elif rest:
            text = rest.pop(0)
        else:
            raise UsageError(f"flag needs an argument: {letter!r} in {word}")
        _set(flag, text, options)


def _set(flag: Flag, text: str, options: Options) -> None:
    kind = flag.kind
    if flag.unsupported:
        raise UsageError(f"--{flag.long} is not supported")
    try:
        value = kind.read(text)
    except (ValueError, InvalidArgument) as error:
        raise UsageError(f'invalid argument "{text}" for "{flag.shown}" flag: {error}') from error
    if not kind.many:
        options[flag.long] = value
    elif flag.long in options.given:
        options[flag.long].extend(value)
    else:
        options[flag.long] = list(value)
    options.given.add(flag.long)


def _boolean(text: str) -> bool:
    if text not in _BOOLEANS:
        raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')
    return _BOOLEANS[text]


def _integer(name: str, low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        try:
            number = int(text, 0) if text.strip() == text else int("x")
        except ValueError:
            raise ValueError(f'strconv.{name}: parsing "{text}": invalid syntax') from None
        if not low <= number <= high:
            word = "invalid syntax" if number < 0 <= low else "value out of range"
            raise ValueError(f'strconv.{name}: parsing "{text}": {word}')
        return number

    return read


def _nano_cpus(text: str) -> int:
    """CPUs as billionths, by the rules of Go's big.Rat: `1.5`, `3/4`."""
    from fractions import Fraction

    try:
        nano = Fraction(text) * 1_000_000_000
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"failed to parse {text} as a rational number") from None
    if nano.denominator != 1:
        raise ValueError("value is too precise")
    return int(nano)


def _itself(text: str) -> str:
    return text


def _pairs(text: str) -> list[str]:
    for pair in (pairs := split_csv(text)):
        if "=" not in pair:
            raise ValueError(f"{pair} must be formatted as key=value")
    return pairs


def _filter(text: str) -> list[str]:
    if text and "=" not in text:
        raise ValueError("bad format of filter (expected name=value)")
    return [text] if text else []


def _addresses(text: str) -> list[str]:
    return [_address(part.strip()) for part in split_csv(text)]


def _address(text: str) -> str:
    from ipaddress import ip_address

    try:
        return str(ip_address(text))
    except ValueError:
        raise ValueError(f'failed to parse IP: "{text}"') from None


STRING = Kind(str, "string", zero="")
BOOL = Kind(_boolean, "", zero=False)
INT = Kind(_integer("ParseInt", -(2**63), 2**63 - 1), "int", zero=0)
UINT16 = Kind(_integer("ParseUint", 0, 2**16 - 1), "uint16", zero=0)
UINT64 = Kind(_integer("ParseUint", 0, 2**64 - 1), "uint", zero=0)
BYTES = Kind(units.parse_size, "bytes", zero=0)
SWAP = Kind(units.parse_swap, "bytes", zero=0)
DURATION = Kind(units.parse_duration_ns, "duration", zero=0)
CPUS = Kind(_nano_cpus, "decimal", zero=0)
LIST = many(_itself, "list")
STRINGS = Kind(split_csv, "strings")
MAP = many(_itself, "map")
PAIRS = Kind(_pairs, "stringToString")
FILTER = Kind(_filter, "filter")
ADDRESSES = Kind(_addresses, "ipSlice")
