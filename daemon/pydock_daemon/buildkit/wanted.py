"""Which files of the context a Dockerfile needs, so that the client is asked for no others. Used by `sources`; pure."""

import posixpath
from collections.abc import Callable

from pydock_daemon.builder import dockerfile, fetch, stages
from pydock_daemon.builder.dockerfile import Dockerfile, Instruction

Triggers = Callable[[str], list[str] | None]
"""Returns what an image does when it is built on, None when that is not known."""


def paths(file: Dockerfile, triggers: Triggers) -> set[str]:
    """Return the paths of the context that the instructions copy or mount; the empty one is all of it.

    Names with variables are not known yet, and neither is what an image that is not here does when it is built on.
    """
    found: set[str] = set()
    names = {""} | {part.lower() for step in file.instructions if step.name == "FROM" for part in step.text.split()[2:]}
    for step in file.instructions:
        if step.name == "FROM":
            found |= _triggered(step.text.split()[0], names, triggers)
        found |= set(_paths(step))
    return found


def _triggered(base: str, names: set[str], triggers: Triggers) -> set[str]:
    if base.lower() in names or base == stages.SCRATCH:
        return set()
    texts = triggers(base)
    if texts is None:
        return {""}
    found: set[str] = set()
    for text in texts:
        for step in dockerfile.parse(text, "ONBUILD").instructions:
            found |= set(_paths(step))
    return found


def _paths(step: Instruction) -> list[str]:
    if step.name == "RUN":
        mounts = [dict(part.partition("=")[::2] for part in text.split(",")) for text in step.all("mount")]
        taken = [mount for mount in mounts if mount.get("type", "bind") == "bind" and not mount.get("from")]
        return [_path(mount.get("source", mount.get("src", ""))) for mount in taken]
    if step.name not in ("COPY", "ADD") or step.flag("from"):
        return []
    words = list(step.words or [word for word in step.text.split() if not word.startswith("<<")])[:-1]
    return [_path(word) for word in words if not (step.name == "ADD" and fetch.is_remote(word))]


def _path(word: str) -> str:
    """Return a path from the top of the context, the empty one when it is not known."""
    return "" if set("$\\'\"") & set(word) else posixpath.normpath("/" + word).lstrip("/")
