"""Which files of a context go where; trees are archives, and never lead out of themselves."""

import io
import tarfile
from pathlib import Path

import pytest

from pydock_daemon.builder import copying, tree
from pydock_daemon.builder.copying import Rules
from pydock_daemon.builder.tree import Tree
from pydock_shared.errors import InvalidArgument

FILES = {"a.txt": "A", "b.txt": "B", "d/e.txt": "E", "d/f/g.txt": "G", "d/x.md": "X"}


@pytest.fixture
def context(tmp_path: Path) -> Tree:
    with tarfile.open(tmp_path / "c.tar", "w") as made:
        for name, text in FILES.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(text), 0o640
            made.addfile(info, io.BytesIO(text.encode()))
        for name, target in (
            ("link", "a.txt"),
            ("out", "../../etc/passwd"),
            ("dir", "d"),
            ("loop", "loop"),
            ("root", "/d/e.txt"),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            made.addfile(info)
    return Tree(tmp_path / "c.tar")


def chosen(
    context: Tree, sources: list[str], destination: str, *, is_folder: bool = False, **rules: object
) -> dict[str, str]:
    items = copying.select(context, sources, destination, is_folder=is_folder, rules=Rules(**rules))  # type: ignore[arg-type]
    return {item.target: item.node.path for item in items if item.node.kind == tree.FILE}


@pytest.mark.parametrize(
    ("sources", "destination", "is_folder", "wanted"),
    [
        (["a.txt"], "/x", False, {"x": "a.txt"}),
        (["a.txt"], "/x/", False, {"x/a.txt": "a.txt"}),
        (["a.txt"], "/x", True, {"x/a.txt": "a.txt"}),
        (["a.txt", "b.txt"], "/x/", False, {"x/a.txt": "a.txt", "x/b.txt": "b.txt"}),
        (["d"], "/x", False, {"x/e.txt": "d/e.txt", "x/f/g.txt": "d/f/g.txt", "x/x.md": "d/x.md"}),
        (["d/"], "/x/", True, {"x/e.txt": "d/e.txt", "x/f/g.txt": "d/f/g.txt", "x/x.md": "d/x.md"}),
        (["*.txt"], "/x/", False, {"x/a.txt": "a.txt", "x/b.txt": "b.txt"}),
        (["d/*.md"], "/x/", False, {"x/x.md": "d/x.md"}),
        (["link"], "/x", False, {"x": "a.txt"}),
        (["dir/e.txt"], "/x", False, {"x": "d/e.txt"}),
        (["root"], "/x", False, {"x": "d/e.txt"}),
        (["."], "/", True, {name: name for name in FILES}),
    ],
)
def test_destinations(
    context: Tree, sources: list[str], destination: str, is_folder: bool, wanted: dict[str, str]
) -> None:
    assert chosen(context, sources, destination, is_folder=is_folder) == wanted


def test_exclude_and_parents(context: Tree) -> None:
    assert chosen(context, ["d"], "/x/", exclude=("**/*.txt",)) == {"x/x.md": "d/x.md"}
    assert chosen(context, ["d/f/g.txt", "a.txt"], "/x/", parents=True) == {
        "x/d/f/g.txt": "d/f/g.txt",
        "x/a.txt": "a.txt",
    }


@pytest.mark.parametrize("source", ["none", "out", "loop", "../a.txt/x", "z*"])
def test_what_is_not_there(context: Tree, source: str) -> None:
    with pytest.raises(InvalidArgument, match="COPY failed"):
        chosen(context, [source], "/x/")


def test_several_need_a_folder(context: Tree) -> None:
    with pytest.raises(InvalidArgument, match="the destination must be a directory"):
        chosen(context, ["a.txt", "b.txt"], "/x")


@pytest.mark.parametrize(
    ("text", "before", "wanted"),
    [("755", 0o640, 0o755), ("4755", 0, 0o4755), ("u+x", 0o640, 0o740), ("go-r,u=rw", 0o755, 0o611),
     ("a+X", 0o640, 0o640), ("a+X", 0o740, 0o751), ("o=rx", 0o750, 0o755), ("+t", 0o755, 0o1755)],
)  # fmt: skip
def test_modes(text: str, before: int, wanted: int) -> None:
    assert oct(copying.mode_of(text, before, is_folder=False)) == oct(wanted)


def test_what_is_no_mode() -> None:
    with pytest.raises(InvalidArgument, match="invalid chmod parameter: '99'"):
        copying.mode_of("99", 0, is_folder=False)


def test_the_digest_knows_what_matters(context: Tree) -> None:
    def digest(destination: str = "/x/", **rules: object) -> str:
        made = Rules(**rules)  # type: ignore[arg-type]
        return copying.digest(context, copying.select(context, ["d"], destination, is_folder=True, rules=made), made)

    assert digest() == digest()
    assert len({digest(), digest("/y/"), digest(chmod="600"), digest(exclude=("**/*.md",))}) == 4


def test_a_context_without_what_is_ignored(tmp_path: Path) -> None:
    archive = tmp_path / "c"
    with tarfile.open(archive, "w") as made:
        for name, text in {".dockerignore": "*.md\n", "x.md": "1", "y": "2", "Special.dockerignore": "y\n"}.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            made.addfile(info, io.BytesIO(text.encode()))
    assert tree.context(archive, "Dockerfile")[0].get("x.md") is None
    assert tree.context(archive, "Special")[0].get("x.md") is not None
    assert tree.context(archive, "Special")[0].get("y") is None


@pytest.mark.parametrize("data", [b"not an archive" * 100, b"\x1f\x8bbroken"])
def test_what_is_no_archive(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "c").write_bytes(data)
    with pytest.raises(InvalidArgument, match="invalid archive"):
        Tree(tmp_path / "c")
