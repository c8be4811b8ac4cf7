"""User namespaces: maps of one and many ranges, joined ones, and what changes inside; by the verbs, runc as oracle."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.runtime import box
from tests.runtime.test_verbs import Runtime, ours_only

pytestmark = pytest.mark.root
HOST = 300000
ONE = [{"containerID": 0, "hostID": HOST, "size": 65536}]


@pytest.fixture(scope="module")
def mapped_root() -> Iterator[Path]:
    """A root that the container's root owns, where it can get to it."""
    folder = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="pydock-test-"))
    folder.chmod(0o755)
    root = box.make_root(folder / "root")
    for name in ("dev", "proc", "sys"):
        (root / name).mkdir()
    for path in (root, *root.rglob("*")):
        os.chown(path, HOST, HOST, follow_symlinks=False)
    yield root
    shutil.rmtree(folder)


@pytest.fixture
def mapped(mapped_root: Path, tmp_path: Path) -> Iterator[Runtime]:
    made = Runtime(tmp_path, mapped_root)
    yield made
    for id in made.ids:
        made("delete", "--force", id)
    assert made.ok("list", "--quiet") == ""


def in_users(*, uids: Any = ONE, gids: Any = ONE, **fields: Any) -> Callable[[box.Spec], None]:
    """Change a spec to one with a user namespace."""

    def change(wanted: box.Spec) -> None:
        wanted["linux"] |= {"uidMappings": uids, "gidMappings": gids}
        wanted["linux"]["namespaces"].append({"type": "user"})
        for section, values in fields.items():
            target = wanted if section == "top" else wanted[section]
            for key, value in values.items():
                target[key] = [*target[key], *value] if isinstance(target.get(key), list) else value

    return change


def run(runtime: Runtime, shell: str, change: Callable[[box.Spec], None]) -> list[str]:
    id = runtime.configure(shell=shell, change=change)
    return runtime.ok("run", "--bundle", str(runtime.bundle), id).splitlines()


def test_root_inside_is_nobody_outside(mapped: Runtime) -> None:
    lines = run(
        mapped, "cat /proc/self/uid_map; id -u; id -g; stat -c %u /bin; touch /new; stat -c %u /new", in_users()
    )
    assert lines[0].split() == ["0", str(HOST), "65536"]
    assert lines[1:] == ["0", "0", "0", "0"]
    made = mapped.root / "new"
    assert (made.stat().st_uid, made.stat().st_gid) == (HOST, HOST)
    made.unlink()


def test_many_ranges(mapped: Runtime) -> None:
    uids = [{"containerID": n * 10, "hostID": HOST + n * 20, "size": 10} for n in range(20)]
    change = in_users(uids=uids)
    lines = run(mapped, "cat /proc/self/uid_map", change)
    assert [line.split() for line in lines] == [[str(n * 10), str(HOST + n * 20), "10"] for n in range(20)]


def test_devices_terminals_and_the_kernel_s_file_systems_work_inside(mapped: Runtime) -> None:
    script = "echo x > /dev/null && head -c 4 /dev/zero | wc -c; ls /sys | head -1; ls -d /dev/mqueue /dev/pts/ptmx"
    lines = run(mapped, script, in_users())
    assert lines[0] == "4"
    assert lines[2:4] == ["/dev/mqueue", "/dev/pts/ptmx"]


def test_volumes_behind_closed_doors_are_shown(mapped: Runtime, tmp_path: Path) -> None:
    # pytest's folders are the host's root's alone
    folder = tmp_path / "in"
    folder.mkdir(mode=0o755)
    (folder / "file").write_text("content\n")
    entry = {"destination": "/in", "type": "bind", "source": str(folder), "options": ["rbind", "ro", "nosuid"]}
    assert run(mapped, "cat /in/file; touch /in/x 2>&1; true", in_users(top={"mounts": [entry]})) == [
        "content",
        "touch: /in/x: Read-only file system",
    ]


def test_paths_are_masked_and_read_only_there_as_well(mapped: Runtime) -> None:
    change = in_users(linux={"maskedPaths": ["/proc/keys"], "readonlyPaths": ["/proc/sys"]})
    assert run(mapped, "wc -c < /proc/keys; (echo x > /proc/sys/kernel/hostname) 2>/dev/null || echo no", change) == [
        "0",
        "no",
    ]


def test_limits_of_the_host_s_root_hold(mapped: Runtime) -> None:
    change = in_users(process={"rlimits": [{"type": "RLIMIT_CORE", "soft": 7, "hard": 9}], "oomScoreAdj": 5})
    script = "grep core /proc/self/limits; cat /proc/self/oom_score_adj; grep -c . /proc/self/cgroup"
    lines = run(mapped, script, change)
    assert lines[0].split()[4:6] == ["7", "9"]
    assert lines[1] == "5"


def test_an_exec_comes_into_it(mapped: Runtime) -> None:
    id = mapped.create("sleep", "100", change=in_users())
    mapped.ok("start", id)
    script = "id -u; readlink /proc/self/ns/user; readlink /proc/1/ns/user; touch /tmp/x; grep CapEff /proc/self/status"
    lines = mapped.ok("exec", id, "sh", "-c", script).splitlines()
    assert lines[0] == "0"
    assert lines[1] == lines[2] != os.readlink("/proc/self/ns/user")
    made = mapped.root / "tmp/x"
    assert made.stat().st_uid == HOST
    made.unlink()
    assert mapped.ok("exec", "--user", "5:6", id, "sh", "-c", "id -u; id -g").split() == ["5", "6"]


def test_a_second_container_joins_it(mapped: Runtime) -> None:
    first = mapped.create("sleep", "100", change=in_users())
    pid = json.loads(mapped.ok("state", first))["pid"]

    def change(wanted: box.Spec) -> None:
        kept = [entry for entry in wanted["linux"]["namespaces"] if entry["type"] not in ("network", "ipc")]
        joined = [("user", "user"), ("network", "net"), ("ipc", "ipc")]
        wanted["linux"] |= {"uidMappings": ONE, "gidMappings": ONE}  # runc 1.1 wants them, joined or not
        wanted["linux"]["namespaces"] = kept + [
            {"type": kind, "path": f"/proc/{pid}/ns/{name}"} for kind, name in joined
        ]

    script = "readlink /proc/self/ns/user; readlink /proc/self/ns/net; readlink /proc/self/ns/ipc; id -u"
    lines = run(mapped, script, change)
    assert lines == [*(os.readlink(f"/proc/{pid}/ns/{name}") for name in ("user", "net", "ipc")), "0"]


def test_the_host_s_network_namespaces_are_joined_from_a_new_one(mapped: Runtime) -> None:
    name = f"pdrt{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)

    def change(wanted: box.Spec) -> None:
        in_users()(wanted)
        for entry in wanted["linux"]["namespaces"]:
            if entry["type"] == "network":
                entry["path"] = f"/run/netns/{name}"
        # Not ours to mount: sysfs shows a network namespace.
        wanted["mounts"] = [mount for mount in wanted["mounts"] if not mount["destination"].startswith("/sys")]

    try:
        inode = os.stat(f"/run/netns/{name}").st_ino
        assert run(mapped, "readlink /proc/self/ns/net; id -u", change) == [f"net:[{inode}]", "0"]
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


@ours_only
def test_without_a_network_of_its_own_the_host_s_sysfs_is_shown(mapped: Runtime) -> None:
    def change(wanted: box.Spec) -> None:
        in_users()(wanted)
        kept = [entry for entry in wanted["linux"]["namespaces"] if entry["type"] != "network"]
        wanted["linux"]["namespaces"] = kept

    lines = run(mapped, "ls /sys/class/net; touch /sys/x 2>&1; true", change)
    assert sorted(lines[:-1]) == sorted(os.listdir("/sys/class/net"))
    assert "Read-only" in lines[-1] or "denied" in lines[-1]


@ours_only
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (in_users(uids=[]), "the user namespace has no uidMappings"),
        (in_users(gids=[{"containerID": 0, "hostID": 1, "size": 0}]), "gidMappings has a range that cannot be"),
        (in_users(uids=[*ONE, *ONE]), "uid_map: invalid argument"),
        (lambda wanted: wanted["linux"].update(uidMappings=ONE), "need a new user namespace"),
    ],
)
def test_maps_that_cannot_be_are_refused(mapped: Runtime, change: Callable[[box.Spec], None], message: str) -> None:
    id = mapped.configure("true", change=change)
    done = mapped("run", "--bundle", str(mapped.bundle), id)
    assert (done.returncode, message in done.stderr) == (1, True), done.stderr
