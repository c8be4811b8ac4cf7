"""Checkpoints of containers: what their processes were at a moment, by criu. Used by the API.

Each is a folder, among the container's own files or where the client says. The runtime makes and reads what is in it.
"""

import asyncio
import shutil
from pathlib import Path

from pydock_daemon.files.process import has_users
from pydock_shared import names
from pydock_shared.errors import Conflict, InvalidArgument, NotFound, NotSupported, PydockError

from . import start, wait
from .model import Container, Status
from .service import Containers

FOLDER = "checkpoints"
REMAPPED = "checkpoints are not supported when user namespaces are enabled"
WORK = "criu"
"""Among the container's own files: where criu writes its log, that of the last time."""
PATIENCE = 10.0
"""Seconds for word of the end of a container whose checkpoint has been made."""


async def create(
    containers: Containers, container: Container, name: str, directory: str, *, leave_running: bool
) -> None:
    """Write a running container to a new checkpoint. Unless it is left running, it has ended on return."""
    async with container.lock:
        if container.state.status not in (Status.RUNNING, Status.PAUSED):
            raise Conflict(f"container {container.id} is not running")
        if has_users(container.state.pid):
            raise NotSupported(REMAPPED)
        if not names.valid(name):
            raise InvalidArgument(f"Invalid checkpoint ID ({name}), only {names.RULE} are allowed")
        spec = await start.specification(containers, container, {})
        place = _folder(containers, container, directory) / name
        try:
            await asyncio.to_thread(place.mkdir, mode=0o700, parents=True)
        except FileExistsError as error:
            what = f"checkpoint with name {name} already exists for container {container.name}"
            raise Conflict(f"cannot checkpoint container {container.name}: {what}") from error
        except OSError as error:
            raise InvalidArgument(f"cannot checkpoint container {container.name}: {error}") from error
        ended = wait.prepare(container, "not-running")
        try:
            await containers.supervisor.request(
                "checkpoint",
                longest=start.LONGEST_BY_CRIU,
                container=container.id,
                spec=spec,
                images=str(place),
                work=str(containers.directory(container) / WORK),
                leave_running=leave_running,
            )
        except BaseException as error:
            ended.cancel()
            await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)
            if isinstance(error, PydockError):
                error.message = f"Cannot checkpoint container {container.name}: {error.message}"
            raise
    containers.publish(container, "checkpoint")
    if leave_running:
        ended.cancel()
    else:
        await asyncio.wait([ended], timeout=PATIENCE)


async def of(containers: Containers, container: Container, directory: str) -> list[str]:
    """Return the names of a container's checkpoints."""
    place = _folder(containers, container, directory)
    return await asyncio.to_thread(_folders_in, place)


def _folders_in(place: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in place.iterdir() if entry.is_dir())
    except OSError:
        return []


async def remove(containers: Containers, container: Container, name: str, directory: str) -> None:
    """Remove a checkpoint; NotFound when there is none of that name."""
    place = await _find(containers, container, name, directory)
    await asyncio.to_thread(shutil.rmtree, place)


async def restoring(containers: Containers, container: Container, name: str, directory: str) -> start.Restore:
    """Return what a start from a checkpoint takes; NotFound when there is none of that name."""
    if containers.remap and container.host.userns_mode != "host":
        raise NotSupported(REMAPPED)
    place = await _find(containers, container, name, directory)
    return {"images": str(place), "work": str(containers.directory(container) / WORK)}


async def _find(containers: Containers, container: Container, name: str, directory: str) -> Path:
    place = _folder(containers, container, directory) / name
    if not names.valid(name) or not await asyncio.to_thread(place.is_dir):
        raise NotFound(f"checkpoint {name} does not exist for container {container.name}")
    return place


def _folder(containers: Containers, container: Container, directory: str) -> Path:
    if directory and not directory.startswith("/"):
        raise InvalidArgument(f"checkpoint directory {directory} is not absolute")
    return Path(directory) if directory else containers.directory(container) / FOLDER
