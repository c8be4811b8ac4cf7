"""The containers of one daemon: the records in memory and in the database, and the services an operation needs.

Operations are functions in files of their own (`create`, `start`, `stop`, ...) that take this object. Reads take no
lock; an operation that changes a container holds that container's lock.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydock_daemon.config import Config
from pydock_daemon.events import Events
from pydock_daemon.images.service import Images
from pydock_daemon.networks.service import Networks
from pydock_daemon.snapshots.overlay import Snapshots
from pydock_daemon.store import Store
from pydock_daemon.volumes.service import Volumes
from pydock_shared.errors import Conflict, InvalidArgument, NotFound

from .model import Container, Status, from_row
from .shipping.service import Shipping
from .supervisor import Supervisor

if TYPE_CHECKING:
    from pydock_daemon.remapping import Remap


class Containers:
    """The table of containers; owns the records, and no process."""

    def __init__(
        self,
        *,
        config: Config,
        store: Store,
        events: Events,
        images: Images,
        snapshots: Snapshots,
        networks: Networks,
        volumes: Volumes,
        supervisor: Supervisor,
        capabilities: set[str],
        cgroup_parent: str,
        remap: "Remap | None" = None,
    ) -> None:
        self.config = config
        self.store = store
        self.events = events
        self.images = images
        self.snapshots = snapshots
        self.networks = networks
        self.volumes = volumes
        self.supervisor = supervisor
        self.shipping = Shipping()
        self.capabilities = capabilities
        self.cgroup_parent = cgroup_parent
        self.remap = remap
        """The ids that containers have on the host, where those are not the host's own."""
        self.on_move: Callable[[Container, Status], None] = lambda container, before: None
        """Told of every change of a status, with the one before, ahead of its being saved."""
        self.root = config.data_root / "containers"
        self.root.mkdir(mode=0o710, parents=True, exist_ok=True)
        self._by_id = {row["id"]: from_row(row) for row in store.all("select * from containers order by created")}
        self._by_name = {container.name: container for container in self._by_id.values()}
        self._linking = {id_: container for id_, container in self._by_id.items() if container.links}

    def __iter__(self) -> Iterator[Container]:
        """Yield every container, newest first, as `docker ps` lists them."""
        return iter(sorted(self._by_id.values(), key=lambda container: container.created, reverse=True))

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, name: str) -> Container:
        """Return a container by id, name, or beginning of an id; NotFound with Docker's words."""
        plain = name.removeprefix("/")
        if not plain:
            raise InvalidArgument(f'invalid name or ID supplied: "{name}"')
        found = self._by_id.get(plain) or self._by_name.get(plain)
        if found:
            return found
        matches = [container for id_, container in self._by_id.items() if id_.startswith(plain)]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise InvalidArgument(f"multiple IDs found with provided prefix: {name}")
        raise NotFound(f"No such container: {name}")

    def find(self, id_: str) -> Container | None:
        """Return a container by its whole id."""
        return self._by_id.get(id_)

    def named(self, name: str) -> Container | None:
        """Return a container by its name."""
        return self._by_name.get(name)

    def linked_to(self, container: Container) -> list[tuple[Container, str]]:
        """Return who is linked to a container, each with its name for it."""
        return [
            (parent, alias)
            for parent in self._linking.values()
            for alias, id_ in parent.links.items()
            if id_ == container.id
        ]

    def directory(self, container: Container) -> Path:
        """Return the folder of a container's own files: resolv.conf, hosts, hostname, log."""
        return self.root / container.id

    def cgroup_path(self, container: Container) -> str:
        """Return a container's cgroup below the root of the hierarchies, by Docker's rules for the cgroupfs driver."""
        parent = (container.host.cgroup_parent or self.cgroup_parent).strip("/")
        return os.path.normpath(f"/{parent}/{container.id}")  # as runc does: no ".." leads above the root

    def log_path(self, container: Container) -> Path:
        """Return the log file of a container."""
        suffix = "-json.log" if container.host.log_config and container.host.log_config.type == "json-file" else ".log"
        return self.directory(container) / f"{container.id}{suffix}"

    def add(self, container: Container) -> None:
        """Make a new container known, in one transaction; Conflict when its name is taken."""
        self.check_name(container.name)
        with self.store.transaction() as db:
            db.execute(
                "insert into containers (id, name, image, created, asked, state) values (?, ?, ?, ?, ?, ?)",
                (
                    container.id,
                    container.name,
                    container.image,
                    container.created,
                    container.asked(),
                    _state(container),
                ),
            )
        self._by_id[container.id] = self._by_name[container.name] = container
        if container.links:
            self._linking[container.id] = container

    def check_name(self, name: str) -> None:
        """Raise Conflict with Docker's words when another container has this name."""
        holder = self._by_name.get(name)
        if holder:
            raise Conflict(
                f'Conflict. The container name "/{name}" is already in use by container "{holder.id}". '
                "You have to remove (or rename) that container to be able to reuse that name."
            )

    def rename(self, container: Container, name: str) -> None:
        """Give a container another name."""
        self.check_name(name)
        with self.store.transaction() as db:
            db.execute("update containers set name = ? where id = ?", (name, container.id))
        del self._by_name[container.name]
        container.name = name
        container.settled = None
        self._by_name[name] = container
        self.networks.rename(container.id, name)

    def save(self, container: Container) -> None:
        """Write the state of a container."""
        with self.store.transaction() as db:
            db.execute("update containers set state = ? where id = ?", (_state(container), container.id))

    def save_asked(self, container: Container) -> None:
        """Write what was asked of a container, after an update of it."""
        container.settled = None
        with self.store.transaction() as db:
            db.execute("update containers set asked = ? where id = ?", (container.asked(), container.id))

    @contextmanager
    def moving(self, container: Container, status: Status) -> Iterator[None]:
        """Move a container and save it, with the changes of its state that the block makes."""
        before = container.state.status
        container.move(status)
        yield
        self.on_move(container, before)
        self.save(container)

    def forget(self, container: Container) -> None:
        """Remove the record of a container."""
        with self.store.transaction() as db:
            db.execute("delete from containers where id = ?", (container.id,))
        self.images.uses.touch(container.image)
        self._linking.pop(container.id, None)
        del self._by_id[container.id]
        del self._by_name[container.name]

    def publish(self, container: Container, action: str, **extra: str) -> None:
        """Publish an event of a container with the attributes Docker gives: image, name and labels."""
        attributes = {**(container.config.labels or {}), "image": container.image_name, "name": container.name, **extra}
        self.events.publish("container", action, container.id, attributes)

    def tell_mounts(self, container: Container, action: str) -> None:
        """Publish that a container's volumes are mounted, `mount`, or not any more, `unmount`."""
        for mount in container.mounts:
            if mount.type == "volume" and mount.name:
                attributes = {"container": container.id, "driver": mount.driver or "local"}
                if action == "mount":
                    writable = "false" if mount.read_only else "true"
                    attributes |= {"destination": mount.target, "propagation": "", "read/write": writable}
                self.events.publish("volume", action, mount.name, attributes)

    def detached(self, event: dict[str, Any]) -> None:
        """Publish that a client left a container by its detach keys, as the supervisor reports it."""
        container = self._by_id.get(event["container"])
        if container and event.get("exec"):
            self.publish(container, "exec_detach", execID=event["exec"])
        elif container:
            self.publish(container, "detach")

    def users_of_image(self, image: str) -> list[Container]:
        """Return the containers made from an image id."""
        return [container for container in self._by_id.values() if container.image == image]

    def users_of_volume(self, name: str) -> list[Container]:
        """Return the containers that mount a named volume."""
        return [
            container
            for container in self._by_id.values()
            if any(mount.type == "volume" and mount.name == name for mount in container.mounts)
        ]

    def users_of_volumes(self) -> dict[str, list[Container]]:
        """Return the containers that mount each volume that has any."""
        users: dict[str, list[Container]] = {}
        for container in self._by_id.values():
            for name in {mount.name for mount in container.mounts if mount.type == "volume"}:
                users.setdefault(name, []).append(container)
        return users


def _state(container: Container) -> str:
    # Not asdict, which copies everything: it is written at every move and every probe of health.
    state = container.state
    return json.dumps(vars(state) | {"health": vars(state.health) if state.health else None})
