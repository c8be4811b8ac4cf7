"""A build for one platform or for several: these one after the other, and an index of what came of them.

Used by the fronts. What does not depend on the platform is made once: stages `FROM --platform=$BUILDPLATFORM`, for one.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from pydock_daemon.images import manifest
from pydock_daemon.images.model import Image, Platform, host_rank, parse_platform
from pydock_daemon.images.service import Images
from pydock_shared.errors import InvalidArgument

from . import cacheconfig, sharing
from .cacheconfig import Documents
from .options import Options
from .report import Report
from .solve import Build

MOST = 16


class Outcome(NamedTuple):
    """The image that suits this host best, the digest of what its names stand for, and the cache of the build."""

    image: Image
    target: str
    exported: Documents | None


def asked(text: str) -> dict[str, Any]:
    """Return the options of `a/b,c/d`. InvalidArgument: one of them is no platform."""
    found = list(dict.fromkeys(_shortest(parse_platform(part)) for part in text.split(",") if part))
    if len(found) > MOST:
        raise InvalidArgument(f"a build for more than {MOST} platforms")
    return {"platforms": found} if len(found) > 1 else {"platform": found[0]} if found else {}


def _shortest(platform: Platform) -> Platform:
    """Return a platform as TARGETPLATFORM says it: containerd's form leaves the only variant of arm64 out."""
    usual = platform.normalised()
    return usual._replace(variant="") if usual[1:] == ("arm64", "v8") else usual


def variants(options: Options) -> list[Options]:
    """Return the options of each platform's build."""
    if not options.platforms:
        return [options]
    return [replace(options, platform=platform, platforms=(), tags=[]) for platform in options.platforms]


async def run(images: Images, options: Options, report: Report, make: Callable[[Options, Report], Build]) -> Outcome:
    """Run a build; `make` makes that of one platform, with the report of what it does."""
    several = bool(options.platforms)
    if options.index_annotations and not several:
        raise InvalidArgument("index annotations not supported for single platform export")
    builds = [make(one, report.of(one.platform) if several else report) for one in variants(options)]
    with images.adding() as adding:
        made = []
        for build in builds:
            made.append(await build.run())
            adding.hold_image(made[-1])
        image, target = made[0], made[0].manifest
        if several:
            image, target = _together(images, made, options)
    exported = None
    if options.cache_export:
        states = [at for build in builds for at in build.states(whole=options.cache_export == "max")]
        exported = cacheconfig.documents(sharing.steps(states))
    for tag in options.tags:
        images.publish("tag", image.id, tag.familiar())
    await report.done(image, options.tags, sorted(set.intersection(*(build.unused for build in builds))))
    return Outcome(image, target, exported)


def _together(images: Images, made: list[Image], options: Options) -> tuple[Image, str]:
    """Make an index of images, and give it the names; return the image that leads it, and its digest."""
    entries = [
        {"mediaType": manifest.OCI_MANIFEST, "digest": image.manifest, "size": images.content.size(image.manifest),
         "platform": _told(image.platform)}
        for image in made
    ]  # fmt: skip
    document: dict[str, Any] = {"schemaVersion": 2, "mediaType": manifest.OCI_INDEX, "manifests": entries}
    document |= {"annotations": options.index_annotations} if options.index_annotations else {}
    with images.adding() as adding:
        adding.hold(manifest.digest_of(manifest.encode(document)))
        target = images.content.add(manifest.encode(document))
        for image in made if options.tags else ():
            images.commit(image.manifest, options.tags, target, made_here=True)
    return min(made, key=lambda image: host_rank(image.platform)), target


def _told(platform: Platform) -> dict[str, str]:
    found = {"architecture": platform.architecture, "os": platform.os, "variant": platform.variant}
    return {name: value for name, value in found.items() if value}
