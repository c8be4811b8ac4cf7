"""A mount that a helper process makes, or takes, in another mount namespace and hands over.

Used by `mapped` and `sources`. What it mounts on its way nobody else sees, and goes with it.
"""

from __future__ import annotations

import os
import signal

from pydock_runtime import linux, sync
from pydock_runtime.errors import SYSTEM, RuntimeFailure, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import NoReturn


def taken(story: Callable[[], int], what: str) -> int:
    """Return the detached mount that a story returns, which is told in a helper; the caller's to close.

    RuntimeFailure says what went wrong in there. The caller has one thread only.
    """
    ear, mouth = sync.pair()
    with ear:
        pid, pidfd = linux.clone3(0, exit_signal=signal.SIGCHLD)
        if pid == 0:
            _tell(mouth, story, what)
        mouth.close()
        message, tree = sync.receive(ear)
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        os.close(pidfd)
    if message is None or "error" in message:
        error = message["error"] if message else {"message": f"{what}: the helper process died", "kind": SYSTEM}
        raise RuntimeFailure(error["message"], error["kind"])
    assert tree is not None
    return tree


def _tell(mouth: socket.socket, story: Callable[[], int], what: str) -> NoReturn:
    try:
        sync.send(mouth, {"mounted": True}, (story(),))
    except RuntimeFailure as error:
        sync.report(mouth, error.kind, error.message)
    except OSError as error:
        sync.report(mouth, SYSTEM, f"{what}: {text(error)}")
    except BaseException as error:
        # Whatever it is: a forked child must never return into its parent's code.
        sync.report(mouth, SYSTEM, f"{what}: {type(error).__name__}: {error}")
    os._exit(0)
