"""`kill`: a signal for a container's init, or for all its processes."""

from __future__ import annotations

import os
import signal

from pydock_runtime import container, state
from pydock_runtime.arguments import SWITCH, Call, Flag
from pydock_runtime.errors import INVALID, RuntimeFailure

ARGUMENTS = "ID [SIGNAL]"
SEALED = False
FLAGS = (Flag("all", SWITCH, "send it to every process of the container", "a"),)


def run(call: Call) -> int:
    """Send the signal; TERM when none is named."""
    call.require(1, 2)
    record = state.load(call.root, call.words[0])
    number = number_of(call.words[1] if len(call.words) == 2 else "TERM")
    if not call.has("all"):
        container.send_signal(record, number)
        return 0
    for pid in container.group(record).pids():
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
    return 0


def number_of(name: str) -> int:
    """Return the number of a signal given as 9, KILL or SIGKILL."""
    if name.isdigit() and int(name) < signal.NSIG:
        return int(name)
    try:
        return signal.Signals[f"SIG{name.upper().removeprefix('SIG')}"]
    except KeyError:
        raise RuntimeFailure(f'unknown signal "{name}"', INVALID) from None
