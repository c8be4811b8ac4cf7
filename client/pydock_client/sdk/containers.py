"""Containers of the SDK. Used by Client."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from pydock_client.sdk.connection import Connection, Json, Thing, lines
from pydock_client.sdk.images import Image
from pydock_shared import reference
from pydock_shared.errors import PydockError
from pydock_shared.framing import STDERR, STDOUT, Demuxer


class Container(Thing):
    """A container."""

    path = "/containers/{}"

    @property
    def name(self) -> str:
        """The container's name."""
        return str(self.attributes.get("Name") or self.attributes["Names"][0]).removeprefix("/")

    @property
    def status(self) -> str:
        """created, running, paused, restarting, exited or dead, when it was last asked."""
        state = self.attributes["State"]
        return str(state["Status"] if isinstance(state, dict) else state)

    @property
    def health(self) -> str:
        """starting, healthy or unhealthy, when it was last asked; none without a health check."""
        state = self.attributes["State"]
        found = state.get("Health") if isinstance(state, dict) else self.attributes.get("Health")
        return str(found["Status"] if found else "none")

    def reload(self) -> None:
        """Ask the daemon again."""
        self.attributes = self.connection.json("GET", f"{self.url}/json")

    def _do(self, verb: str, **query: Any) -> None:
        self.connection.send("POST", f"{self.url}/{verb}", query)

    def start(self, *, checkpoint: str = "", checkpoint_dir: str = "") -> None:
        """Start the container, or let it go on where a checkpoint was made."""
        named = {"checkpoint": checkpoint, "checkpoint-dir": checkpoint_dir}
        self._do("start", **{key: value for key, value in named.items() if value})

    def checkpoint(self, name: str, *, directory: str = "", leave_running: bool = False) -> None:
        """Write what its processes are to a checkpoint, by which it ends unless it is left running."""
        body = {"CheckpointID": name, "CheckpointDir": directory, "Exit": not leave_running}
        self.connection.send("POST", f"{self.url}/checkpoints", None, body)

    def checkpoints(self, directory: str = "") -> list[str]:
        """Return the names of its checkpoints."""
        return [entry["Name"] for entry in self.connection.json("GET", f"{self.url}/checkpoints", {"dir": directory})]

    def remove_checkpoint(self, name: str, *, directory: str = "") -> None:
        """Remove a checkpoint."""
        self.connection.send("DELETE", f"{self.url}/checkpoints/{name}", {"dir": directory})

    def stop(self, timeout: int | None = None, *, signal: str | None = None) -> None:
        """Stop it by its stop signal or the one given, by force after `timeout` seconds."""
        self._do("stop", t=timeout, signal=signal)

    def restart(self, timeout: int | None = None, *, signal: str | None = None) -> None:
        """Stop and start it."""
        self._do("restart", t=timeout, signal=signal)

    def kill(self, signal: str = "") -> None:
        """Send it a signal, SIGKILL unless another is named."""
        self._do("kill", signal=signal)

    def pause(self) -> None:
        """Freeze its processes."""
        self._do("pause")

    def unpause(self) -> None:
        """Let its processes go on."""
        self._do("unpause")

    def rename(self, name: str) -> None:
        """Give it another name."""
        self._do("rename", name=name)

    def wait(self, condition: str = "not-running") -> int:
        """Wait until it is `not-running`, for its `next-exit`, or until it is `removed`; return its exit code."""
        return int(self.connection.json("POST", f"{self.url}/wait", {"condition": condition})["StatusCode"])

    def remove(self, *, force: bool = False, volumes: bool = False) -> None:
        """Remove it, running or not with `force`, its anonymous volumes as well with `volumes`."""
        self.connection.send("DELETE", self.url, {"force": force, "v": volumes})

    def logs(self, *, stdout: bool = True, stderr: bool = True, **query: Any) -> bytes:
        """Return what it has written; `tail`, `since`, `until`, `timestamps` as in the API."""
        return b"".join(self.follow(stdout=stdout, stderr=stderr, follow=False, **query))

    def follow(self, *, stdout: bool = True, stderr: bool = True, follow: bool = True, **query: Any) -> Iterator[bytes]:
        """Yield what it writes until it ends."""
        answer = self.connection.send(
            "GET", f"{self.url}/logs", {"stdout": stdout, "stderr": stderr, "follow": follow, **query}, stream=True
        )
        with answer:
            multiplexed = answer.headers.get("Content-Type") == "application/vnd.docker.multiplexed-stream"
            demuxer = Demuxer()
            for data in answer.iter_content(None):
                if not multiplexed:
                    yield data
                    continue
                for stream, piece in demuxer.feed(data):
                    if (stream == STDERR and stderr) or (stream == STDOUT and stdout):
                        yield piece

    def exec(self, command: Sequence[str], **options: Any) -> tuple[int, bytes]:
        """Run a program in it and return its exit code and output; options are fields of the API's ExecConfig."""
        body = {"Cmd": list(command), "AttachStdout": True, "AttachStderr": True, **options}
        made = self.connection.json("POST", f"{self.url}/exec", None, body)
        answer = self.connection.send(
            "POST", f"/exec/{made['Id']}/start", None, {"Detach": False, "Tty": False}, stream=True
        )
        with answer:
            demuxer = Demuxer()
            output = b"".join(piece for data in answer.iter_content(None) for _, piece in demuxer.feed(data))
        return int(self.connection.json("GET", f"/exec/{made['Id']}/json")["ExitCode"]), output

    def kill_exec(self, id_: str, signal: str = "") -> None:
        """Send a signal, SIGKILL unless another is named, to a process that exec started; inspect lists their ids."""
        self.connection.send("POST", f"/exec/{id_}/kill", {"signal": signal})

    def put_archive(self, path: str, archive: bytes | BinaryIO) -> None:
        """Unpack a tar archive below a path in it."""
        self.connection.send("PUT", f"{self.url}/archive", {"path": path}, archive)

    def get_archive(self, path: str) -> bytes:
        """Return a path in it as a tar archive."""
        return self.connection.send("GET", f"{self.url}/archive", {"path": path}).content

    def export(self) -> Iterator[bytes]:
        """Yield its root file system as a tar archive, without volumes."""
        return self.connection.send("GET", f"{self.url}/export", stream=True).iter_content(1 << 20)

    def diff(self) -> list[Json]:
        """Return what it has changed: `Path`, and `Kind` 0 for changed, 1 for added, 2 for deleted."""
        return list(self.connection.json("GET", f"{self.url}/changes") or ())

    def commit(
        self,
        name: str = "",
        *,
        message: str = "",
        author: str = "",
        pause: bool = True,
        changes: Sequence[str] = (),
        **settings: Any,
    ) -> Image:
        """Make an image of it; `changes` are Dockerfile instructions, settings fields of the API's ContainerConfig."""
        parsed = reference.parse(name) if name else None
        query = {
            "container": self.id,
            "repo": parsed.name if parsed else "",
            "tag": parsed.tag if parsed else "",
            "comment": message,
            "author": author,
            "pause": pause,
            "changes": list(changes),
        }
        made = self.connection.json("POST", "/commit", query, settings)
        return Image(self.connection, self.connection.json("GET", f"/images/{made['Id']}/json"))

    def top(self, arguments: str = "") -> Json:
        """Return its processes, as the host's ps shows them with these arguments."""
        found: Json = self.connection.json("GET", f"{self.url}/top", {"ps_args": arguments} if arguments else None)
        return found

    def stats(self) -> Json:
        """Return what it uses, with the state of a second before, by which shares of the CPU are reckoned."""
        found: Json = self.connection.json("GET", f"{self.url}/stats", {"stream": False})
        return found

    def follow_stats(self) -> Iterator[Json]:
        """Yield what it uses, every second until it is removed."""
        return lines(self.connection.send("GET", f"{self.url}/stats", stream=True))

    def update(self, **changes: Any) -> list[str]:
        """Change limits or the restart policy, fields of the API's body (`Memory=...`); return warnings."""
        return list(self.connection.json("POST", f"{self.url}/update", None, changes)["Warnings"] or ())


class ContainerError(PydockError):
    """A container that `run` waited for has failed; `exit_code` and `output` say how."""

    def __init__(self, message: str, exit_code: int, output: bytes) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.output = output


class Containers:
    """The containers of a daemon."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, *, all: bool = False, filters: Json | None = None) -> list[Container]:
        """Return the running containers, or all of them."""
        found = self._connection.json("GET", "/containers/json", {"all": all, "filters": filters})
        return [Container(self._connection, attributes) for attributes in found]

    def get(self, name: str) -> Container:
        """Return a container by its name or id; NotFound when there is none."""
        return Container(self._connection, self._connection.json("GET", f"/containers/{name}/json"))

    def create(
        self, image: str, command: Sequence[str] | None = None, *, name: str = "", platform: str = "", **options: Any
    ) -> Container:
        """Create a container; options are fields of the API's body (`HostConfig={...}`, `Env=[...]`).

        Of an image with several platforms it is the one for `platform`, if that is given, else the daemon's own.
        """
        body = {"Image": image, **({"Cmd": list(command)} if command else {}), **options}
        made = self._connection.json("POST", "/containers/create", {"name": name, "platform": platform}, body)
        return self.get(made["Id"])

    def run(
        self,
        image: str,
        command: Sequence[str] | None = None,
        *,
        detach: bool = False,
        remove: bool = False,
        name: str = "",
        platform: str = "",
        **options: Any,
    ) -> bytes | Container:
        """Create and start a container; its output once it has ended, or with `detach` itself, running.

        ContainerError when it ends with another code than 0. With `remove` nothing of it is left.
        """
        if detach and remove:
            options["HostConfig"] = {**options.get("HostConfig", {}), "AutoRemove": True}
        container = self.create(image, command, name=name, platform=platform, **options)
        try:
            container.start()
            if detach:
                return container
            code = container.wait()
            output = container.logs(stderr=bool(code))
        finally:
            if remove and not detach:
                container.remove(force=True, volumes=True)
        if code:
            raise ContainerError(f"container {container.name} ended with {code}", code, output)
        return output

    def stats(self, *names: str, all: bool = False) -> Sequence[Json]:
        """Return in one request what the named containers use, or without names the running ones, or all."""
        query = {"containers": ",".join(names)} if names else {"all": all}
        found: Sequence[Json] = self._connection.json("GET", "/containers/stats", query)
        return found

    def prune(self, filters: Json | None = None) -> Json:
        """Remove the stopped ones."""
        found: Json = self._connection.json("POST", "/containers/prune", {"filters": filters})
        return found
