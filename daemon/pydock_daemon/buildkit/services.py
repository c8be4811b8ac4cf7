"""The methods that BuildKit's clients call on `/grpc`: Control, the gateway's bridge, health. Used by `api.buildkit`.

Sources: control.proto and gateway.proto of BuildKit. What is not here is answered with UNIMPLEMENTED and its name.
"""

import asyncio
import os
import socket
import time
from collections.abc import Iterable, Mapping
from contextlib import aclosing
from typing import Any

from pydock_daemon import __version__
from pydock_daemon.builder import prune
from pydock_daemon.engine import Engine
from pydock_daemon.images.model import host_platform
from pydock_shared.errors import InvalidArgument, NotSupported
from pydock_shared.filters import Filters
from pydock_shared.times import rfc3339

from . import session
from .history import History
from .jobs import Job
from .messages import make, timestamp
from .state import BuildKit
from .transport import Method

CONTROL = "/moby.buildkit.v1.Control/"
BRIDGE = "/moby.buildkit.v1.frontend.LLBBridge/"
HEALTH = "/grpc.health.v1.Health/"
BUILD = "buildkit-controlapi-buildid"
"""The header by which the bridge is told which build is meant."""
SERVING = 1
FRONTEND = ("solve.base", "solve.inlinereturn", "resolveimage", "return", "returnmap", "proto.refarray",
            "reference.output", "frontend.inputs", "gateway.evaluate", "gateway.solve.evaluate",
            "gateway.solve.metadata", "gateway.warnings")  # fmt: skip
"""What a client may use of the bridge, in the words of caps.go; attestations are not among them, nor is what reads."""
LLB = ("source.image", "source.local", "source.local.followpaths", "source.local.sharedkeyhint", "source.git",
       "source.http", "exec.meta.base", "exec.mount.bind", "exec.mount.cache", "exec.mount.tmpfs", "exec.mount.secret",
       "exec.mount.ssh", "exec.meta.network", "exec.meta.ulimit", "exec.meta.cgroup.parent", "file.base", "platform",
       "meta.description", "exporter.multiple", "exporter.sourcedateepoch", "gc.freespacefilter")  # fmt: skip


LABELS = {"org.mobyproject.buildkit.worker.snapshotter": "overlayfs"}
"""By this label buildx knows an engine with the exporters docker and oci."""
HOST_GATEWAY = "org.mobyproject.buildkit.worker.moby.host-gateway-ip"
"""By this one it knows what `--add-host NAME:host-gateway` means."""


class Services:
    """The methods of one engine."""

    def __init__(self, engine: Engine, buildkit: BuildKit) -> None:
        self._engine, self._buildkit = engine, buildkit
        self._history = History(buildkit, engine.config.data_root)

    def methods(self) -> Mapping[str, tuple[Method, str]]:
        """Return the methods by their paths, each with the message that it takes."""
        return {
            f"{CONTROL}Solve": (self._solve, "Solve"),
            f"{CONTROL}Status": (self._status, "StatusOf"),
            f"{CONTROL}ListWorkers": (self._workers, "Empty"),
            f"{CONTROL}Info": (self._info, "Empty"),
            f"{CONTROL}DiskUsage": (self._usage, "UsageOf"),
            f"{CONTROL}Prune": (self._prune, "Prune"),
            f"{CONTROL}Session": (self._session, "Bytes"),
            f"{CONTROL}ListenBuildHistory": (self._records, "HistoryOf"),
            f"{CONTROL}UpdateBuildHistory": (self._update, "UpdateRecord"),
            f"{BRIDGE}Ping": (self._ping, "Empty"),
            f"{BRIDGE}Solve": (self._part, "SolvePart"),
            f"{BRIDGE}Evaluate": (_nothing, "Empty"),  # what is solved here is evaluated
            f"{BRIDGE}Return": (self._return, "Return"),
            f"{BRIDGE}Warn": (_nothing, "Empty"),
            f"{HEALTH}Check": (_healthy, "Empty"),
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export": (_nothing, "Empty"),
        }

    async def _solve(self, stream: Any) -> None:
        request = await stream.recv_message()
        if not request.Ref:
            raise InvalidArgument("a build needs a ref")
        answer = await Job(self._engine, self._buildkit, request).run()
        await stream.send_message(make("Solved", ExporterResponse=answer))

    async def _status(self, stream: Any) -> None:
        request = await stream.recv_message()
        if self._buildkit.jobs.find(request.Ref) is None and self._history.has(request.Ref):
            for message in await self._history.status(request.Ref):
                await stream.send_message(message)
            return
        job: Job = await self._buildkit.jobs.get(request.Ref)
        # Clients set their clock by it: BuildKit's solver has this header.
        await stream.send_initial_metadata(metadata={"buildkit-current-timestamp": rfc3339(time.time_ns())})
        async for message in job.telling.follow():
            await stream.send_message(message)

    async def _session(self, stream: Any) -> None:
        """Have the client among those that can be asked, as `POST /session` does: its bytes go by messages here."""
        who = session.identity(lambda name: stream.metadata.getall(name, ()))
        ours, theirs = socket.socketpair()
        with ours:
            ours.setblocking(False)
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(_received(stream, ours))
                sending = group.create_task(_sent(stream, ours))
                await session.serve(self._buildkit.sessions, theirs, who)
                reading.cancel()
                sending.cancel()

    async def _records(self, stream: Any) -> None:
        request = await stream.recv_message()
        if request.Filter:
            raise NotSupported(f"the filter {request.Filter[0]} of build records is not supported")
        async with aclosing(self._history.listen(request)) as events:
            async for event in events:
                await stream.send_message(event)

    async def _update(self, stream: Any) -> None:
        request = await stream.recv_message()
        if not request.Finalize:  # there is nothing to finalize: all is written when a build ends
            await self._history.update(request.Ref, pinned=request.Pinned, delete=request.Delete)
        await stream.send_message(make("Empty"))

    async def _job(self, stream: Any) -> Job:
        name = stream.metadata.get(BUILD, "")
        if not name:
            raise InvalidArgument(f"the header {BUILD} is missing")
        job: Job = await self._buildkit.jobs.get(name)
        return job

    async def _ping(self, stream: Any) -> None:
        await stream.recv_message()
        await self._job(stream)
        frontend = [make("Capability", ID=name, Enabled=True) for name in FRONTEND]
        llb = [make("Capability", ID=name, Enabled=True) for name in LLB]
        await stream.send_message(make("Pong", FrontendAPICaps=frontend, LLBCaps=llb, Workers=[self._worker()]))

    async def _part(self, stream: Any) -> None:
        request = await stream.recv_message()
        job = await self._job(stream)
        await stream.send_message(make("SolvedPart", result=await job.part(request)))

    async def _return(self, stream: Any) -> None:
        request = await stream.recv_message()
        (await self._job(stream)).returned(request)
        await stream.send_message(make("Empty"))

    async def _workers(self, stream: Any) -> None:
        await stream.recv_message()
        await stream.send_message(make("Workers", record=[self._worker()]))

    def _worker(self) -> Any:
        host, gateway = host_platform(), self._engine.networks.by_name["bridge"].gateway
        labels = LABELS | ({HOST_GATEWAY: gateway} if gateway else {})
        platform = make("Platform", Architecture=host.architecture, OS=host.os, Variant=host.variant)
        return make("Worker", ID=self._engine.id, Labels=labels, platforms=[platform], BuildkitVersion=_version())

    async def _info(self, stream: Any) -> None:
        await stream.recv_message()
        await stream.send_message(make("Info", buildkitVersion=_version()))

    async def _usage(self, stream: Any) -> None:
        filters = _filters((await stream.recv_message()).filter)
        engine = self._engine
        found = await prune.entries(engine.containers, engine.build_cache)
        chosen = [entry for entry in found if all(check(entry) for check in prune.checks(filters))]
        await stream.send_message(make("Usage", record=[_record(entry) for entry in chosen]))

    async def _prune(self, stream: Any) -> None:
        request, engine = await stream.recv_message(), self._engine
        limits = prune.Limits(request.reservedSpace, request.maxUsedSpace, request.minFreeSpace)
        if min(limits) < 0:
            raise InvalidArgument("the space of a build cache cannot be negative")
        entries = await prune.entries(engine.containers, engine.build_cache)
        disk = os.statvfs(engine.config.data_root)
        now = time.time_ns() - max(request.keepDuration, 0)
        gone = prune.chosen(
            entries, _filters(request.filter), limits, disk.f_bfree * disk.f_frsize, every=request.all, now=now
        )
        ids, freed = await prune.remove(engine.containers, engine.build_cache, gone)
        engine.events.publish("builder", "prune", "", {"reclaimed": str(freed)})
        for entry in gone:
            if entry["ID"] in ids:
                await stream.send_message(_record(entry))


def _filters(texts: Iterable[str]) -> Filters:
    """Return filters in the form of containerd (`id==x,type==y`, `id~=x`, `inuse`) as Docker's."""
    found: dict[str, list[str]] = {}
    for text in filter(None, ",".join(texts).split(",")):
        name, _, value = text.replace("~=", "==").partition("==")
        if name not in prune.FIELDS:
            raise InvalidArgument(f"invalid filter: {text}")
        found.setdefault(name, []).append(value)
    return Filters(found)


def _version() -> Any:
    return make("Version", package="pydock", version=f"v{__version__}")


def _record(entry: Mapping[str, Any]) -> Any:
    return make(
        "Record", ID=entry["ID"], InUse=entry["InUse"], Size=entry["Size"], CreatedAt=timestamp(entry["CreatedAt"]),
        LastUsedAt=timestamp(entry["LastUsedAt"]), UsageCount=entry["UsageCount"], Description=entry["Description"],
        RecordType=entry["Type"], Shared=entry["Shared"],
    )  # fmt: skip


async def _received(stream: Any, sock: socket.socket) -> None:
    """Bring what the client sends to a socket."""
    while (message := await stream.recv_message()) is not None:
        await asyncio.get_running_loop().sock_sendall(sock, message.data)
    sock.shutdown(socket.SHUT_WR)


async def _sent(stream: Any, sock: socket.socket) -> None:
    """Bring what comes from a socket to the client."""
    while piece := await asyncio.get_running_loop().sock_recv(sock, session.PIECE):
        await stream.send_message(make("Bytes", data=piece))


async def _nothing(stream: Any) -> None:
    """Take in what tells of the client's side: traces and warnings."""
    await stream.recv_message()
    await stream.send_message(make("Empty"))


async def _healthy(stream: Any) -> None:
    await stream.recv_message()
    await stream.send_message(make("Health", status=SERVING))
