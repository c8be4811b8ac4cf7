"""Who a process runs as: `user[:group]` by the image's own /etc/passwd and /etc/group. Used by `credentials`, inside.

Docker's rules: a name must be in the file, a number need not be; groups that list the user's name are added unless a
group was given. Read as bytes, because looking a codec up here could load code of the container.
"""

from __future__ import annotations

import os
import stat

from pydock_runtime.errors import INVALID, RuntimeFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LIMIT = 4 << 20
HIGHEST = (1 << 31) - 1


class User:
    """A resolved user: numbers, and the home directory as bytes."""

    __slots__ = ("gid", "groups", "home", "uid")

    def __init__(self, uid: int, gid: int, groups: list[int], home: bytes) -> None:
        for number in (uid, gid, *groups):
            if not 0 <= number <= HIGHEST:  # to the kernel -1 means to leave root what it is
                raise _out_of_range()
        self.uid = uid
        self.gid = gid
        self.groups = groups
        self.home = home


PATHS = (b"/etc/passwd", b"/etc/group")
Files = tuple[bytes, bytes]
"""The contents of /etc/passwd and /etc/group."""


def files() -> Files:
    """Return what this root has; nothing for what it has not."""
    return _content(PATHS[0]), _content(PATHS[1])


def resolve(spec: dict[str, Any]) -> User:
    """Return the user of a `process.user`; RuntimeFailure with Docker's words when a name is unknown."""
    return found_in(files(), spec)


def found_in(contents: Files, spec: dict[str, Any]) -> User:
    """Return the user of a `process.user` by these files."""
    users = _rows(contents[0], 7)
    if "username" not in spec:
        uid = spec.get("uid", 0)
        return User(uid, spec.get("gid", 0), list(spec.get("additionalGids") or ()), _home(users, uid))
    name, group = [*spec["username"].split(":"), ""][:2]  # and nothing of what comes after, as Docker reads it
    groups = _rows(contents[1], 4)
    uid, gid, login, home = _user(users, os.fsencode(name or "0"))
    extra: list[int] = []
    if group:
        gid = _group(groups, os.fsencode(group))
    elif login:
        extra = [_number(row[2]) for row in groups if login in row[3].split(b",")]
    extra += [_group(groups, os.fsencode(str(entry))) for entry in spec.get("groups") or ()]
    extra += list(spec.get("additionalGids") or ())
    # With the primary group, as Docker since CVE-2022-36109: a set-group-id program must not be able to drop it.
    return User(uid, gid, sorted({gid, *extra}), home)


def _rows(text: bytes, fields: int) -> list[list[bytes]]:
    rows = [line.strip().split(b":") for line in text.split(b"\n") if line.strip() and not line.startswith(b"#")]
    return [row + [b""] * (fields - len(row)) for row in rows]


def _content(path: bytes) -> bytes:
    """Return a file of the image; nothing when there is none, and never what a pipe or a device would give."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return b""
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            return b""
        if info.st_size > LIMIT:
            raise RuntimeFailure(f"{os.fsdecode(path)} is larger than {LIMIT} bytes", INVALID)
        return os.read(fd, info.st_size)
    finally:
        os.close(fd)


def _user(users: list[list[bytes]], name: bytes) -> tuple[int, int, bytes, bytes]:
    for row in users:
        if row[0] == name or (name.isdigit() and row[2] == name):
            return _number(row[2]), _number(row[3]), row[0], row[5] or b"/"
    if not name.removeprefix(b"-").isdigit():
        raise RuntimeFailure(f"unable to find user {os.fsdecode(name)}: no matching entries in passwd file", INVALID)
    return _number(name), 0, b"", b"/"


def _group(groups: list[list[bytes]], name: bytes) -> int:
    for row in groups:
        if row[0] == name or (name.isdigit() and row[2] == name):
            return _number(row[2])
    if not name.removeprefix(b"-").isdigit():
        raise RuntimeFailure(f"unable to find group {os.fsdecode(name)}: no matching entries in group file", INVALID)
    return _number(name)


def _home(users: list[list[bytes]], uid: int) -> bytes:
    wanted = b"%d" % uid
    for row in users:
        if row[2] == wanted:
            return row[5] or b"/"
    return b"/"


def _number(text: bytes) -> int:
    if not text.isdigit() or int(text) > HIGHEST:
        raise _out_of_range()
    return int(text)


def _out_of_range() -> RuntimeFailure:
    return RuntimeFailure("uids and gids must be in range 0-2147483647", INVALID)
