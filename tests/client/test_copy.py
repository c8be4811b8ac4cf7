"""`cp` on a real container, by both command lines: where the source goes, and what is refused."""

import io
import os
import tarfile
from pathlib import Path

import pytest
from tests.fixtures.cli import Cli


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A file and a folder of this host, and a running container named `web`."""
    folder = tmp_path / "files"
    (folder / "d/sub").mkdir(parents=True)
    (folder / "one").write_text("one\n")
    (folder / "d/two").write_text("two\n")
    (folder / "d/link").symlink_to("two")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "d/sub/deep").write_text("deep\n")
    return folder


@pytest.fixture
def container(cli: Cli) -> str:
    """A running container."""
    cli("run", "-d", "--name", "web", "busybox", "sleep", "1000")
    return "web"


IN = [
    ("one", "/tmp/", ["tmp/one"]),
    ("one", "/tmp", ["tmp/one"]),
    ("one", "/tmp/renamed", ["tmp/renamed"]),
    ("d", "/tmp", ["tmp/d/two", "tmp/d/sub/deep"]),
    ("d", "/fresh", ["fresh/two", "fresh/sub/deep"]),
    ("d/.", "/fresh", ["fresh/two", "fresh/sub/deep"]),
    ("d/.", "/tmp", ["tmp/two", "tmp/sub/deep"]),
    ("d/link", "/tmp", ["tmp/link"]),
]


@pytest.mark.parametrize(("source", "target", "made"), IN)
def test_into_a_container(cli: Cli, container: str, files: Path, source: str, target: str, made: list[str]):
    cli("cp", f"{files}/{source}", f"web:{target}")
    for path in made:
        cli("exec", "web", "test", "-e" if "link" not in path else "-L", f"/{path}")


OUT = [
    ("/src", "out", ["out/two", "out/sub/deep"]),
    ("/src", ".", ["src/two", "src/sub/deep"]),
    ("/src/.", ".", ["two", "sub/deep"]),
    ("/src/.", "out", ["out/two", "out/sub/deep"]),
    ("/src/two", ".", ["two"]),
    ("/src/two", "other", ["other"]),
    ("src/two", "other", ["other"]),
]


@pytest.mark.parametrize(("source", "target", "made"), OUT)
def test_out_of_a_container(
    cli: Cli, container: str, files: Path, tmp_path: Path, source: str, target: str, made: list[str]
):
    cli("cp", f"{files}/d", "web:/src")
    into = tmp_path / "into"
    into.mkdir()
    cli("cp", f"web:{source}", os.path.join(into, target) if target != "." else str(into))
    for path in made:
        assert (into / path).read_text().strip() == os.path.basename(path).replace("other", "two")


def test_links(cli: Cli, container: str, files: Path, tmp_path: Path):
    cli("cp", f"{files}/d", "web:/src")
    cli("cp", "web:/src/link", f"{tmp_path}/as-link")
    cli("cp", "-L", "web:/src/link", f"{tmp_path}/as-file")
    cli("cp", "-L", "web:/src/link", f"{tmp_path}")
    assert os.readlink(tmp_path / "as-link") == "two"
    assert (tmp_path / "link").read_text() == "two\n"  # called as it was named
    assert (tmp_path / "as-file").read_text() == "two\n"


def test_a_link_to_a_folder_is_a_link_unless_it_is_followed(cli: Cli, container: str, files: Path):
    (files / "to-d").symlink_to("d")
    cli("exec", "web", "sh", "-c", "mkdir /x; echo 1 > /x/file; mkdir /x/dir")
    cli("cp", f"{files}/to-d", "web:/x/file")
    cli("cp", f"{files}/to-d/.", "web:/x/dir")
    cli("cp", "-L", f"{files}/to-d", "web:/x/new")
    assert cli("exec", "web", "readlink", "/x/file") == "d"
    assert cli("exec", "web", "cat", "/x/dir/two", "/x/new/two").split() == ["two", "two"]
    cli.fails("cp", f"{files}/to-d", "web:/x/nope/", code=1, message="no such directory")


def test_owners(cli: Cli, container: str, tmp_path: Path):
    if cli.name == "docker":
        pytest.skip("docker keeps owners on the way in only")
    cli("exec", "web", "sh", "-c", "echo x > /f; chown 7:8 /f; chmod 640 /f")
    cli("cp", "-a", "web:/f", f"{tmp_path}/f")
    facts = (tmp_path / "f").stat()
    assert (facts.st_uid, facts.st_gid, facts.st_mode & 0o777) == (7, 8, 0o640)
    cli("cp", "web:/f", f"{tmp_path}/g")
    assert (tmp_path / "g").stat().st_uid == os.getuid()


def test_archives(cli: Cli, container: str, files: Path):
    cli("cp", f"{files}/d", "web:/src")
    out = cli.result("cp", "web:/src", "-").stdout.encode("latin-1")
    with tarfile.open(fileobj=io.BytesIO(out)) as archive:
        assert "src/sub/deep" in archive.getnames()
    cli("cp", "-", "web:/tmp", stdin=out)
    assert cli("exec", "web", "cat", "/tmp/src/two") == "two"


REFUSED = [
    (["{files}/d", "web:/etc/passwd"], "cannot copy directory"),
    (["{files}/one", "web:/nope/"], "no such directory|Could not find the file"),
    (["{files}/one", "web:/nope/x"], "Could not find the file /nope"),
    (["{files}/nope", "web:/"], "no such file or directory"),
    (["web:/nope", "{files}"], "Could not find the file /nope"),
    (["web:/etc", "{files}/one"], "cannot copy directory|not a directory"),
    (["web:/etc/passwd", "{files}/no/q"], "invalid output path|does not exist"),
    (["web:/etc/passwd", "{files}/no/"], "invalid output path|no such directory|does not exist"),
    (["{files}/one/", "web:/tmp"], "not a directory"),
    (["{files}/one", "web:/etc/passwd/"], "no such directory"),
    (["{files}/d", "web:/etc/passwd/"], 'cannot overwrite non-directory "/etc/passwd" with directory "/etc"'),
    (["web:/etc/passwd/", "{files}"], "lstat /etc/passwd/: not a directory"),
    (["web:", "{files}"], "bad parameter: path ?cannot be empty"),
    (["", "web:/"], "source can not be empty"),
    (["-L", "{files}/dangling", "web:/tmp"], "lstat .*/nowhere: no such file or directory"),
    (["web:/a", "web:/b"], "copying between containers is not supported"),
    (["a", "b"], "must specify at least one container source"),
    (["nope:/a", "{files}"], "No such container: nope"),
]


@pytest.mark.parametrize(("words", "message"), REFUSED)
def test_refused(cli: Cli, container: str, files: Path, words: list[str], message: str):
    before = sorted(files.rglob("*"))
    cli.fails("cp", *(word.format(files=files) for word in words), code=1, message=message)
    assert sorted(files.rglob("*")) == before
