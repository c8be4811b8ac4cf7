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
