"""What is in an image: every file of its root that its base has not, its settings and its history, as lines of text.

`of` takes what `docker save` writes. Times are told of files that are older than a day: those that a build preserved.
"""

import fnmatch
import hashlib
import json
import posixpath
import tarfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
DAY = 86_400
SHORT = 60
Tree = dict[str, str]


@dataclass(frozen=True)
class Found:
    """The files of an image and its configuration."""

    tree: Tree
    config: dict[str, Any]

    @property
    def layers(self) -> list[str]:
        """The digests of its layers."""
        return list(self.config["rootfs"]["diff_ids"])


def of(saved: IO[bytes], base: Found, varying: Sequence[str] = ()) -> list[str]:
    """Return the facts of an image, beside those of what it was made from, if it was.

    `varying` are patterns of paths of whose files the contents and times do not count.
    """
    found = read(saved, base)
    before = base.tree if _is_above(found, base) else {}
    tree = dict(found.tree)
    for path, fact in before.items():  # the time of a folder changes with what is made in it
        if fact.startswith("dir") and tree.get(path, "").partition(" @")[0] == fact.partition(" @")[0]:
            tree[path] = fact
    changed = {path: fact for path, fact in sorted(tree.items()) if before.get(path) != fact}
    lines = [f"{path} {_without_content(fact) if _is_one(path, varying) else fact}" for path, fact in changed.items()]
    lines += [f"{path} gone" for path in sorted(set(before) - set(tree))]
    config = found.config
    settings = config.get("config") or {}
    lines += [f"config {key} {json.dumps(settings[key], sort_keys=True)}" for key in sorted(settings) if settings[key]]
    lines += [f"author {config['author']}"] if config.get("author") else []
    lines += [_history(step) for step in config["history"]]
    return lines


def _is_above(found: Found, base: Found) -> bool:
    return found.layers[: len(base.layers)] == base.layers


def _is_one(path: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)


def _without_content(fact: str) -> str:
    kind, mode, owner, *_ = fact.split(" ")
    return f"{kind} {mode} {owner} varies" if kind == "file" else fact


def _history(step: dict[str, Any]) -> str:
    # A step that changes no file has an empty layer in BuildKit's images, and none in ours.
    words = [step.get("created_by", ""), step.get("comment", "")]
    return json.dumps("history " + " ".join(word for word in words if word))[1:-1]


def read(saved: IO[bytes], base: Found | None = None) -> Found:
    """Return what `docker save` wrote; the layers of the base are not read again."""
    with tarfile.open(fileobj=saved) as archive:
        entry = json.load(_file(archive, "manifest.json"))[0]
        found = Found({}, json.load(_file(archive, entry["Config"])))
        layers = entry["Layers"]
        if base and _is_above(found, base):
            found.tree.update(base.tree)
            layers = layers[len(base.layers) :]
        for name in layers:
            apply(found.tree, _file(archive, name))
    return found


def _file(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    found = archive.extractfile(name)
    assert found
    return found


def apply(tree: Tree, layer: IO[bytes]) -> None:
    """Put a layer, as a tar archive, on a tree."""
    with tarfile.open(fileobj=layer) as archive:
        links: dict[str, list[str]] = {}
        for member in archive:
            path = _absolute(member.name)
            folder, name = posixpath.split(path)
            if name == OPAQUE:
                _remove(tree, folder, inside=True)
            elif name.startswith(WHITEOUT):
                _remove(tree, posixpath.join(folder, name.removeprefix(WHITEOUT)))
            elif member.islnk():
                links.setdefault(_absolute(member.linkname), []).append(path)
            else:
                if not member.isdir():
                    _remove(tree, path)
                tree[path] = _fact(archive, member)
        for target, names in links.items():
            fact = tree[target]
            first, *others = sorted((target, *names))
            tree |= {first: fact} | dict.fromkeys(others, f"{fact} ={first}")


def _remove(tree: Tree, path: str, *, inside: bool = False) -> None:
    if not inside and not tree.pop(path, "").startswith("dir"):
        return
    for other in [other for other in tree if other.startswith(f"{path.rstrip('/')}/")]:
        del tree[other]


def _fact(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    kinds = {tarfile.DIRTYPE: "dir", tarfile.SYMTYPE: "link", tarfile.FIFOTYPE: "fifo", tarfile.CHRTYPE: "char"}
    words = [kinds.get(member.type, "file"), f"{member.mode & 0o7777:o}", f"{member.uid}:{member.gid}"]
    if member.issym():
        words.append(f"-> {member.linkname}")
    if member.isreg():
        data = _file(archive, member.name).read() if member.size else b""
        is_text = len(data) <= SHORT and data.isascii()
        words.append(json.dumps(data.decode()) if is_text else f"{len(data)} {hashlib.sha256(data).hexdigest()[:16]}")
    if member.mtime < time.time() - DAY:
        words.append(f"@{int(member.mtime)}")
    xattrs = {key[13:]: text for key, text in member.pax_headers.items() if key.startswith("SCHILY.xattr.")}
    words += [f"{key}={text!r}" for key, text in sorted(xattrs.items())]
    return " ".join(words)


def _absolute(name: str) -> str:
    return posixpath.normpath(f"/{name}").replace("//", "/")
