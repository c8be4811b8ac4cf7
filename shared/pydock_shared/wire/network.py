"""Bodies of the network endpoints. Used by the daemon."""

from typing import Any

from . import Wire
from .container import EndpointSettings


class IPAMConfig(Wire):
    """One subnet of a network."""

    subnet: str | None = None
    ip_range: str | None = None
    gateway: str | None = None
    auxiliary_addresses: dict[str, str] | None = None


class IPAM(Wire):
    """How addresses of a network are given out."""

    driver: str | None = None
    config: list[IPAMConfig] | None = None
    options: dict[str, str] | None = None


class NetworkCreate(Wire):
    """The body of `POST /networks/create`."""

    name: str | None = None
    check_duplicate: bool | None = None
    driver: str | None = None
    scope: str | None = None
    internal: bool | None = None
    attachable: bool | None = None
    ingress: bool | None = None
    config_only: bool | None = None
    config_from: dict[str, Any] | None = None
    ipam: IPAM | None = None
    enable_ipv4: bool | None = None
    enable_ipv6: bool | None = None
    options: dict[str, str] | None = None
    labels: dict[str, str] | None = None


class NetworkConnect(Wire):
    """The body of `POST /networks/{id}/connect`."""

    container: str | None = None
    endpoint_config: EndpointSettings | None = None


class NetworkDisconnect(Wire):
    """The body of `POST /networks/{id}/disconnect`."""

    container: str | None = None
    force: bool | None = None
