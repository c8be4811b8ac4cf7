"""`POST /containers/{id}/wait`: the exit code, once the condition holds. Used by the API, `stop` and `remove`."""

import asyncio
import json

from pydock_shared.errors import InvalidArgument

from .model import Container, Status

CONDITIONS = ("not-running", "next-exit", "removed")


def check(condition: str) -> None:
    """Raise InvalidArgument for a condition that there is not."""
    if condition not in CONDITIONS:
        raise InvalidArgument(f"invalid condition: {json.dumps(condition)}")


def prepare(container: Container, condition: str) -> asyncio.Future[int]:
    """Return a future of the exit code; from this moment on nothing is missed."""
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    if condition == "removed":
        container.removals.append(future)
    elif condition == "next-exit" or container.alive or container.state.status is Status.RESTARTING:
        container.exits.append(future)
    else:
        future.set_result(container.state.exit_code)
    return future


def answer(futures: list[asyncio.Future[int]], code: int) -> None:
    """Answer all that wait, and forget them."""
    for future in futures:
        if not future.done():
            future.set_result(code)
    futures.clear()
