"""What is mounted for volumes: at their first use, and while somebody uses them. Used by `service`, containers.

Who uses a volume is known to this process alone; a daemon that comes back is told by `adopt` who still does. What is
mounted is asked of the kernel. Mounting is a child's work: the server of a network file system may not answer.
"""

import asyncio
import json
import logging
import os
import secrets
import shutil
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from pydock_daemon.forkserver.client import ForkServer
from pydock_shared.errors import InvalidArgument, NotFound, PydockError, Unavailable

from . import options

log = logging.getLogger("pydockd.volumes")
PATIENCE = 60.0
"""Seconds until a mount must have been made."""
ERRORS: dict[str, type[PydockError]] = {"failed": PydockError, "missing": NotFound, "invalid": InvalidArgument}


class Mounts:
    """The mounts of one daemon's volumes, and who uses them; a user is a container's id or another text of its own."""

    def __init__(self, forks: ForkServer, stage: Path) -> None:
        self._forks = forks
        self._stage = stage
        """Where parts of volumes are shown to containers that start."""
        self._users: defaultdict[str, set[str]] = defaultdict(set)
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def hold(self, place: Path, given: Mapping[str, str], user: str) -> None:
        """Mount what a volume's options say, unless it is; PydockError with Docker's words when that fails.

        The user has it until `release`, after an error as well.
        """
        target = str(place)
        self._users[target].add(user)
        async with self._locks[target]:
            if mounted_at(target):
                return
            try:
                device, words = await options.resolved(given)
                mount = {"source": device, "target": target, "type": given.get("type", ""), "words": words}
                await self._work("mount", mount, "failed to mount local volume: ")
            except PydockError as error:
                message = options.without_secrets(error.message, given.get("o", ""))
                raise type(error)(f"error while mounting volume '{target}': {message}") from error

    def strays(self, root: Path) -> list[str]:
        """Return what is mounted below a folder and used by nobody."""
        held = {os.path.realpath(target) for target, users in self._users.items() if users}
        held |= set(mounted_below(self._stage)) | {target for target, lock in self._locks.items() if lock.locked()}
        return [place for place in mounted_below(root) if place not in held]

    async def release(self, user: str) -> None:
        """Take a user from every volume that it has; what nobody uses is unmounted."""
        for target in [target for target, users in self._users.items() if user in users]:
            self._users[target].discard(user)
            async with self._locks[target]:
                if not self._users[target]:
                    await self._unmount(target)
            if not self._users[target]:
                self._users.pop(target, None)

    async def adopt(self, used: Mapping[Path, Iterable[str]], root: Path) -> None:
        """Begin with these users; what else is mounted below the folder of the volumes is unmounted."""
        for place, users in used.items():
            self._users[str(place)].update(users)
        kept = {os.path.realpath(held) for held in self._users}
        for target in (*mounted_below(root), *mounted_below(self._stage)):
            if target not in kept:
                log.info("unmounting %s, which nothing uses", target)
                await self._unmount(target)
        if not mounted_below(self._stage):
            shutil.rmtree(self._stage, ignore_errors=True)

    async def _unmount(self, target: str) -> None:
        try:
            await self._work("unmount", {"target": target})
        except PydockError as error:
            log.warning("cannot unmount %s: %s", target, error.message)

    @asynccontextmanager
    async def shown(self, volume: Path, path: str) -> AsyncIterator[Path]:
        """Give a place where a file or folder of a volume is to be seen until the block ends.

        NotFound and InvalidArgument with Docker's words when there is none, or when it is not below the volume.
        """
        place = self._stage / secrets.token_hex(8)
        try:
            await self._work("show", {"volume": str(volume), "path": path, "target": str(place)})
            yield place
        finally:
            await asyncio.shield(self._hide(place))

    async def _hide(self, place: Path) -> None:
        await self._unmount(str(place))
        with suppress(OSError):
            place.rmdir() if place.is_dir() else place.unlink()

    async def _work(self, verb: str, arguments: dict[str, Any], prefix: str = "") -> None:
        output = os.memfd_create("output")
        try:
            child = await self._forks.fork("volumes", json.dumps({"verb": verb, **arguments}), (None, output, 2))
            try:
                async with asyncio.timeout(PATIENCE):
                    code = await child.wait()
            except TimeoutError as error:
                raise Unavailable(f"{prefix}{verb} {arguments['target']}: no end after {PATIENCE:.0f} s") from error
            finally:
                child.kill()
            written = os.pread(output, os.fstat(output).st_size, 0)
        finally:
            os.close(output)
        if not written:
            raise PydockError(f"{prefix}{verb} {arguments['target']}: ended with code {code}")
        answer = json.loads(written)
        if answer:
            raise ERRORS[answer["kind"]](prefix + answer["error"])


def mounted_at(target: str) -> bool:
    """Say whether something is mounted at a path."""
    return os.path.realpath(target) in _mountpoints()


def mounted_below(folder: Path) -> list[str]:
    """Return the paths below a folder at which something is mounted, the last one first."""
    above = os.path.realpath(folder) + "/"
    return [path for path in reversed(_mountpoints()) if path.startswith(above)]


def mounted_on(path: str) -> tuple[str, set[str]]:
    """Return where the mount is that a path lies on, and the words for how it spreads: `shared`, `master`."""
    real = os.path.realpath(path)
    with open("/proc/self/mountinfo", "rb") as file:
        rows = [line.split(b" ") for line in file]
    for row in reversed(rows):
        place = _unescaped(row[4])
        if place == "/" or real == place or real.startswith(f"{place}/"):
            return place, {os.fsdecode(tag).partition(":")[0] for tag in row[6 : row.index(b"-")]}
    return "/", set()


def _mountpoints() -> list[str]:
    """Return where something is mounted, in order."""
    with open("/proc/self/mountinfo", "rb") as file:
        return [_unescaped(line.split(b" ", 5)[4]) for line in file]


def _unescaped(path: bytes) -> str:
    """Return a path of proc_pid_mountinfo(5): white space and `\\` are octal there."""
    return os.fsdecode(path.decode("unicode_escape").encode("latin-1") if b"\\" in path else path)
