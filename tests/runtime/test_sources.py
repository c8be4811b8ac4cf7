"""Idmapped mounts: with mappings of their own and with those of the container, alone and with all below."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.runtime import box
from tests.runtime.test_mounts import bind, with_mounts

from pydock_runtime.errors import RuntimeFailure

pytestmark = pytest.mark.root
Overlay = Callable[[], dict[str, Any]]
HOST = 300000
ONE = [{"containerID": 0, "hostID": HOST, "size": 65536}]
BACK = {"uidMappings": [{"containerID": 1000, "hostID": 0, "size": 10}]}
BACK["gidMappings"] = BACK["uidMappings"]


@pytest.fixture
def owned(tmp_path: Path) -> Path:
    """A folder with a file of 1000:1001, and one below on a mount of its own."""
    folder = tmp_path / "owned"
    (folder / "below").mkdir(parents=True)
    (folder / "file").touch()
    for path in (folder, folder / "file"):
        os.chown(path, 1000, 1001)
    return folder


def test_a_mount_with_mappings_shows_other_owners(root: Path, owned: Path, overlay: Overlay) -> None:
    wanted = with_mounts(root, "stat -c '%u %g' /m/file; touch /m/new", {**bind(owned, "/m"), **BACK})
    assert box.run(wanted, overlay=overlay()).lines == ["0 1"]
    assert (owned / "new").stat().st_uid == 1000


@pytest.mark.parametrize(("option", "expected"), [("idmap", "1000"), ("ridmap", "0")])
def test_what_lies_below_is_mapped_where_that_is_asked(
    root: Path, owned: Path, overlay: Overlay, option: str, expected: str
) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "uid=1000,gid=1000", "below", str(owned / "below")], check=True)
    wanted = with_mounts(root, "stat -c %u /m/file /m/below", {**bind(owned, "/m", option), **BACK})
    try:
        assert box.run(wanted, overlay=overlay()).lines == ["0", expected]
    finally:
        subprocess.run(["umount", str(owned / "below")], check=True)


def test_the_container_s_own_mapping_is_taken_without_another(owned: Path) -> None:
    os.chown(owned / "file", 7, 8)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "base", "/mnt"], check=True)
    try:
        wanted = with_mounts(box.make_root(Path("/mnt/root")), "stat -c '%u %g' /m/file", bind(owned, "/m", "idmap"))
        wanted["linux"] |= {"uidMappings": ONE, "gidMappings": ONE}
        wanted["linux"]["namespaces"].append({"type": "user"})
        for path in (Path("/mnt/root"), *Path("/mnt/root").rglob("*")):
            os.chown(path, HOST, HOST, follow_symlinks=False)
        assert box.run(wanted).lines == ["7 8"]
    finally:
        subprocess.run(["umount", "/mnt"], check=True)


@pytest.mark.parametrize(
    ("mount", "message"),
    [
        (bind("/tmp", "/m", "idmap"), "mount /m: idmap needs mappings, or a container with a user namespace"),
        ({**bind("/tmp", "/m"), "uidMappings": ONE}, "mount /m has no gidMappings"),
        ({"destination": "/m", "type": "tmpfs", **BACK}, "mount /m: only bind mounts can be mapped"),
        ({**bind("/proc", "/m"), **BACK}, "mount /m: its file system cannot be mapped: invalid argument"),
        ({**bind("/not/there", "/m"), **BACK}, "bind source path does not exist: /not/there"),
    ],
)
def test_what_cannot_be_mapped_is_refused(root: Path, overlay: Overlay, mount: dict[str, Any], message: str) -> None:
    with pytest.raises(RuntimeFailure) as caught:
        box.run(with_mounts(root, "true", mount), overlay=overlay())
    assert caught.value.message == message
