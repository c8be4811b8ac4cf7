"""Makes the driver of a container, from its log options. Used by service."""

from collections.abc import Callable

from pydock_daemon.containers.logdrivers.info import Info
from pydock_daemon.containers.logdrivers.settings import LoggingError
from pydock_shared.errors import InvalidArgument

from .base import Driver
from .fluentd import Fluentd
from .gelf import Gelf
from .journald import Journald
from .syslog import Syslog

DRIVERS: dict[str, Callable[[Info], Driver]] = {
    "fluentd": Fluentd,
    "gelf": Gelf,
    "journald": Journald,
    "syslog": Syslog,
}


def make(name: str, info: Info) -> Driver:
    """Return the driver, not connected. Raises LoggingError."""
    try:
        return DRIVERS[name](info)
    except InvalidArgument as error:
        raise LoggingError(error.message) from error
    except OSError as error:
        raise LoggingError(str(error)) from error
