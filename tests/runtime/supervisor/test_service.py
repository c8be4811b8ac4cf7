"""The operations of a real supervisor, with real containers."""

import os
import signal
import socket
import time
from pathlib import Path

import pytest
from tests.runtime.supervisor.house import House, Refused, exit_record, process, read_all, read_until, wait_until

pytestmark = pytest.mark.root


def test_a_container_runs_and_its_exit_is_told_and_recorded(house: House) -> None:
    before = time.time_ns()
    name = house.run("sh", "-c", "echo out; echo err >&2; exit 3")
    event = house.exit(name)
    assert (event["code"], event["oom"], event["exec"]) == (3, False, None)
    assert before < event["started_at"] <= event["finished_at"] < time.time_ns()
    assert exit_record(house, name) == event
    assert (house.logged(name, 1), house.logged(name, 2)) == (b"out\n", b"err\n")


def test_hello_lists_containers_until_they_are_deleted(house: House) -> None:
    created, running = house.create("true"), house.run("sleep", "100")
    exited = house.run("sh", "-c", "exit 4")
    house.exit(exited)
    listed = {line["container"]: line for line in house.client.request("hello")["containers"]}
    assert {name: line["status"] for name, line in listed.items()} == {
        created: "created",
        running: "running",
        exited: "exited",
    }
    assert listed[exited]["code"] == 4
    with open(f"/proc/{listed[running]['pid']}/stat") as file:
        assert int(file.read().split()[21]) == listed[running]["start_time"]
    for name in listed:
        house.client.request("delete", container=name, force=True)
    assert house.client.request("hello")["containers"] == []
    wait_until(lambda: not house.cgroups())


def test_delete_needs_force_while_it_runs_and_is_done_when_answered(house: House) -> None:
    name = house.run("sleep", "100")
    with pytest.raises(Refused, match=r"conflict: container .* is running"):
        house.client.request("delete", container=name, force=False)
    pid = house.client.request("hello")["containers"][0]["pid"]
    house.client.request("delete", container=name, force=True)
    assert not os.path.exists(f"/proc/{pid}")
    assert not (house.exec_root / "containers" / name).exists()
    house.client.request("delete", container=name, force=True)
    with pytest.raises(Refused, match="not-found"):
        house.client.request("delete", container=name, force=False)


@pytest.mark.parametrize(
    ("args", "kind"),
    [(("nothing-here",), "exec-not-found"), (("/bin/none",), "exec-not-found"), (("/bin/plain",), "exec-denied")],
)
def test_what_cannot_be_run_is_forgotten(house: House, args: tuple[str, ...], kind: str) -> None:
    clients = []

    def begin() -> None:
        name = house.create(*args)  # where other runtimes say so already
        clients.append(house.attach(name))
        house.client.request("start", container=name, interfaces=[])

    with pytest.raises(Refused) as caught:
        begin()
    assert caught.value.kind == kind
    assert args[0] in str(caught.value)
    assert all(read_all(client) == b"" for client in clients)
    assert house.client.request("hello")["containers"] == []
    wait_until(lambda: not house.cgroups())


def test_signals_become_exit_codes(house: House) -> None:
    name = house.run("sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.01; done")
    wait_until(lambda: house.logged(name))
    house.client.request("signal", container=name, signal=signal.SIGTERM)
    assert house.exit(name)["code"] == 9
    name = house.run("sleep", "100")
    house.client.request("signal", container=name, signal=signal.SIGKILL)
    assert house.exit(name)["code"] == 137
    with pytest.raises(Refused, match="conflict"):
        house.client.request("signal", container=name, signal=signal.SIGTERM)


def test_a_paused_container_stands_still_and_can_be_killed(house: House) -> None:
    name = house.run("sh", "-c", "while :; do echo tick; sleep 0.01; done")
    wait_until(lambda: house.logged(name))
    house.client.request("pause", container=name)
    before = house.logged(name)
    time.sleep(0.05)
    assert house.logged(name) == before
    assert house.client.request("hello")["containers"][0]["status"] == "paused"
    with pytest.raises(Refused, match="is paused"):
        house.client.request("exec", container=name, exec="e", process=process(["true"]))
    house.client.request("resume", container=name)
    wait_until(lambda: house.logged(name) != before)
    house.client.request("pause", container=name)
    house.client.request("signal", container=name, signal=signal.SIGKILL)
    assert house.exit(name)["code"] == 137


def test_limits_can_be_changed(house: House) -> None:
    name = house.run("sleep", "100")
    house.client.request("update", container=name, resources={"pids": {"limit": 17}})
    limits = [Path(folder, "pids.max") for folder in house.cgroups()]
    assert [path.read_text().strip() for path in limits if path.exists()] == ["17"]
    with pytest.raises(Refused, match="invalid"):
        house.client.request("update", container=name, resources={"cpu": {"cpus": "nonsense"}})


def test_a_container_that_was_never_started_goes_with_its_connection(house: House) -> None:
    client, mine = house.connect(), house.client
    house.client = client
    try:
        name = house.create("sleep", "100")
        running = house.run("sleep", "100")
    finally:
        house.client = mine
    pid = next(c["pid"] for c in client.request("hello")["containers"] if c["container"] == name)
    client.close()
    wait_until(lambda: [c["container"] for c in mine.request("hello")["containers"]] == [running])
    assert not os.path.exists(f"/proc/{pid}")


def test_exits_are_told_to_everybody_connected(house: House) -> None:
    other = house.connect()
    other.request("hello")
    name = house.run("true")
    assert other.event("exit", name) == house.client.event("exit", name)
    other.close()


def test_pydockd_may_die_and_come_back(house: House) -> None:
    name = house.create("sh", "-c", "while read line; do echo got $line; done; exit 5", stdin=True, stdin_once=True)
    attached = house.attach(name)
    house.client.request("start", container=name, interfaces=[])
    attached.sendall(b"one\n")
    assert read_until(attached, b"\n") == b"got one\n"
    house.client.close()
    attached.sendall(b"two\n")
    assert read_until(attached, b"\n") == b"got two\n"
    house.client = house.connect()
    line = house.client.request("hello")["containers"][0]
    assert (line["container"], line["status"]) == (name, "running")
    second = house.attach(name, stdin=False)
    attached.sendall(b"three\n")
    assert read_until(second, b"\n") == b"got three\n"
    attached.shutdown(socket.SHUT_WR)
    assert house.exit(name)["code"] == 5
    assert (read_all(attached), read_all(second)) == (b"got three\n", b"")
    assert house.logged(name) == b"got one\ngot two\ngot three\n"


def test_an_exit_while_nobody_listens_is_kept(house: House) -> None:
    name = house.run("sh", "-c", "sleep 0.1; exit 6")
    house.client.close()
    time.sleep(0.3)
    house.client = house.connect()
    line = house.client.request("hello")["containers"][0]
    assert (line["container"], line["status"], line["code"]) == (name, "exited", 6)
    assert exit_record(house, name)["code"] == 6


def test_processes_outside_a_pid_namespace_die_with_init(house: House) -> None:
    script = "sleep 1000 & echo $!; exit 0"
    name = house.run("sh", "-c", script, namespaces=("mount", "ipc", "uts", "network", "cgroup"))
    assert house.exit(name)["code"] == 0
    orphan = int(house.logged(name))
    wait_until(lambda: not os.path.exists(f"/proc/{orphan}") or _is_zombie(orphan))
    house.client.request("delete", container=name)
    wait_until(lambda: not house.cgroups())


def _is_zombie(pid: int) -> bool:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize(
    ("op", "fields", "error"),
    [
        ("dance", {}, "invalid: no such operation: dance"),
        ("start", {"container": "none"}, "not-found: no such container: none"),
        ("start", {}, "invalid: start: KeyError"),
        ("create", {"container": "../x", "spec": {}}, "invalid: not a container id"),
        ("create", {"container": "x", "spec": {}, "cgroup": {"path": "/pydock-test-x"}}, "invalid: create: KeyError"),
        ("create", {"container": "x", "seccomp": {"digest": "d"}}, "invalid: unknown seccomp profile d"),
    ],
)
def test_bad_requests_are_refused(house: House, op: str, fields: dict[str, object], error: str) -> None:
    with pytest.raises(Refused) as caught:
        house.client.request(op, **fields)
    assert str(caught.value).startswith(error)
    assert house.client.request("hello")["containers"] == []


def test_a_create_that_fails_leaves_nothing(house: House) -> None:
    with pytest.raises(Refused, match="gelf"):
        house.create("true", log={"driver": "gelf", "path": "x"})
    with pytest.raises(Refused, match="No such file"):
        house.create("true", log={"driver": "local", "path": "/nowhere/log"})
    rootfs, house.rootfs = house.rootfs, house.rootfs / "missing"
    with pytest.raises(Refused, match="missing"):
        house.create("true")
    house.rootfs = rootfs
    assert house.client.request("hello")["containers"] == []
    wait_until(lambda: not house.cgroups())
    name = house.run("true")
    with pytest.raises(Refused, match="conflict"):
        house.client.request("create", container=name, spec={})


def test_shutdown_is_refused_while_containers_live_and_sigterm_ignored(house: House) -> None:
    name = house.run("sleep", "100")
    with pytest.raises(Refused, match="conflict: containers are running"):
        house.client.request("shutdown")
    os.kill(house.pid, signal.SIGTERM)
    assert house.client.request("hello")["containers"][0]["container"] == name


def test_a_second_supervisor_of_the_same_root_leaves(house: House) -> None:
    pid = house.pid
    house.boot()
    assert house.pid == pid


def test_garbage_ends_a_connection_and_nothing_else(house: House) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(house.exec_root / "supervisor.sock"))
        sock.sendall(b"\xff" * 100)
        assert sock.recv(10) == b""
    house.client.request("hello")


def test_an_exec_whose_output_comes_with_its_end(house: House) -> None:
    name = house.run("sleep", "60")
    script = "printf 12345; printf 678 >&2; exit 4"
    house.client.request("exec", container=name, exec="e", process=process(["sh", "-c", script]), capture=6)
    event = house.client.event("exit", name, "e")
    assert event["code"] == 4
    assert event["output"].endswith("...")
    assert len(event["output"]) == 6 + 3
    house.client.request("exec", container=name, exec="f", process=process(["echo", "-n", "all"]), capture=6)
    assert house.client.event("exit", name, "f")["output"] == "all"
    script = "for i in 1 2 3; do echo -n o$i; echo -n e$i >&2; done"
    house.client.request("exec", container=name, exec="g", process=process(["sh", "-c", script]), capture=100)
    assert house.client.event("exit", name, "g")["output"] == "o1e1o2e2o3e3"
    [line] = house.client.request("hello")["containers"]
    assert line["execs"] == []  # there is one each second, and nobody asks for it later


def test_an_exec_is_killed_with_its_group_and_no_other(house: House) -> None:
    name = house.run("sleep", "60")
    script = "sleep 54 & echo begun; wait"
    house.client.request("exec", container=name, exec="e", process=process(["sh", "-c", script]), capture=100)
    house.client.request("signal", container=name, exec="e", signal=9, group=True)
    assert house.client.event("exit", name, "e")["code"] == 137
    house.client.request("exec", container=name, exec="ps", process=process(["ps"]), capture=4096)
    listed = house.client.event("exit", name, "ps")["output"]
    assert "sleep 60" in listed
    assert "sleep 54" not in listed


def test_killing_an_exec_leaves_the_pause_alone(house: House) -> None:
    name = house.run("sleep", "60")
    house.client.request("exec", container=name, exec="e", process=process(["sleep", "60"]))
    house.client.request("pause", container=name)
    house.client.request("signal", container=name, exec="e", signal=9)
    [line] = [entry for entry in house.client.request("hello")["containers"] if entry["container"] == name]
    assert line["status"] == "paused"
    house.client.request("resume", container=name)
    assert house.client.event("exit", name, "e")["code"] == 137
