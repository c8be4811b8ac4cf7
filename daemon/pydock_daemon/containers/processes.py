"""`GET /containers/{id}/top`: the processes of a container, by the host's ps. Used by api.containers.

What ps is asked and how its answer is read is moby's `ContainerTop`, with its words.
"""

import asyncio
import os
import re

from pydock_runtime import cgroup as cgroups
from pydock_shared.errors import Conflict, InvalidArgument, PydockError

from .model import Container, Status
from .service import Containers

PATIENCE = 20.0
"""Seconds that the host's ps has, which may ask every process there is."""
RENAMED = re.compile(r"\s([^\s]*)=\s*(PID[^\s]*)", re.ASCII)
"""Another column that is called PID: its numbers would be taken for process ids of the host."""
GAPS = re.compile(r"[ \t\n\v\f\r]+")


class BadArguments(InvalidArgument):
    """The host's ps does not take what was asked of it."""


async def top(containers: Containers, container: Container, arguments: str) -> tuple[list[str], list[list[str]]]:
    """Return the titles and rows that `ps ARGUMENTS` shows of the container's processes; they must include PID."""
    for column, title in RENAMED.findall(arguments):
        if column != "pid":
            raise InvalidArgument(f'specifying "{column}={title}" is not allowed')
    if container.state.status is Status.RESTARTING:
        raise Conflict(f"Container {container.id} is restarting, wait until the container is running")
    if not container.alive:
        raise Conflict(f"container {container.id} is not running")
    pids = await asyncio.to_thread(cgroups.open_existing(containers.cgroup_path(container)).pids)
    words = _fields(arguments)
    try:
        output = await _ps([*words, "-q", ",".join(map(str, pids))])
    except BadArguments:
        output = await _ps(words)  # some options, such as f, do not go together with q
    return _rows(output, set(pids))


async def _ps(words: list[str]) -> str:
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
        first = complaint.decode(errors="replace").partition("\n")[0]
        raise BadArguments(f"ps: {first or f'exit status {process.returncode}'}")
    return output.decode(errors="replace")


def _rows(output: str, pids: set[int]) -> tuple[list[str], list[list[str]]]:
    """Read a table of ps: the rows of these processes, and the lines of their threads, which have "-" for a pid."""
    titles, *lines = output.rstrip("\n").split("\n")
    names = _fields(titles)
    if "PID" not in names:
        raise BadArguments("Couldn't find PID field in ps output")
    column, last = names.index("PID"), len(names) - 1
    found, belongs = [], False
    for line in lines:
        row = _fields(line)
        if len(row) <= column:
            continue
        if row[column] != "-":
            if not row[column].isdigit():
                raise PydockError(f"Unexpected pid '{row[column]}'")
            belongs = int(row[column]) in pids
        if belongs:
            found.append([*row[:last], " ".join(row[last:])])
    return names, found


def _fields(line: str) -> list[str]:
    return [field for field in GAPS.split(line) if field]
