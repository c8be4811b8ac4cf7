"""How a container of these networks finds others: its resolv.conf, its hosts file, its name server. Used by containers.

What a container does not ask for itself, the daemon's settings say.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from . import dns, hosts, names
from .dnswire import Query
from .model import Endpoint
from .nameserver import Settings

if TYPE_CHECKING:
    from .service import Networks


def resolv_conf(
    networks: "Networks",
    mode: str,
    servers: Sequence[str],
    search: Sequence[str],
    options: Sequence[str],
    *,
    own: bool,
) -> str:
    """Return the text of a container's resolv.conf; with `own` it has a name server of ours."""
    config = networks.config
    return dns.resolv_conf(
        list(servers) or config.dns,
        list(search) or config.dns_search,
        list(options) or config.dns_options,
        host=dns.host_text(),
        keep_loopback=mode == "host",
        own=own,
    )


def settings(networks: "Networks", container_id: str, servers: Sequence[str], options: Sequence[str]) -> Settings:
    """Return what the name server of a container answers from, as what it is asked comes in."""

    def find(query: Query, datagram: bool) -> bytes | None:
        return names.answer(networks.directory, networks.of_container(container_id), query, datagram=datagram)

    return Settings(
        find=find,
        forwards=lambda: any(endpoint.gateway for endpoint in networks.of_container(container_id)),
        own_servers=list(servers) or networks.config.dns,
        host_servers=dns.host_servers,
        ndots=dns.ndots(list(options) or networks.config.dns_options, dns.host_text()),
    )


def hosts_file(
    networks: "Networks",
    hostname: str,
    domain: str,
    extra: Sequence[str],
    linked: Sequence[str],
    endpoints: Sequence[Endpoint],
    mode: str,
) -> str:
    """Return the text of a container's hosts file; the host's own in mode host. InvalidArgument for a bad entry.

    `linked` are lines for what it is linked to.
    """
    added = hosts.extra_lines(extra, networks.by_name["bridge"].gateway)
    if mode == "host":
        return hosts.HOST_FILE.read_text() + hosts.text(added)
    own = hosts.own_lines([ip for endpoint in endpoints for ip in endpoint.ips], hostname, domain)
    return hosts.text([*hosts.FIXED, *added, *linked, *own])


def hosts_of_build(networks: "Networks", hostname: str, extra: Sequence[str]) -> str:
    """Return the text of the hosts file of a step of a build, which is BuildKit's: no address makes it another."""
    added = hosts.extra_lines(extra, networks.by_name["bridge"].gateway)
    return hosts.text([f"{hosts.FIXED[0]} {hostname}", hosts.FIXED[1], *added])
