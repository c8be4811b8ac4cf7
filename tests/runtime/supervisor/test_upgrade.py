"""A supervisor whose program is replaced while containers run: nobody loses anything, and few notice."""

import os
import shutil
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.runtime.supervisor.house import House, Refused, process, read_all, read_until, wait_until

import pydock_runtime

pytestmark = pytest.mark.root

PROGRAM = {
    "python": sys.executable,
    "home": sys.base_prefix,
    "folder": str(Path(pydock_runtime.__file__).parents[1]),
}


def upgrade(house: House, **changed: str) -> None:
    started = start_of(house)
    assert house.client.request("upgrade", **{**PROGRAM, **changed})["pid"] == house.pid
    assert start_of(house) != started, "the same program goes on"


def start_of(house: House) -> str:
    """What is different in each program of a process: where its memory lies."""
    return Path(f"/proc/{house.pid}/maps").read_text().splitlines()[0]


def line(house: House, name: str) -> dict:
    return next(entry for entry in house.client.request("hello")["containers"] if entry["container"] == name)


def test_no_output_is_lost_and_clients_stay(house: House) -> None:
    counts = "i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo line $i; echo err $i >&2; sleep 0.005; done; exit 9"
    name = house.create("sh", "-c", counts)
    client = house.attach(name, stdin=False, stderr=False)
    house.client.request("start", container=name, interfaces=[])
    for _ in range(3):
        time.sleep(0.1)
        upgrade(house)
    assert house.exit(name)["code"] == 9
    for stream, word in ((1, "line"), (2, "err")):
        assert house.logged(name, stream).decode().splitlines() == [f"{word} {i}" for i in range(1, 301)]
    assert read_all(client) == house.logged(name, 1)


def test_input_and_a_line_that_was_begun(house: House) -> None:
    name = house.create(
        "sh", "-c", "printf begun; while read x; do echo $x; done; echo end", stdin=True, stdin_once=True
    )
    client = house.attach(name)
    house.client.request("start", container=name, interfaces=[])
    assert read_until(client, b"begun") == b"begun"
    upgrade(house)
    client.sendall(b" and ended\n")
    read_until(client, b"ended\n")
    upgrade(house)
    client.shutdown(1)
    assert read_all(client) == b"end\n"
    assert house.exit(name)["code"] == 0
    assert house.logged(name) == b"begunand ended\nend\n"


def test_what_a_slow_client_has_not_read(house: House) -> None:
    name = house.create("sh", "-c", "seq 1 40000; read x; echo $x", stdin=True)
    client = house.attach(name)
    house.client.request("start", container=name, interfaces=[])
    wait_until(lambda: house.logged(name).endswith(b"40000\n"))
    upgrade(house)
    client.sendall(b"thanks\n")
    assert read_all(client) == b"".join(b"%d\n" % number for number in range(1, 40001)) + b"thanks\n"
    house.exit(name)


def test_a_terminal_and_detach_keys(house: House) -> None:
    name = house.create("sh", "-c", "while read x; do stty size; done", tty=True, stdin=True)
    client = house.attach(name, detach_keys=[16, 17])
    house.client.request("start", container=name, interfaces=[])
    client.sendall(b"\x10")  # the first of them
    time.sleep(0.1)
    upgrade(house)
    house.client.request("resize", container=name, width=91, height=17)
    other = house.attach(name)
    other.sendall(b"\n")
    read_until(other, b"17 91")
    client.sendall(b"\x11")
    assert house.client.event("detach", name)["exec"] is None
    client.close()
    other.close()
    house.client.request("delete", container=name, force=True)


def test_every_state_stays_what_it_was(house: House) -> None:
    gated, paused, ended = (
        house.create("sh", "-c", "exit 4"),
        house.run("sleep", "100"),
        house.run("sh", "-c", "exit 5"),
    )
    house.exit(ended)
    house.client.request("pause", container=paused)
    before = {entry["container"]: entry for entry in house.client.request("hello")["containers"]}
    assert [before[name]["status"] for name in (paused, ended)] == ["paused", "exited"]
    upgrade(house)
    assert {entry["container"]: entry for entry in house.client.request("hello")["containers"]} == before
    house.client.request("start", container=gated, interfaces=[])
    assert house.exit(gated)["code"] == 4
    house.client.request("resume", container=paused)
    house.client.request("signal", container=paused, signal=9)
    assert house.exit(paused)["code"] == 137


@pytest.mark.skipif(shutil.which("runc") is None, reason="needs runc")
def test_another_runtime_s_container_that_is_not_started_yet(house: House) -> None:
    runc = {"name": "runc", "path": shutil.which("runc"), "args": []}
    house.rootfs.chmod(0o755)
    gated = house.create("sh", "-c", "echo begun; exit 4", runtime=runc)
    upgrade(house)
    house.client.request("start", container=gated, interfaces=[])
    assert house.exit(gated)["code"] == 4
    assert house.logged(gated) == b"begun\n"


def test_execs(house: House) -> None:
    name = house.run("sleep", "100")
    told = process(["sh", "-c", "echo first; sleep 0.3; echo last; exit 6"])
    house.client.request("exec", container=name, exec="told", process=told, capture=100)
    dying = process(["sh", "-c", "sleep 0.02; exit 7"])
    house.client.request("exec", container=name, exec="dying", process=dying)
    upgrade(house)
    assert house.client.event("exit", name, "dying")["code"] == 7
    end = house.client.event("exit", name, "told")
    assert (end["code"], end["output"]) == (6, "first\nlast\n")
    house.client.request("exec", container=name, exec="later", process=process(["sh", "-c", "exit 8"]))
    assert house.client.event("exit", name, "later")["code"] == 8


def test_under_load_no_request_fails(house: House) -> None:
    failed: list[str] = []
    codes: list[int] = []
    over = threading.Event()

    def work(number: int) -> None:
        client = house.connect()
        spec = {
            "process": process(["sh", "-c", f"exit {number}"]),
            "root": {"path": str(house.rootfs)},
            "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc")]},
        }
        turn = 0
        while not over.is_set():
            turn += 1
            name = f"load{number}-{turn}"
            cgroup = {"path": f"{house.cgroup_root}/{name}"}
            try:
                client.request("create", container=name, spec=spec, overlay=None, cgroup=cgroup)
                client.request("start", container=name, interfaces=[])
                codes.append(client.event("exit", name)["code"])
                client.request("delete", container=name)
            except (Refused, OSError) as error:
                failed.append(f"{name}: {error}")
                return

    threads = [threading.Thread(target=work, args=(number,)) for number in (1, 2, 3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(4):
            time.sleep(0.2)
            upgrade(house)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert failed == []
    assert set(codes) == {1, 2, 3}


def test_a_program_that_does_not_work_never_takes_over(house: House, tmp_path: Path) -> None:
    name = house.run("sleep", "100")
    before = start_of(house)
    (tmp_path / "pydock_runtime").mkdir()
    (tmp_path / "pydock_runtime" / "cli.py").write_text("def main(): return 1  # as one that reads another state")
    for changed in ({"python": "/bin/false"}, {"folder": str(tmp_path)}, {"python": "/nonexistent"}):
        with pytest.raises(Refused):
            house.client.request("upgrade", **{**PROGRAM, **changed})
    assert start_of(house) == before
    assert line(house, name)["status"] == "running"
    upgrade(house)


def test_no_descriptor_is_left_over(house: House) -> None:
    def descriptors() -> list[str]:
        found = Path(f"/proc/{house.pid}/fd")
        return sorted(os.readlink(entry).partition(":")[0] for entry in found.iterdir())

    house.run("sleep", "100", stdin=True)
    upgrade(house)
    time.sleep(0.1)
    before = descriptors()
    for _ in range(2):
        upgrade(house)
    assert descriptors() == before
