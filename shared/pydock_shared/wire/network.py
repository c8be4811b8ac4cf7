"""Bodies of the network endpoints. Used by the daemon."""

from . import Bool, Table, Wire
from .container import EndpointSettings


class IPAMConfig(Wire):
    """One subnet of a network."""

    subnet: str | None = None
    ip_range: str | None = None
    gateway: str | None = None
    auxiliary_addresses: Table | None = None


class IPAM(Wire):
    """How addresses of a network are given out."""

    driver: str | None = None
    config: list[IPAMConfig] | None = None
    options: Table | None = None


class ConfigFrom(Wire):
    """The network whose configuration is taken."""

    network: str | None = None


class NetworkCreate(Wire):
    """The body of `POST /networks/create`."""

    name: str | None = None
    check_duplicate: Bool | None = None
    driver: str | None = None
    scope: str | None = None
    internal: Bool | None = None
    attachable: Bool | None = None
    ingress: Bool | None = None
    config_only: Bool | None = None
    config_from: ConfigFrom | None = None
    ipam: IPAM | None = None
    enable_ipv4: Bool | None = None
    enable_ipv6: Bool | None = None
    options: Table | None = None
    labels: Table | None = None


class NetworkConnect(Wire):
    """The body of `POST /networks/{id}/connect`."""

    container: str | None = None
    endpoint_config: EndpointSettings | None = None


class NetworkDisconnect(Wire):
    """The body of `POST /networks/{id}/disconnect`."""

    container: str | None = None
    force: Bool | None = None
