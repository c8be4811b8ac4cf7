"""What a RUN is given while it runs: files of stages and contexts, caches, secrets, an ssh agent. Used by `steps`.

Everything is made for one RUN and taken back after it. A secret lies in memory only: in a tmpfs of this RUN, or in the
environment that its program is started with; no record, key or log has it.
"""

import asyncio
import itertools
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydock_daemon.containers.service import Containers
from pydock_daemon.volumes.copyup import copy_tree
from pydock_runtime import abi, linux
from pydock_shared.buildcache import LABEL, volume
from pydock_shared.errors import InvalidArgument, PydockError

from . import caches, direct
from .mounts import RunMount
from .session import Session
from .state import State

SMALL = "size=64m,mode=700"
_locks: dict[str, tuple[asyncio.Lock, int]] = {}
_users: Counter[str] = Counter()
Files = Callable[[RunMount], Awaitable[State]]


@dataclass
class Given:
    """What a container of a RUN gets: mounts, tmpfs, variables, and variables that no record may have."""

    mounts: list[dict[str, Any]] = field(default_factory=list)
    tmpfs: dict[str, str] = field(default_factory=dict)
    variables: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)

    def bind(self, source: Path, target: str, *, read_only: bool) -> None:
        """Add a bind mount."""
        self.mounts.append({"Type": "bind", "Source": str(source), "Target": target, "ReadOnly": read_only,
                            "BindOptions": {"NonRecursive": True}})  # fmt: skip


class Giver:
    """Gives one RUN what its mounts ask for."""

    def __init__(self, containers: Containers, folder: Path, session: Session | None, files: Files) -> None:
        """`files` returns the state whose files a mount shows."""
        self._containers, self._folder, self._session, self._files = containers, folder, session, files

    @asynccontextmanager
    async def given(self, wanted: list[RunMount]) -> AsyncIterator[Given]:
        """Give what the mounts are for the block. InvalidArgument: a source, a secret or an agent is not there."""
        made = Given()
        async with AsyncExitStack() as stack:
            for mount in sorted(wanted, key=lambda mount: (mount.kind == "cache", mount.name)):
                await GIVERS[mount.kind](self, mount, made, stack)
            yield made

    async def _bind(self, mount: RunMount, made: Given, stack: AsyncExitStack) -> None:
        root = await stack.enter_async_context(self._mapped(await self._files(mount)))
        made.bind(below(root, mount), mount.target, read_only=mount.read_only)

    def _shown(self, state: State) -> AbstractAsyncContextManager[Path]:
        return direct.shown(self._containers.snapshots, state.chain)

    @asynccontextmanager
    async def _mapped(self, state: State) -> AsyncIterator[Path]:
        """Show the files of a state to a container; with the ids that its users have on the host."""
        remap, snapshots = self._containers.remap, self._containers.snapshots
        if remap is None:
            async with self._shown(state) as root:
                yield root
            return
        from pydock_daemon.snapshots import mapped  # whoever has no such containers does not pay for it

        async with direct.prepared(snapshots, state.chain) as key:
            place = Path(tempfile.mkdtemp(dir=self._folder))
            try:
                with mapped.shown(snapshots, key, place, remap.users, remap.owner):
                    yield place
            finally:
                place.rmdir()

    async def _tmpfs(self, mount: RunMount, made: Given, stack: AsyncExitStack) -> None:
        made.tmpfs[mount.target] = f"size={mount.size}" if mount.size else ""

    async def _cache(self, mount: RunMount, made: Given, stack: AsyncExitStack) -> None:
        name = await stack.enter_async_context(self._reserved(mount))
        volumes = self._containers.volumes
        if not volumes.exists(name):
            await self._fill(mount, name)
        caches.touch(self._containers, name)
        made.mounts.append({"Type": "volume", "Source": name, "Target": mount.target, "ReadOnly": mount.read_only,
                            "VolumeOptions": {"NoCopy": True}})  # fmt: skip

    @asynccontextmanager
    async def _reserved(self, mount: RunMount) -> AsyncIterator[str]:
        """Give the volume of a cache: of a locked one when nobody has it, of a private one a copy that nobody has."""
        async with AsyncExitStack() as stack:
            name = volume(mount.name)
            if mount.sharing == "locked":
                await stack.enter_async_context(_locked(name))
            if mount.sharing == "private":
                copies = (volume(mount.name, number) for number in itertools.count())
                name = next(copy for copy in copies if not _users[copy])
            _users[name] += 1
            stack.callback(_left, name)
            yield name

    async def _fill(self, mount: RunMount, name: str) -> None:
        volumes = self._containers.volumes
        volumes.create(name, "local", {}, {LABEL: mount.name})
        place = volumes.mountpoint(name)
        try:
            if mount.origin:
                async with self._shown(await self._files(mount)) as root:
                    await asyncio.to_thread(copy_tree, str(below(root, mount)), place)
            if not mount.origin or mount.mode is not None or mount.uid or mount.gid:
                place.chmod(0o755 if mount.mode is None else mount.mode)
                os.chown(place, mount.uid, mount.gid)
        except BaseException:
            volumes.remove(name, force=True, in_use=[])
            raise

    async def _secret(self, mount: RunMount, made: Given, stack: AsyncExitStack) -> None:
        value = await self._session.secret(mount.name) if self._session else None
        if value is None:
            if mount.required:
                raise InvalidArgument(f"secret {mount.name}: not found")
            return
        if mount.variable:
            made.hidden.append(f"{mount.variable}={os.fsdecode(value)}")
        if mount.target:
            file = stack.enter_context(self._memory()) / "secret"
            file.write_bytes(value)
            self._settle(file, mount)
            made.bind(file, mount.target, read_only=True)

    @contextmanager
    def _memory(self) -> Iterator[Path]:
        """Give a folder that is on no disk."""
        place = Path(tempfile.mkdtemp(dir=self._folder))
        try:
            linux.mount("tmpfs", str(place), "tmpfs", abi.MS_NODEV | abi.MS_NOSUID | abi.MS_NOEXEC, SMALL)
            try:
                yield place
            finally:
                linux.umount2(str(place), abi.MNT_DETACH)
        finally:
            place.rmdir()

    async def _ssh(self, mount: RunMount, made: Given, stack: AsyncExitStack) -> None:
        made.variables.append(f"SSH_AUTH_SOCK={mount.target}")
        session = self._session
        if session is None or not await session.has_agent(mount.name):
            if mount.required:
                raise InvalidArgument(f"unset ssh forward key {mount.name}")
            return

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await session.forward(mount.name, reader, writer)
            except (ConnectionError, PydockError):
                pass  # the program in the container sees the end of its connection
            finally:
                writer.close()

        # A path of a socket has at most 107 characters: the folder of a data root may be longer.
        place = Path(tempfile.mkdtemp(prefix="pydock-agent-"))
        stack.callback(shutil.rmtree, place, ignore_errors=True)
        server = await asyncio.start_unix_server(serve, place / "agent")
        stack.callback(server.close)
        self._settle(place / "agent", mount)
        made.bind(place / "agent", mount.target, read_only=False)

    def _settle(self, file: Path, mount: RunMount) -> None:
        """Give a file of the host to a user of the container."""
        owner, remap = (mount.uid, mount.gid), self._containers.remap
        os.chown(file, *(remap.outside(*owner) if remap else owner))
        file.chmod(mount.mode or 0)


GIVERS = {"bind": Giver._bind, "tmpfs": Giver._tmpfs, "cache": Giver._cache, "secret": Giver._secret, "ssh": Giver._ssh}


def _left(name: str) -> None:
    _users[name] -= 1
    if not _users[name]:
        del _users[name]


@asynccontextmanager
async def _locked(name: str) -> AsyncIterator[None]:
    """Let one RUN at a time have a cache; the lock is forgotten with the last who wants it."""
    lock, waiting = _locks.get(name, (asyncio.Lock(), 0))
    _locks[name] = lock, waiting + 1
    try:
        async with lock:
            yield
    finally:
        lock, waiting = _locks.pop(name)
        if waiting > 1:
            _locks[name] = lock, waiting - 1


def below(root: Path, mount: RunMount) -> Path:
    """Return where a mount's source is below a root, which no link leads out of. InvalidArgument: nowhere."""
    above = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = linux.openat2(above, mount.source, os.O_PATH, resolve=abi.RESOLVE_IN_ROOT | abi.RESOLVE_NO_MAGICLINKS)
        try:
            return Path(os.readlink(f"/proc/self/fd/{found}"))
        finally:
            os.close(found)
    except OSError as error:
        where = f" of {mount.origin}" if mount.origin else ""
        raise InvalidArgument(f"failed to compute cache key: {mount.source}{where}: not found") from error
    finally:
        os.close(above)
