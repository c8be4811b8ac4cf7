"""Addresses and names that a container's resolv.conf and hosts file get: `--dns`, `--add-host`. Used by `create`."""

import ipaddress
import json

from pydock_daemon.networks.hosts import GATEWAY
from pydock_shared.errors import InvalidArgument
from pydock_shared.wire.container import HostConfig


def check(host: HostConfig) -> None:
    """Raise InvalidArgument, in Docker's words, for what is no address. dockerd says so of name servers at start."""
    for text in host.dns or ():
        if not _is_address(text):
            raise InvalidArgument(f"bad nameserver address {text}: unable to parse IP")
    for entry in host.extra_hosts or ():
        name, _, address = entry.partition(":")
        if not name or not address:
            raise InvalidArgument(f"bad format for add-host: {json.dumps(entry)}")
        if address != GATEWAY and not _is_address(address):
            raise InvalidArgument(f"invalid IP address in add-host: {json.dumps(address)}")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
