"""Descriptors that pydockd leaves with a container, to have them back after its own end. Used by containers.

They are the sockets of the container's name server; nothing reads them here. They are closed with the container, since
as long as one is open its network namespace lives.
"""

from __future__ import annotations

from pydock_runtime.supervisor import protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pydock_runtime.supervisor.connection import Request


class Kept:
    """Those of one container."""

    __slots__ = ("_fds",)

    def __init__(self) -> None:
        self._fds: list[int] = []

    def take(self, request: Request) -> None:
        """Keep what came with a request instead of what was kept until now; one that brings nothing changes nothing."""
        if request.fds:
            self.close()
            self._fds = [request.take_fd() for _ in range(len(request.fds))]

    def saved(self) -> list[protocol.Fd]:
        """Return what is kept, for `restore`."""
        return [protocol.Fd(fd) for fd in self._fds]

    def restore(self, fds: list[int]) -> None:
        """Keep these."""
        self._fds = fds

    def give(self, request: Request) -> None:
        """Answer a request with duplicates of what is kept."""
        request.answer({}, self._fds)

    def close(self) -> None:
        """Keep nothing any more."""
        protocol.close_all(self._fds)
        self._fds = []
