"""What the kernel's log says of its OOM killer: the names of those it killed in a container. Used by `ooms`.

Read from /dev/kmsg (Documentation/ABI/testing/dev-kmsg), a line of `dump_oom_victim` (mm/oom_kill.c) for each. The
kernel leaves such lines out when there are many, and may not let us read: then a name is not known.
"""

import os
import re

LOG = "/dev/kmsg"
MOST = 100_000
"""Records read in one look; the log of a kernel with usual settings holds a few thousand."""

# Facility and level below 8 are the kernel's own words: whoever may write to the log has another facility. The name is
# the process's choice and may have anything in it; the kernel shows what is not printable as \xNN.
VICTIM = re.compile(rb"[0-7],(\d+),\d+,[^;]*;oom-kill:.*,task_memcg=([^,]*),task=(.*),pid=\d+,uid=\d+\n")


def victims(container: str, after: int) -> list[tuple[int, str]]:
    """Return sequence number and name of every victim in a container's cgroup or below, in records above `after`."""
    try:
        log = os.open(LOG, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        return [found for record in _records(log) if (found := victim(record, container)) and found[0] > after]
    finally:
        os.close(log)


def victim(record: bytes, container: str) -> tuple[int, str] | None:
    """Return what one record says of a victim in this container."""
    found = VICTIM.match(record)
    if not found or container.encode() not in found[2].split(b"/"):
        return None
    return int(found[1]), found[3].decode(errors="replace")


def _records(log: int) -> list[bytes]:
    found = []
    for _ in range(MOST):
        try:
            record = os.read(log, 8192)
        except BrokenPipeError:
            continue  # overwritten while we read: the next read goes on with the oldest there is
        except OSError:
            break  # EAGAIN, the end; EINVAL, a record that is too long
        if b"oom-kill:" in record:
            found.append(record)
    return found
