"""API versions: which are served, and how one is read off a path. Used by the server."""

import re

from pydock_shared.errors import InvalidArgument

NEWEST = (1, 55)
OLDEST = (1, 24)
_PREFIX = re.compile(r"/v(\d+)\.(\d+)(?=/)")


def text(version: tuple[int, int]) -> str:
    """Return a version as clients write it."""
    return f"{version[0]}.{version[1]}"


def split(path: str) -> tuple[tuple[int, int], str]:
    """Return the version and the rest of a path; InvalidArgument with Docker's words when we do not serve it."""
    found = _PREFIX.match(path)
    if not found:
        return NEWEST, path
    version = (int(found[1]), int(found[2]))
    if version > NEWEST:
        raise InvalidArgument(
            f"client version {text(version)} is too new. Maximum supported API version is {text(NEWEST)}"
        )
    if version < OLDEST:
        raise InvalidArgument(
            f"client version {text(version)} is too old. Minimum supported API version is {text(OLDEST)}, "
            "please upgrade your client to a newer version"
        )
    return version, path[found.end() :]
