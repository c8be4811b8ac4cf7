"""The runtime's own error: a message for the person who asked, with one of the kinds of the supervisor's protocol."""

INVALID, SYSTEM, EXEC_NOT_FOUND, EXEC_DENIED = "invalid", "system", "exec-not-found", "exec-denied"


class RuntimeFailure(Exception):
    """A container cannot be set up or run as asked."""

    def __init__(self, message: str, kind: str = SYSTEM) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
