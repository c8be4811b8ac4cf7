"""Sizes and durations as people write them: `64m`, `1m30s`, `4.26MB`, `2 minutes`. Used by daemon and client.

The rules are those of Docker's go-units (RAMInBytes, HumanSize, BytesSize, HumanDuration) and Go's time.ParseDuration.
"""

import re

from .errors import InvalidArgument

_SIZE = re.compile(r"\+?((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?) ?([^0-9. ]*)")
_SUFFIX = re.compile(r"b?|([kmgtp])(?:b|ib)?", re.IGNORECASE | re.ASCII)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_LARGEST = 2**63 - 1
_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")

_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^0-9.]*)")
_NANOSECONDS = {
    "ns": 1,
    "us": 1000,
    "µs": 1000,
    "μs": 1000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}


def parse_size(text: str, *, base: int = 1024) -> int:
    """Return the bytes of a size; the suffixes are binary and of either case: `64m` is 64 * 1024 * 1024.

    With 1000 as their base they are decimal, as go-units' FromHumanSize reads them.
    """
    found = _SIZE.fullmatch(text)
    if not found:
        raise InvalidArgument(f"invalid size: '{text}'")
    suffix = _SUFFIX.fullmatch(found[2])
    if not suffix:
        raise InvalidArgument(f"invalid suffix: '{found[2].lower()}'")
    size = float(found[1]) * base ** _POWERS[(suffix[1] or "").lower()]
    if size > _LARGEST:
        raise InvalidArgument(f"invalid size: '{text}' is too large")
    return int(size)


def parse_swap(text: str) -> int:
    """Return the bytes of a swap limit: a size, or -1 for no limit."""
    return -1 if text == "-1" else parse_size(text)


def format_size(size: float, *, precision: int = 3) -> str:
    """Return a size in decimal units of at most so many significant digits: `4.26MB`, and as Docker `1e+03kB`."""
    return _format(size, 1000.0, _DECIMAL, precision)


def format_size_binary(size: float, *, precision: int = 4) -> str:
    """Return a size in binary units with at most so many significant digits: `7.6MiB`."""
    return _format(size, 1024.0, _BINARY, precision)


def _format(size: float, base: float, units: tuple[str, ...], precision: int) -> str:
    value, step = float(size), 0
    while value >= base and step < len(units) - 1:
        value /= base
        step += 1
    return f"{value:.{precision}g}{units[step]}"


def parse_duration_ns(text: str) -> int:
    """Return the nanoseconds of a duration such as `1m30s` or `-1.5h`; InvalidArgument with Go's words otherwise."""
    plain = text[1:] if text[:1] in ("+", "-") else text
    if plain == "0":
        return 0
    if not plain:
        raise InvalidArgument(f'time: invalid duration "{text}"')
    total = at = 0
    while at < len(plain):
        part = _PART.match(plain, at)
        whole, fraction, unit = part.groups() if part else ("", None, "")
        if not part or not (whole or fraction) or len(whole) > 19:
            raise InvalidArgument(f'time: invalid duration "{text}"')
        if not unit:
            raise InvalidArgument(f'time: missing unit in duration "{text}"')
        if unit not in _NANOSECONDS:
            raise InvalidArgument(f'time: unknown unit "{unit}" in duration "{text}"')
        digits = (fraction or "")[:18]
        total += int(whole or 0) * _NANOSECONDS[unit] + int(digits or 0) * _NANOSECONDS[unit] // 10 ** len(digits)
        at = part.end()
    if total > _LARGEST:
        raise InvalidArgument(f'time: invalid duration "{text}"')
    return -total if text[0] == "-" else total


def parse_duration(text: str) -> float:
    """Return the seconds of a duration; see `parse_duration_ns`."""
    return parse_duration_ns(text) / 1_000_000_000


def format_duration(nanoseconds: int) -> str:
    """Return a duration of not less than nothing as Go prints it: `1m30s`, `1.5s`, `500ms`, `0s`."""
    if nanoseconds < 1_000_000_000:
        for unit in ("ms", "µs", "ns"):
            if nanoseconds >= _NANOSECONDS[unit]:
                return f"{_decimal(nanoseconds, _NANOSECONDS[unit])}{unit}"
        return "0s"
    minutes, rest = divmod(nanoseconds, 60 * 1_000_000_000)
    text = f"{_decimal(rest, 1_000_000_000)}s"
    if minutes:
        text = f"{minutes % 60}m{text}"
    return f"{minutes // 60}h{text}" if minutes >= 60 else text


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    return f"{whole}.{str(unit + rest)[1:]}".rstrip("0").rstrip(".") if rest else str(whole)


def format_ago(seconds: float) -> str:
    """Return a span of time in Docker's words: `Less than a second`, `About a minute`, `3 weeks`."""
    whole, minutes, hours = int(seconds), int(seconds / 60), int(seconds / 3600 + 0.5)
    # Whether it is that short, and its words; the first row that holds is taken.
    rows = (
        (whole < 1, "Less than a second"),
        (whole == 1, "1 second"),
        (whole < 60, f"{whole} seconds"),
        (minutes == 1, "About a minute"),
        (minutes < 60, f"{minutes} minutes"),
        (hours == 1, "About an hour"),
        (hours < 48, f"{hours} hours"),
        (hours < 24 * 7 * 2, f"{hours // 24} days"),
        (hours < 24 * 30 * 2, f"{hours // 24 // 7} weeks"),
        (hours < 24 * 365 * 2, f"{hours // 24 // 30} months"),
    )
    return next((words for holds, words in rows if holds), f"{int(seconds / 3600) // 24 // 365} years")
