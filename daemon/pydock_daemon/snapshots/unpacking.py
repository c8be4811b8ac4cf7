"""The daemon's side of unpacking: starts the confined child on a blob and reads its answer. Used by `overlay`."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import isal
import zstandard

import pydock_daemon
import pydock_runtime
from pydock_shared.errors import InvalidArgument, PydockError

REPORT_EVERY = 0.1
_FOLDERS = sorted({str(Path(str(module.__file__)).parents[1]) for module in (pydock_daemon, pydock_runtime)})
_LIBRARIES = sorted({str(Path(str(module.__file__)).parents[1]) for module in (isal, zstandard)})


def program(module: str) -> tuple[str, ...]:
    """Return the command that runs the `main` of a module in a bare interpreter, which loads nothing by itself."""
    boot = f"import sys; sys.path += {[*_FOLDERS, *_LIBRARIES]!r}; from {module} import main; main()"
    return (sys.executable, "-I", "-S", "-X", "utf8", "-c", boot)


COMMAND = program("pydock_daemon.snapshots.unpack")


class Unpacked(NamedTuple):
    """What a layer turned out to be: digest of its tar, bytes of its files, whether it says how the root looks."""

    diff_id: str
    size: int
    has_root: bool


async def unpack(blob: Path, target: Path, report: Callable[[int], None]) -> Unpacked:
    """Unpack a layer blob into an empty folder, calling `report` with the bytes read so far as it goes on.

    InvalidArgument when the archive is corrupt or malicious, PydockError when the system fails; what is in the folder
    then is the caller's to remove. Cancelling ends the child.
    """
    with blob.open("rb") as file:
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            str(target),
            stdin=file,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={},
        )
        answer = asyncio.ensure_future(process.communicate())
        try:
            while not (await asyncio.wait([answer], timeout=REPORT_EVERY))[0]:
                # The child reads by this very open file, so our offset is how far it has come.
                report(os.lseek(file.fileno(), 0, os.SEEK_CUR))
        except BaseException:
            if process.returncode is None:
                process.kill()
            await answer
            raise
        output, errors = answer.result()
    return _result(process.returncode, output, errors)


def _result(code: int | None, output: bytes, errors: bytes) -> Unpacked:
    try:
        result = json.loads(output)
    except ValueError as error:
        lines = errors.decode(errors="replace").strip().splitlines()
        raise PydockError(f"unpacking ended with code {code}: {lines[-1] if lines else 'no answer'}") from error
    if "error" in result:
        raise (InvalidArgument if result["invalid"] else PydockError)(result["error"])
    return Unpacked(result["diff_id"], result["size"], result["root"])
