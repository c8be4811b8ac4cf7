"""`POST /system/check`: whether records and files agree and every blob is what its digest says. Used by `api.upkeep`.

An extension; podman's `system check` is its model. With repair what is wrong is set right: what belongs to nothing
goes, layers are unpacked once more, and an image that has lost content is removed, to be pulled or loaded again.
Nothing that a container uses while it runs is touched.
"""

import asyncio
import logging
from typing import Any

from pydock_daemon.engine import Engine
from pydock_daemon.snapshots import verify
from pydock_shared.errors import PydockError

from . import problems
from .problems import Problem

ROUNDS = 6
"""How often is looked again after a repair: a blob that goes takes its image along, and that its layers."""
log = logging.getLogger("pydockd.upkeep")


async def check(engine: Engine, *, deep: bool, repair: bool) -> dict[str, Any]:
    """Look at everything, reading every blob when `deep`, and return what was found as JSON."""
    found = [*(await _damaged(engine) if deep else ()), *await _look(engine)]
    told = {(problem.kind, problem.id): _told(problem) for problem in found}
    for _ in range(ROUNDS if repair else 0):
        told |= {(problem.kind, problem.id): await _repair(problem) for problem in found}
        engine.images.sweep()
        if not any(told[problem.kind, problem.id]["Repaired"] for problem in found):
            break
        found = await _look(engine)
    return {
        "Clean": all(entry["Repaired"] for entry in told.values()),
        "Checked": _counts(engine, deep=deep),
        "Problems": list(told.values()),
    }


async def _look(engine: Engine) -> list[Problem]:
    await engine.images.settled()
    return [problem for look in problems.CHECKS for problem in look(engine)]


async def _damaged(engine: Engine) -> list[Problem]:
    """Read every blob, and compare the layers with those that are what they should be."""
    content, found = engine.images.content, []
    damaged = set()
    for digest in content:
        if digest in content and not await asyncio.to_thread(content.verify, digest):
            damaged.add(digest)
            found.append(Problem("blob", digest, "is not what its digest says", problems.forgetter(engine, digest)))
    blobs = {chain: blob for image in engine.images for chain, blob in zip(image.chain, image.blobs, strict=True)}
    for chain, digest in blobs.items():
        if digest in content and digest not in damaged and (text := await _differs(engine, chain, digest)):
            found.append(Problem("layer", chain, text, problems.unpacker(engine, chain)))
    return found


async def _differs(engine: Engine, chain: str, digest: str) -> str:
    if not engine.snapshots.layer(chain):
        return ""
    with engine.snapshots.pinned([chain]), engine.images.content.pinned() as pins:
        pins.hold(digest)
        try:
            source, folders = engine.images.content.path(digest), engine.snapshots.folders(chain)
            return await asyncio.to_thread(verify.difference, source, folders)
        except FileNotFoundError:
            return ""  # which the checks of records tell


async def _repair(problem: Problem) -> dict[str, Any]:
    if problem.repair is None:
        return _told(problem)
    try:
        await problem.repair()
    except (PydockError, OSError) as error:
        return _told(problem) | {"Error": str(error)}
    log.warning("repaired: %s %s %s", problem.kind, problem.id, problem.text)
    return _told(problem) | {"Repaired": True}


def _told(problem: Problem) -> dict[str, Any]:
    return {"Kind": problem.kind, "ID": problem.id, "Problem": problem.text, "Repaired": False}


def _counts(engine: Engine, *, deep: bool) -> dict[str, Any]:
    content = engine.images.content
    digests = list(content)
    return {
        "Deep": deep,
        "Blobs": len(digests),
        "BlobsSize": sum(content.size(digest) for digest in digests),
        "Images": engine.images.count(),
        "Layers": engine.snapshots.count(),
        "Containers": len(engine.containers),
        "Volumes": len(engine.volumes),
    }
