"""Which daemon is meant and what the person has set: global options, environment, config.json. Used by main.py.

The file is Docker's own (`~/.docker/config.json` unless PYDOCK_CONFIG, DOCKER_CONFIG or --config name another folder),
so that logins, credential helpers, detach keys and formats a person has set for docker are theirs here too.
"""

from __future__ import annotations

import json
import os

from pydock_shared.errors import InvalidArgument, NotFound

from .contexts import DEFAULT, Store
from .flags import BOOL, LIST, STRING, Flag
from .http import Daemon
from .tls import Tls, wanted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .flags import Options

DEFAULT_HOST = "unix:///var/run/pydock.sock"
LEVELS = ("debug", "info", "warn", "error", "fatal")

GLOBAL_FLAGS: tuple[Flag, ...] = (
    Flag("--config", STRING, "Folder of the client's config files (default ~/.docker)"),
    Flag("-c --context", STRING, "Name of the context to use"),
    Flag("-D --debug", BOOL, "Enable debug mode"),
    Flag("-H --host", LIST, "Socket of the daemon (unix://PATH or tcp://HOST:PORT)"),
    Flag("-l --log-level", STRING, 'Set the logging level ("debug", "info", "warn", "error", "fatal")', default="info"),
    Flag("--tls", BOOL, "Use TLS"),
    Flag("--tlscacert", STRING, "Trust only certificates signed by this CA"),
    Flag("--tlscert", STRING, "Path to the client's certificate"),
    Flag("--tlskey", STRING, "Path to the client's key"),
    Flag("--tlsverify", BOOL, "Use TLS and verify the daemon"),
    Flag("-v --version", BOOL, "Print version information and quit"),
)


class Settings:
    """The global options and the environment, resolved."""

    __slots__ = ("_config", "context", "contexts", "debug", "environment_host", "folder", "host", "tls")

    def __init__(self, options: Options) -> None:
        self.folder: str = (
            options["config"]
            or os.environ.get("PYDOCK_CONFIG")
            or os.environ.get("DOCKER_CONFIG")
            or os.path.expanduser("~/.docker")
        )
        self.debug: bool = options["debug"]
        if options["log-level"] not in LEVELS:
            raise InvalidArgument(f"unable to parse logging level: {options['log-level']}")
        self.contexts = Store(self.folder)
        self.environment_host = _host(options)
        self.context = _context(options, self.contexts)
        self.host, self.tls = self.environment_host, _tls(options, self.folder)
        if self.context != DEFAULT:
            self._enter()
        self._config: dict[str, Any] | None = None

    def _enter(self) -> None:
        """Mean the daemon of the context; commands on contexts work without it."""
        try:
            found = self.contexts.load(self.context)
        except NotFound:
            self.host, self.tls = "", None
            return
        self.host, self.tls = found.endpoint.get("Host") or DEFAULT_HOST, found.certificates

    def daemon(self) -> Daemon:
        """Return the daemon that is meant; NotFound when it is that of a context that there is not."""
        if not self.host:
            try:
                self.contexts.load(self.context)
            except NotFound as error:
                raise NotFound(f"unable to resolve docker endpoint: {error.message}") from error
        return Daemon(self.host, self.tls)

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
    """Return what -H and the environment say."""
    hosts: list[str] = options["host"]
    if len(hosts) > 1:
        raise InvalidArgument("Specify only one -H")
    for host in (*hosts, os.environ.get("PYDOCK_HOST"), os.environ.get("DOCKER_HOST")):
        if host:
            return host
    return DEFAULT_HOST


def _context(options: Options, store: Store) -> str:
    """Return the context that holds: the one that is said, else `default` where a host is, else the one in use."""
    if options["context"] and options["host"]:
        raise InvalidArgument("conflicting options: either specify --host or --context, not both")
    if options["context"]:
        return str(options["context"])
    if options["host"] or os.environ.get("PYDOCK_HOST"):
        return DEFAULT
    if os.environ.get("PYDOCK_CONTEXT"):
        return os.environ["PYDOCK_CONTEXT"]
    return DEFAULT if os.environ.get("DOCKER_HOST") else store.current() or DEFAULT


def _tls(options: Options, folder: str) -> Tls | None:
    """Return the certificates of tcp hosts, None without TLS. As docker's: verifying is asked for by itself."""
    verify = options["tlsverify"] if "tlsverify" in options.given else bool(os.environ.get("DOCKER_TLS_VERIFY"))
    if not (options["tls"] or verify or "tlsverify" in options.given):
        return None
    files = {"authority": options["tlscacert"], "certificate": options["tlscert"], "key": options["tlskey"]}
    return wanted(folder, verify=bool(verify), **files)
