"""`DELETE /images/{name}` and `POST /images/prune`: Docker's rules of untagging and deleting. Used by `api.images`.

A name is taken away; the image goes with its last name unless a container needs it. An id removes the image with all of
its names if they are in one repository. The rules and texts are those of the Docker engine (ImageDelete).
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

from pydock_shared.errors import Conflict, InvalidArgument
from pydock_shared.filters import Filters
from pydock_shared.reference import Reference
from pydock_shared.times import parse_moment

from .model import Image, Platform
from .service import Images, User

Record = dict[str, str]
PRUNE_FILTERS = {"dangling", "until", "label", "label!"}


class Pruned(NamedTuple):
    """What a prune removed, and the bytes of disk that came free."""

    records: list[Record]
    freed: int


def delete(images: Images, name: str, *, force: bool) -> list[Record]:
    """Take a name away or remove an image; return what was untagged and deleted.

    NotFound when there is none, Conflict with Docker's words when something needs it.
    """
    image, ref = images.names.find(name)
    records: list[Record] = []
    group = images.group(image)
    names, users = images.names.names_of(image.id), [user for one in group for user in images.users(one.id)]
    if ref is not None:
        if not force and _in_one_repository(names) and users:
            raise Conflict(
                f'conflict: unable to remove repository reference "{name}" (must force) - container '
                f"{users[0].id[:12]} is using its referenced image {image.short}"
            )
        _untag_name(images, image, ref, records)
    else:
        conflict = _conflict(image, users, [] if _in_one_repository(names) else names, force=force)
        if conflict:
            raise conflict
        for each in names:
            _untag(images, image, each, records)
        _remove(images, image, records)
    for one in group:
        # A name that was asked for is gone; an image without one stays for its containers.
        if not _is_gone_or_named(images, one) and not _conflict(one, images.users(one.id), [], force=force):
            _remove(images, one, records)
    images.sweep()
    return records


def delete_platforms(images: Images, name: str, platforms: Sequence[Platform], *, force: bool) -> list[Record]:
    """Remove what single platforms of an image have here; the name stays, as long as there is any of it.

    NotFound when the image has not all of them, Conflict when something needs one, or when nothing would be left.
    """
    chosen = {images.resolve(name, platform).id: platform for platform in platforms}
    for id_, platform in chosen.items():
        image = images.resolve(id_)
        if conflict := _conflict(image, images.users(id_), [], force=force):
            raise conflict
        if any(chosen.keys() >= set(images.names.members(target)) for target in images.names.targets(id_)):
            raise _refusal(image, "cannot be forced", f"no other platform than {platform} is here")
    records: list[Record] = []
    for id_ in chosen:
        _remove(images, images.resolve(id_), records)
    images.sweep()
    return records


def _is_gone_or_named(images: Images, image: Image) -> bool:
    """Say whether an image is gone, or has a name left: as its leader, or as a platform of what another one leads."""
    found = images.get(image.id)
    return found is None or bool(found.repo_tags or found.repo_digests)


def _in_one_repository(names: Sequence[Reference]) -> bool:
    """Say whether there is at most one tag, and every digest is of the same repository."""
    tags = [name for name in names if not name.digest]
    return len(tags) <= 1 and len({name.name for name in names}) <= 1


def _untag_name(images: Images, image: Image, ref: Reference, records: list[Record]) -> None:
    """Take a name away, and with the last tag of a repository its digests."""
    _untag(images, image, ref, records)
    names = images.names.names_of(image.id)
    if not ref.digest and not any(name.tag for name in names if name.name == ref.name):
        for name in names:
            if name.name == ref.name:
                _untag(images, image, name, records, told=False)  # nor does dockerd tell


def _untag(images: Images, image: Image, ref: Reference, records: list[Record], *, told: bool = True) -> None:
    images.names.untag(ref)
    records.append(
        {"Untagged": Reference(ref.domain, ref.path, None if ref.digest else ref.tag, ref.digest).familiar()}
    )
    if told:
        images.publish("untag", image.id, image.id)


def _conflict(image: Image, users: Sequence[User], names: Sequence[Reference], *, force: bool) -> Conflict | None:
    """Return why an image cannot go: what runs is never pulled away, the rest may be forced."""
    for user in users:
        if user.alive:
            return _refusal(image, "cannot be forced", f"image is being used by running container {user.id[:12]}")
    if force:
        return None
    if names:
        return _refusal(image, "must be forced", "image is referenced in multiple repositories")
    for user in users:
        return _refusal(image, "must be forced", f"image is being used by stopped container {user.id[:12]}")
    return None


def _refusal(image: Image, hint: str, why: str) -> Conflict:
    return Conflict(f"conflict: unable to delete {image.short} ({hint}) - {why}")


def _remove(images: Images, image: Image, records: list[Record]) -> None:
    """Forget the image; the layers that go with it are those that nothing else has."""
    images.names.remove(image.id)
    images.publish("delete", image.id, image.id)
    records.append({"Deleted": image.id})
    kept = {chain for other in images for chain in other.chain} | images.snapshots.held()
    records += [{"Deleted": chain} for chain in reversed(image.chain) if chain not in kept]


def prune(images: Images, filters: Filters) -> Pruned:
    """Remove the images that no container uses: those without a name, or with `dangling=false` all of them.

    What an operation works with stays: a build's images between are nobody's for as long as it goes on.
    """
    filters.check_known(PRUNE_FILTERS)
    dangling = filters.flag("dangling")
    until = _until(filters)
    records: list[Record] = []
    for image in list(images):
        group = images.group(image)
        if images.names.follows(image.id) or any(images.users(one.id) or images.content.held(one.id) for one in group):
            continue
        if image.repo_tags and dangling is not False:
            continue
        if (dangling is not False and image.repo_digests) or not _matches(image, filters, until):
            continue
        for name in images.names.names_of(image.id):
            _untag(images, image, name, records)
        for one in group:
            if not _is_gone_or_named(images, one):
                _remove(images, one, records)
    freed = images.sweep() + images.content.drop_partials()
    images.events.publish("image", "prune", "", {"reclaimed": str(freed)})
    return Pruned(records, freed)


def _until(filters: Filters) -> int:
    values = filters.values("until")
    if len(values) > 1:
        raise InvalidArgument("more than one until filter specified")
    return parse_moment(values[0]) if values else time.time_ns()


def _matches(image: Image, filters: Filters, until: int) -> bool:
    if image.created > until and filters.values("until"):
        return False
    unwanted = any(
        key in image.labels and (not equals or image.labels[key] == value)
        for key, equals, value in (text.partition("=") for text in filters.values("label!"))
    )
    return filters.match_labels(image.labels) and not unwanted
