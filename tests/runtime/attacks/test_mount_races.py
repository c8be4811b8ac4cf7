"""Links on the way of a mount, standing and changing: what is made and mounted stays below the container's root.

CVE-2019-19921, CVE-2021-30465, CVE-2023-27561, CVE-2023-28642 and CVE-2024-45310.
"""

import contextlib
import ctypes
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.runtime import box, machine
from tests.runtime.test_verbs import Runtime, runtime

pytestmark = pytest.mark.root
__all__ = ["runtime"]
RENAMEAT2, CWD, EXCHANGE = 316, -100, 2
libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def swapping(one: Path, other: Path) -> Iterator[None]:
    """Exchange two names without a pause, as a container that shares a volume can."""
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            libc.syscall(RENAMEAT2, CWD, bytes(one), CWD, bytes(other), EXCHANGE)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A volume with a folder, and a link to the host's folder of the test beside it."""
    folder = tmp_path / "volume"
    (folder / "way/in").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (folder / "link").symlink_to(f"../../../../../../../../../../..{tmp_path}/outside")
    return folder


def bind(source: Path, target: str) -> dict[str, object]:
    return {"destination": target, "type": "bind", "source": str(source), "options": ["rbind"]}


def _mounts_below(folder: Path) -> int:
    return Path("/proc/self/mountinfo").read_text().count(f" {folder}/")


@machine.needs_x86_64
def test_a_racing_link_makes_and_mounts_nothing_outside(runtime: Runtime, volume: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("of the volume\n")

    def change(wanted: box.Spec) -> None:
        mounts = [bind(volume, "/volume"), bind(source, "/volume/way/in"), bind(source / "file", "/volume/way/new")]
        wanted["mounts"] += [*mounts, {"destination": "/volume/way/t", "type": "tmpfs", "source": "tmpfs"}]

    before = _mounts_below(tmp_path)
    with swapping(volume / "way", volume / "link"):
        for _ in range(12):
            id = runtime.configure(shell="cut -d ' ' -f 5 /proc/self/mountinfo; ls / /etc", change=change)
            done = runtime("run", "--bundle", str(runtime.bundle), id)
            assert "os-release" not in done.stdout
            assert list((tmp_path / "outside").iterdir()) == []
    assert _mounts_below(tmp_path) == before


@machine.needs_x86_64
def test_nor_do_masked_and_read_only_paths(runtime: Runtime, volume: Path, tmp_path: Path) -> None:
    (volume / "way/secret").write_text("x")

    def change(wanted: box.Spec) -> None:
        wanted["mounts"].append(bind(volume, "/volume"))
        wanted["linux"] |= {"maskedPaths": ["/volume/way/secret"], "readonlyPaths": ["/volume/way/in"]}

    with swapping(volume / "way", volume / "link"):
        for _ in range(8):
            id = runtime.configure("cat", "/proc/self/mountinfo", change=change)
            runtime("run", "--bundle", str(runtime.bundle), id)
    assert os.access(tmp_path / "outside", os.W_OK)
    assert (volume / "link").exists() or (volume / "way").exists()


@pytest.mark.parametrize("target", ["/tmp", "/tmp/made/later", "."])
def test_proc_behind_a_link_is_refused(tmp_path: Path, target: str) -> None:
    """There the paths that are to be masked would not be where they are masked."""
    root = box.make_root(tmp_path / "root")
    (root / "proc").symlink_to(target)
    made = Runtime(tmp_path, root)
    id = made.configure("true", change=lambda wanted: wanted["linux"].update(maskedPaths=["/proc/keys"]))
    done = made("run", "--bundle", str(made.bundle), id)
    made("delete", "--force", id)
    assert done.returncode != 0
    assert "proc" in done.stderr


def test_proc_on_a_volume_whose_way_is_a_link_is_refused(tmp_path: Path, volume: Path) -> None:
    root = box.make_root(tmp_path / "root")
    (root / "proc").symlink_to("volume/proc")

    def change(wanted: box.Spec) -> None:
        wanted["mounts"].insert(0, bind(volume, "/volume"))

    made = Runtime(tmp_path, root)
    id = made.configure("true", change=change)
    done = made("run", "--bundle", str(made.bundle), id)
    made("delete", "--force", id)
    assert done.returncode != 0


def test_a_root_that_is_itself_a_way_out_is_the_bundle_s_business_only(runtime: Runtime, tmp_path: Path) -> None:
    """A dangling link as a destination: what is missing is made inside."""
    (runtime.root / "tmp/gone").symlink_to(f"{tmp_path}/outside/new")
    source = tmp_path / "source"
    source.mkdir()

    def change(wanted: box.Spec) -> None:
        wanted["mounts"].append(bind(source, "/tmp/gone/deep"))

    id = runtime.configure("true", change=change)
    try:
        runtime("run", "--bundle", str(runtime.bundle), id)
        assert not (tmp_path / "outside").exists()
    finally:
        (runtime.root / "tmp/gone").unlink()
        for path in sorted((runtime.root / "tmp").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        first = runtime.root / Path(str(tmp_path).lstrip("/")).parts[0]
        assert first.exists()
    assert json.loads(runtime.ok("list", "--format", "json") or "[]") in (None, [])
