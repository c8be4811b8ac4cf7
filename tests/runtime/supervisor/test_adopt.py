"""What a new supervisor knows of the containers of one that was killed."""

import contextlib
import hashlib
import os
import platform
import random
import select
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.runtime.supervisor.house import PATIENCE, House, Refused, process, read_all, read_until, wait_until

from pydock_runtime.supervisor.adopt import code_of_dead

pytestmark = pytest.mark.root

UNKNOWN = 255
KILLS = int(os.environ.get("PYDOCK_KILLS", "4"))
STAYS = "trap 'exit 9' TERM; while :; do sleep 0.01; done"
TELLS_EXIT_CODES = tuple(map(int, platform.release().split(".")[:2])) >= (6, 15)


@pytest.fixture
def house(tmp_path: Path, rootfs: Path) -> Iterator[House]:
    house = House(tmp_path, rootfs)
    yield house
    assert "Traceback" not in house.diary()
    house.close()


def started(house: House, *args: str, **fields: bool) -> tuple[str, int]:
    """Run a container and wait until its record is on disk."""
    name = house.run(*args, **fields)
    wait_until(lambda: (house.exec_root / "containers" / name / "state.json").exists())
    return name, house.client.request("hello")["containers"][-1]["pid"]


def test_a_running_container_is_adopted(house: House) -> None:
    name, pid = started(house, "sh", "-c", STAYS)
    house.kill()
    house.boot()
    line = house.client.request("hello")["containers"][0]
    assert (line["container"], line["pid"], line["status"]) == (name, pid, "running")
    house.client.request("pause", container=name)
    house.client.request("resume", container=name)
    house.client.request("exec", container=name, exec="e", process=process(["sh", "-c", "exit 3"]))
    assert house.client.event("exit", name, "e")["code"] == 3
    house.client.request("signal", container=name, signal=15)
    assert house.exit(name)["code"] == (9 if TELLS_EXIT_CODES else UNKNOWN)


def taken_over(house: House, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Kill the supervisor and give the next one what was held of the containers, as pydockd does."""
    house.client.request("hello")
    house.client.request("hello")  # what is to be held came before the answer
    held = house.client.held
    house.kill()
    meanwhile()
    house.boot(held)
    held.close()


def test_nothing_that_is_printed_meanwhile_is_lost(house: House) -> None:
    counts = "i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo line $i; echo err $i >&2; sleep 0.005; done"
    name, _ = started(house, "sh", "-c", counts)
    taken_over(house)
    house.exit(name)
    for stream, word in ((1, "line"), (2, "err")):
        assert house.logged(name, stream).decode().splitlines() == [f"{word} {i}" for i in range(1, 401)]


def test_the_last_words_of_one_that_died_meanwhile(house: House) -> None:
    name, pid = started(
        house, "sh", "-c", "echo first; while :; do sleep 0.01; [ -e /tmp/go ] && echo last && exit 7; done"
    )
    go = house.rootfs / "tmp" / "go"

    def die() -> None:
        go.touch()
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"))

    try:
        taken_over(house, die)
        assert house.exit(name)["code"] == (7 if TELLS_EXIT_CODES else UNKNOWN)
        assert house.logged(name) == b"first\nlast\n"
    finally:
        go.unlink()


@pytest.mark.skipif(not TELLS_EXIT_CODES, reason="before Linux 6.15 nobody but the parent learns an exit code")
def test_a_signal_that_nobody_saw(house: House) -> None:
    name, pid = started(house, "sh", "-c", "exec sleep 100 >&- 2>&-")
    wait_until(lambda: b"sleep" in Path(f"/proc/{pid}/cmdline").read_bytes())

    def die() -> None:
        os.kill(pid, 9)
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"))

    taken_over(house, die)
    assert house.exit(name)["code"] == 137


def test_clients_of_an_adopted_container(house: House) -> None:
    name = house.run("sh", "-c", "while read line; do echo got $line; done", stdin=True)
    wait_until(lambda: (house.exec_root / "containers" / name / "state.json").exists())
    taken_over(house)
    client = house.attach(name, stderr=False)
    client.sendall(b"hello\n")
    assert read_until(client, b"\n") == b"got hello\n"
    client.close()
    house.client.request("delete", container=name, force=True)


@pytest.mark.parametrize(("how", "code"), [(lambda: os._exit(5), 5), (lambda: os.kill(os.getpid(), 9), 137)])
def test_the_code_of_a_process_that_nobody_has_reaped_yet(how: Callable[[], None], code: int) -> None:
    pid = os.fork()
    if pid == 0:
        how()
    pidfd = os.pidfd_open(pid)
    select.select([pidfd], [], [])
    assert code_of_dead(pid, pidfd) == code
    os.waitpid(pid, 0)
    assert code_of_dead(pid, pidfd) is None
    os.close(pidfd)


@pytest.mark.parametrize("meanwhile", [False, True])
def test_an_exec_goes_on(house: House, meanwhile: bool) -> None:
    name, _ = started(house, "sleep", "100")
    script = "echo one; until [ -e /tmp/on ]; do sleep 0.01; done; echo two; exit 6"
    ours, theirs = socket.socketpair()
    with theirs:
        attach = {"stdout": True, "stderr": True}
        asked = {"process": process(["sh", "-c", script]), "attach": attach}
        house.client.request("exec", fds=[theirs.fileno()], container=name, exec="e", **asked)
    assert read_until(ours, b"\n") == b"one\n"
    wait_until(lambda: house.client.request("hello") and any(told["exec"] == "e" for told, _ in house.client.held))
    on = house.rootfs / "tmp" / "on"
    try:
        taken_over(house, on.touch if meanwhile else lambda: None)
        on.touch()
        end = house.client.event("exit", name, "e")
        assert (end["code"], end["started_at"] > 0) == (6 if TELLS_EXIT_CODES else UNKNOWN, True)
        assert read_all(ours) == b"two\n"
    finally:
        on.unlink()
    house.client.request("delete", container=name, force=True)


def test_attached_clients_stay(house: House) -> None:
    name, _ = started(house, "sh", "-c", "while read line; do echo got $line; echo err >&2; done", stdin=True)
    gone, reader, writer = house.attach(name), house.attach(name, stdin=False, multiplexed=True), house.attach(name)
    gone.close()
    taken_over(house)
    writer.sendall(b"hello\n")
    assert read_until(writer, b"err\n") == b"got hello\nerr\n"
    assert read_until(reader, b"err\n") == b"\1\0\0\0\0\0\0\x0agot hello\n\2\0\0\0\0\0\0\4err\n"
    house.client.request("delete", container=name, force=True)
    assert read_all(reader) + read_all(writer) == b""


def test_stdin_goes_on_without_a_hole_and_ends_with_its_client(house: House) -> None:
    name = house.create("sh", "-c", "dd bs=1000 2>/dev/null | md5sum", stdin=True, stdin_once=True)
    client = house.attach(name)
    house.client.request("start", container=name, interfaces=[])
    wait_until(lambda: (house.exec_root / "containers" / name / "state.json").exists())
    data = os.urandom(8 << 20)
    feeding = threading.Thread(target=lambda: (client.sendall(data), client.shutdown(socket.SHUT_WR)))
    feeding.start()
    for _ in range(4):
        taken_over(house)
    feeding.join()
    assert read_all(client) == f"{hashlib.md5(data).hexdigest()}  -\n".encode()
    house.exit(name)


def test_the_stdin_of_an_exec_goes_on(house: House) -> None:
    name, _ = started(house, "sleep", "100")
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE)
    with theirs:
        asked = {"process": process(["cat"]), "attach": dict.fromkeys(("stdin", "stdout", "stderr"), True)}
        house.client.request("exec", fds=[theirs.fileno()], container=name, exec="e", stdin=True, **asked)
    wait_until(lambda: house.client.request("hello") and any(told["exec"] == "e" for told, _ in house.client.held))
    for word in (b"one\n", b"two\n", b"three\n"):
        ours.sendall(word)
        assert read_until(ours, b"\n") == word
        taken_over(house)
    ours.shutdown(socket.SHUT_WR)
    assert read_all(ours) == b""
    assert house.client.event("exit", name, "e")["code"] == (0 if TELLS_EXIT_CODES else UNKNOWN)
    house.client.request("delete", container=name, force=True)


def test_stdin_that_was_ended_stays_so(house: House) -> None:
    name = house.create("sh", "-c", "cat; sleep 0.3; echo end", stdin=True, stdin_once=True)
    client, other = house.attach(name), house.attach(name)
    house.client.request("start", container=name, interfaces=[])
    wait_until(lambda: (house.exec_root / "containers" / name / "state.json").exists())
    client.sendall(b"first\n")
    assert read_until(other, b"\n") == b"first\n"
    client.close()
    taken_over(house)
    other.sendall(b"second\n")
    assert read_all(other) == b"end\n"


class Slow:
    """A client that gets frames, and reads now and then; `kinds` of connections differ in what they take at once."""

    def __init__(self, house: House, name: str, kind: str) -> None:
        if kind == "tcp":
            with socket.create_server(("127.0.0.1", 0)) as server:
                self.sock = socket.create_connection(server.getsockname())
                theirs, _ = server.accept()
        else:
            self.sock, theirs = socket.socketpair()
            if kind == "small":
                theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 5000)
        options = {"stdin": False, "stdout": True, "stderr": True, "multiplexed": True, "detach_keys": []}
        with theirs:
            house.client.request("attach", fds=[theirs.fileno()], container=name, **options)
        self.data = bytearray()
        self.chance = random.Random(kind)

    def read(self) -> bool:
        """Read a random amount of what is there; whether there may be more."""
        with contextlib.suppress(BlockingIOError):
            piece = self.sock.recv(self.chance.choice((1, 5000, 300_000)), socket.MSG_DONTWAIT)
            self.data += piece
            return bool(piece)
        return True

    def frames(self) -> list[tuple[int, bytes]]:
        """Return what has come, which has to be whole frames."""
        frames, at = [], 0
        while at < len(self.data):
            stream, size = self.data[at], int.from_bytes(self.data[at + 4 : at + 8], "big")
            assert (stream in (1, 2), bytes(self.data[at + 1 : at + 4]), len(self.data) >= at + 8 + size) == (
                True,
                b"\0\0\0",
                True,
            ), f"a broken frame at {at} of {len(self.data)}"
            frames.append((stream, bytes(self.data[at + 8 : at + 8 + size])))
            at += 8 + size
        return frames


@pytest.mark.parametrize("kind", ["unix", "small", "tcp"])
def test_a_slow_client_never_has_half_a_frame(house: House, kind: str) -> None:
    script = (
        "(i=0; while [ ! -e /tmp/stop ]; do i=$((i+1)); echo err $i >&2; done) &"
        " seq 1 10000000 & until [ -e /tmp/stop ]; do sleep 0.01; done; kill %2; wait"
    )
    name = house.create("sh", "-c", script)
    slow = Slow(house, name, kind)
    stop = house.rootfs / "tmp" / "stop"
    house.client.request("start", container=name, interfaces=[])
    wait_until(lambda: (house.exec_root / "containers" / name / "state.json").exists())
    try:
        for _ in range(KILLS):
            for _ in range(slow.chance.randrange(60)):
                slow.read()
            taken_over(house)
        stop.touch()
        slow.sock.settimeout(PATIENCE)
        while piece := slow.sock.recv(1 << 20):
            slow.data += piece
    finally:
        stop.unlink()
        slow.sock.close()
    frames = slow.frames()
    house.exit(name)
    for stream, word in ((1, b""), (2, b"err ")):
        lines = b"".join(data for number, data in frames if number == stream).split(b"\n")
        gaps = sum(
            line != word + b"%d" % (number) for number, line in zip(count(lines, word), lines[1:-1], strict=False)
        )
        assert gaps <= 2 * KILLS  # what was read, and neither given nor put away in the moment of a kill


def count(lines: list[bytes], word: bytes) -> Iterator[int]:
    """Give for each line but the first the number after that of the line before it."""
    for line in lines:
        yield int(line.removeprefix(word) or 0) + 1 if line.removeprefix(word).isdigit() else 0


def test_the_terminal_of_an_adopted_container(house: House) -> None:
    name, _ = started(house, "sh", "-c", "while read line; do stty size; done", tty=True, stdin=True)
    taken_over(house)
    house.client.request("resize", container=name, width=70, height=30)
    client = house.attach(name)
    client.sendall(b"\n")
    assert b"30 70" in read_until(client, b"70")
    client.close()
    house.client.request("delete", container=name, force=True)


def test_a_paused_container_is_adopted_paused(house: House) -> None:
    name, _ = started(house, "sh", "-c", STAYS)
    house.client.request("pause", container=name)
    house.kill()
    house.boot()
    assert house.client.request("hello")["containers"][0]["status"] == "paused"
    house.client.request("resume", container=name)
    house.client.request("exec", container=name, exec="e", process=process(["true"]))
    assert house.client.event("exit", name, "e")["code"] == 0
    house.client.request("delete", container=name, force=True)


def test_an_adopted_container_can_be_deleted(house: House) -> None:
    name, pid = started(house, "sleep", "100")
    house.kill()
    house.boot()
    with pytest.raises(Refused, match="is running"):
        house.client.request("delete", container=name)
    house.client.request("delete", container=name, force=True)
    assert house.client.request("hello")["containers"] == []
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"))


def test_a_supervisor_with_nobody_to_serve_leaves(house: House) -> None:
    name = house.run("sleep", "2.5")
    pidfd = os.pidfd_open(house.pid)
    house.client.close()
    assert select.select([pidfd], [], [], 2.2)[0] == []  # a container lives
    client = house.connect()
    assert client.event("exit", name)["code"] == 0
    client.request("delete", container=name)
    client.close()
    assert select.select([pidfd], [], [], 5)[0] == [pidfd]
    os.close(pidfd)
    house.boot()


def test_ends_that_nobody_saw_and_ends_on_record(house: House) -> None:
    seen = house.run("sh", "-c", "exit 5")
    house.exit(seen)
    unseen, pid = started(house, "sleep", "100")
    house.kill()
    os.kill(pid, 9)
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"))
    house.boot()
    wait_until(lambda: all(line["status"] == "exited" for line in house.client.request("hello")["containers"]))
    listed = {line["container"]: line["code"] for line in house.client.request("hello")["containers"]}
    assert listed == {seen: 5, unseen: UNKNOWN}
