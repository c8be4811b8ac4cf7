"""`manifest`: lists of images for several platforms, made on this side and pushed to a registry, without a daemon."""

from __future__ import annotations

import base64
import json

from pydock_client.command import Call, Command, Failure
from pydock_client.flags import BOOL, STRING, STRINGS, Flag
from pydock_shared import reference
from pydock_shared.errors import InvalidArgument, NotFound, PydockError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydock_client.manifestlists import Image
    from pydock_shared.reference import Reference

_INSECURE = Flag("--insecure", BOOL, "Allow communication with an insecure registry")
_KNOWN = {
    "linux": "386 amd64 arm arm64 loong64 mips64 mips64le mips mipsle ppc64 ppc64le riscv64 s390x".split(),
    "windows": ["386", "amd64", "arm", "arm64"],
    "darwin": ["386", "amd64", "arm", "arm64"],
    "freebsd": ["386", "amd64", "arm"],
    "netbsd": ["386", "amd64", "arm"],
    "openbsd": ["386", "amd64", "arm"],
    "dragonfly": ["amd64"],
    "plan9": ["386", "amd64", "arm"],
    "solaris": ["amd64"],
    "android": ["arm"],
    "aix": ["ppc64"],
}
"""Which architectures there are of a system: docker's table, of what Go builds for."""


def _fetched(call: Call, ref: Reference) -> tuple[list[Image], bool]:
    """Return the images that a registry has under a name; what cannot be had is not there, in docker's words."""
    from pydock_client.manifestlists import fetch
    from pydock_client.remote import Remote

    with Remote(call.settings, ref, insecure=call.options["insecure"]) as remote:
        try:
            return fetch(remote, ref)
        except NotFound as error:
            raise NotFound(f"no such manifest: {ref.canonical()}") from error


def _lists(call: Call) -> Any:
    from pydock_client.manifestlists import Lists

    return Lists(call.settings)


def _inspect(call: Call) -> None:
    from pydock_client.manifestlists import as_list

    names, lists = [reference.parse(name) for name in call.arguments], _lists(call)
    several = False
    if len(names) == 2:
        images = [lists.image(*names)]
    elif lists.exists(names[0]):
        images, several = lists.read(names[0]), True
    else:
        images, several = _fetched(call, names[0])
    if call.options["verbose"]:
        print(json.dumps(images if several else images[0], indent="\t", ensure_ascii=False))
    elif several:
        print(as_list(images)[0].decode())
    else:
        print(json.dumps(json.loads(base64.b64decode(images[0]["Raw"])), indent="\t", ensure_ascii=False))


def _create(call: Call) -> None:
    name, *rest = [reference.parse(text) for text in call.arguments]
    lists = _lists(call)
    if lists.exists(name) and not call.options["amend"]:
        raise Failure("refusing to amend an existing manifest list with no --amend flag")
    for ref in rest:
        images, several = _fetched(call, ref)
        if several:
            raise Failure(f"{ref.canonical()} is a manifest list")
        lists.save(name, ref, images[0])
    print(f"Created manifest list {name.canonical()}")


def _annotate(call: Call) -> None:
    name, ref = (reference.parse(text) for text in call.arguments)
    lists, options = _lists(call), call.options
    image = lists.image(name, ref)
    platform = image["Descriptor"].setdefault("platform", {})
    for flag, key in (("os", "os"), ("arch", "architecture"), ("variant", "variant"), ("os-version", "os.version")):
        if options[flag]:
            platform[key] = options[flag]
    if options["os-features"]:
        known = platform.setdefault("os.features", [])
        known += [feature for text in options["os-features"] for feature in text.split(",") if feature not in known]
    # The words have what was asked for, as docker's have.
    _check(platform, f"{options['os']}/{options['arch']}")
    lists.save(name, ref, image)


def _check(platform: dict[str, Any], shown: str = "") -> None:
    system, architecture = platform.get("os", ""), platform.get("architecture", "")
    if architecture not in _KNOWN.get(system, ()):
        shown = shown or f"{system}/{architecture}"
        raise InvalidArgument(f"manifest entry for image has unsupported os/arch combination: {shown}")


def _push(call: Call) -> None:
    from pydock_client.manifestlists import as_list
    from pydock_client.remote import Remote

    name, lists = reference.parse(call.arguments[0]), _lists(call)
    images = lists.read(name)
    if not images:
        raise Failure(f"{name.canonical()} not found")
    for image in images:
        _check(image["Descriptor"].get("platform") or {})
    with Remote(call.settings, name, insecure=call.options["insecure"]) as remote:
        for image in images:
            _bring(remote, name, image)
        data, kind = as_list(images)
        print(remote.put(name.tag or "latest", data, kind))
    if call.options["purge"]:
        lists.remove(name)


def _bring(remote: Any, name: Reference, image: Image) -> None:
    """Have an image of another repository of the registry in that of the list."""
    source = reference.parse(image["Ref"])
    if source.domain != name.domain:
        words = "cannot use source images from a different registry than the target image"
        raise Failure(f"{words}: {source.domain} != {name.domain}")
    if source.path == name.path:
        return
    data, its = base64.b64decode(image["Raw"]), image["Descriptor"]
    manifest = json.loads(data)
    for blob in (manifest["config"], *manifest["layers"]):
        remote.mount(blob["digest"], source.path)
    digest = remote.put(its["digest"], data, its["mediaType"])
    print(f"Pushed ref {name.name}@{digest} with digest: {digest}")


def _rm(call: Call) -> None:
    failures = []
    for text in call.arguments:
        try:
            _lists(call).remove(reference.parse(text))
        except PydockError as error:
            failures.append(error.message)
    if failures:
        raise Failure("\n".join(failures))


ANNOTATE = Command(
    _annotate,
    "[OPTIONS] MANIFEST_LIST MANIFEST",
    arguments=(2, 2),
    flags=(
        Flag("--arch", STRING, "Set the architecture"),
        Flag("--os", STRING, "Set the operating system"),
        Flag("--os-features", STRINGS, "Set features of the operating system"),
        Flag("--os-version", STRING, "Set the version of the operating system"),
        Flag("--variant", STRING, "Set the variant of the architecture"),
    ),
)
CREATE = Command(
    _create,
    "[OPTIONS] MANIFEST_LIST MANIFEST [MANIFEST...]",
    arguments=(2, None),
    flags=(Flag("-a --amend", BOOL, "Amend an existing manifest list"), _INSECURE),
)
INSPECT = Command(
    _inspect,
    "[OPTIONS] [MANIFEST_LIST] MANIFEST",
    arguments=(1, 2),
    flags=(_INSECURE, Flag("-v --verbose", BOOL, "Show layers and platforms as well")),
)
PUSH = Command(
    _push,
    "[OPTIONS] MANIFEST_LIST",
    arguments=(1, 1),
    flags=(_INSECURE, Flag("-p --purge", BOOL, "Remove the local manifest list after the push")),
)
RM = Command(_rm, "MANIFEST_LIST [MANIFEST_LIST...]", arguments=(1, None))
