"""`pull` and `push`: images from and to registries."""

from __future__ import annotations

import sys

from pydock_client import auth, progress
from pydock_client.command import Call, Command
from pydock_client.flags import BOOL, STRING, Flag
from pydock_client.pulling import pull
from pydock_shared import reference
from pydock_shared.errors import InvalidArgument

from .images import platform_query

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _pull(call: Call) -> None:
    options, (image,) = call.options, call.arguments
    name = reference.parse(image, default_tag=False)
    bare = not name.tag and not name.digest
    if options["all-tags"] and not bare:
        raise InvalidArgument("tag can't be used with --all-tags/-a")
    if bare and not options["all-tags"]:
        name = reference.parse(image)
        if not options["quiet"]:
            print(f"Using default tag: {name.tag}", flush=True)
    out = None if options["quiet"] else sys.stdout
    pull(call, image, platform=options["platform"], all_tags=options["all-tags"], out=out)
    print(name.canonical())


def _push(call: Call) -> None:
    options, (image,) = call.options, call.arguments
    name = reference.parse(image, default_tag=False)
    if options["all-tags"] and (name.tag or name.digest):
        raise InvalidArgument("tag can't be used with --all-tags/-a")
    if not name.tag and not name.digest and not options["all-tags"]:
        name = reference.parse(image)
        if not options["quiet"]:
            print(f"Using default tag: {name.tag}", flush=True)
    query = {"tag": name.tag, "platform": platform_query(options["platform"])}
    if options["platform"]:
        print(_note(_ONE_PLATFORM), file=sys.stderr, flush=True)
    notes: list[str] = []
    headers = {"X_Registry_Auth": auth.header(call.settings, name.domain)}
    response = call.daemon.request("POST", f"/images/{name.name}/push", {**query}, **headers)
    if options["quiet"]:
        progress.quiet(response.objects(), lambda aux: notes.extend(_instead(aux)))
        print(name.canonical())
    else:
        progress.show(response.objects(), sys.stdout, lambda aux: notes.extend(_instead(aux)))
    for note in notes:
        print(f"\n{_note(note)}", file=sys.stderr)


_ONE_PLATFORM = """\
Using --platform pushes only the specified platform manifest of a multi-platform image index.
Other components, like attestations, will not be included.
To push the complete multi-platform image, remove the --platform flag.
"""
_PART = "Not all multiplatform-content is present and only the available single-platform image was pushed"


def _instead(aux: dict[str, Any]) -> list[str]:
    """Return what there is to say when one platform went in place of an index."""
    if not aux.get("manifestPushedInsteadOfIndex"):
        return []
    return [f"{_PART}\n{aux['originalIndex']['digest']} -> {aux['selectedManifest']['digest']}"]


def _note(text: str) -> str:
    """Return a note as docker prints one where there are no colours."""
    head = " Info -> "
    return head + text.replace("\n", "\n" + " " * len(head))


_TRUST = Flag("--disable-content-trust", BOOL, "Skip verification of the image", default=True, hidden=True)

PULL = Command(
    _pull,
    "[OPTIONS] NAME[:TAG|@DIGEST]",
    arguments=(1, 1),
    flags=(
        Flag("-a --all-tags", BOOL, "Download all tagged images in the repository"),
        _TRUST,
        Flag("--platform", STRING, "Platform of the image, if it is there for several"),
        Flag("-q --quiet", BOOL, "Suppress verbose output"),
    ),
)
PUSH = Command(
    _push,
    "[OPTIONS] NAME[:TAG]",
    arguments=(1, 1),
    flags=(
        Flag("-a --all-tags", BOOL, "Push all tags of an image to the repository"),
        _TRUST,
        Flag("--platform", STRING, 'Push only this platform of it, as an image of its own ("os[/arch[/variant]]")'),
        Flag("-q --quiet", BOOL, "Suppress verbose output"),
    ),
)
