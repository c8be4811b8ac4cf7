"""The runtime's own error: a message for the person who asked, with one of the kinds of the supervisor's protocol."""

from __future__ import annotations

INVALID, SYSTEM, EXEC_NOT_FOUND, EXEC_DENIED = "invalid", "system", "exec-not-found", "exec-denied"


class RuntimeFailure(Exception):
    """A container cannot be set up or run as asked."""

    def __init__(self, message: str, kind: str = SYSTEM) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind


def reason(error: OSError) -> str:
    """Return what the kernel says is wrong, in the form of our messages."""
    return (error.strerror or str(error)).lower()


def text(error: OSError) -> str:
    """Return `what: why` of an error of the system."""
    return f"{error.filename}: {reason(error)}" if error.filename else reason(error)
