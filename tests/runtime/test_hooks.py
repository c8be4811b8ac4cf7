"""Hooks of all six kinds: where, when and in which order they run, what they are told, what a failure means.

Through the verbs, with PYDOCK_RUNTIME=runc through runc as well.
"""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from tests.runtime import box
from tests.runtime.test_verbs import OTHER, Runtime, ours_only, runtime

pytestmark = pytest.mark.root
__all__ = ["runtime"]
by_the_letter = pytest.mark.skipif(
    OTHER is not None,
    reason="against the specification runc 1.1 runs poststart hooks at create, and stops at a poststop",
)
OUTSIDE = ("prestart", "createRuntime", "poststart", "poststop")
INSIDE = ("createContainer", "startContainer")


def hook(script: str, **fields: Any) -> dict[str, Any]:
    """A hook that is a script of the shell, which is at the same place on the host and in the container."""
    return {"path": "/bin/busybox", "args": ["busybox", "sh", "-c", script], "env": ["PATH=/bin"], **fields}


def tell(folder: Path, name: str) -> dict[str, Any]:
    """A hook that writes its state down, and what it sees."""
    at = f"{folder}/{name}"
    return hook(f"cat > {at}.state; hostname > {at}.host; echo {name} >> {folder}/order")


@by_the_letter
def test_every_kind_is_run_in_order_with_the_state_on_stdin(runtime: Runtime, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    seen.mkdir()

    def change(wanted: box.Spec) -> None:
        wanted["mounts"].append({"destination": str(seen), "type": "bind", "source": str(seen), "options": ["rbind"]})
        wanted["hooks"] = {kind: [tell(seen, kind)] for kind in (*OUTSIDE, *INSIDE)}
        wanted["hooks"]["prestart"].append(tell(seen, "second"))
        wanted["annotations"] = {"org.example": "yes"}

    id = runtime.create(shell=f"echo program >> {seen}/order; exec sleep 100", change=change)
    pid = json.loads(runtime.ok("state", id))["pid"]
    assert json.loads(runtime.ok("state", id))["annotations"] == {"org.example": "yes"}
    created = ["prestart", "second", "createRuntime", "createContainer"]
    assert (seen / "order").read_text().split() == created
    runtime.ok("start", id)
    deadline = time.monotonic() + box.PATIENCE
    while len((seen / "order").read_text().split()) < len(created) + 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    order = (seen / "order").read_text().split()
    assert order[: len(created) + 1] == [*created, "startContainer"]
    assert sorted(order[len(created) + 1 :]) == ["poststart", "program"]
    runtime.ok("delete", "--force", id)
    assert (seen / "order").read_text().split()[-1] == "poststop"
    states = {path.stem: json.loads(path.read_text()) for path in seen.glob("*.state")}
    for state in states.values():
        assert (state["id"], state["bundle"], state["annotations"]) == (id, str(runtime.bundle), {"org.example": "yes"})
        assert state["ociVersion"]
    statuses = {name: state["status"] for name, state in states.items()}
    assert statuses == {
        "prestart": "creating",
        "second": "creating",
        "createRuntime": "creating",
        "createContainer": "creating",
        "startContainer": "created",
        "poststart": "running",
        "poststop": "stopped",
    }
    assert {states[name]["pid"] for name in ("prestart", "createRuntime", "poststart")} == {pid}
    assert {states[name]["pid"] for name in INSIDE} == {1}
    hosts = {path.stem: path.read_text().strip() for path in seen.glob("*.host")}
    assert {name for name, host in hosts.items() if host == "box"} == set(INSIDE)


def test_the_container_is_built_but_its_root_not_entered_when_they_run(runtime: Runtime, tmp_path: Path) -> None:
    script = f"pwd > {tmp_path}/pwd; test -e proc/self && test -e /proc/self && echo mounted > {tmp_path}/seen"

    def change(wanted: box.Spec) -> None:
        wanted["hooks"] = {"createContainer": [hook(script)]}

    runtime.create("true", change=change)
    assert (tmp_path / "seen").read_text() == "mounted\n"
    assert (tmp_path / "pwd").read_text() == f"{runtime.root}\n"


def test_a_start_container_hook_has_the_program_s_rights(runtime: Runtime, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    seen.mkdir(mode=0o777)
    seen.chmod(0o777)

    def change(wanted: box.Spec) -> None:
        wanted["mounts"].append({"destination": "/seen", "type": "bind", "source": str(seen), "options": ["rbind"]})
        wanted["process"]["user"] = {"uid": 1000, "gid": 1001}
        wanted["hooks"] = {"startContainer": [hook("id -u > /seen/id; grep CapEff /proc/self/status >> /seen/id")]}

    id = runtime.create("true", change=change)
    runtime.ok("start", id)
    assert (seen / "id").read_text().split() == ["1000", "CapEff:", "0000000000000000"]


@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer"])
def test_one_that_fails_undoes_the_creation(runtime: Runtime, tmp_path: Path, kind: str) -> None:
    def change(wanted: box.Spec) -> None:
        wanted["hooks"] = {
            kind: [hook("echo some reason >&2; exit 3"), hook(f"touch {tmp_path}/never")],
            "poststop": [hook(f"touch {tmp_path}/stopped")],
        }

    id = runtime.configure("true", change=change)
    done = runtime("create", "--bundle", str(runtime.bundle), id)
    assert done.returncode == 1
    assert "hook #0" in done.stderr
    assert "exit status 3" in done.stderr
    assert "some reason" in done.stderr
    assert runtime("state", id).returncode == 1
    assert not (tmp_path / "never").exists()
    assert (tmp_path / "stopped").exists()


def test_a_program_is_not_run_after_a_start_container_hook_that_fails(runtime: Runtime, tmp_path: Path) -> None:
    def change(wanted: box.Spec) -> None:
        wanted["hooks"] = {"startContainer": [hook("exit 4")]}

    id = runtime.create("echo", "ran", change=change)
    runtime("start", id)
    runtime.wait_for(id, "stopped")
    assert "ran" not in runtime.output()


@by_the_letter
def test_a_poststart_hook_that_fails_ends_the_container(runtime: Runtime) -> None:
    def change(wanted: box.Spec) -> None:
        wanted["hooks"] = {"poststart": [hook("exit 5")]}

    id = runtime.create("sleep", "100", change=change)
    done = runtime("start", id)
    assert (done.returncode, "exit status 5" in done.stderr) == (1, True)
    runtime.wait_for(id, "stopped")


@by_the_letter
def test_poststop_hooks_are_all_run_whatever_they_say(runtime: Runtime, tmp_path: Path) -> None:
    def change(wanted: box.Spec) -> None:
        wanted["hooks"] = {"poststop": [hook("exit 1"), hook(f"touch {tmp_path}/second")]}

    id = runtime.create("true", change=change)
    done = runtime("delete", "--force", id)
    assert (done.returncode, "exit status 1" in done.stderr) == (0, True)
    assert (tmp_path / "second").exists()


def test_one_that_takes_too_long_is_killed(runtime: Runtime) -> None:
    def change(wanted: box.Spec) -> None:
        wanted["hooks"] = {"createRuntime": [hook("exec sleep 77", timeout=1)]}

    id = runtime.configure("true", change=change)
    done = runtime("create", "--bundle", str(runtime.bundle), id)
    assert done.returncode == 1
    assert "hook ran past specified timeout of 1.0s" in done.stderr


def test_one_that_is_not_there_is_named(runtime: Runtime) -> None:
    def change(wanted: box.Spec) -> None:
        wanted["hooks"] = {"createRuntime": [{"path": "/not/there"}]}

    id = runtime.configure("true", change=change)
    done = runtime("create", "--bundle", str(runtime.bundle), id)
    assert (done.returncode, "/not/there: no such file or directory" in done.stderr) == (1, True)


@ours_only
@pytest.mark.parametrize(
    ("hooks", "message"),
    [
        ({"prestart": [{"path": "relative"}]}, "hooks.prestart: path 'relative' is not absolute"),
        ({"poststop": [{"path": "/x", "timeout": 0}]}, "hooks.poststop: the timeout of /x is not above zero"),
    ],
)
def test_what_is_against_the_specification_is_refused(runtime: Runtime, hooks: dict[str, Any], message: str) -> None:
    id = runtime.configure("true", change=lambda wanted: wanted.update(hooks=hooks))
    assert runtime("create", "--bundle", str(runtime.bundle), id).stderr == f"pydock-runtime: {message}\n"
