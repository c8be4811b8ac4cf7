"""What a container needs of the service that holds it: for the type checker, so that neither imports the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from pydock_runtime.cgroup import Cgroup
from pydock_runtime.supervisor.containers import Container
from pydock_runtime.supervisor.poller import Poller
from pydock_runtime.supervisor.records import Records


class House(Protocol):
    """What a container needs of the service."""

    poller: Poller
    records: Records

    def broadcast(self, event: dict[str, Any], fds: Sequence[int] = ()) -> None:
        """Tell every connected pydockd, with duplicates of descriptors."""

    def forget(self, container: Container) -> None:
        """Strike it off the list."""

    def remove_cgroup(self, cgroup: Cgroup) -> None:
        """Remove it now or as soon as it is empty."""
