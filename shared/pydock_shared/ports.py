"""The syntax of published and exposed ports: `-p 127.0.0.1:8080-8081:80-81/tcp`, `--expose 53/udp`. Used by the client."""

import ipaddress

from .errors import InvalidArgument

PROTOCOLS = ("tcp", "udp", "sctp")


class PortMapping:
    """One port of a container and where it is published; an empty host port means any free one."""

    __slots__ = ("container_port", "host_ip", "host_port", "proto")

    def __init__(self, host_ip: str, host_port: str, container_port: int, proto: str) -> None:
        self.host_ip = host_ip
        self.host_port = host_port
        self.container_port = container_port
        self.proto = proto

    @property
    def key(self) -> str:
        """Return the key of the API's port maps: `80/tcp`."""
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
    """Return the mappings of a `--publish` value; InvalidArgument with Docker's words."""
    body, proto = _split_proto(text)
    host_ip, host, inner = _split(body)
    if not inner:
        raise InvalidArgument(f"no port specified: {text}<empty>")
    start, end = _range(inner, "containerPort")
    if not host:
        return [PortMapping(host_ip, "", port, proto) for port in range(start, end + 1)]
    host_start, host_end = _range(host, "hostPort")
    if end - start != host_end - host_start:
        if start != end:
            raise InvalidArgument(f"invalid ranges specified for container and host Ports: {inner} and {host}")
        return [PortMapping(host_ip, host, start, proto)]
    return [PortMapping(host_ip, str(host_start + step), start + step, proto) for step in range(end - start + 1)]


def parse_expose(text: str) -> list[str]:
    """Return the keys (`80/tcp`) of an `--expose` value, a port or a range of ports."""
    body, proto = _split_proto(text)
    if ":" in body:
        raise InvalidArgument(f"invalid port format for --expose: {text}")
    start, end = _range(body, "port")
    return [f"{port}/{proto}" for port in range(start, end + 1)]


def _split_proto(text: str) -> tuple[str, str]:
    body, slash, proto = text.partition("/")
    proto = proto.lower() if slash else "tcp"
    if proto not in PROTOCOLS:
        raise InvalidArgument(f"invalid proto: {proto}")
    return body, proto


def _split(body: str) -> tuple[str, str, str]:
    """Split `[ip:][host:]container`, where an IPv6 address stands in brackets."""
    if body.startswith("["):
        address, bracket, rest = body[1:].partition("]:")
        if not bracket:
            raise InvalidArgument(f"invalid IP address: {body}")
        host, _, inner = rest.rpartition(":")
        return _address(address), host, inner
    parts = body.rsplit(":", 2)
    if len(parts) == 1:
        return "", "", parts[0]
    if len(parts) == 2:
        return "", parts[0], parts[1]
    return _address(parts[0]), parts[1], parts[2]


def _address(text: str) -> str:
    if not text:
        return ""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        raise InvalidArgument(f"invalid IP address: {text}") from error


def _range(text: str, what: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    try:
        start, end = int(first), int(last) if dash else int(first)
    except ValueError as error:
        raise InvalidArgument(f"invalid {what}: {text}") from error
    if not (0 <= start <= end <= 65535):
        raise InvalidArgument(f"invalid {what}: {text}")
    return start, end
