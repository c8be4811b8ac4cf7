"""Statistics of one container and, as an extension, of many in one answer."""

import asyncio
from typing import Any

from aiohttp import web

from pydock_daemon.containers import stats
from pydock_daemon.containers.model import Container
from pydock_daemon.containers.stats import Sample
from pydock_shared.errors import InvalidArgument

from .routing import Call, json_response
from .stream import progress_stream

EVERY = 1.0  # seconds between two records of a stream
ONE_SHOT = (1, 41)  # the version that brought the parameter


async def container_stats(call: Call) -> web.StreamResponse:
    """GET /containers/{name}/stats: a record a second, or with `stream=false` one."""
    container = call.engine.containers.get(call.params["name"])
    stream, one_shot = call.flag("stream", default=True), call.version >= ONE_SHOT and call.flag("one-shot")
    if stream and one_shot:
        raise InvalidArgument("cannot have stream=true and one-shot=true")
    before = await _sample(call, container)
    if not stream:
        now = None if one_shot or before is None else await _later(call, container)
        return json_response(stats.record(container, now or before, before if now else None))
    async with progress_stream(call, end=b"\n") as answer:
        await answer.send(stats.record(container, before, None))
        while True:
            await asyncio.sleep(EVERY)
            if call.engine.containers.find(container.id) is None:
                break
            now = await _sample(call, container)
            await answer.send(stats.record(container, now, before))
            before = now
    return await answer.finish()


async def all_stats(call: Call) -> web.StreamResponse:
    """GET /containers/stats: a list of the records of all running containers, or of the given ones, in one answer.

    Query: `containers` (ids or names, with commas between), `all` (those too that do not run).
    """
    containers = call.engine.containers
    asked = [name for name in call.query.get("containers", "").split(",") if name]
    chosen = [containers.get(name) for name in asked] or [c for c in containers if c.alive or call.flag("all")]
    before = await _samples(call, chosen)
    if any(before):
        await asyncio.sleep(stats.PAUSE)
    now = await _samples(call, chosen) if any(before) else before
    return json_response([stats.record(*row) for row in zip(chosen, now, before, strict=True)])


def _where(call: Call, container: Container) -> tuple[str, int]:
    return call.engine.containers.cgroup_path(container), container.state.pid


async def _sample(call: Call, container: Container) -> Sample | None:
    return (await _samples(call, [container]))[0]


async def _samples(call: Call, chosen: list[Container]) -> list[Sample | None]:
    """Read all in one thread: the reads are short, and threads are not."""
    where = [_where(call, container) if container.alive else None for container in chosen]
    return await asyncio.to_thread(lambda: [stats.sample(*place) if place else None for place in where])


async def _later(call: Call, container: Container) -> Sample | None:
    await asyncio.sleep(stats.PAUSE)
    return await _sample(call, container)


ROUTES: tuple[tuple[str, str, Any], ...] = (
    ("GET", "/containers/stats", all_stats),
    ("GET", "/containers/{name}/stats", container_stats),
)
