"""What a build may ask its client for while it runs: secrets and an ssh agent. Used by build.

A thread answers on a connection of its own (`POST /build/session`). A secret is read when the daemon asks for it.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import socket
import threading
from contextlib import ExitStack, suppress

from pydock_client.command import Failure
from pydock_shared.errors import PydockError
from pydock_shared.mounts import split_csv

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pydock_client.http import Daemon

_PIECE = 65536
_LARGEST = 500 * 1024


def secret(text: str) -> tuple[str, tuple[str, str]]:
    """Return id and source of `--secret`: `id=x[,src=FILE|,env=NAME]`; Failure names what is wrong."""
    fields = dict(part.partition("=")[::2] for part in split_csv(text))
    unknown = set(fields) - {"id", "src", "source", "env", "type"}
    if unknown or not fields.get("id"):
        what = f"unexpected key '{sorted(unknown)[0]}'" if unknown else "secret id is missing"
        raise Failure(f"could not parse secrets: [{text}]: {what}")
    kind, name = fields.get("type", ""), fields["id"]
    source = fields.get("src") or fields.get("source") or ""
    if kind not in ("", "file", "env"):
        raise Failure(f"could not parse secrets: [{text}]: unsupported secret type {kind!r}")
    if kind == "env" or fields.get("env"):
        return name, ("env", fields.get("env") or source or name)
    if not source and kind == "" and name in os.environ:
        return name, ("env", name)
    source = os.path.abspath(os.path.expanduser(source or name))
    if not os.path.isfile(source):
        raise Failure(f"failed to stat {source}: no such file or directory")
    return name, ("file", source)


def agent(text: str) -> tuple[str, list[str]]:
    """Return id and files of `--ssh`: `default`, `NAME=SOCKET` or `NAME=KEY,...`; Failure names what is wrong."""
    name, equals, path = text.partition("=")
    path = path if equals else os.environ.get("SSH_AUTH_SOCK", "")
    if not path:
        raise Failure(f"invalid empty ssh agent socket for {name}: make sure SSH_AUTH_SOCK is set")
    files = path.split(",")
    for file in files:
        if not os.path.exists(file):
            raise Failure(f"could not parse ssh: [{text}]: {file}: no such file or directory")
        if len(files) > 1 and not os.path.isfile(file):
            raise Failure(f"could not parse ssh: [{text}]: only single socket allowed")
    return name or "default", files


class Session:
    """The answering side; use it as a context manager. `name` is what the build is told."""

    def __init__(self, daemon: Daemon, known: dict[str, tuple[str, str]], agents: dict[str, list[str]]) -> None:
        self._daemon, self._secrets, self._wanted = daemon, known, agents
        self._agents: dict[str, str] = {}
        self._stack = ExitStack()
        self.name = secrets.token_hex(16)
        self._socket: socket.socket | None = None

    def __enter__(self) -> Session:
        with ExitStack() as stack:
            for name, files in self._wanted.items():
                self._agents[name] = files[0]
                if os.path.isfile(files[0]):
                    from pydock_client import sshkeys  # it needs what few builds do

                    self._agents[name] = stack.enter_context(sshkeys.agent(files))
            self._stack = stack.pop_all()
        self._socket, rest, _ = self._daemon.hijack("/build/session", {"id": self.name}).hijacked()
        threading.Thread(target=self._serve, args=(self._socket, rest), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._socket:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
        self._stack.close()

    def _serve(self, sock: socket.socket, rest: bytes) -> None:
        questions: tuple[tuple[str, Callable[[int, str], Any]], ...] = (
            ("secret", self._secret),
            ("agent", lambda number, name: name in self._agents),
            ("connect", self._connect),
        )
        with suppress(OSError):
            while True:
                *lines, rest = rest.split(b"\n")
                for line in lines:
                    question = json.loads(line)
                    for kind, answer in questions:
                        if kind in question:
                            value = answer(question["number"], question[kind])
                            text = json.dumps({"number": question["number"], "value": value})
                            sock.sendall(text.encode() + b"\n")
                data = sock.recv(_PIECE)
                if not data:
                    return
                rest += data

    def _secret(self, number: int, name: str) -> str | None:
        kind, source = self._secrets.get(name, ("", ""))
        data: bytes | None = None
        if kind == "env":
            value = os.environ.get(source)
            data = None if value is None else os.fsencode(value)
        elif kind == "file":
            with suppress(OSError), open(source, "rb") as file:
                data = file.read(_LARGEST + 1)
        return None if data is None else base64.b64encode(data).decode()

    def _connect(self, number: int, name: str) -> bool:
        """Carry a connection between the daemon and an agent, in threads of its own."""
        path = self._agents.get(name)
        if path is None:
            return False
        try:
            local = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            local.connect(path)
            remote, rest, _ = self._daemon.hijack(f"/build/session/{self.name}/{number}").hijacked()
        except (OSError, PydockError):
            return False
        local.sendall(rest)
        for source, target in ((local, remote), (remote, local)):
            threading.Thread(target=_carry, args=(source, target), daemon=True).start()
        return True


def _carry(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(_PIECE):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
