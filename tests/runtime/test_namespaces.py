"""Time namespaces, mount namespaces that are joined, and kinds of namespaces that are joined in a mix."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.runtime import box

from pydock_runtime.errors import RuntimeFailure

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not os.path.exists("/proc/self/ns/time"), reason="this kernel has no time namespaces"),
]


def in_time(root: Path, shell: str, **offsets: Any) -> box.Spec:
    wanted = box.spec(root=root, shell=shell)
    wanted["linux"]["namespaces"].append({"type": "time"})
    wanted["linux"]["timeOffsets"] = offsets
    return wanted


def test_clocks_run_from_where_they_were_set(root: Path) -> None:
    wanted = in_time(root, "cut -d . -f 1 /proc/uptime", boottime={"secs": 1_000_000}, monotonic={"secs": 5})
    (uptime,) = box.run(wanted).lines
    assert int(uptime) - 1_000_000 == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=20)


def test_an_exec_has_the_container_s_clocks(root: Path) -> None:
    wanted = in_time(root, "sleep 100", boottime={"secs": 1_000_000})
    with box.ready(wanted) as running:
        running.release()
        assert int(running.exec("cut", "-d", ".", "-f", "1", "/proc/uptime").out) > 1_000_000


def test_a_time_namespace_is_joined(root: Path) -> None:
    with box.ready(in_time(root, "true", boottime={"secs": 1_000_000})) as running:
        wanted = box.spec(root=root, shell="cut -d . -f 1 /proc/uptime")
        wanted["linux"]["namespaces"].append({"type": "time", "path": f"/proc/{running.child.pid}/ns/time"})
        assert int(box.run(wanted).lines[0]) > 1_000_000


def test_clocks_of_the_host_cannot_be_set(root: Path) -> None:
    wanted = box.spec("true", root=root)
    wanted["linux"]["timeOffsets"] = {"boottime": {"secs": 1}}
    with pytest.raises(RuntimeFailure, match="timeOffsets need a new time namespace"):
        box.run(wanted)


def test_a_clock_that_would_run_before_zero_is_refused(root: Path) -> None:
    error = box.run(in_time(root, "true", boottime={"secs": -(1 << 40)})).error
    assert error is not None
    assert error["message"] == "timeOffsets: numerical result out of range"


def test_namespaces_of_another_container_are_joined_with_its_processes(root: Path) -> None:
    names = {"pid": "pid", "ipc": "ipc", "uts": "uts", "network": "net"}
    with box.ready(box.spec("sleep", "100", root=root)) as running:
        running.release()
        wanted = box.spec(root=root, shell="readlink /proc/self/ns/net; hostname; ls -d /proc/1; echo $$")
        del wanted["hostname"]
        for entry in wanted["linux"]["namespaces"]:
            if entry["type"] in names:
                entry["path"] = f"/proc/{running.child.pid}/ns/{names[entry['type']]}"
        net, host, first, pid = box.run(wanted).lines
        assert net == os.readlink(f"/proc/{running.child.pid}/ns/net")
        assert (host, first) == ("box", "/proc/1")
        assert int(pid) > 1


@pytest.fixture
def mounts(root: Path, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A mount namespace with nobody in it but a keeper, and a folder that only it has."""
    folder = tmp_path / "root"
    folder.mkdir()
    script = f"mount --make-rprivate / && mount --bind {root} {folder} && echo made && exec sleep 100"
    with subprocess.Popen(["unshare", "-m", "sh", "-c", script], stdout=subprocess.PIPE) as keeper:
        assert keeper.stdout is not None
        assert keeper.stdout.readline() == b"made\n"
        yield f"/proc/{keeper.pid}/ns/mnt", folder
        keeper.kill()


def joining(root: Path, path: str, shell: str) -> box.Spec:
    wanted = box.spec(root=root, shell=shell)
    for entry in wanted["linux"]["namespaces"]:
        if entry["type"] == "mount":
            entry["path"] = path
    return wanted


def test_a_mount_namespace_is_joined_and_what_is_in_it_is_the_root(mounts: tuple[str, Path]) -> None:
    path, folder = mounts
    inode = os.stat(path).st_ino
    lines = box.run(joining(folder, path, "readlink /proc/self/ns/mnt; ls -d /etc/passwd; hostname")).lines
    assert lines == [f"mnt:[{inode}]", "/etc/passwd", "box"]
    assert not list(folder.iterdir())


def test_paths_of_other_namespaces_are_the_host_s(mounts: tuple[str, Path]) -> None:
    path, folder = mounts
    name = f"pdns{os.getpid()}"
    # It is bound to a file after the keeper has left: in there it is an empty file.
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        wanted = joining(folder, path, "readlink /proc/self/ns/net; id -u")
        kept = [entry for entry in wanted["linux"]["namespaces"] if entry["type"] != "network"]
        wanted["linux"]["namespaces"] = [*kept, {"type": "network", "path": f"/run/netns/{name}"}]
        inode = os.stat(f"/run/netns/{name}").st_ino
        assert box.run(wanted).lines == [f"net:[{inode}]", "0"]
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def test_the_host_s_mounts_are_not_joined(root: Path) -> None:
    with pytest.raises(RuntimeFailure, match="a mount namespace that is not the host's"):
        box.run(joining(root, "/proc/self/ns/mnt", "true"))
    wanted = box.spec("true", root=root)
    wanted["linux"]["namespaces"] = [entry for entry in wanted["linux"]["namespaces"] if entry["type"] != "mount"]
    with pytest.raises(RuntimeFailure, match="a mount namespace that is not the host's"):
        box.run(wanted)


def test_a_kind_is_there_once(root: Path) -> None:
    wanted = box.spec("true", root=root)
    wanted["linux"]["namespaces"].append({"type": "uts"})
    with pytest.raises(RuntimeFailure, match="malformed spec file: duplicated ns uts"):
        box.run(wanted)
