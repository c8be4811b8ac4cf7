"""Signals: their names, and whether a container's process 1 can notice one. Used by `create`, `kill` and `stop`."""

import functools
import re
import signal as signals
from pathlib import Path

from pydock_shared.errors import InvalidArgument


def number(text: str) -> int:
    """Return the number of a signal given as `TERM`, `SIGTERM` or `15`; InvalidArgument with Docker's words."""
    word = text.upper().removeprefix("SIG")
    if re.fullmatch("[0-9]{1,2}", word) and 0 < int(word) < 65:
        return int(word)
    realtime, _, offset = word.partition("+") if "+" in word else word.partition("-")
    if realtime in ("RTMIN", "RTMAX") and re.fullmatch("[0-9]{0,2}", offset):
        away = int(offset or 0)
        found = signals.SIGRTMIN + away if realtime == "RTMIN" else signals.SIGRTMAX - away
        if signals.SIGRTMIN <= found <= signals.SIGRTMAX:
            return found
    try:
        return int(signals.Signals[f"SIG{word}"])
    except KeyError as error:
        raise InvalidArgument(f"invalid signal: {text}") from error


def heeds(pid: int, signal: int) -> bool:
    """Say whether a container's main process would notice a signal from outside now; ask before it is sent.

    The kernel drops one that process 1 of a pid namespace has no handler for (pid_namespaces(7)), but for SIGKILL and
    SIGSTOP; any other process is then ended by it. A blocked signal may be read by signalfd(2). One that is waited for
    by sigwait(3), as tini does, does not show as blocked meanwhile: who wakes between two looks is seen by the third.
    """
    if signal in (signals.SIGKILL, signals.SIGSTOP):
        return True
    try:
        return _takes(pid, signal) or _waits_for_signals(pid) or _takes(pid, signal)
    except OSError:
        return True


def _takes(pid: int, signal: int) -> bool:
    """Say whether a signal is caught, blocked, or has its default effect, by proc_pid_status(5)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)

    def held(mask: str) -> bool:
        return bool(int(fields[mask], 16) >> (signal - 1) & 1)

    numbers = fields["NSpid"].split()
    first = len(numbers) > 1 and numbers[-1] == "1"
    return held("SigCgt") or held("SigBlk") or not (first or held("SigIgn"))


def _waits_for_signals(pid: int) -> bool:
    """Say whether a thread is in sigtimedwait(2), by where it sleeps in the kernel: proc_pid_wchan(5).

    A kernel without names tells nothing: then it may be so.
    """
    places = [(task / "wchan").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    return any("sigtimedwait" in place for place in places) or not _kernel_has_names()


@functools.cache
def _kernel_has_names() -> bool:
    try:
        return Path("/proc/2/wchan").read_text() != "0"  # kthreadd, which sleeps
    except OSError:
        return False
