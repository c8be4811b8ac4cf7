"""A thread that goes into a container's network namespace for the length of one call. Used by `nameserver`.

A network namespace belongs to a thread, so no other part of the daemon notices, and no process is forked. The thread
does nothing else: should it not find its way back, only its next call fails. It belongs to its Entrance, until `close`.
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pydock_runtime import linux

CLONE_NEWNET = 0x40000000
T = TypeVar("T")


class Entrance:
    """The thread, made at the first call in the network namespace of the caller."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "entrance")

    async def call(self, namespace: int, work: Callable[[], T]) -> T:
        """Return what `work` returns inside the namespace of this descriptor, which stays the caller's."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, _inside, namespace, work)

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()


def _inside(namespace: int, work: Callable[[], T]) -> T:
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        linux.setns(namespace, CLONE_NEWNET)
        try:
            return work()
        finally:
            linux.setns(home, CLONE_NEWNET)
    finally:
        os.close(home)
