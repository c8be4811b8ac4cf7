"""What a container is: its record, its states and the table of moves between them. Used by every operation.

The record has two halves: what was asked (config, host, networking, mounts; written at create and update) and its
state (written on every move). Whether a `running` container really runs is a fact that the supervisor knows; reconcile
and exit events keep the state true.
"""

import asyncio
import json
import socket
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from pydock_daemon.files.process import Child
from pydock_daemon.snapshots.measuring import Measured
from pydock_shared.errors import Conflict
from pydock_shared.wire.container import ContainerConfig, HostConfig

SCHEMA = """
create table if not exists containers (
    id text primary key,
    name text not null unique,
    image text not null,
    created integer not null,
    asked text not null,
    state text not null
);
"""


class Status(StrEnum):
    """Docker's words for the state of a container."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"


# From each status, the ones that may follow.
TRANSITIONS: dict[Status, set[Status]] = {
    Status.CREATED: {Status.CREATED, Status.RUNNING, Status.RESTARTING, Status.REMOVING},
    Status.RUNNING: {Status.PAUSED, Status.EXITED, Status.RESTARTING},
    Status.PAUSED: {Status.RUNNING, Status.EXITED, Status.RESTARTING},
    Status.RESTARTING: {Status.RUNNING, Status.RESTARTING, Status.EXITED, Status.REMOVING},
    Status.EXITED: {Status.EXITED, Status.RUNNING, Status.RESTARTING, Status.REMOVING},
    Status.REMOVING: {Status.DEAD, Status.REMOVING},
    Status.DEAD: {Status.REMOVING},
}
ALIVE = {Status.RUNNING, Status.PAUSED}


@dataclass
class Health:
    """What the health check of a container found: the word for it, failures in a row, the last five results."""

    status: str = "starting"
    streak: int = 0
    log: list[dict[str, Any]] = field(default_factory=list)
    """Each with `start` and `end` in nanoseconds since the epoch, `exit_code` and `output`."""


@dataclass
class State:
    """The half of the record that changes; times are nanoseconds since the epoch, 0 for never."""

    status: Status = Status.CREATED
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started_at: int = 0
    finished_at: int = 0
    restart_count: int = 0
    stopped_by_user: bool = False
    removing_automatically: bool = False
    ports: dict[str, Any] = field(default_factory=dict)
    health: Health | None = None
    held: bool = False
    """Whether it is frozen, or about to be, by an operation of the daemon's own, and to be thawed after it."""


@dataclass(frozen=True)
class MountPoint:
    """A volume, bind mount or tmpfs of a container, with its source settled."""

    type: str
    target: str
    source: str = ""
    name: str = ""
    driver: str = ""
    read_only: bool = False
    propagation: str = ""
    options: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    mode: str = ""
    copy_up: bool = False
    anonymous: bool = False
    recursive: bool = True
    read_only_below: bool = True
    """Whether what is mounted below it is read-only with it, as in Docker since 25."""
    driver_options: tuple[tuple[str, str], ...] = ()
    """Those of the volume, should it be made for this mount."""
    subpath: str = ""
    """The part of the volume that is mounted, all of it when empty."""


@dataclass(frozen=True)
class Attachment:
    """A client's connection and what it wants of a container's streams; the socket is ours until handed on."""

    socket: socket.socket
    stdin: bool
    stdout: bool
    stderr: bool
    multiplexed: bool
    detach_keys: tuple[int, ...] = ()


@dataclass
class Container:
    """A container as pydockd knows it."""

    id: str
    name: str
    image: str
    image_name: str
    created: int
    config: ContainerConfig
    host: HostConfig
    endpoints: dict[str, dict[str, Any]]
    mounts: list[MountPoint]
    platform: str = "linux"
    links: dict[str, str] = field(default_factory=dict)
    """The ids of the containers that it knows by names of its own (`--link`), by these."""
    state: State = field(default_factory=State)
    # What follows lives as long as this process.
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    pending: list[Attachment] = field(default_factory=list)
    exits: list[asyncio.Future[int]] = field(default_factory=list)
    removals: list[asyncio.Future[int]] = field(default_factory=list)
    restart: asyncio.Task[None] | None = None
    delay: float = 0.0
    visitors: set[Child] = field(default_factory=set)
    settled: dict[str, Any] | None = None
    """What `inspect` has made of the half that was asked; None again after every change of that half."""
    oom_sequence: int = 0
    """The newest record of the kernel's log that was read for this container."""
    hidden: list[str] = field(default_factory=list)
    """Variables of its program that no record may have: the secrets of a build."""
    in_build: bool = False
    """It is a step of a build, and has BuildKit's hosts file; its host name is a file of the image's own."""
    puts: int = 0
    """How often archives were unpacked in it: at the beginning of each and at its end."""
    measured: Measured | None = None
    killed: int = 0
    """Which run was sent KILL, by its start: it is not paused any more, for a frozen process does not die."""
    stays: bool = False
    """A user's restart is under way: its end is not what `--rm` waits for."""

    @property
    def alive(self) -> bool:
        """Say whether a process of it exists."""
        return self.state.status in ALIVE

    @property
    def short(self) -> str:
        """Return the first twelve digits of the id, as shown to people."""
        return self.id[:12]

    def move(self, status: Status) -> None:
        """Change the status; Conflict when the table does not know such a move."""
        if status not in TRANSITIONS[self.state.status]:
            raise Conflict(f"container {self.id} cannot become {status}: it is {self.state.status}")
        self.state.status = status

    def asked(self) -> str:
        """Return the half of the record that was asked for, as JSON."""
        return json.dumps(
            {
                "image_name": self.image_name,
                "config": self.config.model_dump(by_alias=True, exclude_none=True),
                "host": self.host.model_dump(by_alias=True, exclude_none=True),
                "endpoints": self.endpoints,
                "mounts": [asdict(mount) for mount in self.mounts],
                "platform": self.platform,
                "links": self.links,
            }
        )


def from_row(row: Any) -> Container:
    """Return the container of a database row."""
    asked, state = json.loads(row["asked"]), json.loads(row["state"])
    state["status"] = Status(state["status"])
    state["health"] = Health(**state["health"]) if state.get("health") else None
    return Container(
        id=row["id"],
        name=row["name"],
        image=row["image"],
        image_name=asked["image_name"],
        created=row["created"],
        config=ContainerConfig.model_validate(asked["config"]),
        host=HostConfig.model_validate(asked["host"]),
        endpoints=asked["endpoints"],
        mounts=[_mount(mount) for mount in asked["mounts"]],
        platform=asked["platform"],
        links=asked.get("links", {}),
        state=State(**state),
    )


def _mount(fields: dict[str, Any]) -> MountPoint:
    pairs = {name: tuple((key, value) for key, value in fields.get(name, ())) for name in ("labels", "driver_options")}
    return MountPoint(**{**fields, "options": tuple(fields["options"]), **pairs})
