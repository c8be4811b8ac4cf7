"""Networks and volumes of the SDK. Used by Client."""

from __future__ import annotations

from typing import Any

from pydock_client.sdk.connection import Connection, Json, Thing
from pydock_client.sdk.containers import Container


class Network(Thing):
    """A network."""

    path = "/networks/{}"

    def connect(self, container: str | Container, **endpoint: Any) -> None:
        """Connect a container; options are fields of the API's EndpointSettings."""
        name = container.id if isinstance(container, Container) else container
        self.connection.send("POST", f"{self.url}/connect", None, {"Container": name, "EndpointConfig": endpoint})

    def disconnect(self, container: str | Container, *, force: bool = False) -> None:
        """Disconnect a container."""
        name = container.id if isinstance(container, Container) else container
        self.connection.send("POST", f"{self.url}/disconnect", None, {"Container": name, "Force": force})

    def remove(self) -> None:
        """Remove it."""
        self.connection.send("DELETE", self.url)


class Networks:
    """The networks of a daemon."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, filters: Json | None = None) -> list[Network]:
        """Return the networks."""
        return [
            Network(self._connection, entry)
            for entry in self._connection.json("GET", "/networks", {"filters": filters})
        ]

    def get(self, name: str) -> Network:
        """Return a network by its name or id; NotFound when there is none."""
        return Network(self._connection, self._connection.json("GET", f"/networks/{name}"))

    def create(self, name: str, **options: Any) -> Network:
        """Create a network; options are fields of the API's body."""
        return self.get(self._connection.json("POST", "/networks/create", None, {"Name": name, **options})["Id"])

    def prune(self, filters: Json | None = None) -> Json:
        """Remove the networks nobody is in; the answer names them."""
        found: Json = self._connection.json("POST", "/networks/prune", {"filters": filters})
        return found


class Volume(Thing):
    """A volume."""

    path = "/volumes/{}"

    @property
    def id(self) -> str:
        """A volume is known by its name."""
        return str(self.attributes["Name"])

    def remove(self, *, force: bool = False) -> None:
        """Remove it."""
        self.connection.send("DELETE", self.url, {"force": force})


class Volumes:
    """The volumes of a daemon."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, filters: Json | None = None) -> list[Volume]:
        """Return the volumes."""
        found = self._connection.json("GET", "/volumes", {"filters": filters})
        return [Volume(self._connection, entry) for entry in found["Volumes"] or ()]

    def get(self, name: str) -> Volume:
        """Return a volume; NotFound when there is none."""
        return Volume(self._connection, self._connection.json("GET", f"/volumes/{name}"))

    def create(self, name: str = "", **options: Any) -> Volume:
        """Create a volume; options are fields of the API's body."""
        return Volume(
            self._connection, self._connection.json("POST", "/volumes/create", None, {"Name": name, **options})
        )
