"""Bodies of the exec endpoints. Used by the daemon."""

from . import Bool, Int, Texts, Wire, Words


class ExecCreate(Wire):
    """The body of `POST /containers/{id}/exec`."""

    attach_stdin: Bool | None = None
    attach_stdout: Bool | None = None
    attach_stderr: Bool | None = None
    console_size: list[Int] | None = None
    detach_keys: str | None = None
    tty: Bool | None = None
    env: Texts | None = None
    cmd: Words | None = None
    privileged: Bool | None = None
    user: str | None = None
    working_dir: str | None = None


class ExecStart(Wire):
    """The body of `POST /exec/{id}/start`."""

    detach: Bool | None = None
    kill_on_disconnect: Bool | None = None
    """An extension: the process is killed when the client's connection ends before it."""
    tty: Bool | None = None
    console_size: list[Int] | None = None
