"""Which daemon is meant and what the person has set: global options, environment, config.json. Used by main.py.

The file is Docker's own (`~/.docker/config.json` unless PYDOCK_CONFIG, DOCKER_CONFIG or --config name another folder),
so that logins, credential helpers, detach keys and formats a person has set for docker are theirs here too.
"""

from __future__ import annotations

import json
import os

from pydock_shared.errors import InvalidArgument, NotSupported

from .flags import BOOL, LIST, STRING, Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .flags import Options

DEFAULT_HOST = "unix:///var/run/pydock.sock"
LEVELS = ("debug", "info", "warn", "error", "fatal")

GLOBAL_FLAGS: tuple[Flag, ...] = (
    Flag("--config", STRING, "Folder of the client's config files (default ~/.docker)"),
    Flag("-c --context", STRING, "Name of the context to use; only `default` is supported"),
    Flag("-D --debug", BOOL, "Enable debug mode"),
    Flag("-H --host", LIST, "Socket of the daemon (unix://PATH or tcp://HOST:PORT)"),
    Flag("-l --log-level", STRING, 'Set the logging level ("debug", "info", "warn", "error", "fatal")', default="info"),
    Flag("--tls", BOOL, "Use TLS", unsupported=True),
    Flag("--tlscacert", STRING, "Trust only certificates signed by this CA", unsupported=True),
    Flag("--tlscert", STRING, "Path to the client's certificate", unsupported=True),
    Flag("--tlskey", STRING, "Path to the client's key", unsupported=True),
    Flag("--tlsverify", BOOL, "Use TLS and verify the daemon", unsupported=True),
    Flag("-v --version", BOOL, "Print version information and quit"),
)


class Settings:
    """The global options and the environment, resolved."""

    __slots__ = ("_config", "debug", "folder", "host")

    def __init__(self, options: Options) -> None:
        self.folder: str = (
            options["config"]
            or os.environ.get("PYDOCK_CONFIG")
            or os.environ.get("DOCKER_CONFIG")
            or os.path.expanduser("~/.docker")
        )
        self.debug: bool = options["debug"]
        self.host = _host(options)
        self._config: dict[str, Any] | None = None

    @property
    def path(self) -> str:
        """Path of config.json."""
        return os.path.join(self.folder, "config.json")

    @property
    def config(self) -> dict[str, Any]:
        """What config.json says; empty when there is none."""
        if self._config is None:
            try:
                with open(self.path, "rb") as file:
                    self._config = json.load(file)
            except FileNotFoundError:
                self._config = {}
            except (OSError, ValueError) as error:
                raise InvalidArgument(f"loading config file: {self.path}: {error}") from error
        assert self._config is not None
        return self._config

    def save(self) -> None:
        """Write config.json, readable by its owner only, in one step."""
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        partial = f"{self.path}.{os.getpid()}"
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(self.config, file, indent="\t")
        os.replace(partial, self.path)


def _host(options: Options) -> str:
    hosts: list[str] = options["host"]
    if len(hosts) > 1:
        raise InvalidArgument("Specify only one -H")
    if options["log-level"] not in LEVELS:
        raise InvalidArgument(f"unable to parse logging level: {options['log-level']}")
    context = options["context"] or ("" if hosts else os.environ.get("PYDOCK_CONTEXT", ""))
    if context and hosts:
        raise InvalidArgument("conflicting options: either specify --host or --context, not both")
    if context not in ("", "default"):
        raise NotSupported(f"context {context!r} is not supported: only `default` is; use --host")
    for host in (*hosts, os.environ.get("PYDOCK_HOST"), os.environ.get("DOCKER_HOST")):
        if host:
            return host
    return DEFAULT_HOST
