"""supervisor.log: what nobody asked about and somebody will want to know; written by every module of the supervisor."""

from __future__ import annotations

import contextlib
import os
import time


def note(text: str) -> None:
    """Write a line with its time to stderr, which is supervisor.log; a full disk there is nobody's reason to stop."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with contextlib.suppress(OSError):
        os.write(2, f"{stamp} {text}\n".encode(errors="replace"))


def note_traceback(error: BaseException) -> None:
    """Write where an error came from. By hand: the module traceback and what it imports cost 0.5 MB in every fork."""
    lines = [f"Traceback of {type(error).__name__}: {error}"]
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        lines.append(f"    {code.co_filename}:{trace.tb_lineno} in {code.co_name}")
        trace = trace.tb_next
    note("\n".join(lines))
