"""`GET /containers/{id}/top`: the processes of a container, by the host's ps. Used by api.containers."""

import asyncio
import os
import shlex
from pathlib import Path

from pydock_shared.errors import Conflict, InvalidArgument, PydockError

from .model import Container
from .service import Containers

PATIENCE = 20.0
"""Seconds that the host's ps has, which asks every process there is."""


async def top(containers: Containers, container: Container, arguments: str) -> tuple[list[str], list[list[str]]]:
    """Return the titles and rows that `ps ARGUMENTS` shows of the container's processes; they must include PID."""
    if not container.alive:
        raise Conflict(f"container {container.id} is not running")
    try:
        words = shlex.split(arguments)
    except ValueError as error:
        raise InvalidArgument(f"invalid ps arguments: {error}") from error
    # Where the daemon was started from must not say how wide the answer is.
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "PS_FORMAT")}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        "ps", *words, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=environment
    )
    try:
        output, complaint = await asyncio.wait_for(process.communicate(), PATIENCE)
    except TimeoutError as error:
        raise PydockError(f"ps did not end within {PATIENCE:.0f} seconds") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise InvalidArgument(f"error running ps: {complaint.decode(errors='replace').strip()}")
    own = namespace(container.state.pid)
    titles, *rows = output.decode(errors="replace").splitlines()
    names = titles.split()
    if "PID" not in names:
        raise InvalidArgument("Couldn't find PID field in ps output")
    column = names.index("PID")
    found = [line.split(None, len(names) - 1) for line in rows]
    return names, [row for row in found if len(row) > column and namespace(row[column]) == own]


def namespace(pid: int | str) -> str:
    """Return what names the pid namespace of a process, an empty text when it has gone."""
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:
        return ""
