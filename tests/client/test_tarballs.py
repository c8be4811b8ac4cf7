"""Archives as streams: what is packed comes out the same, and nothing is written outside its place."""

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from pydock_client.tarballs import Pieces, pack, unpack
from pydock_shared.errors import PydockError


def tree(folder: Path) -> dict[str, tuple[str, object]]:
    """What is below a folder: path, kind and content."""
    found: dict[str, tuple[str, object]] = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        content: object = None
        if stat.S_ISREG(mode):
            content = path.read_bytes()
        elif stat.S_ISLNK(mode):
            content = os.readlink(path)
        found[str(path.relative_to(folder))] = (stat.filemode(mode), content)
    return found


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with something of every kind."""
    folder = tmp_path / "source"
    (folder / "sub/empty").mkdir(parents=True)
    (folder / "file").write_bytes(b"x" * 1000)
    (folder / "sub/script").write_text("#!/bin/sh\n")
    (folder / "sub/script").chmod(0o755)
    (folder / "sub/link").symlink_to("../file")
    (folder / "dangling").symlink_to("/nowhere")
    (folder / ("long" * 50)).write_text("a name of two hundred letters")
    (folder / "ünï").write_text("not ASCII")
    os.mkfifo(folder / "pipe")
    return folder


def test_a_folder_comes_out_as_it_went_in(source: Path, tmp_path: Path):
    unpack(Pieces(pack(str(source), "any")), str(tmp_path / "out"), owners=False)
    assert tree(tmp_path / "out") == tree(source)


def test_its_contents_go_into_a_folder_that_is_there(source: Path, tmp_path: Path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "file").write_text("old")
    (out / "kept").write_text("kept")
    unpack(Pieces(pack(str(source), ".")), str(out), owners=False)
    assert tree(out) == tree(source) | {"kept": ("-rw-r--r--", b"kept")}


def test_a_file_takes_the_name_of_the_target(source: Path, tmp_path: Path):
    unpack(Pieces(pack(str(source / "file"), "file")), str(tmp_path / "other"), owners=False)
    assert (tmp_path / "other").read_bytes() == b"x" * 1000


def test_tar_reads_what_is_packed(source: Path):
    data = b"".join(pack(str(source), "top"))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert archive.getnames()[0] == "top"
        assert set(archive.getnames()) == {"top", *(f"top/{name}" for name in tree(source))}


def test_the_contents_alone_have_no_entry_for_the_folder(source: Path):
    with tarfile.open(fileobj=io.BytesIO(b"".join(pack(str(source), "")))) as archive:
        assert set(archive.getnames()) == set(tree(source))


def test_times_and_owners(source: Path, tmp_path: Path):
    os.utime(source / "file", (1000, 1000))
    os.utime(source / "sub", (2000, 2000))
    os.chown(source / "file", 12, 34)
    unpack(Pieces(pack(str(source), "s")), str(tmp_path / "out"), owners=True)
    assert (tmp_path / "out/file").stat().st_mtime == 1000
    assert (tmp_path / "out/sub").stat().st_mtime == 2000
    assert ((tmp_path / "out/file").stat().st_uid, (tmp_path / "out/file").stat().st_gid) == (12, 34)


def test_a_file_that_shrinks_meanwhile_is_filled_up(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 3000)
    pieces = pack(str(path), "file")
    first = next(pieces)
    path.write_bytes(b"y")
    with tarfile.open(fileobj=io.BytesIO(first + b"".join(pieces))) as archive:
        content = archive.extractfile("file")
        assert content
        assert content.read() == b"y" + b"\0" * 2999


def archive_of(*members: tuple[tarfile.TarInfo, bytes]) -> Pieces:
    """An archive made by hand, as an enemy would."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return Pieces([data.getvalue()])


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    """An entry of such an archive."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


ENEMIES = {
    "dots": [(entry("top", tarfile.DIRTYPE), b""), (entry("top/../../evil"), b"x")],
    "link": [
        (entry("top", tarfile.DIRTYPE), b""),
        (entry("top/l", tarfile.SYMTYPE, "{outside}"), b""),
        (entry("top/l/evil"), b"x"),
    ],
    "link of links": [
        (entry("top", tarfile.DIRTYPE), b""),
        (entry("top/a", tarfile.SYMTYPE, ".."), b""),
        (entry("top/a/../../evil"), b"x"),
    ],
    "hard link": [
        (entry("top", tarfile.DIRTYPE), b""),
        (entry("top/h", tarfile.LNKTYPE, "top/../../secret"), b""),
    ],
}


@pytest.mark.parametrize("name", ENEMIES)
def test_nothing_is_written_outside(tmp_path: Path, name: str):
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "secret").write_text("secret")
    inside = tmp_path / "in/side"
    inside.mkdir(parents=True)
    members = [(info, content) for info, content in ENEMIES[name]]
    for info, _ in members:
        info.linkname = info.linkname.format(outside=outside)
    with pytest.raises(PydockError, match="invalid archive"):
        unpack(archive_of(*members), str(inside / "target"), owners=False)
    assert not list(outside.iterdir())
    assert not list(tmp_path.rglob("evil"))


def test_a_link_where_a_file_is_to_be_is_replaced_and_not_followed(tmp_path: Path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    target = tmp_path / "target"
    target.mkdir()
    (target / "file").symlink_to(victim)
    unpack(archive_of((entry("t", tarfile.DIRTYPE), b""), (entry("t/file"), b"new")), str(target), owners=False)
    assert victim.read_text() == "mine"
    assert (target / "file").read_text() == "new"
