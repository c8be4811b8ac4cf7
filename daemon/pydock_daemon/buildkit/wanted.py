"""Which files of the context a Dockerfile needs, so that the client is asked for no others. Used by `sources`; pure."""

import posixpath
from collections.abc import Iterable, Mapping, Sequence

from pydock_daemon.builder import dockerfile, fetch
from pydock_daemon.builder.dockerfile import Instruction
from pydock_daemon.builder.stages import Stage


def paths(needed: Iterable[Stage], triggers: Mapping[str, Sequence[str]]) -> set[str]:
    """Return the paths of the context that stages copy or mount; the empty one is all of it, for names with variables.

    `triggers` are what base images do when they are built on, by their names.
    """
    found: set[str] = set()
    for stage in needed:
        made = [] if stage.parent else triggers.get(stage.base, ())
        steps = [step for text in made for step in dockerfile.parse(text, "ONBUILD").instructions]
        found |= {path for step in [*steps, *stage.instructions] for path in _paths(step)}
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
