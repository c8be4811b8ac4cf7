"""`GET /images/json`: the list of images as Docker's JSON, with its filters. Used by `api.images`."""

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from pydock_shared import reference
from pydock_shared.filters import Filters
from pydock_shared.times import parse_moment

from . import manifests
from .model import Image
from .service import Images

FILTERS = {"dangling", "label", "before", "since", "reference", "until"}
Check = Callable[[Image], bool]


def listing(
    images: Images,
    filters: Filters,
    *,
    shared_size: bool = False,
    users: bool = False,
    every: bool = False,
    all_manifests: bool = False,
) -> list[dict[str, Any]]:
    """Return the summaries of the images that the filters let through, the youngest first.

    The platforms of a name are one image. `shared_size` and `users` (the number of containers) are worked out if asked
    for, -1 otherwise; with `every` the builder's steps between are there too, with `all_manifests` those of an image.
    """
    filters.check_known(FILTERS)
    checks = _checks(images, filters)
    patterns = [_pattern(text) for text in filters.values("reference")]
    counts = _holders(images) if shared_size else Counter[str]()
    found = []
    for image in images:
        if (not every and images.hidden(image)) or images.names.follows(image.id):
            continue
        tags, digests = _shown(image, patterns)
        if not all(check(image) for check in checks) or (patterns and not tags and not digests):
            continue
        found.append(
            {
                "Id": image.id,
                "ParentId": "",
                "RepoTags": tags,
                "RepoDigests": digests,
                "Created": image.created // 1_000_000_000,
                "Size": manifests.size(images, image),
                "SharedSize": _shared(images, image, counts) if shared_size else -1,
                "Labels": image.labels or None,
                "Containers": sum(len(images.users(one.id)) for one in images.group(image)) if users else -1,
                "Descriptor": manifests.descriptor(images, image),
            }
        )
        if all_manifests:
            found[-1]["Manifests"] = manifests.summaries(images, image)
    return found


def _checks(images: Images, filters: Filters) -> list[Check]:
    checks: list[Check] = [lambda image: filters.match_labels(image.labels)]
    dangling = filters.flag("dangling")
    if dangling is not None:
        checks.append(lambda image: (not image.repo_tags) is dangling)
    for name in filters.values("before"):
        before = images.resolve(name)
        checks.append(lambda image, limit=before.created: image.created < limit)  # type: ignore[misc]
    for name in filters.values("since"):
        since = images.resolve(name)
        checks.append(lambda image, limit=since.created: image.created > limit)  # type: ignore[misc]
    for text in filters.values("until"):
        until = parse_moment(text)
        checks.append(lambda image, limit=until: image.created < limit)  # type: ignore[misc]
    return checks


def _shown(image: Image, patterns: list[re.Pattern[str]]) -> tuple[list[str], list[str]]:
    """Return the names of an image that match the patterns, by their whole familiar form or without the tag."""
    if not patterns:
        return image.repo_tags, image.repo_digests

    def matches(name: str) -> bool:
        bare = reference.parse(name).familiar_name()
        return any(pattern.fullmatch(name) or pattern.fullmatch(bare) for pattern in patterns)

    return [name for name in image.repo_tags if matches(name)], [name for name in image.repo_digests if matches(name)]


def _pattern(text: str) -> re.Pattern[str]:
    """Return the pattern of Go's path.Match: `*` and `?` stop at a slash."""
    pieces = re.split(r"(\*|\?|\[[^\]]+\])", text)
    special = {"*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(special.get(piece) or _piece(piece) for piece in pieces))


def _piece(piece: str) -> str:
    if len(piece) > 2 and piece.startswith("[") and piece.endswith("]"):
        inside = piece[1:-1].replace("\\", r"\\").replace("[", r"\[")
        return f"[{inside}]"
    return re.escape(piece)


def _holders(images: Images) -> Counter[str]:
    """Count the images that have each layer. The builder's steps between are none that a layer could be shared with."""
    return Counter(chain for image in images if not images.hidden(image) for chain in set(image.chain))


def _shared(images: Images, image: Image, counts: Counter[str]) -> int:
    own = Counter(chain for one in images.group(image) for chain in set(one.chain))
    layers = [images.snapshots.layer(chain) for chain in own if counts[chain] > own[chain]]
    return sum(layer.size for layer in layers if layer)
