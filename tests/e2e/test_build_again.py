"""A COPY of many files, of which some have changed: the layer is as it would be anew, and costs what has changed."""

import gzip
import hashlib
import io
import json
import os
import shutil
import stat
import tarfile
from pathlib import Path

import pytest
from tests.conftest import OTHER_HOST
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine
from tests.fixtures.http import Api
from tests.fixtures.plugins import plugin

from pydock_daemon.snapshots import verify

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(OTHER_HOST), reason="looks into pydock's own folders")]
Tree = dict[str, tuple[object, ...]]


def on_disk(root: Path) -> Tree:
    found: Tree = {}
    for path in [root, *root.rglob("*")]:
        about = path.lstat()
        what = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        name = str(path.relative_to(root)) if path != root else "."
        found[name] = (stat.S_IFMT(about.st_mode), stat.S_IMODE(about.st_mode), what)
    del found["."]
    return found


def in_image(api: Api, pydock: Cli) -> Tree:
    """Return the files below /all of a container of the image, as its programs see them."""
    made = api.ok("POST", "/containers/create", {"Image": "again", "Cmd": ["true"]})["Id"]
    try:
        data = pydock.result("cp", f"{made}:/all/.", "-").stdout.encode("latin-1")
    finally:
        api.ok("DELETE", f"/containers/{made}")
    found: Tree = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            kind = stat.S_IFDIR if member.isdir() else stat.S_IFLNK if member.issym() else stat.S_IFREG
            assert not member.islnk()
            file = archive.extractfile(member) if member.isreg() else None
            what = member.linkname if member.issym() else file.read() if file else b""
            found[member.name.removeprefix("./").strip("/") or "."] = (kind, member.mode, what)
    found.pop(".", None)
    return found


def layer(api: Api, pydock: Cli) -> tuple[str, bytes, list[Path]]:
    """Return diff id and blob of the top layer, and the folders below the data root that lie over each other for it."""
    about = api.ok("GET", "/images/again/json")
    data = pydock.result("save", "again").stdout.encode("latin-1")
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        listed = json.load(archive.extractfile("manifest.json"))  # type: ignore[arg-type]
        blob = archive.extractfile(listed[0]["Layers"][-1]).read()  # type: ignore[union-attr]
    driver = about["GraphDriver"]["Data"]
    folders = [driver["UpperDir"], *driver.get("LowerDir", "").split(":")]
    return about["RootFS"]["Layers"][-1], blob, [Path(folder) for folder in folders]


def changed(root: Path) -> None:
    (root / "d1/f1").write_text("changed")
    (root / "d2/f2").unlink()
    shutil.rmtree(root / "d3")
    (root / "new/deep").mkdir(parents=True)
    (root / "new/deep/file").write_text("new")
    shutil.rmtree(root / "d4")
    (root / "d4").write_text("a file now")
    (root / "d5/f5").unlink()
    (root / "d5/f5").mkdir(mode=0o700)
    (root / "d5/f5/l").symlink_to("../f6")
    (root / "d6").chmod(0o711)


@pytest.mark.parametrize("client", ["pydock", "docker-buildx"])
def test_what_has_changed_is_what_is_made(client: str, pydock: Cli, api: Api, daemon: Engine, tmp_path: Path) -> None:
    root = tmp_path / "c"
    build = pydock if client == "pydock" else plugin(client, daemon, tmp_path)
    for number in range(20):
        (root / f"d{number}").mkdir(parents=True)
        for other in range(20):
            (root / f"d{number}/f{other}").write_text(f"{number} {other}\n" * 500)
    file = tmp_path / "Dockerfile"
    file.write_text("FROM busybox\nWORKDIR /w\nCOPY . /all/\n")
    words = ["build", "-q", "-t", "again", "-f", str(file), str(root)]
    build(*words)
    assert in_image(api, pydock) == on_disk(root)
    _, _, before = layer(api, pydock)
    changed(root)
    build(*words)
    assert in_image(api, pydock) == on_disk(root)
    diff_id, blob, after = layer(api, pydock)
    assert f"sha256:{hashlib.sha256(gzip.decompress(blob)).hexdigest()}" == diff_id
    assert (after[1], len(after)) == (before[0], len(before) + 1)  # over the folder of the first
    assert sum(path.is_file() for path in after[0].rglob("*")) == 3
    (tmp_path / "blob").write_bytes(blob)
    assert verify.difference(tmp_path / "blob", after[:2]) == ""
    api.ok("POST", "/build/prune", all="1")
    assert in_image(api, pydock) == on_disk(root)  # the folder stays that the layer needs
