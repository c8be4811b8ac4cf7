"""Bodies of the exec endpoints. Used by the daemon."""

from . import Wire
from .container import Words


class ExecCreate(Wire):
    """The body of `POST /containers/{id}/exec`."""

    attach_stdin: bool | None = None
    attach_stdout: bool | None = None
    attach_stderr: bool | None = None
    console_size: list[int] | None = None
    detach_keys: str | None = None
    tty: bool | None = None
    env: list[str] | None = None
    cmd: Words | None = None
    privileged: bool | None = None
    user: str | None = None
    working_dir: str | None = None


class ExecStart(Wire):
    """The body of `POST /exec/{id}/start`."""

    detach: bool | None = None
    tty: bool | None = None
    console_size: list[int] | None = None
