"""Options of the `local` volume driver: `type`, `device` and `o` of a mount, and `size`. Used by `service`, `mounts`.

The rules and the words are Docker's (moby, volume/local): nothing is looked at before the first use of the volume.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from pydock_shared.errors import InvalidArgument, PydockError
from pydock_shared.units import parse_size

KNOWN = ("type", "o", "device", "size")
NEEDS = {"device": ("type",), "type": ("device",), "o": ("device", "type")}
NETWORKED = ("nfs", "cifs")
"""File systems whose server the kernel wants by its address."""


def check(options: Mapping[str, str]) -> None:
    """Raise InvalidArgument for options that no volume can have."""
    for name, value in sorted(options.items()):
        if name not in KNOWN:
            raise InvalidArgument(f'invalid option: "{name}"')
        if "\0" in value:
            raise InvalidArgument(f"invalid value of option {name}: it has a null character")
    for name, others in NEEDS.items():
        missing = next((other for other in others if name in options and other not in options), None)
        if missing:
            raise InvalidArgument(f'missing required option: "{missing}"')
    if "size" in options and parse_size(options["size"]):
        # It takes project quotas of the file system below, which dockerd has on some as well.
        raise InvalidArgument("quota size requested but no quota support")


def mounted(options: Mapping[str, str]) -> bool:
    """Say whether something is mounted for a volume with these options."""
    return bool(options.get("device") or options.get("type"))


async def resolved(options: Mapping[str, str]) -> tuple[str, str]:
    """Return device and mount options, with the server of a network file system by its address."""
    device, words = options.get("device", ""), options.get("o", "")
    if not device:
        raise PydockError("missing device in volume options")
    kind = options.get("type")
    if kind not in NETWORKED:
        return device, words
    named = next((word.removeprefix("addr=") for word in words.split(",") if word.startswith("addr=")), "")
    if named:
        return device, words.replace(f"addr={named}", f"addr={await _address(named)}", 1)
    if kind == "cifs" and (host := _host(device)):
        return device.replace(host, await _address(host), 1), words
    return device, words


def _host(device: str) -> str:
    try:
        return urlsplit(device).hostname or ""
    except ValueError as error:
        raise PydockError(f"error parsing mount device url: {error}") from error


async def _address(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise PydockError(f"error resolving passed in network volume address: lookup {host}: no such host") from error
    return str(found[0][4][0])


def without_secrets(text: str, words: str) -> str:
    """Return a text that may be shown: a password among the mount options is not for logs."""
    for word in words.split(","):
        if word.startswith("password="):
            text = text.replace(word, "password=********")
    return text
