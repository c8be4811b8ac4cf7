"""Images of the SDK. Used by Client."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

from pydock_client import buildcontext
from pydock_client.sdk.connection import Connection, Json, Thing, lines
from pydock_client.tarballs import pack_context
from pydock_shared import ignore, reference


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

    def manifests(self) -> list[Json]:
        """Return its platforms and what attests them: the daemon's ImageManifestSummary of each."""
        return list(self.connection.json("GET", f"{self.url}/json", {"manifests": True})["Manifests"])

    def save(self) -> Iterator[bytes]:
        """Yield it as a tar archive; by its id, so of one platform and without a name."""
        return self.connection.send("GET", f"{self.url}/get", stream=True).iter_content(1 << 20)


class Images:
    """The images of a daemon."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, *, all: bool = False, filters: Json | None = None) -> list[Image]:
        """Return the images that are here."""
        found = self._connection.json("GET", "/images/json", {"all": all, "filters": filters})
        return [Image(self._connection, attributes) for attributes in found]

    def get(self, name: str, *, platform: str = "") -> Image:
        """Return an image by its name or id; NotFound when there is none, or none for the platform."""
        return Image(self._connection, self._connection.json("GET", f"/images/{name}/json", {"platform": platform}))

    def pull(self, name: str, *, platform: str = "") -> Image:
        """Fetch an image from its registry."""
        parsed = reference.parse(name)
        query = {"fromImage": parsed.name, "tag": parsed.digest or parsed.tag, "platform": platform}
        for _ in lines(self._connection.send("POST", "/images/create", query, stream=True)):
            continue
        return self.get(parsed.familiar(), platform=platform)

    def build(
        self,
        folder: str,
        *,
        tags: Sequence[str] = (),
        dockerfile: str = "Dockerfile",
        arguments: Json | None = None,
        say: Callable[[str], object] = lambda text: None,
        **query: Any,
    ) -> Image:
        """Build an image of a folder, without what its .dockerignore names; `say` is given the output as it comes.

        `query` are further parameters of `POST /build`: `target`, `nocache`, `platform`. PydockError: a step failed.
        """
        kept = (dockerfile, f"{dockerfile}{ignore.FILE}", ignore.FILE)
        body = pack_context(folder, buildcontext.ignored(folder, dockerfile), kept, {})
        query |= {"t": list(tags), "dockerfile": dockerfile, "buildargs": json.dumps(arguments or {})}
        identity = ""
        for entry in lines(self._connection.send("POST", "/build", query, body, stream=True)):
            say(entry.get("stream", ""))
            identity = (entry.get("aux") or {}).get("ID", identity)
        return self.get(identity)

    def push(self, name: str, *, platform: str = "") -> str:
        """Send an image to its registry and return the digest it has there.

        All platforms go if all are here, else that of the daemon's host, or the one asked for.
        """
        parsed, digest = reference.parse(name), ""
        query = {"tag": parsed.tag, "platform": platform}
        for entry in lines(self._connection.send("POST", f"/images/{parsed.name}/push", query, stream=True)):
            digest = (entry.get("aux") or {}).get("Digest", digest)
        return digest

    def load(self, archive: bytes | BinaryIO, *, platforms: Sequence[str] = ()) -> Sequence[str]:
        """Take in an archive that `save` made, or only these platforms; returns the daemon's words on each image."""
        query = {"quiet": True, "platform": list(platforms)}
        answer = self._connection.send("POST", "/images/load", query, archive, stream=True)
        return [entry["stream"].strip() for entry in lines(answer) if entry.get("stream")]

    def save(self, *names: str, platforms: Sequence[str] = ()) -> Iterator[bytes]:
        """Yield images with their names and all platforms that are here, or only these, as a tar archive."""
        query = {"names": list(names), "platform": list(platforms)}
        return self._connection.send("GET", "/images/get", query, stream=True).iter_content(1 << 20)

    def remove(self, name: str, *, force: bool = False, platforms: Sequence[str] = ()) -> Sequence[Json]:
        """Remove a name of an image, and the image with its last name, or only these platforms; returns what went."""
        query = {"force": force, "platforms": list(platforms)}
        return list(self._connection.json("DELETE", f"/images/{name}", query) or ())

    def prune(self, filters: Json | None = None) -> Json:
        """Remove images that nobody uses."""
        found: Json = self._connection.json("POST", "/images/prune", {"filters": filters})
        return found

    def pins(self) -> Sequence[Json]:
        """Return what automatic collection leaves alone: `Target`, and the `Id` of the image that has it now."""
        return list(self._connection.json("GET", "/images/pins"))
