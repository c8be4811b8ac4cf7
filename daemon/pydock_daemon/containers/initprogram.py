"""The init that `--init` puts before a container's program: a program of the host, found as dockerd finds its own.

Used by `create`, which refuses what could not be started, and by `start`. Why no init of our own: docs/adr/0008.
"""

import os
import shutil

from pydock_daemon.config import Config
from pydock_shared.errors import InvalidArgument
from pydock_shared.wire.container import HostConfig

NAMES = ("docker-init", "tini-static", "catatonit")
"""Tried in this order: what Docker calls it, and the static inits that distributions have."""
FOLDERS = ("/usr/local/libexec/docker", "/usr/libexec/docker", "/usr/local/lib/docker", "/usr/lib/docker")


def wanted(config: Config, host: HostConfig) -> bool:
    """Say whether a container gets an init: only in a pid namespace of its own, as with Docker."""
    asked = config.init if host.init is None else host.init
    return asked and (host.pid_mode or "") in ("", "private")


def path(config: Config) -> str:
    """Return the init program on the host; InvalidArgument with Docker's words when there is none."""
    names = (config.init_path,) if config.init_path else NAMES
    folders = os.pathsep.join((*FOLDERS, os.environ.get("PATH", os.defpath)))
    for name in names:
        found = shutil.which(name, path=folders)
        if found:
            return os.path.abspath(found)
    raise InvalidArgument(f'exec: "{names[0]}": executable file not found in $PATH: --init needs {" or ".join(names)}')
