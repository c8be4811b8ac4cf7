"""The kinds of error pydock knows; raised where the cause is known and mapped at three edges only.

The edges: HTTP server (kind -> status), HTTP client (status -> kind), command line (kind -> exit code).

    PydockError            500  something of ours failed
    +- InvalidArgument     400  the request is malformed
    +- Unauthorized        401  no or wrong credentials
    +- Forbidden           403  known, and not allowed
    +- NotFound            404  the named thing does not exist
    +- Conflict            409  the thing is in a state that does not allow it
    +- NotModified         304  nothing to do: it is so already
    +- NotSupported        501  a known option that this engine does not carry out
    +- Unavailable         503  a service we depend on does not answer
"""


class PydockError(Exception):
    """The base of all kinds; `message` names the thing and has no full stop."""

    status = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidArgument(PydockError):
    """The request is malformed or contradicts itself."""

    status = 400


class Unauthorized(PydockError):
    """Credentials are missing or wrong."""

    status = 401


class Forbidden(PydockError):
    """The caller is known and may not do this."""

    status = 403


class NotFound(PydockError):
    """The named thing does not exist."""

    status = 404


class Conflict(PydockError):
    """The thing exists, in a state that does not allow the operation."""

    status = 409


class NotModified(PydockError):
    """The thing is already as asked for."""

    status = 304


class NotSupported(PydockError):
    """The option is known to Docker and not carried out by this engine; always names the option."""

    status = 501


class Unavailable(PydockError):
    """A service that the operation depends on does not answer."""

    status = 503


def described(error: OSError) -> str:
    """Return a failure of the system in Go's words, as in `/path: no space left on device`."""
    words = error.strerror or str(error)
    words = words[:1].lower() + words[1:]
    return f"{error.filename}: {words}" if isinstance(error.filename, str) else words


KINDS: dict[int, type[PydockError]] = {
    kind.status: kind
    for kind in (
        PydockError,
        InvalidArgument,
        Unauthorized,
        Forbidden,
        NotFound,
        Conflict,
        NotModified,
        NotSupported,
        Unavailable,
    )
}


def from_status(status: int, message: str) -> PydockError:
    """Return the error that stands for an HTTP status of 300 and above."""
    return KINDS.get(status, PydockError)(message)
