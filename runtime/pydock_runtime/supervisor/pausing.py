"""Pausing and resuming a container without waiting for it: one look at its cgroup in a turn. Used by containers."""

from __future__ import annotations

import time

from pydock_runtime.cgroup import freezing
from pydock_runtime.errors import text
from pydock_runtime.supervisor.connection import Refused
from pydock_runtime.supervisor.protocol import CONFLICT, SYSTEM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pydock_runtime.cgroup import Cgroup
    from pydock_runtime.supervisor.connection import Request
    from pydock_runtime.supervisor.poller import Poller


class Pausing:
    """Whether a container is paused, and who waits for a change of that."""

    __slots__ = ("_poller", "_request", "paused")

    def __init__(self, poller: Poller) -> None:
        self._poller = poller
        self._request: Request | None = None
        self.paused = False

    @property
    def busy(self) -> bool:
        """Whether a change is under way."""
        return self._request is not None

    def change(self, cgroup: Cgroup, request: Request, *, paused: bool) -> None:
        """Freeze or thaw; answered when it holds, or with an error when it does not come to that. Raises Refused."""
        if self._request is not None:
            raise Refused(CONFLICT, "it is being paused or resumed already")
        self._request = request
        deadline = time.monotonic() + freezing.PATIENCE

        def look() -> None:
            if self._request is not request:
                return  # answered meanwhile
            try:
                if not cgroup.ask_frozen(frozen=paused):
                    if time.monotonic() > deadline:
                        raise freezing.given_up(cgroup, frozen=paused)
                    self._poller.after(freezing.PAUSE, look)
                    return
            except OSError as error:
                self._request = None
                request.refuse(SYSTEM, text(error))
                return
            self._request = None
            self.paused = paused
            request.answer({})

        look()

    def let_go(self, cgroup: Cgroup | None) -> None:
        """Thaw what is to die, whatever is under way; no more than asked for. Raises OSError."""
        if cgroup is not None and (self.paused or self.busy):
            cgroup.ask_frozen(frozen=False)
            self.forget("it was killed")

    def forget(self, why: str) -> None:
        """It is not paused any more, or has ended."""
        request, self._request = self._request, None
        self.paused = False
        if request is not None:
            request.refuse(CONFLICT, why)
