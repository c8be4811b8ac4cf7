"""Lists of manifests that are being made on this side, for several platforms: `manifest create` to `manifest push`.

As docker keeps them: a folder for each list below the client's configuration, a file in it for each image, JSON.
"""

from __future__ import annotations

import base64
import json
import os

from pydock_client.remote import DOCKER_LIST, DOCKER_MANIFEST, LISTS, OCI_INDEX, OCI_MANIFEST, Remote, digest_of
from pydock_shared.errors import InvalidArgument, NotFound
from pydock_shared.reference import Reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydock_client.settings import Settings

    Image = dict[str, Any]

_ORDER = ("architecture", "os", "os.version", "os.features", "variant", "features")


class Lists:
    """The lists of one configuration."""

    def __init__(self, settings: Settings) -> None:
        self._root = os.path.join(settings.folder, "manifests")

    def read(self, name: Reference) -> list[Image]:
        """Return the images of a list; NotFound in docker's words when there is no such list."""
        folder = self._folder(name)
        try:
            files = sorted(os.listdir(folder))
        except FileNotFoundError as error:
            raise NotFound(f"No such manifest: {name.canonical()}") from error
        found = []
        for file in files:
            with open(os.path.join(folder, file), "rb") as opened:
                found.append(json.load(opened))
        return found

    def exists(self, name: Reference) -> bool:
        """Say whether there is a list of this name."""
        return os.path.isdir(self._folder(name))

    def image(self, name: Reference, image: Reference) -> Image:
        """Return an image of a list."""
        try:
            with open(self._file(name, image), "rb") as opened:
                found: Image = json.load(opened)
        except FileNotFoundError as error:
            where = f"manifest for image {image.canonical()} does not exist in {name.canonical()}"
            raise NotFound(where if self.exists(name) else f"No such manifest: {name.canonical()}") from error
        return found

    def save(self, name: Reference, image: Reference, about: Image) -> None:
        """Put an image into a list, which is made if need be."""
        path, its = self._file(name, image), about["Descriptor"]
        its["platform"] = {key: its["platform"][key] for key in _ORDER if its["platform"].get(key)}
        os.makedirs(os.path.dirname(path), exist_ok=True)
        partial = f"{path}.{os.getpid()}"
        with open(partial, "w") as file:
            json.dump(about, file, separators=(",", ":"))
        os.replace(partial, path)

    def remove(self, name: Reference) -> None:
        """Forget a list."""
        import shutil

        self.read(name)
        shutil.rmtree(self._folder(name))

    def _folder(self, name: Reference) -> str:
        return os.path.join(self._root, _plain(name))

    def _file(self, name: Reference, image: Reference) -> str:
        return os.path.join(self._folder(name), _plain(image))


def _plain(name: Reference) -> str:
    return name.canonical().replace(":", "-").replace("/", "_")


def describe(remote: Remote, ref: Reference, data: bytes, kind: str, platform: dict[str, Any] | None = None) -> Image:
    """Return what is known of an image: its descriptor, the bytes of its manifest, the manifest.

    The platform is that of its configuration, unless it is given.
    """
    if kind not in (OCI_MANIFEST, DOCKER_MANIFEST):
        raise InvalidArgument(f"{ref.canonical()} is a manifest of an unsupported kind: {kind}")
    manifest = json.loads(data)
    about = platform if platform is not None else remote.document(manifest["config"]["digest"])
    found = {key: about[key] for key in _ORDER if about.get(key)}
    descriptor = {"mediaType": kind, "digest": digest_of(data), "size": len(data), "platform": found}
    form = "OCIManifest" if kind == OCI_MANIFEST else "SchemaV2Manifest"
    return {
        "Ref": ref.canonical(),
        "Descriptor": descriptor,
        "Raw": base64.b64encode(data).decode(),
        form: manifest,
    }


def fetch(remote: Remote, ref: Reference) -> tuple[list[Image], bool]:
    """Return the images that a registry has under a name, and whether they are those of a list."""
    data, kind = remote.manifest(ref.digest or ref.tag or "latest")
    if kind not in LISTS:
        return [describe(remote, ref, data, kind)], False
    found = []
    for entry in json.loads(data).get("manifests") or ():
        inner, kind = remote.manifest(entry["digest"])
        each = Reference(ref.domain, ref.path, ref.tag, entry["digest"])
        found.append(describe(remote, each, inner, kind, entry.get("platform") or {}))
    return found, True


def as_list(images: list[Image]) -> tuple[bytes, str]:
    """Return the list of some images, as docker writes it, and its media type: OCI's if the first image is of OCI."""
    entries = []
    for image in images:
        its = image["Descriptor"]
        platform = {key: its["platform"].get(key) for key in _ORDER}
        kept = {key: value for key, value in platform.items() if value or key in ("architecture", "os")}
        entries.append({key: its[key] for key in ("mediaType", "size", "digest")} | {"platform": kept})
    kind = OCI_INDEX if entries and entries[0]["mediaType"] == OCI_MANIFEST else DOCKER_LIST
    return json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": entries}, indent=3).encode(), kind
