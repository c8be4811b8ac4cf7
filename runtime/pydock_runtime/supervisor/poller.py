"""The supervisor's epoll loop: who is called when a descriptor is ready, a time has come, or nothing else is to do.

Level triggered, one handler a descriptor. A handler does a bounded amount of work and returns, so one busy descriptor
delays the others by one turn at most. The poller owns its epoll descriptor and nothing else: `forget` before closing
a descriptor (a registration lives as long as any duplicate of the file does, and clients' connections do have
duplicates elsewhere).
"""

from __future__ import annotations

import time
from collections import deque
from heapq import heappop, heappush
from select import EPOLL_CLOEXEC, epoll

from pydock_runtime.supervisor.diary import note_traceback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Handler = Callable[[int], None]
    Action = Callable[[], None]

IDLE_PATIENCE = 0.1  # seconds that work for idle moments waits at most while the loop is busy


class Timer:
    """One future call; `cancel` makes it nothing."""

    __slots__ = ("action", "deadline")

    def __init__(self, deadline: float, action: Action) -> None:
        self.deadline = deadline
        self.action: Action | None = action

    def cancel(self) -> None:
        """Never call; the timer may be over already."""
        self.action = None

    def __lt__(self, other: Timer) -> bool:
        return self.deadline < other.deadline


class Poller:
    """The loop; `run` returns after `stop`."""

    __slots__ = ("_epoll", "_handlers", "_idle", "_running", "_timers", "_turn")

    def __init__(self) -> None:
        self._epoll = epoll(flags=EPOLL_CLOEXEC)
        self._handlers: dict[int, tuple[Handler, int]] = {}
        self._timers: list[Timer] = []
        self._idle: deque[tuple[float, Action]] = deque()
        self._turn = 0
        self._running = True

    def watch(self, fd: int, events: int, handler: Handler) -> None:
        """Call `handler(events)` whenever one of `events` (or HUP, ERR) is true of `fd`."""
        self._epoll.register(fd, events)
        self._handlers[fd] = (handler, self._turn)

    def change(self, fd: int, events: int) -> None:
        """Watch other events of a watched descriptor."""
        self._epoll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Stop watching; nothing happens when it is not watched."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def after(self, seconds: float, action: Action) -> Timer:
        """Call `action` once, in `seconds`."""
        timer = Timer(time.monotonic() + seconds, action)
        heappush(self._timers, timer)
        return timer

    def when_idle(self, action: Action) -> None:
        """Call `action` once, when no descriptor is ready, or after IDLE_PATIENCE."""
        self._idle.append((time.monotonic() + IDLE_PATIENCE, action))

    @property
    def idle(self) -> bool:
        """Whether no work waits for an idle moment."""
        return not self._idle

    def stop(self) -> None:
        """Let `run` return after this turn."""
        self._running = False

    def close(self) -> None:
        """Close the epoll descriptor."""
        self._epoll.close()

    def run(self) -> None:
        """Serve until `stop`."""
        while self._running:
            events = self._epoll.poll(self._timeout(), 64)
            self._turn += 1
            for fd, mask in events:
                handler, born = self._handlers.get(fd, (None, 0))
                # A descriptor closed and opened anew within this turn has its number, and not this event.
                if handler is not None and born != self._turn:
                    self._call(fd, handler, mask)
            while self._timers and self._timers[0].deadline <= time.monotonic():
                action = heappop(self._timers).action
                if action is not None:
                    self._call(-1, action)
            if self._idle and (not events or self._idle[0][0] <= time.monotonic()):
                self._call(-1, self._idle.popleft()[1])

    def _timeout(self) -> float | None:
        if self._idle:
            return 0
        while self._timers and self._timers[0].action is None:
            heappop(self._timers)
        return max(0.0, self._timers[0].deadline - time.monotonic()) if self._timers else None

    def _call(self, fd: int, action: Callable[..., None], *events: int) -> None:
        # The one broad catch of the supervisor: a mistake in the handling of one container must not end the parent of
        # all others. It is told in supervisor.log, and the descriptor is let go, or it would come back at once for
        # ever.
        try:
            action(*events)
        except Exception as error:
            note_traceback(error)
            self.forget(fd)
