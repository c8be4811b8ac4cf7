"""The hooks of one container of the supervisor's own runtime: run beside the loop, told by a call. Used by containers.

Other runtimes run the hooks of their containers themselves.
"""

from __future__ import annotations

from select import EPOLLIN

from pydock_runtime import hooks
from pydock_runtime.supervisor.diary import note
from pydock_runtime.supervisor.protocol import SYSTEM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pydock_runtime.supervisor.connection import Request
    from pydock_runtime.supervisor.containers import Container
    from pydock_runtime.supervisor.poller import Poller
    from pydock_runtime.supervisor.processes import Process

    Then = Callable[[str | None], None]


class Hooks:
    """What a spec orders; `order` is what a record keeps of it, None without hooks, `running` how many runs go on."""

    __slots__ = ("_poller", "order", "running")

    def __init__(self, poller: Poller, order: dict[str, Any] | None = None) -> None:
        self._poller = poller
        self.order = order
        self.running = 0

    def take(self, spec: dict[str, Any], container: str) -> None:
        """Remember the hooks of a spec."""
        if spec.get("hooks"):
            self.order = {"hooks": spec["hooks"], "state": hooks.state(spec, id=container, bundle="/")}

    def run(self, status: str, pid: int, *kinds: str, then: Then) -> None:
        """Run the hooks of some kinds, then call `then` with what went wrong, if anything did; at once without any."""
        entries = hooks.of(self.order, *kinds) if self.order else []
        if not entries or not self.order:
            then(None)
            return
        try:
            runner = hooks.Runner(entries, self.order["state"], status, pid)
        except OSError as error:
            then(f"hooks: {error}")
            return

        def ended(_events: int) -> None:
            self._poller.forget(runner.pidfd)
            self.running -= 1
            then(runner.result())

        self.running += 1
        self._poller.watch(runner.pidfd, EPOLLIN, ended)

    def run_outside(self, process: Process) -> None:
        """Run those for which init waits before it changes its root."""

        def done(failure: str | None) -> None:
            if failure is not None:
                process.fail(SYSTEM, failure)
            elif process.failure is None:
                process.go_on()

        self.run(hooks.CREATING, process.pid, *hooks.OUTSIDE, then=done)

    def run_started(self, container: Container, request: Request) -> None:
        """Run those of a program that runs now, then answer the start; a failure ends the container, as in runc."""
        init = container.init

        def done(failure: str | None) -> None:
            if failure is None:
                request.answer({"started_at": init.started_at})
            else:
                container.kill(failure)
                request.refuse(SYSTEM, failure)

        self.run(hooks.RUNNING, init.pid, hooks.POSTSTART, then=done)

    def run_last(self) -> None:
        """Run those of a container that is gone: all of them, a failure is noted."""
        order, self.order = self.order, None
        for entry in hooks.of(order, hooks.POSTSTOP) if order else ():
            one = Hooks(self._poller, {"hooks": {hooks.POSTSTOP: [entry]}, "state": order["state"] if order else {}})
            one.run(hooks.STOPPED, 0, hooks.POSTSTOP, then=_told)


def _told(failure: str | None) -> None:
    if failure is not None:
        note(failure)
