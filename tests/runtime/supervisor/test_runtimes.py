"""Containers by another OCI runtime: the same operations, and nothing of it left behind.

With PYDOCK_OTHER_RUNTIME=runc the other tests of this folder use it too.
"""

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.runtime.supervisor.house import House, Refused, process, read_all, read_until, wait_until

from pydock_runtime.cgroup import layout
from pydock_runtime.foreign import BUNDLES, ROOTS

pytestmark = pytest.mark.root


# crun refuses a host that mounts both versions of cgroups with controllers in each: it sees the first one alone.
ON_V1 = """#!/bin/sh
exec unshare -m sh -c 'umount {unified} && exec {path} "$@"' crun "$@"
"""


@pytest.fixture(params=["runc", "crun"])
def other(request: pytest.FixtureRequest, house: House, tmp_path: Path) -> dict[str, Any]:
    path = shutil.which(request.param)
    if path is None:
        pytest.skip(f"needs {request.param}")
    host = layout.of_host()
    if request.param == "crun" and host.hierarchies and host.unified:
        script = tmp_path / "crun"
        script.write_text(ON_V1.format(unified=host.unified, path=path))
        script.chmod(0o755)
        path = str(script)
    house.rootfs.chmod(0o755)
    (house.rootfs / "etc").mkdir(exist_ok=True)
    (house.rootfs / "etc" / "passwd").write_text("ann:x:1234:2345::/home/ann:/bin/sh\n")
    (house.rootfs / "etc" / "group").write_text("crew:x:77:ann\n")
    return {"name": request.param, "path": path, "args": []}


def left(house: House) -> list[str]:
    """Return what the runtimes and we for them have on disk."""
    folders = [house.exec_root / BUNDLES, *(house.exec_root / ROOTS).glob("*")]
    return [str(path) for folder in folders if folder.exists() for path in folder.iterdir()]


def test_output_exit_code_and_an_end_without_traces(house: House, other: dict[str, Any]) -> None:
    name = house.run("sh", "-c", "echo out; echo err >&2; exit 3", runtime=other)
    assert house.exit(name)["code"] == 3
    assert (house.logged(name, 1), house.logged(name, 2)) == (b"out\n", b"err\n")
    house.client.request("delete", container=name)
    wait_until(lambda: not left(house) and not house.cgroups())


def test_it_is_really_the_other_runtime(house: House, other: dict[str, Any]) -> None:
    name = house.run("sleep", "100", runtime=other)
    assert (house.exec_root / ROOTS / other["name"] / name).is_dir()
    assert name in {Path(group).name for group in house.cgroups()}


def test_input_and_output_of_a_client(house: House, other: dict[str, Any]) -> None:
    name = house.create("cat", stdin=True, stdin_once=True, runtime=other)
    client = house.attach(name)
    house.client.request("start", container=name, interfaces=[])
    client.sendall(b"there and back")
    assert read_until(client, b"back") == b"there and back"
    client.shutdown(1)
    assert read_all(client) == b""
    assert house.exit(name)["code"] == 0


def test_a_terminal(house: House, other: dict[str, Any]) -> None:
    name = house.create("sh", "-c", "tty; stty size; exit 5", tty=True, stdin=True, runtime=other)
    house.client.request("resize", container=name, width=91, height=17)
    client = house.attach(name)
    house.client.request("start", container=name, interfaces=[])
    text = read_all(client)
    assert b"/dev/pts/0" in text
    assert b"17 91" in text
    assert house.exit(name)["code"] == 5


@pytest.mark.parametrize("tty", [False, True])
def test_exec(house: House, other: dict[str, Any], tty: bool) -> None:
    name = house.run("sleep", "100", runtime=other)
    spec = process(["sh", "-c", "echo here; id -u; exit 6"], tty=tty)
    spec["user"] = {"username": "ann"}
    answer = house.client.request("exec", container=name, exec="e1", process=spec, tty=tty)
    assert answer["pid"] > 0
    assert house.client.event("exit", name, "e1")["code"] == 6


def test_an_exec_of_what_is_not_there_says_so_and_the_next_one_works(house: House, other: dict[str, Any]) -> None:
    name = house.run("sleep", "100", runtime=other)
    with pytest.raises(Refused, match=r"exec-not-found: .*nothing"):
        house.client.request("exec", container=name, exec="e1", process=process(["nothing"]))
    told = process(["sh", "-c", "echo one; echo two >&2; exit 3"])
    house.client.request("exec", container=name, exec="e2", process=told, capture=100)
    end = house.client.event("exit", name, "e2")
    assert (end["code"], end["output"]) == (3, "one\ntwo\n")


def test_the_user_is_looked_up_in_the_image(house: House, other: dict[str, Any]) -> None:
    spec = process(["sh", "-c", "id -u; id -g; id -G; echo $HOME"])
    spec["user"] = {"username": "ann"}
    name = house.run("true", runtime=other, process=spec)
    house.exit(name)
    assert house.logged(name).split() == b"1234 2345 2345 77 /home/ann".split()


def test_signals_and_pause(house: House, other: dict[str, Any]) -> None:
    name = house.run("sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.01; done", runtime=other)
    wait_until(lambda: house.logged(name))
    house.client.request("pause", container=name)
    assert house.client.request("hello")["containers"][-1]["status"] == "paused"
    house.client.request("resume", container=name)
    house.client.request("signal", container=name, signal=signal.SIGTERM)
    assert house.exit(name)["code"] == 9


def test_one_that_never_started_is_deleted(house: House, other: dict[str, Any]) -> None:
    name = house.create("true", runtime=other)
    house.client.request("delete", container=name, force=True)
    wait_until(lambda: not left(house) and not house.cgroups())
    again = house.run("true", runtime=other)
    assert house.exit(again)["code"] == 0


def test_orphans_of_a_container_without_a_pid_namespace_are_waited_for(house: House, other: dict[str, Any]) -> None:
    spaces = ("mount", "ipc", "uts", "network")
    name = house.run("sh", "-c", "(sleep 0.3 & echo $! >&2); sleep 1", runtime=other, namespaces=spaces)
    wait_until(lambda: house.logged(name, 2).endswith(b"\n"))
    orphan = int(house.logged(name, 2))
    house.exit(name)
    wait_until(lambda: not os.path.exists(f"/proc/{orphan}"))


def test_what_cannot_be_asked_of_it_is_refused_by_name(house: House, other: dict[str, Any]) -> None:
    mounts = [{"destination": "/mnt", "type": "bind", "source": "/tmp", "options": ["bind", "rshared"]}]
    with pytest.raises(Refused, match="/mnt: shared propagation needs pydock's own runtime"):
        house.create("true", runtime=other, mounts=mounts)
    wait_until(lambda: not left(house))


def test_a_program_that_is_not_there_is_named(house: House) -> None:
    with pytest.raises(Refused, match="OCI runtime none: /nowhere/none: no such file or directory"):
        house.create("true", runtime={"name": "none", "path": "/nowhere/none", "args": []})
    wait_until(lambda: not left(house))


def test_the_next_supervisor_knows_the_runtime(house: House, other: dict[str, Any]) -> None:
    name = house.run("sleep", "100", runtime=other)
    record = house.exec_root / "containers" / name / "state.json"
    wait_until(record.exists)
    house.kill()
    house.boot()
    house.client.request("exec", container=name, exec="e1", process=process(["true"]))
    assert house.client.event("exit", name, "e1")["code"] == 0
    house.client.request("delete", container=name, force=True)
    wait_until(lambda: not left(house) and not house.cgroups())
