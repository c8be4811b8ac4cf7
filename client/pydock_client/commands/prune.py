"""The prunes: what nobody uses is removed, after a question."""

from __future__ import annotations

import sys

from pydock_client.command import Call, Command, Failure
from pydock_client.flags import BOOL, BYTES, FILTER, Flag
from pydock_shared import filters, units
from pydock_shared.errors import NotFound, NotSupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pydock_client.http import Query


SPACES = ("keep-storage", "reserved-space", "max-used-space", "min-free-space")
"""The limits of a prune of the build cache: flags of the command and parameters of the request alike."""


def confirm(call: Call, warning: str) -> None:
    """Ask the person unless --force was given; Failure when the answer is no."""
    if call.options["force"]:
        return
    print(f"{warning}\nAre you sure you want to continue? [y/N] ", end="", flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Failure("", 0)


def send(call: Call, path: str, query: Query | None = None, **extra: list[str]) -> dict[str, Any]:
    """Send a prune with the person's filters and more of our own."""
    wanted = filters.from_flags(call.options["filter"])
    names = {text.partition("=")[0].strip().lower() for text in call.options["filter"]}
    values = {name: wanted.values(name) for name in names} | extra
    query = {**(query or {}), "filters": filters.Filters(values).encode() if values else ""}
    answer: dict[str, Any] = call.daemon.call("POST", path, query)
    return answer


def report(answer: dict[str, Any], heading: str, entries: list[str]) -> int:
    """Print what was removed, and return the bytes that gave."""
    if entries:
        print("\n".join([f"{heading}:", *entries, ""]))
    return int(answer.get("SpaceReclaimed") or 0)


def containers(call: Call) -> int:
    """Remove stopped containers."""
    answer = send(call, "/containers/prune")
    return report(answer, "Deleted Containers", answer.get("ContainersDeleted") or [])


def networks(call: Call) -> int:
    """Remove networks that no container is connected to."""
    answer = send(call, "/networks/prune")
    return report(answer, "Deleted Networks", answer.get("NetworksDeleted") or [])


def volumes(call: Call, *, everything: bool) -> int:
    """Remove volumes that no container uses: anonymous ones, or all."""
    extra = {"all": ["true"]} if everything else {}
    answer = send(call, "/volumes/prune", None, **extra)
    return report(answer, "Deleted Volumes", answer.get("VolumesDeleted") or [])


def images(call: Call, *, everything: bool) -> int:
    """Remove images: those without a tag, or all that no container uses."""
    answer = send(call, "/images/prune", dangling=["false" if everything else "true"])
    rows = []
    for entry in answer.get("ImagesDeleted") or ():
        rows.append(f"untagged: {entry['Untagged']}" if entry.get("Untagged") else f"deleted: {entry['Deleted']}")
    return report(answer, "Deleted Images", rows)


def build_cache(call: Call, *, everything: bool) -> int:
    """Remove what builds have kept; an engine that does not build keeps nothing."""
    try:
        answer = send(call, "/build/prune", {"all": everything})
    except (NotFound, NotSupported):
        return 0
    return report(answer, "Deleted build cache objects", answer.get("CachesDeleted") or [])


def _reclaimed(size: int) -> None:
    print(f"Total reclaimed space: {units.format_size(size, precision=4)}")


def _containers(call: Call) -> None:
    confirm(call, "WARNING! This will remove all stopped containers.")
    _reclaimed(containers(call))


def _networks(call: Call) -> None:
    confirm(call, "WARNING! This will remove all custom networks not used by at least one container.")
    networks(call)


def _volumes(call: Call) -> None:
    everything = call.options["all"]
    kind = "all local" if everything else "anonymous local"
    confirm(call, f"WARNING! This will remove {kind} volumes not used by at least one container.")
    _reclaimed(volumes(call, everything=everything))


def _images(call: Call) -> None:
    everything = call.options["all"]
    warning = "all images without at least one container associated to them" if everything else "all dangling images"
    confirm(call, f"WARNING! This will remove {warning}.")
    _reclaimed(images(call, everything=everything))


def _cache(call: Call) -> None:
    options = call.options
    kind = "all" if options["all"] else "all dangling"
    confirm(call, f"WARNING! This will remove {kind} build cache.")
    query = {"all": options["all"]} | {name: options[name] or "" for name in SPACES}
    answer = send(call, "/build/prune", query)
    report(answer, "Deleted build cache objects", answer.get("CachesDeleted") or [])
    _reclaimed(answer.get("SpaceReclaimed") or 0)


def _system(call: Call) -> None:
    options = call.options
    rows: list[tuple[str, Callable[[], int]]] = [
        ("all stopped containers", lambda: containers(call)),
        ("all networks not used by at least one container", lambda: networks(call)),
    ]
    if options["volumes"]:
        rows.append(
            ("all anonymous volumes not used by at least one container", lambda: volumes(call, everything=False))
        )
    what = "all images without at least one container associated to them" if options["all"] else "all dangling images"
    rows.append((what, lambda: images(call, everything=options["all"])))
    rows.append(
        (
            "all build cache" if options["all"] else "unused build cache",
            lambda: build_cache(call, everything=options["all"]),
        )
    )
    warning = "WARNING! This will remove:\n" + "".join(f"  - {words}\n" for words, _ in rows)
    if options["filter"]:
        warning += "\n  Items to be pruned will be filtered with:\n"
        warning += "".join(f"  - {text}\n" for text in options["filter"])
    confirm(call, warning)
    _reclaimed(sum(step() for _, step in rows))


_FILTER = Flag("--filter", FILTER, 'Provide filter values (e.g. "until=<timestamp>")')
_FORCE = Flag("-f --force", BOOL, "Do not prompt for confirmation")

CONTAINERS = Command(_containers, "[OPTIONS]", flags=(_FILTER, _FORCE))
NETWORKS = Command(_networks, "[OPTIONS]", flags=(_FILTER, _FORCE))
IMAGES = Command(
    _images,
    "[OPTIONS]",
    flags=(Flag("-a --all", BOOL, "Remove all unused images, not just dangling ones"), _FILTER, _FORCE),
)
VOLUMES = Command(
    _volumes,
    "[OPTIONS]",
    flags=(Flag("-a --all", BOOL, "Remove all unused volumes, not just anonymous ones"), _FILTER, _FORCE),
)
CACHE = Command(
    _cache,
    "[OPTIONS]",
    flags=(
        Flag("-a --all", BOOL, "Remove all unused build cache, not just dangling"),
        _FILTER,
        _FORCE,
        Flag("--keep-storage", BYTES, "Amount of disk space to keep for the cache"),
        Flag("--reserved-space", BYTES, "Amount of disk space always allowed to keep for cache"),
        Flag("--max-used-space", BYTES, "Maximum amount of disk space allowed to keep for cache"),
        Flag("--min-free-space", BYTES, "Target amount of free disk space after pruning"),
    ),
)
SYSTEM = Command(
    _system,
    "[OPTIONS]",
    flags=(
        Flag("-a --all", BOOL, "Remove all unused images, not just dangling ones"),
        _FILTER,
        _FORCE,
        Flag("--volumes", BOOL, "Prune anonymous volumes"),
    ),
)
