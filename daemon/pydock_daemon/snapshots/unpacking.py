"""The daemon's side of unpacking: starts the confined child on a blob and reads its answer. Used by `overlay`."""

import asyncio
import json
import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

from pydock_daemon.forkserver.client import ForkServer
from pydock_shared.errors import InvalidArgument, PydockError

REPORT_EVERY = 0.1


class Unpacked(NamedTuple):
    """What a layer turned out to be: digest of its tar, bytes of its files, whether it says how the root looks."""

    diff_id: str
    size: int
    has_root: bool


async def unpack(
    forks: ForkServer, blob: Path, target: Path, report: Callable[[int], None], *, program: str = "unpack"
) -> Unpacked:
    """Unpack a layer blob into a folder, calling `report` with the bytes read so far as it goes on.

    The program is `unpack` for an empty folder, `apply` for one that has the tree below the layer.

    InvalidArgument when the archive is corrupt or malicious, PydockError when the system fails; what is in the folder
    then is the caller's to remove. Cancelling ends the child.
    """
    with ExitStack() as stack:
        file = stack.enter_context(blob.open("rb"))
        # What the child says is read when it has ended: files need nobody who reads meanwhile.
        output, errors = (os.memfd_create(name) for name in ("output", "errors"))
        stack.callback(os.close, output)
        stack.callback(os.close, errors)
        child = await forks.fork(program, str(target), (file.fileno(), output, errors))
        try:
            while not (await asyncio.wait([child.ended], timeout=REPORT_EVERY))[0]:
                # The child reads by this very open file, so our offset is how far it has come; a pipe has none.
                with suppress(OSError):
                    report(os.lseek(file.fileno(), 0, os.SEEK_CUR))
        finally:
            child.kill()
            code = await asyncio.shield(child.wait())
        return _result(code, _written(output), _written(errors))


def _written(file: int) -> bytes:
    return os.pread(file, os.fstat(file).st_size, 0)


def _result(code: int, output: bytes, errors: bytes) -> Unpacked:
    try:
        result = json.loads(output)
    except ValueError as error:
        lines = errors.decode(errors="replace").strip().splitlines()
        raise PydockError(f"unpacking ended with code {code}: {lines[-1] if lines else 'no answer'}") from error
    if "error" in result:
        raise (InvalidArgument if result["invalid"] else PydockError)(result["error"])
    return Unpacked(result["diff_id"], result["size"], result["root"])
