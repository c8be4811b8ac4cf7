"""Containers of a user who is not root, made by the verbs, with ids that newuidmap lends him.

PYDOCK_RUNTIME=runc runs the same against runc.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.runtime import box
from tests.runtime.test_verbs import OTHER, Runtime, runtime

import pydock_runtime
from pydock_runtime import rootless
from pydock_runtime.cgroup import absent, layout
from pydock_runtime.errors import RuntimeFailure

__all__ = ["runtime"]
pytestmark = pytest.mark.root
NOBODY, LENT = 65534, 300000
# Ids are lent where nobody but the command sees it, and what the command starts.
AS_NOBODY = """
mount --bind {folder}/subid /etc/subuid && mount --bind {folder}/subid /etc/subgid
exec setpriv --reuid {id} --regid {id} --clear-groups "$@"
"""
OWN = [{"containerID": 0, "hostID": NOBODY, "size": 1}]
MANY = [*OWN, {"containerID": 1, "hostID": LENT, "size": 65536}]
Change = Callable[[box.Spec], None]


def interpreter() -> str:
    """A Python that nobody can start: the tests' own may lie in a folder of root's."""
    recent = "import os, sys; open(os.path.realpath(sys.executable)).close(); sys.exit(sys.version_info < (3, 11))"
    for path in (os.path.realpath(sys.executable), "/usr/bin/python3"):
        command = [
            "setpriv",
            "--reuid",
            str(NOBODY),
            "--regid",
            str(NOBODY),
            "--clear-groups",
            path,
            "-IS",
            "-c",
            recent,
        ]
        if subprocess.run(command, check=False, capture_output=True).returncode == 0:
            return path
    pytest.skip("there is no Python that nobody can start")


@pytest.fixture
def mine() -> Iterator[Runtime]:
    """The command, run by nobody, in a folder that he can reach: pytest's own are root's alone."""
    folder = Path(tempfile.mkdtemp(prefix="pydock-rootless-"))
    folder.chmod(0o755)
    (folder / "subid").write_text(f"nobody:{LENT}:65536\n")
    (folder / "user.sh").write_text(AS_NOBODY.format(folder=folder, id=NOBODY))
    # With what is compiled of it: nobody could not write that down.
    package = shutil.copytree(Path(pydock_runtime.__file__).parent, folder / "pydock_runtime")
    made = Runtime(folder, box.make_root(folder / "root"))
    for name in ("state", "run"):
        (folder / name).mkdir()
    for path in (*folder.rglob("*"), folder):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    program = [OTHER] if OTHER else [interpreter(), "-IS", str(package)]
    made.command = ["unshare", "-m", "sh", f"{folder}/user.sh", *program, "--root", str(made.state)]
    yield made
    for id in made.ids:
        if any(folder.glob(f"*/{id}")) or any(folder.glob(f"*/*/{id}")):
            made("delete", "--force", id)
    assert not any(made.state.iterdir())
    shutil.rmtree(folder)


def in_users(uids: Any = MANY, gids: Any = MANY, **linux: Any) -> Change:
    """A change of a spec as `spec --rootless` makes it, and a few more fields of its `linux`."""

    def change(wanted: box.Spec) -> None:
        del wanted["linux"]["cgroupsPath"]
        wanted["linux"] |= {"uidMappings": uids, "gidMappings": gids, **linux}
        wanted["linux"]["namespaces"].append({"type": "user"})
        for mount in wanted["mounts"]:
            if uids is OWN:
                mount["options"] = [word for word in mount["options"] if not word.startswith("gid=")]

    return change


def test_the_life_of_a_container(mine: Runtime) -> None:
    id = mine.create(shell="id -u; cat /proc/self/uid_map; touch /made; exec sleep 100", change=in_users())
    assert mine.status(id) == "created"
    mine.ok("start", id)
    mine.wait_for(id, "running")
    script = "id -u; id -g; readlink /proc/self/ns/user; readlink /proc/1/ns/user; grep CapEff /proc/self/status"
    lines = mine.ok("exec", id, "sh", "-c", script).splitlines()
    assert lines[:2] == ["0", "0"]
    assert lines[2] == lines[3] != os.readlink("/proc/self/ns/user")
    assert mine.ok("exec", "--user", "5:6", id, "sh", "-c", "id -u; id -g").split() == ["5", "6"]
    shown = mine.output().split()
    assert shown == ["0", "0", str(NOBODY), "1", "1", str(LENT), "65536"]
    assert (mine.root / "made").stat().st_uid == NOBODY
    assert [row["owner"] for row in json.loads(mine.ok("list", "--format", "json"))] == ["nobody"]
    mine.ok("kill", id, "KILL")
    mine.wait_for(id, "stopped")
    mine.ok("delete", id)
    assert mine("state", id).returncode == 1


def test_his_own_id_needs_no_help(mine: Runtime) -> None:
    script = "id -u; cat /proc/self/setgroups; cat /proc/self/gid_map; echo x > /dev/null; ls /sys/fs/cgroup | wc -l"
    id = mine.configure(shell=script, change=in_users(OWN, OWN))
    lines = mine.ok("run", "--bundle", str(mine.bundle), id).splitlines()
    assert lines[:2] == ["0", "deny"]
    assert lines[2].split() == ["0", str(NOBODY), "1"]
    assert int(lines[3]) > 0


def test_his_volumes_are_shown_and_not_those_of_others(mine: Runtime, tmp_path: Path) -> None:
    folder = mine.bundle.parent / "volume"
    folder.mkdir()
    (folder / "file").write_text("content\n")

    def bound(source: Path) -> Change:
        def change(wanted: box.Spec) -> None:
            in_users()(wanted)
            wanted["mounts"].append(
                {"destination": "/in", "type": "bind", "source": str(source), "options": ["rbind", "ro"]}
            )

        return change

    id = mine.configure(shell="cat /in/file; touch /in/x 2>&1; true", change=bound(folder))
    assert mine.ok("run", "--bundle", str(mine.bundle), id).splitlines() == [
        "content",
        "touch: /in/x: Read-only file system",
    ]
    # pytest's folders are root's alone
    done = mine("run", "--bundle", str(mine.bundle), mine.configure("true", change=bound(tmp_path)))
    assert done.returncode == 1
    assert "ermission denied" in done.stderr


def test_without_a_cgroup_there_is_no_limit_and_no_pause(mine: Runtime) -> None:
    id = mine.create("sleep", "100", change=in_users())
    mine.ok("start", id)
    assert mine("pause", id).returncode == 1
    done = mine("update", "--memory", "10000000", id)
    assert (done.returncode, "container could not join or create cgroup" in done.stderr) == (1, True)
    mine.ok("events", "--stats", id)


def also(**fields: Any) -> Change:
    """A change that adds to parts of a container that would do."""

    def change(wanted: box.Spec) -> None:
        in_users()(wanted)
        wanted["linux"] |= fields.get("linux", {})
        wanted["process"]["user"] |= fields.get("user", {})
        wanted["mounts"][1]["options"] += fields.get("options", [])

    return change


def test_what_he_cannot_have_is_told(mine: Runtime) -> None:
    for change, message in (
        (lambda wanted: wanted["linux"].pop("cgroupsPath"), "rootless container requires user namespaces"),
        (
            also(linux={"resources": {"pids": {"limit": 5}}}),
            "cannot set pids limit: container could not join or create",
        ),
        (also(linux={"cgroupsPath": "/x"}), "ermission denied"),
        (also(user={"additionalGids": [5]}), "cannot set any additional groups in a rootless container"),
        (also(options=["gid=99999"]), "cannot specify gid= mount options for unmapped gid in rootless containers"),
        (
            in_users([*OWN, {"containerID": 1, "hostID": 0, "size": 1}]),
            "newuid map" if OTHER else "newuidmap: uid range [1-2) -> [0-1) not allowed",
        ),
    ):
        done = mine("run", "--bundle", str(mine.bundle), mine.configure("true", change=change))
        assert (done.returncode, message in done.stderr) == (1, True), done.stderr


def test_the_example_runs_and_states_are_in_his_runtime_folder(mine: Runtime) -> None:
    folder = mine.bundle.parent
    at = mine.command.index("--root")
    mine.command = [*mine.command[: at - len(mine.command)]]
    mine.command.insert(4, "env")
    mine.command.insert(5, f"XDG_RUNTIME_DIR={folder}/run")
    mine.bundle.chmod(0o777)
    mine.ok("spec", "--rootless", "--bundle", str(mine.bundle))
    path = mine.bundle / "config.json"
    wanted = json.loads(path.read_text())
    wanted["process"] |= {"terminal": False, "args": ["sh", "-c", "id -u; exec sleep 100"]}
    wanted["root"]["path"] = str(mine.root)
    path.write_text(json.dumps(wanted))
    mine.ids.append(f"pdrl-{os.getpid()}")
    command = [*mine.command, "run", "--detach", "--bundle", str(mine.bundle), mine.ids[-1]]
    # With a pipe somebody would wait for its end.
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=True)
    assert mine.status(mine.ids[-1]) == "running"
    assert [made.name for made in (folder / "run").glob("*/*")] == mine.ids


def test_root_of_a_user_namespace_has_containers_too(runtime: Runtime) -> None:
    """As podman calls its runtime for a user: as root, but not of the host, whose namespaces it may not enter again."""

    def change(wanted: box.Spec) -> None:
        del wanted["linux"]["cgroupsPath"]
        wanted["linux"]["namespaces"] = [entry for entry in wanted["linux"]["namespaces"] if entry["type"] != "network"]
        kept = [mount for mount in wanted["mounts"] if not mount["destination"].startswith(("/sys", "/dev/pts"))]
        wanted["mounts"] = kept

    id = runtime.configure("sleep", "100", change=change)
    command = shlex.join(runtime.command)
    script = f"""
    {command} create --bundle {runtime.bundle} {id} > /dev/null < /dev/null &&
    {command} start {id} && {command} exec {id} sh -c 'id -u; hostname; echo $$' && {command} delete --force {id}
    """
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    user, host, pid = done.stdout.split()
    assert (user, host) == ("0", "box")
    assert int(pid) < 100


def test_when_a_container_may_go_without_a_cgroup() -> None:
    assert rootless.without_cgroup("true")
    assert not rootless.without_cgroup("false")
    assert rootless.without_cgroup("auto") == rootless.in_users()


def test_no_cgroup_has_the_processes_of_a_namespace(root: Path) -> None:
    with box.ready(box.spec("sh", "-c", "sleep 100 & sleep 100 & wait", root=root)) as running:
        running.release()
        group = absent.Cgroup(layout.of_host(), running.child.pid)
        deadline = time.monotonic() + box.PATIENCE
        while len(group.pids()) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with pytest.raises(OSError, match="busy"):
            group.remove()
        group.kill()
        assert running.wait() == 128 + 9
    group.remove()
    with pytest.raises(RuntimeFailure, match="cannot set memory limit"):
        group.update({"memory": {"limit": 1}})
    group.update({"devices": [{"allow": False}], "memory": {}})
