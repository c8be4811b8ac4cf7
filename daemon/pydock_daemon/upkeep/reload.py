"""New settings for a daemon that runs, as dockerd takes them: on SIGHUP, from its file. Called by `app`.

What changes is a table; of the rest that is others in the file the log says that it waits for the next start.
"""

import json
import logging
import os
from collections.abc import Callable
from dataclasses import fields

from pydock_daemon.config import BY_KEY, Config
from pydock_daemon.engine import Engine
from pydock_shared.errors import InvalidArgument

log = logging.getLogger("pydockd")
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR, "fatal": 50}
CHANGING = (
    *("log_level", "labels", "insecure_registries", "registry_mirrors"),
    *("runtimes", "default_runtime", "shutdown_timeout"),
)
"""Attributes of Config that are read each time they are needed, or by `reload`."""


def reload(engine: Engine, load: Callable[[], Config]) -> None:
    """Take what `load` reads; settings that are wrong leave everything as it is."""
    try:
        wanted = load()
    except (InvalidArgument, OSError) as error:
        log.error("the settings stay as they are: %s", error)
        return
    settings = engine.config
    other = {one.name for one in fields(Config) if getattr(wanted, one.name) != getattr(settings, one.name)}
    for key, setting in BY_KEY.items():
        if setting.attribute in other.difference(CHANGING):
            log.warning("%s is another in the file; that counts from the next start of the daemon", key)
    settings.take(wanted, CHANGING)
    logging.getLogger().setLevel(LEVELS[settings.log_level])
    engine.images.reach()
    engine.events.publish("daemon", "reload", engine.id, _told(settings))
    log.info("settings were read again; changed: %s", ", ".join(sorted(other.intersection(CHANGING))) or "none")


def _told(settings: Config) -> dict[str, str]:
    """Return the attributes of the event, by Docker's names."""
    runtimes = {name: runtime.path for name, runtime in settings.runtimes.items()}
    return {
        "name": os.uname().nodename,
        "debug": json.dumps(settings.log_level == "debug"),
        "labels": json.dumps(settings.labels),
        "insecure-registries": json.dumps(settings.insecure_registries),
        "registry-mirrors": json.dumps(settings.registry_mirrors),
        "default-runtime": settings.default_runtime,
        "runtimes": " ".join(f"{name}:{path}" for name, path in runtimes.items()),
        "shutdown-timeout": str(settings.shutdown_timeout),
        "live-restore": "true",
    }
