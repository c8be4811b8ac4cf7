"""An ssh agent that has some keys, for the time of a build: `--ssh NAME=KEY`. Used by buildsession.

The programs are OpenSSH's. A key with a passphrase is refused: nobody is asked for one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager

from pydock_client.command import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE = 10.0


@contextmanager
def agent(keys: list[str]) -> Iterator[str]:
    """Give the socket of an agent that has the keys, whose files are named; Failure says why there is none."""
    folder = tempfile.mkdtemp(prefix="pydock-keys-")
    try:
        path = os.path.join(folder, "agent")
        with _running(path) as running:
            deadline = time.monotonic() + _PATIENCE
            while not os.path.exists(path):
                if running.poll() is not None or time.monotonic() > deadline:
                    raise Failure("ssh-agent does not start")
                time.sleep(0.01)
            try:
                _add(path, keys)
                yield path
            finally:
                running.terminate()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _running(path: str) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            ["ssh-agent", "-D", "-a", path], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )
    except FileNotFoundError:
        raise Failure("keys of ssh need the program ssh-agent, which is not installed") from None


def _add(path: str, keys: list[str]) -> None:
    environment = os.environ | {"SSH_AUTH_SOCK": path, "SSH_ASKPASS_REQUIRE": "never"}
    done = subprocess.run(
        ["ssh-add", "-q", *keys], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        start_new_session=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise Failure(f"could not parse ssh: {' '.join(keys)}: {done.stderr.strip()}")
