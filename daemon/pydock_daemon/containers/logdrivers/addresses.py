"""Where a log driver sends to: `tcp://host:port`, `unix:///path` and what else each driver takes. Used by options and
shipping.
"""

import os
import re
from dataclasses import dataclass

from pydock_shared.errors import InvalidArgument

SYSLOG_PORT, FLUENTD_PORT = 514, 24224
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)


@dataclass(frozen=True)
class Address:
    """A scheme with either a host and a port or the path of a socket."""

    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        return self.path or (f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}")


LOCAL = Address("")
"""The syslog of this host."""


def syslog(text: str) -> Address:
    """Return the address of `syslog-address`; InvalidArgument in Docker's words."""
    if not text:
        return LOCAL
    scheme, rest = _split(text)
    if scheme in ("unix", "unixgram"):
        if not os.path.exists(rest):
            raise InvalidArgument(f"stat {rest}: no such file or directory")
        return Address(scheme, path=rest)
    if scheme not in ("udp", "tcp", "tcp+tls"):
        raise InvalidArgument(f"unsupported scheme: '{scheme}'")
    host, port = _host_port(rest, text)
    return Address(scheme, host, SYSLOG_PORT if port is None else port)


def gelf(text: str) -> Address:
    """Return the address of `gelf-address`; InvalidArgument in Docker's words."""
    if not text:
        raise InvalidArgument("gelf-address is a required parameter")
    scheme, rest = _split(text)
    if not scheme and ":" in text.partition("/")[0]:
        raise InvalidArgument(f'parse "{text}": first path segment in URL cannot contain colon')
    if scheme not in ("udp", "tcp"):
        raise InvalidArgument("gelf: endpoint needs to be TCP or UDP")
    host, port = _host_port(rest.partition("/")[0], text)
    if port is None:
        raise InvalidArgument("gelf: please provide gelf-address as proto://host:port")
    return Address(scheme, host, port)


def fluentd(text: str) -> Address:
    """Return the address of `fluentd-address`; InvalidArgument in Docker's words."""
    if not text:
        return Address("tcp", "127.0.0.1", FLUENTD_PORT)
    scheme, rest = _split(text) if "://" in text else ("tcp", text)
    if scheme == "unix":
        if not rest.startswith("/"):  # what stands there is a host to Go's parser of addresses
            raise InvalidArgument(f"invalid fluentd-address ({text}): path is empty")
        return Address(scheme, path=rest)
    if scheme not in ("tcp", "tls"):
        raise InvalidArgument(f"invalid fluentd-address ({text}): unsupported scheme: '{scheme}'")
    if rest.partition("/")[1]:
        raise InvalidArgument(f"invalid fluentd-address ({text}): should not contain a path element")
    try:
        host, port = _host_port(rest, text)
    except InvalidArgument as error:
        raise InvalidArgument(f"invalid fluentd-address ({text}): {error.message}") from error
    return Address(scheme, host or "127.0.0.1", FLUENTD_PORT if port is None else port)


def _split(text: str) -> tuple[str, str]:
    found = _URL.fullmatch(text)
    return (found[1].lower(), found[2]) if found else ("", text)


def _host_port(rest: str, text: str) -> tuple[str, int | None]:
    if rest.startswith("[") and "]" not in rest:
        raise InvalidArgument(f"parse \"{text}\": missing ']' in host")
    found = re.fullmatch(r"(?:\[([^\]]*)\]|([^:\[\]/]*))(?::([^:/]*))?/?", rest)
    if not found:
        raise InvalidArgument(f"address {text}: too many colons in address")
    host, digits = found[1] or found[2] or "", found[3]
    if digits is None:
        return host, None
    if not digits.isdigit() or not digits.isascii():
        raise InvalidArgument(f'parse "{text}": invalid port ":{digits}" after host')
    if int(digits) > 65535:
        raise InvalidArgument(f'invalid port: strconv.ParseUint: parsing "{digits}": value out of range')
    return host, int(digits)
