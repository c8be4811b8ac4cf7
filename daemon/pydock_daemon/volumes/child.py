"""What is mounted for volumes, in a child of the fork server: mount(2) of a network file system may take minutes.

The request is JSON: `verb` and the arguments of the function of that name. The answer is JSON on standard output, `{}`
or `error`, with its `kind`.
"""

import errno
import json
import os
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from pydock_runtime import abi, linux
from pydock_runtime.rootfs import options

UMOUNT_NOFOLLOW = 8


class Refused(Exception):
    """A mount that cannot be; `kind` is that of the error it becomes."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def mount(source: str, target: str, type: str, words: str) -> None:
    """Mount as mount(8) would with `-i -t type -o words`: first all but propagation, then that, then `ro` of a bind."""
    wanted = options.of({"options": [word for word in words.split(",") if word]})
    flags = wanted.flags
    try:
        linux.mount(source, target, type, flags, wanted.data)
    except OSError as error:
        # As moby's mount package words it.
        shown = f", flags: {flags:#x}" * bool(flags) + f", data: {wanted.data}" * bool(wanted.data)
        reason = os.strerror(error.errno or 0).lower()
        raise Refused("failed", f"mount {source}:{target}{shown}: {reason}") from error
    try:
        if wanted.propagation:
            linux.mount(None, target, None, wanted.propagation | abi.MS_REC * wanted.propagation_recursive)
        if wanted.is_bind and flags & abi.MS_RDONLY:
            linux.mount(None, target, None, flags | abi.MS_REMOUNT)
    except OSError as error:
        linux.umount2(target, abi.MNT_DETACH | UMOUNT_NOFOLLOW)
        raise Refused("failed", f"remount {target}: {os.strerror(error.errno or 0).lower()}") from error


def unmount(target: str) -> None:
    """Unmount, whoever still has files open; what is not mounted is fine."""
    with suppress(FileNotFoundError):
        try:
            linux.umount2(target, abi.MNT_DETACH | UMOUNT_NOFOLLOW)
        except OSError as error:
            if error.errno != errno.EINVAL:  # which says that it is no mount
                raise


def show(volume: str, path: str, target: str) -> None:
    """Show a file or folder of a volume at `target`, which is made; no link of the volume leads out of it.

    Its owner may change the volume meanwhile: what was opened is what is shown.
    """
    above = os.open(volume, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        resolve = abi.RESOLVE_BENEATH | abi.RESOLVE_NO_MAGICLINKS
        found = linux.openat2(above, os.path.normpath(path), os.O_PATH, resolve=resolve)
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise Refused(
                "invalid", f"path concatenation escapes the base directory, base: {volume}, subpath: {path}"
            ) from error
        whole, reason = f"{volume}/{path}", os.strerror(error.errno or 0).lower()
        raise Refused("missing", f"cannot access path {whole}: lstat {whole}: {reason}") from error
    if stat.S_ISDIR(os.fstat(found).st_mode):
        os.makedirs(target, mode=0o700)
    else:
        os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    flags = abi.OPEN_TREE_CLONE | abi.AT_RECURSIVE | abi.AT_EMPTY_PATH
    tree = linux.open_tree(found, "", flags)
    linux.mount_setattr(tree, propagation=abi.MS_PRIVATE, recursive=True, path=target)
    linux.move_mount(tree, os.open(target, os.O_PATH | os.O_CLOEXEC), path=target)


VERBS: dict[str, Callable[..., None]] = {"mount": mount, "unmount": unmount, "show": show}


def main(request: str) -> None:
    """Carry out one request."""
    wanted: dict[str, Any] = json.loads(request)
    try:
        VERBS[wanted.pop("verb")](**wanted)
        answer = {}
    except Refused as error:
        answer = {"kind": error.kind, "error": str(error)}
    except OSError as error:
        answer = {"kind": "failed", "error": f"{error.filename}: {os.strerror(error.errno or 0).lower()}"}
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()
    os._exit(0)
