"""A start: namespaces, root, gate, and what is said when it cannot be."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.runtime import box

from pydock_runtime.errors import RuntimeFailure

pytestmark = pytest.mark.root
Overlay = Callable[[], dict[str, object]]


def test_a_program_runs_in_namespaces_of_its_own(root: Path) -> None:
    script = "echo $$; hostname; for n in mnt pid net ipc uts cgroup; do readlink /proc/self/ns/$n; done; exit 7"
    result = box.run(box.spec(root=root, shell=script))
    assert (result.code, result.lines[:2]) == (7, ["1", "box"])
    ours = [os.readlink(f"/proc/self/ns/{name}") for name in ("mnt", "pid", "net", "ipc", "uts", "cgroup")]
    assert len({*ours, *result.lines[2:]}) == 12


def test_a_namespace_that_is_not_named_is_the_host_s(root: Path) -> None:
    wanted = box.spec("readlink", "/proc/self/ns/net", root=root)
    wanted["linux"]["namespaces"] = [{"type": name} for name in box.NAMESPACES if name != "network"]
    wanted["mounts"] = [mount for mount in wanted["mounts"] if not mount["destination"].startswith("/sys")]
    assert box.run(wanted).out.strip() == os.readlink("/proc/self/ns/net")


@pytest.mark.parametrize(("kind", "file"), [("network", "net"), ("pid", "pid"), ("ipc", "ipc"), ("uts", "uts")])
def test_the_namespace_of_another_container_is_joined(root: Path, kind: str, file: str) -> None:
    with box.ready(box.spec("sleep", "100", root=root)) as first:
        assert first.release() is None
        path = f"/proc/{first.child.pid}/ns/{file}"
        wanted = box.spec("readlink", f"/proc/self/ns/{file}", root=root)
        del wanted["hostname"]
        for entry in wanted["linux"]["namespaces"]:
            if entry["type"] == kind:
                entry["path"] = path
        result = box.run(wanted)
        assert (result.error, result.out.strip()) == (None, os.readlink(path))


def test_a_pid_namespace_that_is_gone_is_refused(root: Path) -> None:
    wanted = box.spec("true", root=root)
    wanted["linux"]["namespaces"][1]["path"] = "/proc/self/ns/nothing"
    told = "joining namespaces: /proc/self/ns/nothing: no such file"
    with pytest.raises(RuntimeFailure, match=told), box.ready(wanted):
        pass


def test_the_overlay_is_seen_by_nobody_else(root: Path, tmp_path: Path, overlay: Overlay) -> None:
    layers = overlay()

    def look(_: box.Running) -> None:
        assert not re.search(rf"upperdir=({tmp_path}/)?upper\b", Path("/proc/self/mountinfo").read_text())

    result = box.run(box.spec(root=root, shell="echo new > /file; ls -a /"), overlay=layers, meanwhile=look)
    assert "file" in result.lines
    assert (tmp_path / "upper/file").read_text() == "new\n"
    assert not (root / "file").exists()


def test_the_host_s_root_is_out_of_reach(root: Path) -> None:
    result = box.run(box.spec(root=root, shell="ls /..; ls /proc/1/root/..; cat /proc/self/mountinfo"))
    mounted = [line.split()[4] for line in result.lines if " - " in line]
    assert result.lines[0] == "bin"
    assert "/work" not in mounted
    # One mount at the root: the old one is gone, not hidden below.
    assert mounted.count("/") == 1


def test_the_program_waits_at_the_gate(root: Path) -> None:
    with box.ready(box.spec("echo", "late", root=root)) as running:
        assert os.readlink(f"/proc/{running.child.pid}/exe") != "/bin/busybox"
        assert running.text() == ""
        assert running.release() is None
        assert running.wait() == 0
        assert running.text() == "late\n"


def test_a_container_whose_parent_goes_away_ends_at_its_gate(root: Path) -> None:
    with box.ready(box.spec("true", root=root)) as running:
        running.child.sync.shutdown(1)
        assert running.wait() == 1


def test_at_its_gate_it_holds_nothing_of_its_parent(root: Path) -> None:
    reader, writer = os.pipe()
    with box.ready(box.spec("true", root=root)):
        os.close(writer)
        assert os.read(reader, 1) == b""
    os.close(reader)


def test_the_program_has_only_its_own_descriptors(root: Path) -> None:
    secret = os.open("/etc/hostname", os.O_RDONLY)
    os.set_inheritable(secret, True)
    result = box.run(box.spec("ls", "/proc/self/fd", root=root))
    os.close(secret)
    # The fourth is the folder that ls reads.
    assert result.lines == ["0", "1", "2", "3"]


def test_a_missing_working_directory_is_made(root: Path, tmp_path: Path, overlay: Overlay) -> None:
    wanted = box.spec("pwd", root=root)
    wanted["process"]["cwd"] = "/srv/deep/down"
    wanted["root"]["readonly"] = True
    assert box.run(wanted, overlay=overlay()).out == "/srv/deep/down\n"
    assert (tmp_path / "upper/srv/deep/down").stat().st_mode & 0o777 == 0o755


def test_a_read_only_root_takes_no_file_but_what_is_mounted_in_it_does(root: Path, overlay: Overlay) -> None:
    wanted = box.spec(root=root, shell="touch /file; touch /dev/shm/file && echo fine")
    wanted["root"]["readonly"] = True
    assert box.run(wanted, overlay=overlay()).lines == ["touch: /file: Read-only file system", "fine"]


def test_a_root_that_is_missing_is_named(tmp_path: Path) -> None:
    error = box.run(box.spec("true", root=tmp_path / "nothing")).error
    assert error is not None
    assert (error["kind"], "nothing: no such file or directory" in error["message"]) == ("invalid", True)


def test_a_lower_layer_that_is_missing_is_an_error(root: Path, tmp_path: Path, overlay: Overlay) -> None:
    layers = {**overlay(), "lower": ["nothing"]}
    error = box.run(box.spec("true", root=root), overlay=layers).error
    assert error is not None
    assert error["message"] == "error mounting overlay: no such file or directory (1 layers)"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"args": []}, "process.args must not be empty"),
        ({"args": ["a\0b"]}, "process arguments and variables must not contain NUL"),
        ({"cwd": "relative"}, "cwd 'relative' is not an absolute path"),
        ({"rlimits": [{"type": "RLIMIT_BEER", "soft": 1, "hard": 1}]}, "unknown rlimit type RLIMIT_BEER"),
    ],
)
def test_a_process_that_cannot_be_is_refused_before_a_fork(root: Path, change: dict[str, object], message: str) -> None:
    wanted = box.spec("true", root=root)
    wanted["process"] |= change
    with pytest.raises(RuntimeFailure, match=message), box.ready(wanted):
        pass


def test_no_descriptor_is_left_with_the_parent(root: Path) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    box.run(box.spec("true", root=root))
    wanted = box.spec("true", root=root)
    wanted["mounts"].append({"destination": "/x", "type": "bind", "source": "/nothing", "options": ["bind"]})
    assert box.run(wanted).error
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_kind_of_namespace_that_there_is_not_is_named(root: Path) -> None:
    wanted = box.spec("true", root=root)
    wanted["linux"]["namespaces"].append({"type": "fancy"})
    with pytest.raises(RuntimeFailure, match="fancy namespaces are not supported"), box.ready(wanted):
        pass
