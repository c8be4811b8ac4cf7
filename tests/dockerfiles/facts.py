"""What is in an image: every file of its root that its base has not, its settings and its history, as lines of text.

`of` takes what `docker save` writes. Times are told of files that are older than a day: those that a build preserved.
"""

import hashlib
import io
import json
import posixpath
import tarfile
import time
from collections.abc import Sequence
from typing import Any

WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
DAY = 86_400
SHORT = 60
Tree = dict[str, str]


def of(saved: bytes, base: bytes) -> list[str]:
    """Return the facts of an image, beside those of what it was made from."""
    before, config = _read(base)
    tree, config = _read(saved, before, config["rootfs"]["diff_ids"])
    for path, fact in before.items():  # the time of a folder changes with what is made in it
        if fact.startswith("dir") and tree.get(path, "").partition(" @")[0] == fact.partition(" @")[0]:
            tree[path] = fact
    lines = [f"{path} {fact}" for path, fact in sorted(tree.items()) if before.get(path) != fact]
    lines += [f"{path} gone" for path in sorted(set(before) - set(tree))]
    settings = config.get("config") or {}
    lines += [f"config {key} {json.dumps(settings[key], sort_keys=True)}" for key in sorted(settings) if settings[key]]
    lines += [f"author {config['author']}"] if config.get("author") else []
    lines += [_history(step) for step in config["history"]]
    return lines


def _history(step: dict[str, Any]) -> str:
    # A step that changes no file has an empty layer in BuildKit's images, and none in ours.
    words = [step.get("created_by", ""), step.get("comment", "")]
    return json.dumps("history " + " ".join(word for word in words if word))[1:-1]


def _read(saved: bytes, below: Tree | None = None, known: Sequence[str] = ()) -> tuple[Tree, dict[str, Any]]:
    """Return the tree and the configuration; `below` is what the `known` layers are."""
    with tarfile.open(fileobj=io.BytesIO(saved)) as archive:
        entry = json.load(_file(archive, "manifest.json"))[0]
        config = json.load(_file(archive, entry["Config"]))
        count = len(known) if config["rootfs"]["diff_ids"][: len(known)] == list(known) else 0
        layers = [_file(archive, name).read() for name in entry["Layers"][count:]]
    tree: Tree = dict(below or {}) if count else {}
    for layer in layers:
        apply(tree, layer)
    return tree, config


def _file(archive: tarfile.TarFile, name: str) -> io.BufferedIOBase:
    found = archive.extractfile(name)
    assert found
    return found  # type: ignore[return-value]


def apply(tree: Tree, layer: bytes) -> None:
    """Put a layer, as a tar archive, on a tree."""
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        links = []
        for member in archive:
            path = _absolute(member.name)
            folder, name = posixpath.split(path)
            if name == OPAQUE:
                _remove(tree, folder, inside=True)
            elif name.startswith(WHITEOUT):
                _remove(tree, posixpath.join(folder, name.removeprefix(WHITEOUT)))
            elif member.islnk():
                links.append((path, _absolute(member.linkname)))
            else:
                if not member.isdir():
                    _remove(tree, path)
                tree[path] = _fact(archive, member)
        for path, target in links:
            first, second = sorted((path, target))
            tree[path] = tree[target]
            tree[second] = f"{tree[target]} ={first}"


def _remove(tree: Tree, path: str, *, inside: bool = False) -> None:
    for other in [
        other for other in tree if other.startswith(f"{path.rstrip('/')}/") or (other == path and not inside)
    ]:
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
