"""How the supervisor is to write the log of a container, from its log options. Used by start.

A driver that sends lines on writes them to a file of the form `local` first: from there they are sent (see shipping)
and read back.
"""

from pathlib import Path
from typing import Any

from pydock_daemon.containers.model import Container
from pydock_shared.errors import InvalidArgument, PydockError
from pydock_shared.units import parse_size

from . import info
from .options import REMOTE
from .values import boolean, integer

DEFAULT_SIZE = {"local": 20_000_000, "json-file": 10_000_000}
DEFAULT_FILES = {"local": 5, "json-file": 3}
"""Docker's figures for `local`; its `json-file` grows without end, ours does not."""
UNLIMITED = "-1"


class LoggingError(PydockError):
    """The log driver of a container cannot be set up, as Docker says it; 500, as there."""

    def __init__(self, message: str) -> None:
        super().__init__(f"failed to create task for container: failed to initialize logging driver: {message}")


def driver_of(container: Container) -> str:
    """Return the name of a container's log driver."""
    log = container.host.log_config
    return (log.type if log else None) or "json-file"


def reader_of(container: Container) -> str:
    """Return the form of a container's log files for reading them back, `none` when they are not to be."""
    driver = driver_of(container)
    if driver not in REMOTE:
        return driver
    log = container.host.log_config
    disabled = boolean(((log.config if log else None) or {}).get("cache-disabled") or "false")
    return "none" if disabled else "local"


def of(container: Container, environment: list[str], path: Path) -> dict[str, Any]:
    """Return what the supervisor's open_log takes. Raises LoggingError."""
    driver = driver_of(container)
    log = container.host.log_config
    options = (log.config if log else None) or {}
    if driver == "none":
        return {"driver": "none"}
    try:
        if driver in REMOTE:
            return _cached(options, path)
        written = _json_file(options) if driver == "json-file" else _local(options)
        attributes = info.kept(info.of(container, environment)) if options else {}
    except InvalidArgument as error:
        raise LoggingError(error.message) from error
    if attributes:
        written["attributes"] = info.go_json(attributes)
    return {"driver": driver, "path": str(path), **written}


def cursor_path(path: Path) -> Path:
    """Return where a log keeps what was sent of it: in a folder of its own, since that of the log is watched."""
    return path.parent / "sent" / "cursor"


def _json_file(options: dict[str, str]) -> dict[str, Any]:
    size = options.get("max-size")
    limit = DEFAULT_SIZE["json-file"] if size is None else 0 if size == UNLIMITED else parse_size(size, base=1000)
    if limit == 0 and size != UNLIMITED:
        raise InvalidArgument("max-size must be a positive number")
    files = integer(options["max-file"]) if "max-file" in options else DEFAULT_FILES["json-file"]
    if files < 1:
        raise InvalidArgument("max-file cannot be less than 1")
    compress = boolean(options["compress"]) if "compress" in options else False
    if compress and (options.get("max-file", "1") == "1" or size in (None, UNLIMITED)):
        raise InvalidArgument("compress cannot be true when max-file is less than 2 or max-size is not set")
    return {"max_size": limit, "max_files": files, "compress": compress}


def _local(options: dict[str, str]) -> dict[str, Any]:
    size, files, compress = DEFAULT_SIZE["local"], DEFAULT_FILES["local"], True
    if "max-size" in options:
        size = _named("invalid value for max-size: {}: ", options["max-size"], lambda text: parse_size(text, base=1000))
    if "max-file" in options:
        files = _named("invalid value for max-file: {}: ", options["max-file"], integer)
    if "compress" in options:
        compress = _named("error reading compress log option: ", options["compress"], boolean)
    if files < 0:
        raise InvalidArgument("max file count cannot be less than 0")
    if compress and files <= 1:
        raise InvalidArgument("compression cannot be enabled when max file count is 1")
    return {"max_size": size, "max_files": max(files, 1), "compress": compress}


def _named(words: str, text: str, parse: Any) -> Any:
    try:
        return parse(text)
    except InvalidArgument as error:
        raise InvalidArgument(words.format(text) + error.message) from error


def _cached(options: dict[str, str], path: Path) -> dict[str, Any]:
    """Return the settings of the file behind a driver that sends lines on, see docs/adr."""
    files = _local({name.removeprefix("cache-"): text for name, text in options.items() if name.startswith("cache-")})
    cached: dict[str, Any] = {"driver": "local", "path": str(path), **files}
    buffered = max(parse_size(options.get(name) or "0") for name in ("max-buffer-size", "fluentd-buffer-limit"))
    cached["max_size"] = max(cached["max_size"], buffered // max(cached["max_files"] - 1, 1))
    if options.get("mode") != "non-blocking":
        cached["cursor"] = str(cursor_path(path))
    return cached
