"""Reading what the supervisor's log writers wrote: tail, since, until, follow across rotation. Used by api.containers.

Files are read in a thread while going through history, and on the event loop when following, where what is read was
written a moment ago.
"""

import asyncio
import os
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Lock
from typing import TypeVar

from pydock_daemon.inotify import FolderWatch
from pydock_runtime.supervisor import logformat
from pydock_runtime.supervisor.logformat import LINE_LIMIT
from pydock_shared.errors import NotSupported, PydockError
from pydock_shared.framing import STDERR, STDOUT, frame
from pydock_shared.times import rfc3339_fixed

from .logfiles import OPENERS, Batch, Filter, LogFile, Opener

Details = Callable[[Batch], bytes]
T = TypeVar("T")

STOP_POLLS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
QUIET_POLL = 1.0
MOST_OPEN = 16
STREAMS = {"stdout": STDOUT, "stderr": STDERR}


async def read_logs(
    path: Path,
    driver: str,
    *,
    follow: bool = False,
    tail: int | None = None,
    since: int = 0,
    until: int | None = None,
    stdout: bool = True,
    stderr: bool = True,
    stopped: Callable[[], bool] = lambda: True,
    opened: Callable[[], None] = lambda: None,
) -> AsyncGenerator[list[Batch], None]:
    """Yield what is logged, oldest first; with `follow` go on until `stopped()` is true and all is read.

    `tail` counts lines (None: all), of both streams and to the end, before streams and `until` choose among them, as in
    Docker. `since` and `until` are nanoseconds. A log that does not exist (yet) is an empty one. Raises NotSupported
    for a driver that cannot be read, PydockError for a damaged file. `opened` is called when the files are open: from
    then on nothing is lost by their removal.
    """
    opener = opener_of(driver)
    streams = frozenset(name for name, chosen in (("stdout", stdout), ("stderr", stderr)) if chosen)
    wanted, counted = Filter(streams, since, until), Filter(frozenset(STREAMS), since, None)
    with ExitStack() as stack:
        watch = _watched(path.parent, stack) if follow else None
        chain = Chain(path, opener, follow=follow)
        stack.callback(chain.close)
        skip = await _to_its_end(lambda: chain.start(tail, counted))
        opened()
        if watch is not None:
            watch.on_change = chain.glance
        quiet, history = 0, True
        while True:
            # Asked before reading: what was written before the stop is read after it.
            ended = watch is None or stopped()
            batches = await _to_its_end(chain.read) if history else chain.read()
            if batches is None:
                if watch is None or ended:
                    return
                history = False
                quiet = 0 if await watch.wait(_pause(quiet)) else quiet + 1
                continue
            over = wanted.over(batches[-1])
            if skip:
                batches, skip = _without(skip, list(filter(counted.takes, batches)))
            batches = list(filter(wanted.takes, batches))
            if batches:
                yield batches
            if over:
                return


def _watched(folder: Path, stack: ExitStack) -> FolderWatch | None:
    """Watch a folder until the end of the stack; None when there is none (any more): its container was removed."""
    try:
        return stack.enter_context(FolderWatch(folder))
    except FileNotFoundError:
        return None


def opener_of(driver: str) -> Opener:
    """Return what opens the files of a driver; NotSupported for one that cannot be read."""
    if driver not in OPENERS:
        raise NotSupported("configured logging driver does not support reading")
    return OPENERS[driver]


async def _to_its_end(function: Callable[[], T]) -> T:
    """Run in a thread. Who is cancelled goes on when that has ended: what it opens is closed then, and not before."""
    work = asyncio.ensure_future(asyncio.to_thread(function))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.gather(work, return_exceptions=True)
        raise


class _Heads(dict[int, bytes]):
    """The headers of frames of one stream by the length of their line, its newline not counted."""

    def __init__(self, stream: int) -> None:
        self._stream = stream

    def __missing__(self, size: int) -> bytes:
        header = frame(self._stream, b"", size=size + 1)
        if size < LINE_LIMIT:
            self[size] = header
        return header


HEADS = {name: _Heads(stream) for name, stream in STREAMS.items()}


def encode(batches: Iterable[Batch], *, framed: bool, timestamps: bool, details: Details | None = None) -> bytes:
    """Return lines as the API sends them: with `framed` one stdcopy frame a line, as Docker does and clients expect.

    What `details` gives for a batch is put before each line, after the time.
    """
    pieces: list[bytes] = []
    for batch in batches:
        prefix = details(batch) if details is not None else b""
        if timestamps:
            prefix = rfc3339_fixed(batch.time).encode() + b" " + prefix
        if not framed and not prefix:
            pieces.append(batch.data)
            continue
        *ended, rest = batch.data.split(b"\n")
        if framed:
            heads = HEADS[batch.stream]
            more = len(prefix)
            pieces += [heads[len(line) + more] + prefix + line + b"\n" for line in ended]
            if rest:
                pieces.append(frame(STREAMS[batch.stream], prefix + rest))
        else:
            pieces += [prefix + line + b"\n" for line in ended]
            pieces += [prefix + rest] if rest else []
    return b"".join(pieces)


class Chain:
    """A log's files, oldest first, read as one; owns them."""

    def __init__(self, path: Path, opener: Opener, *, follow: bool) -> None:
        self._path = path
        self._open = opener
        self._follow = follow
        self._files: deque[LogFile] = deque()
        self._lock = Lock()  # of the files: reading goes on in a thread meanwhile
        self.lost = False  # a follower was so slow that a file went before it was read

    def start(self, tail: int | None, wanted: Filter) -> int:
        """Open what there is and go to the beginning of what counts; returns how many such lines to skip there."""
        files = self._existing()
        missing = tail
        surplus = 0
        while files and (missing is None or missing > 0 or not self._files):
            file = files.pop(0)
            self._files.appendleft(file)
            if missing is None and not wanted.since:
                continue
            found = file.seek(missing, wanted)
            if missing is not None:
                surplus = max(0, found - missing)
                missing = max(0, missing - found)
        for file in files:
            file.close()
        return surplus

    def read(self) -> list[Batch] | None:
        """Return the next batches, None at the end of what is written so far."""
        while True:
            if not self._files and not self._find_first():
                return None
            batches = self._files[0].read()
            if batches is None:
                with self._lock:
                    self._keep_up()
                if len(self._files) == 1:
                    return None
                batches = self._files[0].read()  # written between our reading and the rotation
            if batches is not None:
                return batches
            self._files.popleft().close()

    def glance(self) -> None:
        """Open the files that have come since, before they go; called on the event loop when the folder changes.

        An open file can be read though it has gone. Of a slow reader no more than MOST_OPEN are kept. What goes wrong
        goes wrong again when it is read.
        """
        if self._lock.acquire(blocking=False):
            try:
                with suppress(OSError, PydockError):
                    self._keep_up()
            finally:
                self._lock.release()

    def _keep_up(self) -> None:
        while self._follow and 0 < len(self._files) < MOST_OPEN and self._rotated():
            if not self._find_next():
                return

    def close(self) -> None:
        """Close every file."""
        while self._files:
            self._files.popleft().close()

    def _existing(self) -> list[LogFile]:
        # Newest first: a rotation meanwhile shows a file twice, and loses none. In the middle of one a number is free.
        files: list[LogFile] = []
        try:
            numbers = len(os.listdir(self._path.parent)) + 1
        except FileNotFoundError:
            return []
        for number in range(numbers):
            file = self._try_open(self._numbered(number))
            if file is None:
                if number and self._inode(number + 1) is None:
                    break
            elif any((other.inode, other.begin) == (file.inode, file.begin) for other in files):
                file.close()
            else:
                files.append(file)
        return files

    def _find_first(self) -> bool:
        file = self._try_open(self._path) if self._follow else None
        if file is not None:
            self._files.append(file)
        return file is not None

    def _rotated(self) -> bool:
        try:
            return self._path.stat().st_ino != self._files[-1].inode
        except FileNotFoundError:
            return False  # between two files; the new one will be told by inotify

    def _find_next(self) -> bool:
        # The file after our last has the number before it; where ours is gone too, we are too slow and go on with the
        # oldest.
        inode = self._files[-1].inode
        while True:
            number = self._number_of(inode)
            self.lost |= self._inode(number) is None
            file = self._try_open(self._numbered(number - 1))
            if file is None:
                return False
            if self._number_of(inode) == number:
                self._files.append(file)
                return True
            file.close()  # one more rotation in between

    def _number_of(self, inode: int) -> int:
        number = 1
        while (other := self._inode(number)) != inode:
            if other is None and self._inode(number + 1) is None:
                break  # not there; one number alone is free in the middle of a rotation
            number += 1
        return number

    def _inode(self, number: int) -> int | None:
        path = str(self._numbered(number))
        try:
            return os.stat(path).st_ino
        except FileNotFoundError:
            pass
        try:
            return logformat.gz_origin(path + logformat.GZ_SUFFIX)[0]
        except FileNotFoundError:
            return None

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path

    def _try_open(self, path: Path) -> LogFile | None:
        try:
            return self._open(path, bounded=not self._follow)
        except FileNotFoundError:
            return None


def _pause(quiet: int) -> float:
    return STOP_POLLS[quiet] if quiet < len(STOP_POLLS) else QUIET_POLL


def _without(skip: int, batches: list[Batch]) -> tuple[list[Batch], int]:
    """Return the batches without their first `skip` lines, and how many are still to skip."""
    while skip and batches:
        first = batches[0]
        count = first.line_count()
        if count <= skip:
            batches = batches[1:]
            skip -= count
        else:
            batches = [first._replace(data=b"".join(first.lines()[skip:])), *batches[1:]]
            skip = 0
    return batches, skip
