"""gzip of a finished log file, by a forked child of the lowest priority; used by logfile.

The child has no descriptor but the two files, so no pipe of a container stays open by it. What it makes is a gzip
file as any tool reads it; its extra field says what the plain one was, so that a reader that follows the log finds its
place again.
"""

from __future__ import annotations

import contextlib
import os
import time
import zlib
from select import EPOLLIN

from pydock_runtime import linux
from pydock_runtime.supervisor import logformat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pydock_runtime.supervisor.poller import Poller

LEVEL = 4  # a third of the time of gzip's own 6, and a tenth more bytes of a usual log
BLOCK = 256 << 10
LOWEST = 19
UNFINISHED = ".tmp"


def begin(poller: Poller, path: str, done: Callable[..., None]) -> None:
    """Compress `path` beside itself; `done(inode, result, whole=...)` owns the result. Raises OSError."""
    with contextlib.ExitStack() as stack:
        source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        failed = stack.enter_context(contextlib.ExitStack())
        failed.callback(os.close, source)
        facts = os.fstat(source)
        result = f"{path.rpartition('.')[0]}.{time.time_ns()}{UNFINISHED}"
        target = os.open(result, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, facts.st_mode & 0o777)
        stack.callback(os.close, target)
        header = logformat.gz_header(int(facts.st_mtime), facts.st_ino, logformat.begin_of(path))
        pid = os.fork()
        if not pid:
            _child(source, target, header)
        failed.pop_all()
    pidfd = os.pidfd_open(pid)

    def on_end(_events: int) -> None:
        poller.forget(pidfd)
        ended = None
        with contextlib.suppress(ChildProcessError):  # the sweep for orphans came first, see runtimes
            ended = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        os.close(pidfd)
        try:
            done(facts.st_ino, result, whole=ended is not None and ended.si_status == 0)
        finally:
            os.close(source)  # until here no other file can have its inode

    poller.watch(pidfd, EPOLLIN, on_end)


def forget(path: str) -> None:
    """Remove what compressions of an earlier writer of the log `path` have not finished."""
    folder, name = os.path.split(path)
    for other in os.listdir(folder):
        if other.startswith(name + ".") and other.endswith(UNFINISHED):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, other))


def _child(source: int, target: int, header: bytes) -> None:
    code = 1
    try:
        linux.close_all_but((source, target))
        os.nice(LOWEST)
        os.write(target, header)
        packer = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        checksum = size = 0
        while data := os.read(source, BLOCK):
            checksum = zlib.crc32(data, checksum)
            size += len(data)
            _write(target, packer.compress(data))
        _write(target, packer.flush() + logformat.GZ_END.pack(checksum, size & 0xFFFFFFFF))
        code = 0
    finally:
        os._exit(code)


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
