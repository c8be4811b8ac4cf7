"""The parameter `platform` of requests, as text or as JSON. Used by the handlers of images and containers."""

from pydock_daemon.images.model import Platform, parse_platform
from pydock_shared import jsontext
from pydock_shared.errors import InvalidArgument

from .routing import Call


def platform(call: Call, name: str = "platform") -> Platform | None:
    """Return the `platform` parameter, which at most one value is given to."""
    found = platforms(call, name)
    if len(found) > 1:
        raise InvalidArgument(f"{name}: only one platform is supported")
    return found[0] if found else None


def platforms(call: Call, name: str = "platform") -> list[Platform]:
    """Return the values of a parameter: `os/arch/variant`, or as newer endpoints have it the JSON of a platform."""
    return [_one_platform(text) for text in call.query.getall(name, []) if text]


def _one_platform(text: str) -> Platform:
    """Return a platform; InvalidArgument when it is none."""
    if not text.startswith("{"):
        return parse_platform(text)
    try:
        data = jsontext.parsed(text)
    except ValueError as error:
        raise InvalidArgument(f"invalid platform: {error}") from error
    values = [data.get(key) or "" for key in ("os", "architecture", "variant")]
    if not all(isinstance(value, str) for value in values) or not values[0] or not values[1]:
        raise InvalidArgument("invalid platform: both os and architecture are needed, as texts")
    return Platform(*values)
