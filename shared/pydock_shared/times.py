"""Times: nanoseconds since the epoch inside, RFC 3339 and unix seconds on the wire. Used by both sides."""

import re
import time

from .errors import InvalidArgument
from .units import parse_duration_ns

SECOND = 1_000_000_000
NEVER = "0001-01-01T00:00:00Z"
"""Go's zero time: what Docker answers for a moment that has not been."""
_DATE = r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
_TIME = r"[Tt ]([0-9]{2})(?::([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9})[0-9]*)?)?)?"
_RFC3339 = re.compile(rf"{_DATE}(?:{_TIME})?([Zz]|[+-][0-9]{{2}}:?[0-9]{{2}})?")
_UNIX = re.compile(r"(-?[0-9]{1,10})(?:\.([0-9]{1,9})[0-9]*)?")
_MONTH_LENGTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def rfc3339(nanoseconds: int) -> str:
    """Return a time as RFC 3339 with nanoseconds, trailing zeros dropped as Go does: `2026-01-02T03:04:05.6Z`."""
    seconds, rest = divmod(nanoseconds, SECOND)
    fraction = f"{rest:09d}".rstrip("0")
    return f"{_stamp(seconds)}.{fraction}Z" if fraction else f"{_stamp(seconds)}Z"


def rfc3339_fixed(nanoseconds: int) -> str:
    """Return a time as RFC 3339 with all nine digits, as Docker stamps log lines."""
    seconds, rest = divmod(nanoseconds, SECOND)
    return f"{_stamp(seconds)}.{rest:09d}Z"


def now_rfc3339nano() -> str:
    """Return the present as RFC 3339 with nanoseconds."""
    return rfc3339(time.time_ns())


def unix(nanoseconds: int) -> str:
    """Return a time as the API's `since` and `until` take it: `1136073600.000000001`."""
    seconds, rest = divmod(nanoseconds, SECOND)
    return f"{seconds}.{rest:09d}"


def parse_rfc3339(text: str) -> int:
    """Return the nanoseconds of a time; InvalidArgument when it is none.

    As in Docker a date alone is its midnight, and a time without a zone is one of this host's zone.
    """
    found = _RFC3339.fullmatch(text)
    if not found:
        raise InvalidArgument(f'failed to parse value as time or duration: "{text}"')
    *numbers, fraction, zone = found.groups()
    year, month, day, hour, minute, second = (int(number or 0) for number in numbers)
    if not _exists(year, month, day, hour, minute, second):
        raise InvalidArgument(f'failed to parse value as time or duration: "{text}": out of range')
    if zone is None:
        seconds = int(time.mktime((year, month, day, hour, minute, second, 0, 1, -1)))
    else:
        seconds = _days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second
    if zone and zone not in "Zz":
        offset = int(zone[1:3]) * 3600 + int(zone[-2:]) * 60
        seconds -= offset if zone[0] == "+" else -offset
    return seconds * SECOND + int((fraction or "").ljust(9, "0"))


def parse_moment(text: str, *, now: int | None = None) -> int:
    """Return the nanoseconds of Docker's `since` and `until`: unix seconds, RFC 3339, or a duration before now."""
    if found := _UNIX.fullmatch(text):
        seconds = int(found[1])
        fraction = int((found[2] or "").ljust(9, "0"))
        return seconds * SECOND + fraction
    try:
        before = parse_duration_ns(text)
    except InvalidArgument:
        return parse_rfc3339(text)
    return (time.time_ns() if now is None else now) - before


def _stamp(seconds: int) -> str:
    year, month, day, hour, minute, second, *_ = time.gmtime(seconds)
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}"


def _exists(year: int, month: int, day: int, hour: int, minute: int, second: int) -> bool:
    """Say whether there is such a moment. Second 60 is not one in Go, nor are leap seconds in unix time."""
    if not (1 <= month <= 12 and 1 <= day <= _MONTH_LENGTHS[month - 1]):
        return False
    if (month, day) == (2, 29) and (year % 4 != 0 or (year % 100 == 0 and year % 400 != 0)):
        return False
    return hour < 24 and minute < 60 and second < 60


def _days(year: int, month: int, day: int) -> int:
    """Return the days from the epoch to a civil date, by years that start in March: the leap day is their last."""
    shifted = year - (month <= 2)
    era, of_era = divmod(shifted, 400)
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468
