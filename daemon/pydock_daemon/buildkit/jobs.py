"""One build of a BuildKit client, from Solve to its answer. Used by `services`.

A client of today asks for a Solve without a frontend, asks for the build itself by the bridge, and says by Return what
of it is the result. Then the result is exported, and Solve is answered.
"""

import asyncio
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydock_daemon.builder import entitlements, work
from pydock_daemon.builder.platforms import Outcome
from pydock_daemon.engine import Engine
from pydock_shared import reference
from pydock_shared.errors import InvalidArgument, NotFound, NotSupported
from pydock_shared.reference import Reference

from . import attributes, caching, inputs
from .exporters import IMAGE, Export, Result, carry_out, check
from .frontend import Refused, build
from .history import History
from .messages import make
from .progress import Telling
from .session import Client
from .sources import Sources
from .state import BuildKit

Pieces = AsyncIterator[bytes]
AFTERWARDS = 10.0
"""Seconds for which the telling of a build that is over can be followed still."""


class Job:
    """A Solve under way. `request` is what was asked for, `given` the context where no session gives it."""

    def __init__(self, engine: Engine, buildkit: BuildKit, request: Any, given: Pieces | None = None) -> None:
        self._engine, self._buildkit, self._request = engine, buildkit, request
        self.telling = Telling()
        self._given = given
        self._results: dict[str, Outcome] = {}
        self._running: asyncio.Task[Any] | None = None
        self._parts: set[asyncio.Task[Any]] = set()
        self._returned: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._exports, self._caches = exports(request), caching.targets(request.Cache.Exports)
        self._folder = Path()

    async def run(self) -> dict[str, str]:
        """Do it all, and return what the exporters say; a build that is not the client's own affair is recorded."""
        if self._request.Internal:
            return await self._run()
        history = History(self._buildkit, self._engine.config.data_root)
        async with history.recorded(self._request, self.telling) as record:
            answer = await self._run()
            record.ExporterResponse.update(answer)
            return answer

    async def _run(self) -> dict[str, str]:
        name, self._running = self._request.Ref, asyncio.current_task()
        root = self._engine.config.data_root / "builds"
        root.mkdir(mode=0o700, exist_ok=True)
        self._folder = Path(await asyncio.to_thread(tempfile.mkdtemp, dir=root))
        self._buildkit.jobs.put(name, self)
        try:
            built: Outcome | None
            if self._request.Frontend:
                request = self._request
                built = await self.solve(request.Frontend, request.FrontendAttrs, (), request.FrontendInputs)
            else:
                built = await self._result()
            return await self._export(built) if built else {}
        finally:
            await self._stop()
            self.telling.end()
            asyncio.get_running_loop().call_later(AFTERWARDS, self._buildkit.jobs.drop, name, self)
            await asyncio.shield(asyncio.to_thread(work.clean, self._folder))

    def cancel(self) -> None:
        """End the build; who runs it finds that it was cancelled."""
        if self._running:
            self._running.cancel()

    async def _stop(self) -> None:
        """End what the bridge is still asked for: nobody wants it any more."""
        for part in self._parts:
            part.cancel()
        if self._parts:
            await asyncio.shield(asyncio.wait(self._parts))

    async def _result(self) -> Outcome | None:
        returned = await self._returned
        if returned.HasField("error") and returned.error.code:
            details = [(detail.type_url, detail.value) for detail in returned.error.details]
            raise Refused(returned.error.message, details, returned.error.code)
        name = returned.result.ref.id or returned.result.refDeprecated
        if not name:
            return None
        if name not in self._results:
            raise NotFound(f"no such reference {name}")
        return self._results[name]

    async def solve(
        self, frontend: str, given: Mapping[str, str], imports: Iterable[Any], definitions: Mapping[str, Any]
    ) -> Outcome:
        """Build what a frontend is asked for; `imports` are caches besides those of the request.

        `definitions` are results of other builds, by name.
        """
        client = await self._client()
        tags = [tag for export in self._exports for tag in export.tags]
        allowed = entitlements.allowed(self._engine.config, self._request.Entitlements)
        stays = any(one.kind in IMAGE for one in self._exports)
        options = attributes.options(given, tags)
        whole = [one.kind for one in self._exports if one.kind not in IMAGE]
        if options.platforms and whole:
            raise NotSupported(f"the exporter {whole[0]!r} is not supported for several platforms")
        options = replace(
            options,
            session=client,
            allowed=allowed,
            only_exported=not stays,
            annotations={name: text for one in self._exports for name, text in one.annotations("manifest").items()},
            index_annotations={name: text for one in self._exports for name, text in one.annotations("index").items()},
            rewrite=any(one.on("rewrite-timestamp") for one in self._exports),
            cache_from=caching.sources([*self._request.Cache.Imports, *imports], given.get("cache-imports", "")),
            cache_inline=caching.inline(self._caches, given),
            cache_export=caching.mode(self._caches),
        )
        sources = Sources(
            self._engine, client, self.telling, options, self._folder, self._given, attributes.asked(given).sessions,
            {name: inputs.image(one) for name, one in definitions.items()},
        )  # fmt: skip
        building = asyncio.ensure_future(build(sources, frontend, given))
        self._parts.add(building)
        try:
            return await building
        finally:
            building.cancel()
            await asyncio.shield(asyncio.wait([building]))
            self._parts.discard(building)

    async def _client(self) -> Client | None:
        """Return who can be asked; nobody when the request has not said who."""
        if not self._request.Session:
            return None
        client: Client = await self._buildkit.sessions.get(self._request.Session)
        return client

    async def part(self, request: Any) -> Any:
        """Build for the bridge; return the result, as a message."""
        if not request.Frontend:
            if getattr(request.Definition, "def"):
                raise NotSupported("a build from LLB is not supported: only Dockerfiles are")
            return make("Result")
        name = uuid.uuid4().hex
        built = await self.solve(request.Frontend, request.FrontendOpt, request.CacheImports, request.FrontendInputs)
        self._results[name] = built
        return make("Result", ref=make("Ref", id=name, **{"def": inputs.definition(built.image.id)}))

    def returned(self, message: Any) -> None:
        """Take in what the client says is the result."""
        if not self._returned.done():
            self._returned.set_result(message)

    async def _export(self, built: Outcome) -> dict[str, str]:
        answer: dict[str, str] = {}
        client = await self._client()
        for export in self._exports:
            result = Result(self._engine, client, self.telling, built.image, built.target, self._folder)
            answer |= await carry_out(result, export)
        if built.exported:
            await caching.send(self._engine, client, self.telling, built.exported, self._caches)
        return answer


def exports(request: Any) -> list[Export]:
    """Return what is to become of the result. NotSupported: an exporter or an option that there is none of."""
    if getattr(request.Definition, "def"):
        raise NotSupported("a build from LLB is not supported: only Dockerfiles are")
    asked = [(one.Type, dict(one.Attrs)) for one in request.Exporters]
    if not asked and request.Exporter:
        asked = [(request.Exporter, dict(request.ExporterAttrs))]
    made = []
    for number, (kind, attrs) in enumerate(asked):
        names = [name for name in attrs.get("name", "").split(",") if name]
        made.append(Export(kind, attrs, [_tag(name) for name in names], str(number)))
        check(made[-1])
    return made


def _tag(text: str) -> Reference:
    ref = reference.parse(text)
    if ref.digest:
        raise InvalidArgument("build tag cannot contain a digest")
    return ref
