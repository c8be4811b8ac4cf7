"""How the words of RUN, COPY and ADD are to be read. Used by `steps`; pure."""

import posixpath
from dataclasses import dataclass

from pydock_daemon.snapshots import compression

from . import tree
from .dockerfile import Heredoc, Instruction
from .mounts import RunMount
from .tree import Node, Tree


@dataclass(frozen=True)
class Wanted:
    """What a RUN asks for."""

    command: list[str]
    mounts: list[RunMount]
    network: str
    privileged: bool
    script: Heredoc | None = None
    """A document that names its interpreter: it is run as a file."""


def script(instruction: Instruction) -> str:
    """Return what the shell is given: of `RUN <<EOF` alone the document, else the line with its documents below."""
    documents = instruction.heredocs
    if (
        len(documents) == 1
        and instruction.text.split()
        and instruction.text.strip().lstrip("<-").strip("'\"") == documents[0].name
    ):
        return documents[0].text
    return instruction.text + "".join(f"\n{document.raw}{document.name}" for document in documents)


def without_heredocs(instruction: Instruction) -> str:
    """Return the words of a COPY besides the documents."""
    return (
        " ".join(word for word in instruction.text.split() if not word.startswith("<<"))
        if instruction.heredocs
        else instruction.text
    )


def protected(text: str) -> str:
    """Return a document in which quotes are letters: only variables are replaced in it."""
    return text.replace("\\", "\\\\").replace("'", "\\'").replace('"', '\\"').replace("\\\\$", "\\$")


def owner(text: str) -> str:
    """Return `--chown` with a group: a number alone is the group's too, as in Docker."""
    return f"{text}:{text}" if text.isdigit() else text


def absolute(path: str, folder: str) -> str:
    """Return a destination from the root, with the slash at its end if it had one."""
    clean = posixpath.normpath(posixpath.join("/", folder, path))
    ends = path.endswith(("/", "/.")) or path == "."
    return f"{clean.rstrip('/')}/" if ends else clean


def on(instruction: Instruction, flag: str) -> bool:
    """Say whether a flag is given that is no `--flag=false`."""
    value = instruction.flag(flag)
    return value is not None and value.lower() not in ("false", "0")


def is_archive(origin: Tree, node: Node) -> bool:
    """Say whether a file is an archive that ADD unpacks: a tar, plain or compressed."""
    if node.kind != tree.FILE:
        return False
    head = next(origin.pieces(node), b"")
    kind = compression.detect(head[: compression.HEAD])
    try:
        start = head if kind == "none" else next(compression.opener(kind)(iter([head])), b"")
    except compression.CompressionError:
        return False
    return start[257:262] == b"ustar"


def numbers(text: str) -> tuple[int, int] | None:
    """Return an owner that is two numbers, root when none is given; None when names must be looked up."""
    if not text:
        return 0, 0
    user, _, group = text.partition(":")
    return (int(user), int(group)) if user.isdigit() and group.isdigit() else None
