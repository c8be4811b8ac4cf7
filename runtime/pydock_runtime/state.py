"""What the verbs remember of a container; its life is asked of the kernel. Used by `container` and the verbs.

ROOT/ID/state.json is written to a temporary name and renamed. ROOT/ID/start.sock is the gate of a created container: it
is there until the container is started.
"""

from __future__ import annotations

import json
import os
import re

from pydock_runtime.errors import INVALID, RuntimeFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CREATED, RUNNING, PAUSED, STOPPED = "created", "running", "paused", "stopped"
FILE, GATE = "state.json", "start.sock"
VALID_ID = re.compile(r"[A-Za-z0-9_+.-]+")


class Record:
    """A container of the verbs."""

    __slots__ = ("bundle", "cgroup", "created", "id", "pid", "root", "spec", "start_time", "unit")

    def __init__(
        self, root: str, id: str, *, bundle: str, cgroup: str, created: str, spec: dict[str, Any], unit: str = ""
    ) -> None:
        """`unit` is the scope of systemd that has the cgroup, if one has."""
        self.root = root
        self.id = id
        self.bundle = bundle
        self.cgroup = cgroup
        self.created = created
        self.spec = spec
        self.unit = unit
        self.pid = 0
        self.start_time = 0

    @property
    def folder(self) -> str:
        """The container's folder below the root."""
        return folder(self.root, self.id)

    def save(self) -> None:
        """Write it to its folder."""
        names = [name for name in self.__slots__ if name not in ("root", "id")]
        path = f"{self.folder}/{FILE}"
        with open(f"{path}.tmp", "w", encoding="utf-8") as file:
            json.dump({name: getattr(self, name) for name in names}, file)
        os.rename(f"{path}.tmp", path)

    def alive(self) -> bool:
        """Say whether init lives: a process of its pid that started when init did, and is no zombie."""
        state, start = process_state(self.pid)
        return start == self.start_time != 0 and state not in ("Z", "X")


def folder(root: str, id: str) -> str:
    """Return the folder of a container; RuntimeFailure for what cannot be an id."""
    if not VALID_ID.fullmatch(id) or id in (".", ".."):
        raise RuntimeFailure(f"invalid container ID format: {id!r}", INVALID)
    return f"{root}/{id}"


def load(root: str, id: str) -> Record:
    """Return a container; RuntimeFailure when there is none."""
    try:
        with open(f"{folder(root, id)}/{FILE}", encoding="utf-8") as file:
            fields = json.load(file)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise RuntimeFailure("container does not exist", INVALID) from error
    pid, start_time = fields.pop("pid"), fields.pop("start_time")
    record = Record(root, id, **fields)
    record.pid, record.start_time = pid, start_time
    return record


def remove(folder: str) -> None:
    """Remove a container's folder, which is flat."""
    for name in os.listdir(folder):
        os.unlink(f"{folder}/{name}")
    os.rmdir(folder)


def all_of(root: str) -> list[Record]:
    """Return every container of a root, in the order of their ids."""
    records = []
    for id in sorted(os.listdir(root)) if os.path.isdir(root) else ():
        try:
            records.append(load(root, id))
        except RuntimeFailure:
            # Just being made, or being removed.
            continue
    return records


def process_state(pid: int) -> tuple[str, int]:
    """Return the state letter of a process and when it started, in ticks since boot; proc_pid_stat(5). 0: gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return "X", 0
    return fields[0].decode("ascii"), int(fields[19])
