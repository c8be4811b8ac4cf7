"""Sizes and durations as people write them: `64m`, `1m30s`, `4.26MB`, `2 minutes`. Used by daemon and client.

Rules are those of Docker's go-units and Go's time.ParseDuration.
"""

import re

from .errors import InvalidArgument

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s?([kmgtp]?)(i?b?)", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_DURATION = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")


def parse_size(text: str) -> int:
    """Return the bytes of a size with an optional binary suffix (`64m` is 64 * 1024 * 1024); `-1` stays -1."""
    if text == "-1":
        return -1
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise InvalidArgument(f"invalid size: '{text}'")
    return int(float(found[1]) * 1024 ** _POWERS[found[2].lower()])


def format_size(size: float, *, precision: int = 3) -> str:
    """Return a size in decimal units with as many significant digits: `4.26MB`."""
    return _format(size, 1000.0, _DECIMAL, precision)


def format_size_binary(size: float, *, precision: int = 4) -> str:
    """Return a size in binary units with as many significant digits: `7.6MiB`."""
    return _format(size, 1024.0, _BINARY, precision)


def _format(size: float, base: float, units: tuple[str, ...], precision: int) -> str:
    step = 0
    value = float(size)
    while value >= base and step < len(units) - 1:
        value /= base
        step += 1
    return f"{value:.{precision}g}{units[step]}" if value < 10**precision else f"{value:.0f}{units[step]}"


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as `1m30s` or `-1.5h`; InvalidArgument when it is none."""
    sign = -1.0 if text.startswith("-") else 1.0
    plain = text.lstrip("+-") if text[:1] in "+-" and text else text
    if plain == "0":
        return 0.0
    end = 0
    seconds = 0.0
    for part in _DURATION.finditer(plain):
        if part.start() != end:
            break
        end = part.end()
        seconds += float(part[1]) * _SECONDS[part[2]]
    if not plain or end != len(plain):
        raise InvalidArgument(f'time: invalid duration "{text}"')
    return sign * seconds


# Upper bound in seconds, divisor, word
_AGES: tuple[tuple[float, float, str], ...] = (
    (60, 1, "seconds"),
    (120, 0, "About a minute"),
    (3600, 60, "minutes"),
    (7200, 0, "About an hour"),
    (48 * 3600, 3600, "hours"),
    (14 * 86400, 86400, "days"),
    (60 * 86400, 7 * 86400, "weeks"),
    (730 * 86400, 30 * 86400, "months"),
    (float("inf"), 365 * 86400, "years"),
)


def format_ago(seconds: float) -> str:
    """Return a span of time in Docker's words: `Less than a second`, `About a minute`, `3 weeks`."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole == 1:
        return "1 second"
    for bound, divisor, word in _AGES:
        if whole < bound:
            return f"{int(whole // divisor)} {word}" if divisor else word
    return f"{whole} seconds"
