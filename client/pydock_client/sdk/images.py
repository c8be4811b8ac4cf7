"""Images of the SDK. Used by Client."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO

from pydock_client.sdk.connection import Connection, Json, Thing, lines
from pydock_shared import reference


class Image(Thing):
    """An image."""

    path = "/images/{}"

    @property
    def tags(self) -> list[str]:
        """The names it goes by."""
        return list(self.attributes.get("RepoTags") or ())

    def reload(self) -> None:
        """Ask the daemon again."""
        self.attributes = self.connection.json("GET", f"{self.url}/json")

    def tag(self, name: str) -> None:
        """Give it one more name."""
        parsed = reference.parse(name)
        self.connection.send("POST", f"{self.url}/tag", {"repo": parsed.name, "tag": parsed.tag})

    def pin(self) -> None:
        """Keep it from automatic collection."""
        self.connection.send("POST", f"{self.url}/pin")

    def unpin(self) -> None:
        """Leave it to automatic collection again."""
        self.connection.send("POST", f"{self.url}/unpin")

    def history(self) -> list[Json]:
        """Return its layers, the newest first."""
        return list(self.connection.json("GET", f"{self.url}/history"))

    def save(self) -> Iterator[bytes]:
        """Yield it as a tar archive."""
        return self.connection.send("GET", f"{self.url}/get", stream=True).iter_content(1 << 20)


class Images:
    """The images of a daemon."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, *, all: bool = False, filters: Json | None = None) -> list[Image]:
        """Return the images that are here."""
        found = self._connection.json("GET", "/images/json", {"all": all, "filters": filters})
        return [Image(self._connection, attributes) for attributes in found]

    def get(self, name: str) -> Image:
        """Return an image by its name or id; NotFound when there is none."""
        return Image(self._connection, self._connection.json("GET", f"/images/{name}/json"))

    def pull(self, name: str, *, platform: str = "") -> Image:
        """Fetch an image from its registry."""
        parsed = reference.parse(name)
        query = {"fromImage": parsed.name, "tag": parsed.digest or parsed.tag, "platform": platform}
        for _ in lines(self._connection.send("POST", "/images/create", query, stream=True)):
            continue
        return self.get(parsed.familiar())

    def push(self, name: str) -> None:
        """Send an image to its registry."""
        parsed = reference.parse(name)
        for _ in lines(self._connection.send("POST", f"/images/{parsed.name}/push", {"tag": parsed.tag}, stream=True)):
            continue

    def load(self, archive: bytes | BinaryIO) -> Sequence[str]:
        """Take in an archive that `save` made; returns the daemon's words on each image."""
        answer = self._connection.send("POST", "/images/load", {"quiet": True}, archive, stream=True)
        return [entry["stream"].strip() for entry in lines(answer) if entry.get("stream")]

    def remove(self, name: str, *, force: bool = False) -> Sequence[Json]:
        """Remove a name of an image, and the image with its last name; returns what went."""
        return list(self._connection.json("DELETE", f"/images/{name}", {"force": force}) or ())

    def prune(self, filters: Json | None = None) -> Json:
        """Remove images that nobody uses."""
        found: Json = self._connection.json("POST", "/images/prune", {"filters": filters})
        return found
