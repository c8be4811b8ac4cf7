"""The syntax of ports: `-p 127.0.0.1:8080-8081:80-81/tcp`, `--expose 53/udp`, and the key `80/tcp`. Used by both sides.

The rules are those of Docker's go-connections (ParsePortSpec); the long form `target=80,published=80` is the CLI's.
"""

from .errors import InvalidArgument

PROTOCOLS = ("tcp", "udp", "sctp")
_LAST_PORT = 65535


class PortMapping:
    """One port of a container and where it is published.

    An empty host port means any free one, a range (`8000-8010`) any free one of it. An empty address means all.
    """

    __slots__ = ("container_port", "host_ip", "host_port", "proto")

    def __init__(self, host_ip: str, host_port: str, container_port: int, proto: str) -> None:
        self.host_ip = host_ip
        self.host_port = host_port
        self.container_port = container_port
        self.proto = proto

    @property
    def key(self) -> str:
        """The key in the API's port maps: `80/tcp`."""
        return f"{self.container_port}/{self.proto}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PortMapping) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        return f"PortMapping{self._values()!r}"

    def _values(self) -> tuple[str, str, int, str]:
        return self.host_ip, self.host_port, self.container_port, self.proto


def parse_publish(text: str) -> list[PortMapping]:
    """Return the mappings of a `--publish` value, short or long form; InvalidArgument with Docker's words."""
    spec = _short_form(text) if "=" in text else text
    head, _, inner = spec.rpartition(":")
    address, _, host = head.rpartition(":")
    port, proto = _split_proto(inner)
    if not port:
        raise InvalidArgument(f"no port specified: {spec}<empty>")
    check_proto(proto)
    host_ip = _address(address)
    start, end = _range(port, f"invalid containerPort: {port}")
    if not host:
        return [PortMapping(host_ip, "", port, proto) for port in range(start, end + 1)]
    host_start, host_end = _range(host, f"invalid hostPort: {host}")
    if start == end:
        host = str(host_start) if host_start == host_end else f"{host_start}-{host_end}"
        return [PortMapping(host_ip, host, start, proto)]
    if end - start != host_end - host_start:
        raise InvalidArgument(f"invalid ranges specified for container and host Ports: {port} and {host}")
    return [PortMapping(host_ip, str(host_start + step), start + step, proto) for step in range(end - start + 1)]


def parse_expose(text: str) -> list[str]:
    """Return the keys (`80/tcp`) of an `--expose` value, a port or a range of ports."""
    if ":" in text:
        raise InvalidArgument(f"invalid port format for --expose: {text}")
    port, proto = _split_proto(text)
    check_proto(proto)
    start, end = _range(port, f"invalid range format for --expose: {text}")
    return [f"{port}/{proto}" for port in range(start, end + 1)]


def parse_key(text: str) -> tuple[int, str]:
    """Return port and protocol of a key of the API's port maps: `80/tcp`, or `80` for tcp."""
    port, proto = _split_proto(text)
    if not _is_port(port):
        raise InvalidArgument(f'invalid port specification: "{text}"')
    check_proto(proto)
    return int(port), proto


def check_proto(proto: str) -> None:
    """Raise InvalidArgument for a protocol that has no ports."""
    if proto not in PROTOCOLS:
        raise InvalidArgument(f"invalid proto: {proto}")


def _short_form(text: str) -> str:
    """Return `published:target/protocol` of the long form; an unknown key is refused, where Docker passes over it."""
    fields = {"published": "", "target": "", "protocol": "tcp", "mode": ""}
    for field in text.split(","):
        key, equals, value = field.partition("=")
        if not equals or not key:
            raise InvalidArgument(f"invalid publish opts format (should be name=value but got '{field}')")
        if key not in fields:
            raise InvalidArgument(f"invalid publish opts format: unexpected key '{key}' in '{field}'")
        fields[key] = value
    return f"{fields['published']}:{fields['target']}/{fields['protocol']}"


def _split_proto(text: str) -> tuple[str, str]:
    port, _, proto = text.partition("/")
    return port, proto.lower() or "tcp"


def _address(text: str) -> str:
    """Return an address without its brackets; empty stays empty."""
    if not text:
        return ""
    import socket  # here: few commands name an address

    plain = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    for family in (socket.AF_INET6, socket.AF_INET):
        try:
            socket.inet_pton(family, plain)
        except (OSError, ValueError):
            continue
        return plain
    raise InvalidArgument(f"invalid IP address: {plain}")


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10 and int(text) <= _LAST_PORT


def _range(text: str, failure: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    if not _is_port(first) or (dash and not _is_port(last)):
        raise InvalidArgument(failure)
    start, end = int(first), int(last if dash else first)
    if end < start:
        raise InvalidArgument(failure)
    return start, end
