"""From an error to an HTTP answer: the one place of the daemon that knows both. Used by the server."""

import errno
import logging

from aiohttp import web
from aiohttp.http import HttpProcessingError

from pydock_shared.errors import InvalidArgument, PydockError, described

from .routing import json_response

log = logging.getLogger("pydockd.api")


class Malformed(logging.Filter):
    """Of what the HTTP server logs: a client that does not speak HTTP is no failure of ours, and worth no traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a record is logged."""
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, HttpProcessingError | InvalidArgument):
            return True
        log.debug("malformed request: %s", " ".join(error.message.split()))
        return False


def answer(error: BaseException) -> web.Response:
    """Return `{"message": ...}` with the status of the error's kind; what we did not foresee is a logged 500."""
    if isinstance(error, PydockError):
        status, message = error.status, error.message
    elif isinstance(error, OSError):
        log.warning("request failed: %s", error, exc_info=None if error.errno == errno.ENOSPC else error)
        status, message = 500, described(error)
    else:
        log.error("request failed", exc_info=error)
        status, message = 500, f"internal error: {type(error).__name__}: {error}"
    if status == 304:
        return web.Response(status=304)
    return json_response({"message": message}, status)
