"""Commands on images that are here: ls, history, tag, rm."""

from __future__ import annotations

import os
import sys

from pydock_client.command import Call, Command, Failure
from pydock_client.flags import BOOL, FILTER, STRING, STRINGS, Flag
from pydock_client.format import Item, Listing, ago, ago_text, ellipsis, local, short
from pydock_shared import filters, reference, times, units
from pydock_shared.errors import InvalidArgument, NotFound, PydockError

from .ps import FORMAT_HELP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydock_client.http import Query

_NONE = "<none>"

LISTING = Listing(
    "ImageContext",
    ("Repository", "Tag", "ID", "CreatedSince", "Size"),
    {
        "ID": ("IMAGE ID", lambda item: short(item.data["Id"], truncate=item.truncate)),
        "Repository": ("REPOSITORY", lambda item: item.data["Repository"]),
        "Tag": ("TAG", lambda item: item.data["Tag"]),
        "Digest": ("DIGEST", lambda item: item.data["Digest"]),
        "CreatedSince": ("CREATED", lambda item: ago(item.data["Created"])),
        "CreatedAt": ("CREATED AT", lambda item: local(item.data["Created"])),
        "Size": ("SIZE", lambda item: units.format_size(item.data["Size"])),
        "Containers": ("CONTAINERS", lambda item: _number(item.data.get("Containers", 0))),
        "SharedSize": ("SHARED SIZE", lambda item: _shared(item)),
        "UniqueSize": ("UNIQUE SIZE", lambda item: _unique(item)),
        "VirtualSize": ("SIZE", lambda item: units.format_size(item.data["Size"], precision=4)),
    },
)


def since(text: str | None) -> str:
    """Return how long a moment on the wire is away; nothing for one that was never."""
    return ago_text(text) if text and text != times.NEVER else ""


def _number(count: int) -> str:
    return "N/A" if count == -1 else str(count)


def _shared(item: Item) -> str:
    size = item.data.get("SharedSize", 0)
    return "N/A" if size == -1 else units.format_size(size, precision=4)


def _unique(item: Item) -> str:
    size = item.data.get("SharedSize", 0)
    return "N/A" if size == -1 else units.format_size(item.data["Size"] - size, precision=4)


def rows(images: list[dict[str, Any]], *, digests: bool, of_tags: bool = False) -> list[dict[str, Any]]:
    """One row for each tag of an image, and one for each repository that it has only digests of.

    With `digests` each digest has a row; with `of_tags` those of tags have.
    """
    made = []
    for image in images:
        tagged = _grouped(image.get("RepoTags"), ":")
        found = _grouped(image.get("RepoDigests"), "@")
        named = []
        for repository, tags in tagged.items():
            own = found.pop(repository, [])
            own = own if digests or of_tags else []
            named += [(repository, tag, digest) for tag in tags for digest in own or [_NONE]]
        for repository, own in found.items():
            named += [(repository, _NONE, digest) for digest in (own if digests else [""])]
        made += [{**image, "Repository": r, "Tag": t, "Digest": d} for r, t, d in named or [(_NONE, _NONE, _NONE)]]
    return made


def _grouped(names: list[str] | None, mark: str) -> dict[str, list[str]]:
    """Return tags or digests by repository."""
    found: dict[str, list[str]] = {}
    for name in names or ():
        repository, _, rest = name.rpartition(mark) if mark == ":" else name.partition(mark)
        if repository != _NONE:
            found.setdefault(repository, []).append(rest)
    return found


def _ls(call: Call) -> None:
    options = call.options
    form, truncate = options["format"], not options["no-trunc"]
    references = [f"reference={name}" for name in call.arguments]
    wanted = filters.from_flags(options["filter"] + references)
    query: Query = {"all": options["all"], "filters": wanted.encode() if wanted else ""}
    if options["tree"]:
        for flag in ("quiet", "no-trunc", "digests", "format"):
            if options[flag]:
                raise Failure(f"--{flag} is not yet supported with --tree")
        from . import imagetree

        query["manifests"] = True
    images = sorted(call.daemon.call("GET", "/images/json", query), key=lambda image: -int(image["Created"]))
    if options["tree"]:
        print(imagetree.show(images), end="")
        return
    found = rows(images, digests=options["digests"], of_tags=".Digest" in form)
    if options["quiet"] and form in ("", "table"):
        for row in found:
            print(short(row["Id"], truncate=truncate))
        return
    columns = ("Repository", "Tag", "Digest", "ID", "CreatedSince", "Size") if options["digests"] else ()
    form = form or ("" if options["quiet"] else call.settings.config.get("imagesFormat", ""))
    LISTING.show(found, form, truncate=truncate, columns=columns)


def _history(call: Call) -> None:
    options, (image,) = call.options, call.arguments
    query: Query = {"platform": platform_query(options["platform"])}
    layers = call.daemon.call("GET", f"/images/{image}/history", query)
    truncate = not options["no-trunc"]
    if options["quiet"]:
        for layer in layers:
            print(short(layer["Id"], truncate=truncate))
        return
    listing = HISTORY_LISTING if options["human"] else _EXACT
    listing.show(layers, options["format"], truncate=truncate)


def platform_query(text: str) -> str:
    """Return a `--platform os[/arch[/variant]]` as the newer endpoints take it: JSON."""
    if not text:
        return ""
    import json

    names, parts = ("os", "architecture", "variant"), text.split("/")
    if len(parts) == 1:
        # As Docker's command line has it: a system alone is for the processor here, a processor alone for Linux.
        machine = os.uname().machine
        own = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
        parts = [text, own] if text in ("linux", "windows") else ["linux", text]
    return json.dumps(dict(zip(names, parts, strict=False)), separators=(",", ":"))


def _created_by(item: Item) -> str:
    text: str = item.data.get("CreatedBy", "").replace("\t", " ")
    return ellipsis(text, 45) if item.truncate else text


def _moment(item: Item) -> str:
    seconds = item.data.get("Created") or 0
    return times.rfc3339(seconds * times.SECOND)


def _history_listing(*, human: bool) -> Listing:
    return Listing(
        "historyContext",
        ("ID", "CreatedSince", "CreatedBy", "Size", "Comment"),
        {
            "ID": ("IMAGE", lambda item: short(item.data["Id"], truncate=item.truncate)),
            "CreatedAt": ("CREATED AT", _moment),
            "CreatedSince": (
                "CREATED" if human else "CREATED AT",
                lambda item: ago_text(_moment(item)) if human else _moment(item),
            ),
            "CreatedBy": ("CREATED BY", _created_by),
            "Size": ("SIZE", lambda item: units.format_size(item.data["Size"]) if human else str(item.data["Size"])),
            "Comment": ("COMMENT", lambda item: item.data.get("Comment") or ""),
        },
    )


HISTORY_LISTING, _EXACT = _history_listing(human=True), _history_listing(human=False)


def _tag(call: Call) -> None:
    source, target = call.arguments
    try:
        name = reference.parse(target)
    except InvalidArgument as error:
        words = f'Error parsing reference: "{target}" is not a valid repository/tag'
        raise InvalidArgument(f"{words}: {error.message}") from error
    call.daemon.call("POST", f"/images/{source}/tag", {"repo": name.name, "tag": name.tag})


def _rm(call: Call) -> None:
    options = call.options
    query: Query = {"force": options["force"], "noprune": options["no-prune"]}
    query["platforms"] = [platform_query(platform) for platform in options["platform"]]
    failures, fatal = [], False
    for name in call.arguments:
        try:
            deleted = call.daemon.call("DELETE", f"/images/{name}", {**query})
        except PydockError as error:
            fatal = fatal or not isinstance(error, NotFound)
            failures.append(error.message)
            continue
        for entry in deleted or ():
            print(f"Deleted: {entry['Deleted']}" if entry.get("Deleted") else f"Untagged: {entry['Untagged']}")
    if failures and (fatal or not options["force"]):
        raise Failure("\n".join(failures))
    for message in failures:
        print(f"{message}", file=sys.stderr)


LS = Command(
    _ls,
    "[OPTIONS] [REPOSITORY[:TAG]]",
    arguments=(0, 1),
    flags=(
        Flag("-a --all", BOOL, "Show all images (default hides intermediate images)"),
        Flag("--digests", BOOL, "Show digests"),
        Flag("-f --filter", FILTER, "Filter output based on conditions provided"),
        Flag("--format", STRING, FORMAT_HELP),
        Flag("--no-trunc", BOOL, "Don't truncate output"),
        Flag("-q --quiet", BOOL, "Only show image IDs"),
        Flag("--tree", BOOL, "List multi-platform images as a tree"),
    ),
)
HISTORY = Command(
    _history,
    "[OPTIONS] IMAGE",
    arguments=(1, 1),
    flags=(
        Flag("--format", STRING, FORMAT_HELP),
        Flag("-H --human", BOOL, "Print sizes and dates in human readable format", default=True),
        Flag("--no-trunc", BOOL, "Don't truncate output"),
        Flag("--platform", STRING, 'Show the history of this platform ("os[/arch[/variant]]")'),
        Flag("-q --quiet", BOOL, "Only show image IDs"),
    ),
)
TAG = Command(_tag, "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", arguments=(2, 2))
RM = Command(
    _rm,
    "[OPTIONS] IMAGE [IMAGE...]",
    arguments=(1, None),
    flags=(
        Flag("-f --force", BOOL, "Force removal of the image"),
        Flag("--no-prune", BOOL, "Do not delete untagged parents"),
        Flag("--platform", STRINGS, 'Remove only this platform of it ("os[/arch[/variant]]")'),
    ),
)
