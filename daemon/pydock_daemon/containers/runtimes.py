"""Which OCI runtime carries a container out (`--runtime`, `--add-runtime`). Used by `start`."""

import shutil
from typing import Any

from pydock_daemon.config import Config
from pydock_daemon.values import OWN_RUNTIME
from pydock_shared.errors import InvalidArgument

from .model import Container


def chosen(config: Config, container: Container) -> dict[str, Any] | None:
    """Return what the supervisor needs to know of the container's runtime, None for our own.

    InvalidArgument: it is not among the daemon's runtimes any more, or its program is not there.
    """
    name = container.host.runtime or OWN_RUNTIME
    if name == OWN_RUNTIME:
        return None
    runtime = config.runtimes.get(name)
    if runtime is None:
        raise InvalidArgument(f"unknown or invalid runtime name: {name}")
    path = shutil.which(runtime.path)
    if path is None:
        raise InvalidArgument(f"OCI runtime {name}: there is no program {runtime.path}")
    return {"name": name, "path": path, "args": list(runtime.arguments)}
