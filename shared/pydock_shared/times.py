"""Times: nanoseconds since the epoch inside, RFC 3339 on the wire, Docker's words for people. Used by daemon and client."""

import re
import time

from .errors import InvalidArgument
from .units import format_ago, parse_duration

SECOND = 1_000_000_000
NEVER = "0001-01-01T00:00:00Z"
_RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?(Z|z|[+-]\d\d:?\d\d)?")


def rfc3339(nanoseconds: int) -> str:
    """Return a time as RFC 3339 with nanoseconds, trailing zeros dropped as Go does: `2026-01-02T03:04:05.6Z`."""
    seconds, rest = divmod(nanoseconds, SECOND)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    fraction = f"{rest:09d}".rstrip("0")
    return f"{text}.{fraction}Z" if fraction else f"{text}Z"


def rfc3339_fixed(nanoseconds: int) -> str:
    """Return a time as RFC 3339 with all nine digits, as Docker stamps log lines."""
    seconds, rest = divmod(nanoseconds, SECOND)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:09d}Z"


def now_rfc3339nano() -> str:
    """Return the present as RFC 3339 with nanoseconds."""
    return rfc3339(time.time_ns())


def parse_rfc3339(text: str) -> int:
    """Return the nanoseconds of a time; without a zone it is UTC. InvalidArgument when it is none."""
    found = _RFC3339.fullmatch(text)
    if not found:
        raise InvalidArgument(f"invalid time: {text!r}")
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    try:
        seconds = _days(int(year), int(month), int(day)) * 86400
    except ValueError as error:
        raise InvalidArgument(f"invalid time: {text!r}") from error
    seconds += int(hour or 0) * 3600 + int(minute or 0) * 60 + int(second or 0)
    if zone and zone not in "Zz":
        offset = int(zone[1:3]) * 3600 + int(zone[-2:]) * 60
        seconds -= offset if zone[0] == "+" else -offset
    return seconds * SECOND + int((fraction or "").ljust(9, "0"))


def parse_moment(text: str, *, now: int | None = None) -> int:
    """Return the nanoseconds of Docker's `since` and `until`: unix seconds, RFC 3339, or a duration before now."""
    whole, _, fraction = text.partition(".")
    if whole.lstrip("-").isdigit() and (not fraction or fraction.isdigit()):
        return int(whole) * SECOND + int(fraction[:9].ljust(9, "0") or 0)
    try:
        return (time.time_ns() if now is None else now) - int(parse_duration(text) * SECOND)
    except InvalidArgument:
        return parse_rfc3339(text)


def ago(seconds: float) -> str:
    """Return a span of time in Docker's words."""
    return format_ago(seconds)


def _days(year: int, month: int, day: int) -> int:
    """Return the days from the epoch to a civil date; ValueError when there is no such date."""
    if not (1 <= month <= 12 and 1 <= day <= 31):
        raise ValueError("no such date")
    shifted = year - (month <= 2)
    era, of_era = divmod(shifted, 400)
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468
