"""What a COPY or an ADD takes from one place, and whether it can be a layer by itself. Used by `steps`."""

import posixpath
import tarfile
from dataclasses import dataclass
from pathlib import Path

from . import copying, direct, forms
from .copying import Item, Rules
from .state import State
from .tree import Node, Tree

DIGEST = "digest 3"
"""What `digest` is remembered as; another when the same files get another digest."""


@dataclass(frozen=True)
class Copying:
    """What a COPY or an ADD takes from one place."""

    origin: Tree | State
    names: list[str]
    place: str
    owner: str
    rules: Rules
    unpack: bool


def plan(
    root: Path, files: Tree, copy: Copying, owner: tuple[int, int]
) -> tuple[list[tarfile.TarInfo], list[Item]] | None:
    """Return the folders above what is copied, and that, when nothing of the image is in its way."""
    below = direct.Below(root)
    try:
        place = copy.place.strip("/")
        is_folder = below.is_folder(place)
        if is_folder is None:
            return None
        selected = copying.select(files, copy.names, copy.place, is_folder=is_folder, rules=copy.rules)
        items, top = copying.inside(selected, place, copy.rules)
        if copy.unpack and any(forms.is_archive(files, item.node) for item in items):
            return None
        into = (
            is_folder or top or copy.place.endswith("/") or any(item.target.startswith(f"{place}/") for item in items)
        )
        above = below.parents(place if into else posixpath.dirname(place), items, owner)
        if above and top:
            above[-1].mtime = top.mtime
        own = {item.target for item in items}
        folders = own | {info.name for info in above or ()} | {""}
        if any(posixpath.dirname(item.target) not in folders for item in items):
            return None  # of a folder that is only made for what is in it nothing would be told
        return None if above is None else ([info for info in above if info.name not in own], items)
    finally:
        below.close()


def parted(files: Tree, copy: Copying, *, is_folder: bool) -> tuple[list[Item], list[Item], Node | None]:
    """Return what is copied as it is, the archives that are unpacked, and whose time the destination has then."""
    selected = copying.select(files, copy.names, copy.place, is_folder=is_folder, rules=copy.rules)
    rest, archives, (items, top) = list[Item](), list[Item](), copying.inside(selected, copy.place, copy.rules)
    for item in items:
        (archives if copy.unpack and forms.is_archive(files, item.node) else rest).append(item)
    return rest, archives, top


def digest(copy: Copying) -> str:
    """Return a digest of the files that are taken from a tree."""
    assert isinstance(copy.origin, Tree)
    origin, names, rules = copy.origin, copy.names, copy.rules
    place = f"{copy.place.rstrip('/')}/"

    def find() -> str:
        selected = copying.select(origin, names, place, is_folder=True, rules=rules)
        return copying.digest(origin, copying.inside(selected, place, rules)[0], rules)

    found: str = origin.answer([DIGEST, names, place, vars(rules)], find)
    return found
