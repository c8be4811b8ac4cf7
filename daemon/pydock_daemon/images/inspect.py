"""`GET /images/{name}/json` and `/history`: an image as Docker's JSON. Used by `api.images`. Pure views."""

from typing import Any

from pydock_shared.errors import InvalidArgument
from pydock_shared.times import NEVER, parse_rfc3339, rfc3339

from . import manifests, signatures
from .model import Image
from .service import Images

# What Docker showed of an image's settings before API 1.50: a container's whole configuration.
CONTAINER_FIELDS: dict[str, Any] = {
    "Hostname": "",
    "Domainname": "",
    "User": "",
    "AttachStdin": False,
    "AttachStdout": False,
    "AttachStderr": False,
    "Tty": False,
    "OpenStdin": False,
    "StdinOnce": False,
    "Env": None,
    "Cmd": None,
    "Image": "",
    "Volumes": None,
    "WorkingDir": "",
    "Entrypoint": None,
    "OnBuild": None,
    "Labels": None,
}
IMAGE_FIELDS = {
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
    "ArgsEscaped",
    "Healthcheck",
    "OnBuild",
    "Shell",
}


def inspect(
    images: Images, image: Image, version: tuple[int, int], *, one_platform: bool = False, all_manifests: bool = False
) -> dict[str, Any]:
    """Return the whole of an image in the form of an API version.

    With `one_platform` its descriptor is that of the platform and not what its names stand for; with `all_manifests`
    the manifests of all platforms are told of too.
    """
    config = image.config
    shown: dict[str, Any] = {
        "Id": image.id,
        "RepoTags": image.repo_tags,
        "RepoDigests": image.repo_digests,
        "Parent": "",
        "Comment": config.get("comment") or _last_comment(config),
        "Created": rfc3339(image.created) if image.created else NEVER,
        "DockerVersion": config.get("docker_version") or "",
        "Author": config.get("author") or "",
        "Config": settings(image, version),
        "Architecture": image.platform.architecture,
        "Os": image.platform.os,
        "Size": image.size,
        "GraphDriver": images.snapshots.image_driver(image.chain),
        "RootFS": {"Type": "layers", "Layers": image.diff_ids},
        "Metadata": {"LastTagTime": rfc3339(image.tagged) if image.tagged else NEVER},
        "Descriptor": (manifests.of_platform if one_platform else manifests.descriptor)(images, image),
    }
    if signed := signatures.shown(images.store, image.id):
        shown["Signatures"] = signed
    if all_manifests:
        shown["Manifests"] = manifests.summaries(images, image)
    if image.platform.variant:
        shown["Variant"] = image.platform.variant
    if config.get("os.version"):
        shown["OsVersion"] = config["os.version"]
    if version < (1, 44):
        shown["VirtualSize"] = image.size
    if version < (1, 45):
        shown["ContainerConfig"] = CONTAINER_FIELDS
    return shown


def _last_comment(config: dict[str, Any]) -> str:
    history = config.get("history") or ()
    return str(history[-1].get("comment") or "") if history else ""


def settings(image: Image, version: tuple[int, int]) -> dict[str, Any]:
    """Return what an image says about containers, in the form of an API version."""
    if version < (1, 50):
        return CONTAINER_FIELDS | image.settings
    return {key: value for key, value in image.settings.items() if key in IMAGE_FIELDS and value not in (None, "")}


def history(images: Images, image: Image) -> list[dict[str, Any]]:
    """Return the steps an image was made by, the newest first; only the newest has an id of its own here."""
    sizes = [layer.size if (layer := images.snapshots.layer(chain)) else 0 for chain in image.chain]
    steps: list[dict[str, Any]] = []
    for step in image.config.get("history") or ():
        empty = bool(step.get("empty_layer"))
        steps.append(
            {
                "Id": "<missing>",
                "Created": _seconds(step.get("created")),
                "CreatedBy": step.get("created_by") or "",
                "Tags": None,
                "Size": 0 if empty or not sizes else sizes.pop(0),
                "Comment": step.get("comment") or "",
            }
        )
    steps.reverse()
    if steps:
        steps[0] |= {"Id": image.id, "Tags": image.repo_tags or None}
    return steps


def _seconds(text: Any) -> int:
    try:
        return parse_rfc3339(str(text)) // 1_000_000_000
    except InvalidArgument:
        return 0
