"""pydockd itself: builds everything once, in order, serves until it is told to stop, and leaves the containers running.

The command `pydockd`. What it opens is on one stack and closed in reverse order; nothing a container needs is among it.
"""

import asyncio
import fcntl
import gc
import hashlib
import logging
import os
import signal
import sys
import uuid
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

import pydock_runtime
from pydock_daemon import __version__, config, events, listen
from pydock_daemon.api.errors import Malformed
from pydock_daemon.api.halfclose import Server
from pydock_daemon.api.server import Edge, changes, request
from pydock_daemon.builder import cache, work
from pydock_daemon.builder.cache import Cache
from pydock_daemon.builder.contexts import Contexts
from pydock_daemon.buildkit.state import BuildKit
from pydock_daemon.config import Config
from pydock_daemon.containers import autostart, exits, model, ooms, reconcile, sharedmemory, sizes
from pydock_daemon.containers.capabilities import available
from pydock_daemon.containers.exec import Execs
from pydock_daemon.containers.health import Monitors
from pydock_daemon.containers.logdrivers import options
from pydock_daemon.containers.service import Containers
from pydock_daemon.containers.supervisor import Supervisor
from pydock_daemon.engine import Engine
from pydock_daemon.events import Events
from pydock_daemon.images import service as images
from pydock_daemon.networks import service as networks
from pydock_daemon.snapshots import choosing
from pydock_daemon.snapshots import overlay as snapshots
from pydock_daemon.store import Store
from pydock_daemon.tls.front import Front
from pydock_daemon.tls.settings import certificates
from pydock_daemon.upkeep.reload import LEVELS, reload
from pydock_daemon.volumes import service as volumes
from pydock_daemon.volumes.mounts import Mounts
from pydock_runtime import rlimits
from pydock_shared.errors import InvalidArgument, PydockError

if TYPE_CHECKING:
    from pydock_daemon.remapping import Remap

log = logging.getLogger("pydockd")
LAST_WORDS = 0.5
"""Seconds in which an answer that is complete goes out when the daemon ends."""
LINGER = 5.0
"""Seconds for which the rest of a body is taken in that has had its answer, as of an image that a full disk has no
room for: a client whose sending breaks does not see it. Go's server does so as well, for 256 KB and half a second."""
SCHEMAS = (
    *(events.SCHEMA, model.SCHEMA, sizes.SCHEMA, images.SCHEMA, snapshots.SCHEMA, networks.SCHEMA),
    *(volumes.SCHEMA, cache.SCHEMA),
)


def main() -> None:
    """Run the daemon; exit code 1 with one line when it cannot start."""
    arguments = config.parser().parse_args()
    if arguments.version:
        print(f"pydockd version {__version__}")
        return
    try:
        invocation = config.load(arguments)
        _check_log_options(invocation.config)
        if invocation.validate:
            print("configuration OK")
            return
        if os.geteuid() != 0:
            raise PydockError("pydockd needs to be started with root privileges")
        _set_up_logging(invocation.config)
        rlimits.raise_files()  # a client, a container and a stream cost descriptors
        asyncio.run(serve(invocation.config, lambda: config.load(arguments).config))
    except PydockError as error:
        message = (
            f"unable to configure the daemon: {error.message}" if isinstance(error, InvalidArgument) else error.message
        )
        sys.exit(f"pydockd: {message}")
    except OSError as error:
        sys.exit(f"pydockd: {error}")


def _check_log_options(settings: Config) -> None:
    try:
        options.check(settings.log_driver, settings.log_options)
    except InvalidArgument as error:
        raise InvalidArgument(f"failed to set log opts: {error.message}") from error


def _set_up_logging(settings: Config) -> None:
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(level=LEVELS[settings.log_level], format=form, stream=sys.stderr)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    logging.getLogger("aiohttp.server").addFilter(Malformed())


async def serve(settings: Config, load: Callable[[], Config]) -> None:
    """Open everything, answer requests until SIGTERM or SIGINT, close everything; SIGHUP has settings loaded again."""
    async with AsyncExitStack() as stack:
        listen.keep_passed()
        files = stack.enter_context(ExitStack())
        _own_roots(settings, files)
        shown = certificates(settings)
        engine = await _build(settings, stack)
        sockets = listen.open_all(settings, files)
        # A handler ends with its client, see api.server; an answer has no end of its own.
        edge = Edge(engine)
        server = Server(
            edge,
            stays=changes,
            request_factory=request,
            handler_cancellation=True,
            access_log=None,
            auto_decompress=False,  # a body is what was sent: archives are looked at anyway, documents are not packed
            lingering_time=LINGER,
        )
        runner = web.ServerRunner(server, shutdown_timeout=LAST_WORDS)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        stack.push_async_callback(lambda: edge.close(settings.shutdown_timeout))
        for listener in sockets:
            if not listener.tls:
                await web.SockSite(runner, listener.socket, backlog=listen.BACKLOG).start()
        if shown:
            front = Front(shown, [listener.socket for listener in sockets if listener.tls], server)
            stack.callback(front.close)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload, engine, load)
        # What was made until here lives as long as the daemon: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        log.info("API listens on %s", ", ".join(settings.hosts))
        listen.notify("READY=1")
        await stop.wait()
        listen.notify("STOPPING=1")
        log.info("stopping; containers go on")
        await engine.networks.leave(live=any(container.alive for container in engine.containers))
        if not any(container.alive for container in engine.containers):
            with suppress(PydockError):
                await engine.supervisor.request("shutdown")


def _own_roots(settings: Config, stack: ExitStack) -> None:
    """Make the roots, take the lock of the data root, write the pid file."""
    for root in (settings.data_root, settings.exec_root):
        root.mkdir(mode=0o711, parents=True, exist_ok=True)
    lock = os.open(settings.data_root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    stack.callback(os.close, lock)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise PydockError(f"another daemon uses the data root {settings.data_root}") from error
    settings.pidfile.parent.mkdir(parents=True, exist_ok=True)
    settings.pidfile.write_text(str(os.getpid()))
    stack.callback(settings.pidfile.unlink, missing_ok=True)


async def _build(settings: Config, stack: AsyncExitStack) -> Engine:
    """Make the services, lowest first."""
    root = settings.data_root
    remap = _remapped(settings, stack)
    store = Store.open(root / "pydock.db", SCHEMAS)
    stack.callback(store.close)
    log_of_events = Events(store)
    layers = choosing.opened(root, store, settings.storage_driver)
    stack.callback(layers.close)
    if remap:
        from pydock_daemon.snapshots import mapped  # as in `_remapped`

        mapped.check(layers, remap.users, remap.owner)
    supervisor = Supervisor(settings.exec_root)
    links = networks.Networks(store, log_of_events, settings, root / "networks")
    stores = volumes.Volumes(
        store, log_of_events, root / "volumes", Mounts(layers.forks, settings.exec_root / "volumes")
    )
    pictures = images.Images(root / "content", store, log_of_events, layers, settings)
    await pictures.open()
    stack.push_async_callback(pictures.close)
    containers = Containers(
        config=settings,
        store=store,
        events=log_of_events,
        images=pictures,
        snapshots=layers,
        networks=links,
        volumes=stores,
        supervisor=supervisor,
        capabilities=available(Path("/proc/self/status").read_text()),
        cgroup_parent=_cgroup_parent(settings),
        remap=remap,
    )
    stack.push_async_callback(containers.shipping.close)
    sizes.recall(containers)
    stack.callback(sizes.remember, containers)
    pictures.users = containers.users_of_image
    execs = Execs(containers)
    contexts = Contexts(root / "build-contexts")
    engine = Engine(
        id=_identity(root),
        config=settings,
        store=store,
        events=log_of_events,
        images=pictures,
        snapshots=layers,
        networks=links,
        volumes=stores,
        containers=containers,
        execs=execs,
        supervisor=supervisor,
        build_cache=Cache(store, pictures, contexts),
        buildkit=BuildKit(),
        build_contexts=contexts,
    )
    await _bring_together(engine, stack)
    return engine


def _remapped(settings: Config, stack: AsyncExitStack) -> "Remap | None":
    """Return the ids that containers have on the host, if not the host's own; before there are threads."""
    if not settings.userns_remap:
        return None
    from pydock_daemon import remapping  # imported by those who ask for it

    return remapping.opened(settings.userns_remap, stack.enter_context(ExitStack()))


async def _bring_together(engine: Engine, stack: AsyncExitStack) -> None:
    """Connect to what runs without this daemon, and make records and facts agree: now, and after each reconnection."""
    containers, supervisor, links = engine.containers, engine.supervisor, engine.networks
    monitors = Monitors(containers, engine.execs)
    containers.on_move = monitors.moved
    stack.callback(monitors.close)
    tasks = _Tasks()
    _listen_to(supervisor, containers, engine.execs, tasks)
    hello = await supervisor.connect()
    stack.push_async_callback(supervisor.close)
    await links.open()
    stack.push_async_callback(links.close)
    live = reconcile.live(containers, hello)
    links.reconcile(live)
    await engine.volumes.adopt(reconcile.users_of_volumes(containers, live))
    await sharedmemory.adopt(containers, live)

    async def settle(hello: dict[str, Any]) -> None:
        engine.execs.settle(hello)
        wanted = await reconcile.reconcile(containers, hello)
        monitors.adopt()
        tasks.run(autostart.start_all(containers, wanted))

    supervisor.on_hello = lambda hello: tasks.run(settle(hello))
    await settle(hello)
    if hello.get("release") != pydock_runtime.__version__:
        tasks.run(_upgrade(supervisor, hello))
    reconcile.remove_leftovers(containers)
    await work.sweep(containers)
    work.sweep_folders(engine.config.data_root / "builds")
    stack.callback(_cancel, tasks, containers)
    if high := engine.config.image_gc_high:
        # Imported by those who ask for it.
        from pydock_daemon.upkeep.collect import Collector

        low = engine.config.image_gc_low or high.below()
        tasks.run(Collector(engine, high, low, engine.config.image_gc_min_age).run())


async def _upgrade(supervisor: Supervisor, hello: dict[str, Any]) -> None:
    """Bring a supervisor of another release up to date; one that cannot go on with ours goes on as it is."""
    before = hello.get("release", "an earlier one")
    try:
        await supervisor.upgrade()
    except PydockError as error:
        log.warning("the supervisor is of another release (%s): %s", before, error.message)
    else:
        log.info("the supervisor goes on with release %s, before it was %s", pydock_runtime.__version__, before)


class _Tasks(set[asyncio.Task[None]]):
    """What follows from a report of the supervisor, while it is under way."""

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin some work."""
        task = asyncio.create_task(work)
        self.add(task)
        task.add_done_callback(self.discard)


def _listen_to(supervisor: Supervisor, containers: Containers, execs: Execs, tasks: _Tasks) -> None:
    """Connect what the supervisor reports with what follows from it."""

    def on_exit(event: dict[str, Any]) -> None:
        if event.get("exec"):
            execs.exited(event)
        else:
            tasks.run(exits.exited(containers, event))

    supervisor.on_exit = on_exit
    supervisor.on_detach = lambda event: containers.detached(event)
    supervisor.on_oom = lambda event: tasks.run(ooms.killed(containers, event))
    supervisor.on_lost = execs.lost


def _cancel(tasks: _Tasks, containers: Containers) -> None:
    for task in tasks:
        task.cancel()
    for container in containers:
        if container.restart:
            container.restart.cancel()


def _cgroup_parent(settings: Config) -> str:
    """Return the cgroup above the containers: of this daemon alone, so that several keep to their own."""
    if settings.data_root == Config().data_root:
        return "pydock"
    return f"pydock-{hashlib.sha256(str(settings.data_root).encode()).hexdigest()[:8]}"


def _identity(root: Path) -> str:
    """Return the id of the data root, made at its first use."""
    path = root / "engine-id"
    if not path.exists():
        path.write_text(str(uuid.uuid4()))
    return path.read_text()


if __name__ == "__main__":
    main()
