"""pydock from Python: `from pydock_client import Client`. For programs; the command line does not use it.

    with Client() as client:
        print(client.containers.run("busybox", ["echo", "hello"], remove=True))
        for container in client.containers.list(all=True):
            container.remove(force=True)

Objects are what the daemon said when they were made: `attributes` holds its JSON, and `reload()` asks again. What goes
wrong is one of the kinds in pydock_shared.errors.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydock_client.sdk.connection import Connection, Json, lines
from pydock_client.sdk.containers import Container, ContainerError, Containers
from pydock_client.sdk.images import Image, Images
from pydock_client.sdk.networks import Network, Networks, Volume, Volumes
from pydock_client.tls import Tls

__all__ = ["Client", "Container", "ContainerError", "Image", "Network", "Tls", "Volume"]


class Client:
    """A daemon, and the nouns it knows. Use as a context manager or close it.

    `tls` is for tcp hosts; without it DOCKER_TLS_VERIFY and DOCKER_CERT_PATH say what is meant, as for docker.
    """

    def __init__(self, host: str = "", *, timeout: float | None = None, tls: Tls | None = None) -> None:
        self.connection = Connection(host, timeout, tls)
        self.containers = Containers(self.connection)
        self.images = Images(self.connection)
        self.networks = Networks(self.connection)
        self.volumes = Volumes(self.connection)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self.connection.close()

    def version(self) -> Json:
        """Return what the daemon says about its version."""
        found: Json = self.connection.json("GET", "/version")
        return found

    def info(self) -> Json:
        """Return what the daemon says about itself and its host."""
        found: Json = self.connection.json("GET", "/info")
        return found

    def df(self, **query: Any) -> Json:
        """Return what images, containers and volumes take on the disk; `type` and `verbose` as in the API."""
        found: Json = self.connection.json("GET", "/system/df", query)
        return found

    def prune_build_cache(self, filters: Json | None = None, *, all: bool = False, **limits: int) -> Json:
        """Remove build cache that nobody uses; `reserved_space`, `max_used_space` and `min_free_space` are bytes."""
        query = {"all": all, "filters": filters} | {name.replace("_", "-"): size for name, size in limits.items()}
        found: Json = self.connection.json("POST", "/build/prune", query)
        return found

    def check(self, *, quick: bool = False, repair: bool = False) -> Json:
        """Return whether the daemon's store is whole, after setting right what is not with `repair`."""
        found: Json = self.connection.json("POST", "/system/check", {"quick": quick, "repair": repair})
        return found

    def upgrade(self) -> Json:
        """Let the daemon's supervisor go on with the installed program; return its process id and release."""
        found: Json = self.connection.json("POST", "/system/upgrade")
        return found

    def events(self, **query: Any) -> Iterator[Json]:
        """Yield events as they happen; `since`, `until` and `filters` as in the API."""
        return lines(self.connection.send("GET", "/events", query, stream=True))
