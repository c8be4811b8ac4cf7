"""What of a layer is as it was: members, pieces, differences."""

import random
import tarfile

import pytest

from pydock_daemon.builder import likeness
from pydock_daemon.builder.likeness import File, Row
from pydock_daemon.builder.tree import FILE, Node


def info(name: str, **values: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for key, value in values.items():
        setattr(made, key, value)
    return made


def row(name: str, digest: str = "d", **values: object) -> Row:
    return info(name, size=1, **values), Node(name, FILE, size=1, digest=digest)


def folder(name: str) -> Row:
    return info(name, type=tarfile.DIRTYPE), None


def test_a_member_is_all_that_is_told_of_it() -> None:
    rows = [row("a"), row("b"), row("a", "e"), row("a", mode=0o600), row("a", uid=1), row("a", mtime=2.5)]
    rows += [row("a", pax_headers={"SCHILY.xattr.user.a": "b"}), folder("a")]
    rows += [(info("a", type=tarfile.SYMTYPE, linkname="x"), None), (info("a\udcff"), None)]
    keys = [found[0].key for one in rows if (found := likeness.files([one]))]
    assert len(set(keys)) == len(rows)
    assert likeness.files([row("a")]) == likeness.files([row("a")])


@pytest.mark.parametrize(
    "rows",
    [
        [row("a"), row("a")],
        [row("a"), (info("b", type=tarfile.LNKTYPE, linkname="a"), None)],
        [row("a", digest="")],
        [row("a"), row("d/.wh.b")],
    ],
    ids=["twice", "a hard link", "not known by a digest", "a whiteout"],
)
def test_what_is_not_remembered(rows: list[Row]) -> None:
    assert likeness.files(rows) is None


def test_a_change_moves_few_pieces() -> None:
    numbers = random.Random(1)
    made = [File(f"f{number}", numbers.randbytes(16), 20_000, is_folder=False) for number in range(2000)]
    pieces = list(likeness.pieces(made))
    assert sum(piece.members for piece in pieces) == 2000
    assert 40 < len(pieces) < 200
    made[1000] = made[1000]._replace(key=b"0" * 16)
    made.insert(500, File("new", b"1" * 16, 5, is_folder=False))
    assert len({piece.key for piece in likeness.pieces(made)} - {piece.key for piece in pieces}) <= 6


FOLDERS = ["all", "all/d", "all/e"]
FILES = ["all/d/a", "all/d/b", "all/e/a", "all/f", *(f"all/x{number}" for number in range(100))]
CASES: dict[str, tuple[list[Row], set[str], list[str]]] = {
    # What there is instead of what begins so; what the archive of the difference has, and what is gone.
    "": ([], set(), []),
    "all/d/a": ([row("all/d/a", "e")], {"all", "all/d", "all/d/a"}, []),
    "all/d/new": ([row("all/d/new")], {"all", "all/d", "all/d/new"}, []),
    "all/d/b": ([], {"all", "all/d"}, ["all/d/b"]),
    "all/e": ([], {"all"}, ["all/e"]),
    "all/d": ([row("all/d")], {"all", "all/d"}, []),
    "all/f": ([folder("all/f"), row("all/f/a")], {"all", "all/f", "all/f/a"}, []),
}


@pytest.mark.parametrize("place", CASES)
def test_differences(place: str) -> None:
    rows, names, gone = CASES[place]
    before = [folder(name) for name in FOLDERS] + [row(name) for name in FILES]
    left = [one for one in before if not place or not f"{one[0].name}/".startswith(f"{place}/")]
    known = {file.name: file.key for file in likeness.files(before) or ()}
    found = likeness.difference(likeness.files(left + rows) or [], known)
    assert found == (names, gone)


def test_too_much() -> None:
    made = likeness.files(row(name) for name in FILES) or []
    assert likeness.difference(made, {}) is None
    assert likeness.difference(made[:40], {file.name: file.key for file in made}) is None


def test_a_whiteout() -> None:
    assert [likeness.whiteout(path).name for path in ("a", "a/b")] == [".wh.a", "a/.wh.b"]
