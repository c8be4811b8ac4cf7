"""Mounting an overlay in this process's own namespace, with names of layers relative to their folder. For `overlay`."""

import os
import threading
from collections.abc import Callable
from typing import Any

from pydock_runtime import linux
from pydock_shared.errors import PydockError

CLONE_FS = 0x200


def mount(mount: dict[str, Any], target: str) -> None:
    options = f"lowerdir={':'.join(mount['lower'])},upperdir={mount['upper']},workdir={mount['work']}"
    linux.mount("overlay", target, "overlay", 0, options)


def in_own_folder(folder: str, action: Callable[[], None]) -> None:
    """Run an action with a working directory that only its own thread sees, so that names may be relative to it."""
    failure: list[OSError] = []

    def run() -> None:
        try:
            linux.unshare(CLONE_FS)
            os.chdir(folder)
            action()
        except OSError as error:
            failure.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failure:
        raise PydockError(f"mounting a snapshot failed: {failure[0]}") from failure[0]


def driver_data(lower: list[str], upper: dict[str, str]) -> dict[str, Any]:
    """Return Docker's description of an overlay."""
    return {"Data": ({"LowerDir": ":".join(lower)} if lower else {}) | upper, "Name": "overlay2"}
