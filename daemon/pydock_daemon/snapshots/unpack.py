"""The program that unpacks one layer: a child of the fork server for `unpacking`, confined to the folder it fills.

Its request is the folder. It reads the blob from standard input, enters a mount namespace of its own in which the
folder is mounted without devices and programs, makes that its root, and only then looks at the first header. The
result is one line of JSON: `{"diff_id", "size", "root"}` or `{"error", "invalid"}`.
"""

import hashlib
import json
import os
import queue
import threading
from collections.abc import Iterable, Iterator

from pydock_daemon.snapshots import compression, extract
from pydock_daemon.snapshots.compression import CompressionError
from pydock_daemon.snapshots.tarstream import Archive, ArchiveError
from pydock_runtime import abi, linux


class Source:
    """The blob, read ahead of the writing and decompressed by a thread of its own; it hashes what comes out."""

    DEPTH = 8

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self._queue: queue.Queue[bytes | Exception] = queue.Queue(self.DEPTH)
        self.digest = hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        # A daemon thread: when the writer fails, nobody empties the queue any more.
        threading.Thread(target=self._fill, daemon=True).start()
        while item := self._queue.get():
            if isinstance(item, Exception):
                raise item
            yield item

    def _fill(self) -> None:
        try:
            for chunk in self._chunks:
                if chunk:
                    self.digest.update(chunk)
                    self._queue.put(chunk)
        except (CompressionError, OSError, MemoryError) as error:
            self._queue.put(error)
        else:
            self._queue.put(b"")


def confine(target: str) -> None:
    """Make a folder the root of this process, in a mount namespace of its own, without devices and set-user-id."""
    linux.unshare(abi.CLONE_NEWNS)
    linux.mount(None, "/", None, abi.MS_REC | abi.MS_PRIVATE)
    linux.mount(target, target, None, abi.MS_BIND)
    flags = abi.MS_NODEV | abi.MS_NOSUID | abi.MS_NOEXEC
    linux.mount(None, target, None, abi.MS_BIND | abi.MS_REMOUNT | flags)
    os.chroot(target)
    os.chdir("/")
    os.umask(0)


def unpack(target: str, extractor: extract.Extractor) -> dict[str, object]:
    """Unpack standard input into the target and return what it was."""
    # Whatever loads code or settings (a codec, the hash of libcrypto) is made before the root changes.
    source = Source(compression.decompressed(extract.blob(0)))
    confine(target)
    try:
        extractor.extract(Archive(source))
    except (ArchiveError, CompressionError) as error:
        return {"error": str(error), "invalid": True}
    except OSError as error:
        return {"error": extract.describe(error), "invalid": error.errno in extract.INVALID}
    return {
        "diff_id": f"sha256:{source.digest.hexdigest()}",
        "size": extractor.size,
        "root": extractor.has_root,
    }


def main(target: str) -> None:
    """Unpack into a folder and end."""
    os.write(1, json.dumps(unpack(target, extract.Extractor())).encode())
    os._exit(0)  # a thread may still wait to hand over what nobody wants
