"""Values of log options, as Go's strconv reads them and in its words. Used by options, settings and shipping."""

from pydock_shared.errors import InvalidArgument
from pydock_shared.units import parse_duration

TRUE, FALSE = ("1", "t", "T", "true", "TRUE", "True"), ("0", "f", "F", "false", "FALSE", "False")


def boolean(text: str) -> bool:
    """Return a truth value as strconv.ParseBool does."""
    if text in TRUE:
        return True
    if text in FALSE:
        return False
    raise InvalidArgument(f'strconv.ParseBool: parsing "{text}": invalid syntax')


def integer(text: str) -> int:
    """Return a number as strconv.Atoi does."""
    return _number(text, text[1:] if text[:1] in ("+", "-") else text, "Atoi")


def natural(text: str) -> int:
    """Return a number as strconv.ParseUint does."""
    return _number(text, text, "ParseUint")


def _number(text: str, digits: str, parser: str) -> int:
    if not digits.isdigit() or not digits.isascii():
        raise InvalidArgument(f'strconv.{parser}: parsing "{text}": invalid syntax')
    if len(digits) > 18:
        raise InvalidArgument(f'strconv.{parser}: parsing "{text}": value out of range')
    return int(text)


def duration(text: str) -> float:
    """Return the seconds of a duration as time.ParseDuration reads it."""
    return parse_duration(text)
