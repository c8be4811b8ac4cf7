"""A process's pipes or terminal: output to log and attachments, input from attachments; made by containers.

Reading pauses while an attached client is more than HIGH_WATER bytes behind, or the log is full, so that the container
waits for it, as with Docker. Once the process has ended nothing waits any more: what is left in a pipe (64 KiB) is
read to its end at once.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import termios
import time

from pydock_runtime.supervisor import envelope
from pydock_runtime.supervisor.attachments import STDERR, STDIN, STDOUT, Attachment
from pydock_runtime.supervisor.ends import Input, Output
from pydock_runtime.supervisor.protocol import SEALED, Fd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pydock_runtime.supervisor.logs import Log
    from pydock_runtime.supervisor.poller import Poller, Timer

LOOK_AGAIN = 0.05  # seconds between two looks at a log that is full
DRAIN_GRACE = 0.2  # seconds for somebody else (a daemonised child of the host's namespace) to close our pipe
DRAIN_LIMIT = 2.0  # seconds after which even a pipe that still gives data is closed; Docker's figure


class Stdio:
    """The three streams of one process, seen from outside it."""

    __slots__ = (
        "_drain_until",
        "_drained",
        "_input",
        "_log",
        "_on_clients",
        "_on_detach",
        "_outputs",
        "_patience",
        "_paused",
        "_poller",
        "_unread",
        "attachments",
        "child_fds",
        "close_stdin",
        "console",
        "tty",
    )

    def __init__(
        self,
        poller: Poller,
        log: Log,
        *,
        tty: bool,
        close_stdin: bool,
        on_detach: Callable[[], None],
        on_clients: Callable[[], None],
    ) -> None:
        """`close_stdin`: the end of a client's input is the end of the process's (Docker's StdinOnce).

        `on_detach` is called when detach keys were typed, `on_clients` when a client has come or gone.
        """
        self._poller = poller
        self._log = log
        self._on_detach = on_detach
        self._on_clients = on_clients
        self._input: Input | None = None
        self._outputs: list[Output] = []
        self._unread: list[tuple[int, int]] = []
        self._paused = False
        self._patience: Timer | None = None
        self._drained: Callable[[], None] | None = None
        self._drain_until = 0.0
        self.attachments: list[Attachment] = []
        self.child_fds: list[int] = []
        self.console = -1
        self.tty = tty
        self.close_stdin = close_stdin and not tty

    def open_pipes(
        self, *, stdin: bool, stdout: bool = True, stderr: bool = True, together: bool = False
    ) -> tuple[int, int, int]:
        """Make the pipes; a stream not asked for is /dev/null. Return the child's ends, see `close_child_fds`.

        `together`: stderr is written where stdout is, and so in the order in which it is written.
        """
        ends: list[int] = []
        for stream, wanted in ((STDIN, stdin), (STDOUT, stdout), (STDERR, stderr)):
            if together and stream == STDERR:
                ends.append(ends[STDOUT])
                continue
            if not wanted:
                ends.append(os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC))
                self.child_fds.append(ends[-1])
                continue
            reader, writer = os.pipe2(os.O_CLOEXEC)
            ours, theirs = (writer, reader) if stream == STDIN else (reader, writer)
            os.set_blocking(ours, False)
            self.child_fds.append(theirs)
            ends.append(theirs)
            if stream == STDIN:
                self._input = Input(self._poller, ours, self)
            else:
                self._unread.append((ours, stream))
        return ends[0], ends[1], ends[2]

    def close_child_fds(self) -> None:
        """Close our copies of the child's ends."""
        for fd in self.child_fds:
            os.close(fd)
        self.child_fds.clear()

    def open_console(self, console: int, *, stdin: bool) -> None:
        """Own the master of the process's terminal, read it and, with `stdin`, write to it."""
        os.set_blocking(console, False)
        self.console = console
        if stdin:
            self._input = Input(self._poller, os.dup(console), self)

    def open_output(self) -> None:
        """Read from now on: before the program has it open, reading a terminal fails.

        What is in a pipe before is the program's own, unless it never runs: then it is what another runtime says of it.
        """
        if self.console >= 0:
            self._unread.append((self.console, STDOUT))
        for fd, stream in self._unread:
            self._outputs.append(Output(self._poller, fd, stream, self, owned=fd != self.console))
        self._unread.clear()

    def ends(self) -> list[tuple[int, int]]:
        """Return what the next supervisor needs, each with its stream; of a terminal there is one. Raises OSError."""
        if self.console >= 0:
            return [(STDOUT, self.console)]
        ends = [(output.stream, output.fd) for output in self._outputs]
        if self._input is not None and not self.close_stdin:
            ends.append((STDIN, self._input.fd))
        elif self._input is not None:
            ends.append((SEALED, self._input.seal()))
        return ends

    def saved(self) -> dict[str, Any]:
        """Return what `restore` goes on with; the child's ends are closed by now."""
        return {
            "tty": self.tty,
            "close_stdin": self.close_stdin,
            "console": Fd(self.console),
            "input": self._input.saved() if self._input is not None else None,
            "outputs": [[Fd(output.fd), output.stream] for output in self._outputs],
            "unread": [[Fd(fd), stream] for fd, stream in self._unread],
            "attachments": [attachment.saved() for attachment in self.attachments],
        }

    def restore(self, saved: dict[str, Any]) -> list[tuple[Attachment, dict[str, Any]]]:
        """Go on where another object with the same ends was; return the attachments with what was saved of them."""
        self.console = saved["console"]
        self._unread = [(fd, stream) for fd, stream in saved["unread"]]
        for fd, stream in saved["outputs"]:
            self._outputs.append(Output(self._poller, fd, stream, self, owned=fd != self.console))
        if saved["input"]:
            self._input = Input(self._poller, saved["input"]["fd"], self)
        restored = []
        for entry in saved["attachments"]:
            streams = frozenset(entry["streams"])
            attachment = Attachment(
                self._poller, self, entry["sock"], streams, framed=entry["framed"], keys=entry["keys"]
            )
            self.attachments.append(attachment)
            restored.append((attachment, entry))
        for attachment, entry in restored:
            attachment.restore(entry)
        if self._input is not None:
            self._input.restore(saved["input"])
        self.throttle()
        return restored

    def rejoin(self, ends: list[tuple[int, int]], *, stdin: bool) -> None:
        """Own what `ends` of another supervisor has returned, and read it."""
        for stream, fd in ends:
            if self.tty and self.console < 0:
                self.open_console(fd, stdin=stdin)
            elif stream == STDIN and self._input is None:
                self._input = Input(self._poller, fd, self)
            elif stream == SEALED:
                self._unseal(socket.socket(fileno=fd))
            else:
                self._unread.append((fd, stream))
        self.open_output()

    def _unseal(self, sealed: socket.socket) -> None:
        fd = envelope.look(sealed)
        if fd < 0:
            sealed.close()  # its client had ended it
        else:
            self._input = Input(self._poller, fd, self, sealed)

    def resize(self, width: int, height: int) -> None:
        """Set the terminal's size in characters. Raises OSError."""
        fcntl.ioctl(self.console, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def attach(self, fd: int, streams: frozenset[int], *, framed: bool, keys: bytes) -> Attachment:
        """Own the connection `fd` and let output and, with STDIN in `streams`, input flow."""
        if self._input is None:
            streams -= {STDIN}
        if not self.tty or STDIN not in streams:
            keys = b""  # Docker looks for detach keys in a terminal's input only
        try:
            attachment = Attachment(self._poller, self, fd, streams, framed=framed, keys=keys)
        except OSError:
            os.close(fd)
            raise
        self.attachments.append(attachment)
        if self._input is not None and self._input.full:
            attachment.hold(held=True)
        self._on_clients()
        return attachment

    # What outputs and attachments say.

    def output(self, stream: int, data: bytes) -> None:
        """Give a piece of output to the log and to everybody attached."""
        log = self._log
        log.keep(stream, data)
        for attachment in tuple(self.attachments):
            attachment.send(stream, data)
        if self.attachments or log.full:
            self.throttle()

    def throttle(self) -> None:
        """Stop reading, or go on, as the slowest client and the log demand."""
        full = self._log.full
        if full and self._outputs and self._patience is None:
            self._patience = self._poller.after(LOOK_AGAIN, self._look_again)
        paused = self._drained is None and (full or any(attachment.behind for attachment in self.attachments))
        if paused != self._paused:
            self._paused = paused
            for output in self._outputs:
                if paused:
                    output.pause()
                else:
                    output.resume()

    def _look_again(self) -> None:
        self._patience = None
        if self._outputs:
            self._log.look_again()
            self.throttle()

    def output_ended(self, output: Output) -> None:
        """One of the outputs is at its end."""
        self._outputs.remove(output)
        if not self._outputs:
            self._tell_drained()

    def move_input(self, connection: int) -> bool:
        """Let what a client has sent go straight into a pipe. False: `input` is to have it. Raises OSError."""
        return self._input is not None and not self.tty and self._input.move(connection)

    def input(self, data: bytes) -> None:
        """Take input from a client."""
        if self._input is not None:
            self._input.write(data)

    def input_ended(self, attachment: Attachment) -> None:
        """A client has closed its direction. Without StdinOnce, Docker then ends the client's output too."""
        if self.close_stdin:
            if self._input is not None:
                self._input.end()
        elif self._input is not None:
            attachment.end()

    def input_full(self, *, full: bool) -> None:
        """The process's stdin takes no more, or takes more again."""
        for attachment in self.attachments:
            attachment.hold(held=full)

    def input_closed(self) -> None:
        """The process has closed its stdin, or we have: what clients still send is thrown away by not being written."""
        if self._input is not None:
            self._input = None
            self.input_full(full=False)

    def detach(self, attachment: Attachment) -> None:
        """The detach keys were typed."""
        attachment.end()
        self._on_detach()

    def detached(self, attachment: Attachment) -> None:
        """A client has gone."""
        if attachment in self.attachments:
            self.attachments.remove(attachment)
            if self.close_stdin and STDIN in attachment.streams and self._input is not None:
                self._input.end()
            self._on_clients()
            self.throttle()

    # The end.

    def drain(self, drained: Callable[[], None]) -> None:
        """The process is dead: read what is left, waiting for nobody, then call `drained` once."""
        if self._input is not None:
            self._input.close()
        self._drained = drained
        self._drain_until = time.monotonic() + DRAIN_LIMIT
        self.throttle()
        for output in tuple(self._outputs):
            output.drain()
        if self._outputs:
            self._poller.after(DRAIN_GRACE, self._give_up)
        else:
            self._tell_drained()

    def _tell_drained(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None:
            drained()

    def _give_up(self) -> None:
        if self._drained is None:
            return
        late = time.monotonic() >= self._drain_until
        for output in tuple(self._outputs):
            if late or not output.moved:
                output.close()
            output.moved = False
        if self._outputs:
            self._poller.after(DRAIN_GRACE, self._give_up)

    def end_clients(self) -> None:
        """Let every client have the rest and the end of the stream."""
        for attachment in tuple(self.attachments):
            attachment.end()

    def abandon_clients(self) -> None:
        """Leave the clients' connections to pydockd."""
        for attachment in self.attachments:
            attachment.abandon()
        self.attachments.clear()

    def close(self) -> None:
        """Close every descriptor but the clients'."""
        self._drained = None
        self.close_child_fds()
        if self._input is not None:
            self._input.close()
        for output in tuple(self._outputs):
            output.close()
        for fd, _ in self._unread:
            os.close(fd)
        self._unread.clear()
        if self.console >= 0:
            os.close(self.console)
            self.console = -1
