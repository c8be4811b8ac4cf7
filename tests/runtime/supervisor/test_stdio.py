"""Output, input, terminals and attached clients of real containers."""

import contextlib
import os
import re
import socket
import time

import pytest
from tests.runtime.supervisor.house import PATIENCE, House, Refused, process, read_all, read_until, wait_until

from pydock_shared.framing import Demuxer

pytestmark = pytest.mark.root

LINES = 100_000
FLOOD = f"yes '%s {'x' * 90}' | head -n {LINES}"


def test_two_floods_at_once_lose_nothing_and_delay_nobody(house: House) -> None:
    floods = [house.run("sh", "-c", FLOOD % number) for number in range(2)]
    started = time.monotonic()
    quick = house.run("echo", "quick")
    house.exit(quick)
    assert time.monotonic() - started < 2
    for number, name in enumerate(floods):
        house.exit(name)
        assert house.logged(name) == f"{number} {'x' * 90}\n".encode() * LINES


def test_output_is_framed_by_stream(house: House) -> None:
    name = house.create("sh", "-c", "echo out; echo err >&2; printf end")
    client = house.attach(name, multiplexed=True)
    only_err = house.attach(name, stdout=False)
    house.client.request("start", container=name, interfaces=[])
    pieces = Demuxer().feed(read_all(client))
    assert b"".join(data for stream, data in pieces if stream == 1) == b"out\nend"
    assert b"".join(data for stream, data in pieces if stream == 2) == b"err\n"
    assert read_all(only_err) == b"err\n"


def test_half_closing_ends_stdin(house: House) -> None:
    name = house.create("cat", stdin=True, stdin_once=True)
    client = house.attach(name)
    house.client.request("start", container=name, interfaces=[])
    data = os.urandom(3_000_000)
    _send_and_half_close(client, data)
    assert _read_slowly(client) == data
    assert house.exit(name)["code"] == 0


def test_a_client_that_closes_gets_all_its_input_delivered(house: House) -> None:
    name = house.create("sh", "-c", "sleep 0.3; wc -c", stdin=True, stdin_once=True)
    client = house.attach(name)
    house.client.request("start", container=name, interfaces=[])
    client.sendall(b"x" * 200_000)  # more than the pipe holds
    client.close()
    house.exit(name)
    assert house.logged(name) == b"200000\n"


def test_a_container_at_its_gate_holds_nothing_of_others_open(house: House) -> None:
    name = house.create("cat", stdin=True, stdin_once=True)
    client = house.attach(name)
    house.client.request("start", container=name, interfaces=[])
    house.create("true")
    client.shutdown(socket.SHUT_WR)
    assert house.exit(name)["code"] == 0
    client.close()


def test_stdin_stays_open_without_stdin_once(house: House) -> None:
    name = house.create("sh", "-c", "read a; read b; echo $a $b", stdin=True)
    house.client.request("start", container=name, interfaces=[])
    first = house.attach(name)
    first.sendall(b"one\n")
    first.shutdown(socket.SHUT_WR)
    assert read_all(first) == b""  # as with Docker the end of input ends such an attachment
    second = house.attach(name)
    second.sendall(b"two\n")
    assert read_all(second) == b"one two\n"


def test_without_stdin_there_is_nothing_to_read(house: House) -> None:
    name = house.run("sh", "-c", "cat; readlink /proc/self/fd/0")
    house.exit(name)
    assert house.logged(name) == b"/dev/null\n"


def test_a_client_without_patience_holds_nobody_up(house: House) -> None:
    name = house.create("sh", "-c", FLOOD % 0)
    client = house.attach(name, stdin=False, patience=0.2)
    house.client.request("start", container=name, interfaces=[])
    house.exit(name)  # it has read nothing, and the container has ended
    line = f"0 {'x' * 90}\n".encode()
    assert house.logged(name) == line * LINES
    assert len(read_all(client)) < len(line) * LINES


def test_a_slow_client_that_reads_keeps_its_place(house: House) -> None:
    name = house.create("sh", "-c", FLOOD % 0)
    client = house.attach(name, stdin=False, patience=0.5)
    house.client.request("start", container=name, interfaces=[])
    assert _read_slowly(client) == f"0 {'x' * 90}\n".encode() * LINES
    house.exit(name)


def test_an_exec_on_a_leash_dies_with_its_client(house: House) -> None:
    name = house.run("sleep", "60")
    client = start_exec(house, name, "sh", "-c", "echo up; sleep 60", leash=True)
    read_until(client, b"up\n")
    client.close()
    assert house.client.event("exit", name, exec="e")["code"] == 137


def test_a_slow_client_makes_the_container_wait_and_loses_nothing(house: House) -> None:
    name = house.create("sh", "-c", FLOOD % 0)
    client = house.attach(name, stdin=False)
    house.client.request("start", container=name, interfaces=[])
    time.sleep(0.3)
    line = f"0 {'x' * 90}\n".encode()
    assert len(house.logged(name)) < 4 << 20 < len(line) * LINES
    assert _read_slowly(client) == line * LINES
    house.exit(name)
    assert house.logged(name) == line * LINES


def test_a_client_that_goes_away_hurts_nobody(house: House) -> None:
    name = house.create("sh", "-c", f"{FLOOD % 0}; echo done >&2")
    house.attach(name, stdin=False).close()
    client = house.attach(name, stdin=False)
    house.client.request("start", container=name, interfaces=[])
    client.recv(1000)
    client.close()
    assert house.exit(name)["code"] == 0
    assert house.logged(name, 2) == b"done\n"
    assert len(house.logged(name, 1)) == 93 * LINES


def test_a_reset_tcp_client_hurts_nobody(house: House) -> None:
    name = house.create("sh", "-c", "while read line; do echo $line; done; sleep 0.05; echo end", stdin=True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    options = {"stdin": True, "stdout": True, "stderr": True, "multiplexed": False, "detach_keys": []}
    with theirs:
        house.client.request("attach", fds=[theirs.fileno()], container=name, **options)
    house.client.request("start", container=name, interfaces=[])
    client.sendall(b"hello\n")
    client.settimeout(PATIENCE)
    assert read_until(client, b"\n") == b"hello\n"
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    second = house.attach(name)
    second.sendall(b"again\n")
    assert read_until(second, b"\n") == b"again\n"
    second.close()


def test_unread_input_does_not_cost_a_client_its_output(house: House) -> None:
    name = house.create("sh", "-c", "sleep 0.1; echo last words", stdin=True, stdin_once=True)
    client = house.attach(name)
    house.client.request("start", container=name, interfaces=[])
    client.sendall(b"x" * 150_000)
    assert read_all(client) == b"last words\n"


def test_somebody_else_who_holds_the_pipe_does_not_hold_up_the_exit(house: House) -> None:
    name = house.run("sh", "-c", "echo before; sleep 0.2; exit 7")
    pid = house.client.request("hello")["containers"][0]["pid"]
    fd = os.open(f"/proc/{pid}/fd/1", os.O_WRONLY)
    started = time.monotonic()
    try:
        assert house.exit(name)["code"] == 7
    finally:
        os.close(fd)
    assert time.monotonic() - started < 2
    assert house.logged(name) == b"before\n"


# Terminals.


def test_a_terminal_echoes_and_can_be_resized(house: House) -> None:
    script = "stty size; trap 'stty size' WINCH; read line; echo got $line; while :; do sleep 0.01; done"
    name = house.create("sh", "-c", script, tty=True, stdin=True)
    client = house.attach(name)
    house.client.request("resize", container=name, width=100, height=30)
    house.client.request("start", container=name, interfaces=[])
    assert read_until(client, b"\n") == b"30 100\r\n"
    client.sendall(b"word\n")
    assert read_until(client, b"got word\r\n") == b"word\r\ngot word\r\n"
    house.client.request("resize", container=name, width=80, height=24)
    assert read_until(client, b"\n") == b"24 80\r\n"
    client.sendall(b"\x03")
    assert house.exit(name)["code"] == 130
    assert read_all(client) == b"^C"
    assert house.logged(name, 1) == b"30 100\r\nword\r\ngot word\r\n24 80\r\n^C"


def test_resize_needs_a_terminal(house: House) -> None:
    name = house.run("sleep", "100")
    with pytest.raises(Refused, match="has no terminal"):
        house.client.request("resize", container=name, width=80, height=24)


def test_all_output_of_a_short_terminal_arrives(house: House) -> None:
    name = house.create("seq", "1", "5000", tty=True)
    client = house.attach(name, stdin=False)
    house.client.request("start", container=name, interfaces=[])
    assert read_all(client) == b"".join(b"%d\r\n" % number for number in range(1, 5001))


def test_detach_keys_detach_and_nothing_else(house: House) -> None:
    name = house.create("sh", "-c", "stty raw -echo; echo ready; exec cat", tty=True, stdin=True)
    client = house.attach(name, detach_keys=[16, 17])
    house.client.request("start", container=name, interfaces=[])
    read_until(client, b"ready\n")
    client.sendall(b"a\x10b\x11c\x10\x10")
    # Of the last two, the second may be the beginning of the sequence: it waits.
    assert read_until(client, b"c\x10") == b"a\x10b\x11c\x10"
    client.sendall(b"d")
    assert read_until(client, b"d") == b"\x10d"
    client.sendall(b"e\x10")
    assert read_until(client, b"e") == b"e"
    client.sendall(b"\x11dropped")
    assert read_all(client) == b""
    assert house.client.event("detach", name)["exec"] is None
    again = house.attach(name)
    again.sendall(b"f")
    assert read_until(again, b"f") == b"f"
    again.close()


# Execs.


def start_exec(
    house: House, name: str, *args: str, exec: str = "e", tty: bool = False, **attach: object
) -> socket.socket:
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE)
    chosen = {"stdin": True, "stdout": True, "stderr": True, "multiplexed": False, "detach_keys": [16, 17]} | attach
    with theirs:
        house.client.request(
            "exec",
            fds=[theirs.fileno()],
            container=name,
            exec=exec,
            process=process(args, tty=tty),
            tty=tty,
            stdin=bool(chosen["stdin"]),
            attach=chosen,
        )
    return ours


def test_an_exec_has_streams_and_an_exit_code(house: House) -> None:
    name = house.run("sleep", "100")
    client = start_exec(house, name, "sh", "-c", "cat; echo $$; echo err >&2; exit 8", multiplexed=True)
    client.sendall(b"input\n")
    client.shutdown(socket.SHUT_WR)
    pieces = Demuxer().feed(read_all(client))
    out = b"".join(data for stream, data in pieces if stream == 1)
    assert re.fullmatch(rb"input\n\d\d?\n", out)
    assert [data for stream, data in pieces if stream == 2] == [b"err\n"]
    assert house.client.event("exit", name, "e")["code"] == 8
    assert house.logged(name) == b""
    listed = house.client.request("hello")["containers"][0]["execs"]
    assert [(line["exec"], line["status"], line["code"]) for line in listed] == [("e", "exited", 8)]


def test_an_exec_with_a_terminal(house: House) -> None:
    name = house.run("sleep", "100")
    client = start_exec(house, name, "sh", "-c", "tty; read line; echo $line; exit 2", tty=True)
    assert read_until(client, b"\n") == b"/dev/pts/0\r\n"
    house.client.request("resize", container=name, exec="e", width=90, height=20)
    client.sendall(b"hi\n")
    assert read_all(client) == b"hi\r\nhi\r\n"
    assert house.client.event("exit", name, "e")["code"] == 2


@pytest.mark.parametrize(("command", "kind"), [("nothing", "exec-not-found"), ("/bin/plain", "exec-denied")])
def test_an_exec_that_cannot_run_leaves_the_connection_to_pydockd(house: House, command: str, kind: str) -> None:
    name = house.run("sleep", "100")
    ours, theirs = socket.socketpair()
    options = {"stdin": False, "stdout": True, "stderr": True, "multiplexed": True}
    with ours, theirs:
        with pytest.raises(Refused) as caught:
            house.client.request(
                "exec", fds=[theirs.fileno()], container=name, exec="e", process=process([command]), attach=options
            )
        assert caught.value.kind == kind
        theirs.sendall(b"why it did not work")
        assert ours.recv(100) == b"why it did not work"
    assert house.client.request("hello")["containers"][0]["execs"] == []


def test_a_detached_exec_and_signals_to_it(house: House) -> None:
    name = house.run("sleep", "100")
    house.client.request("exec", container=name, exec="e", process=process(["sleep", "100"]))
    with pytest.raises(Refused, match="exec e exists"):
        house.client.request("exec", container=name, exec="e", process=process(["true"]))
    house.client.request("signal", container=name, exec="e", signal=15)
    assert house.client.event("exit", name, "e")["code"] == 143
    assert house.client.request("hello")["containers"][0]["status"] == "running"


def test_execs_end_with_their_container(house: House) -> None:
    name = house.run("sleep", "100")
    client = start_exec(house, name, "sleep", "100")
    house.client.request("signal", container=name, signal=9)
    assert house.client.event("exit", name, "e")["code"] == 137
    assert house.exit(name)["code"] == 137
    assert read_all(client) == b""
    with pytest.raises(Refused, match="is exited"):
        house.client.request("exec", container=name, exec="f", process=process(["true"]))


def test_a_container_is_deleted_when_its_own_output_has_ended_not_that_of_an_exec(house: House) -> None:
    name = house.run("sleep", "100")
    client = start_exec(house, name, "sleep", "100")
    listed = house.client.request("hello")["containers"][0]
    pids = (listed["pid"], listed["execs"][0]["pid"])
    held = [os.open(f"/proc/{pid}/fd/1", os.O_WRONLY) for pid in pids]
    house.client.request("delete", container=name, force=True)
    assert house.client.request("hello")["containers"] == []
    for fd in held:
        os.close(fd)
    client.close()


def test_only_the_last_finished_execs_are_remembered(house: House) -> None:
    name = house.run("sleep", "100")
    for number in range(20):
        house.client.request("exec", container=name, exec=f"e{number}", process=process(["true"]))
        house.client.event("exit", name, f"e{number}")
    listed = [line["exec"] for line in house.client.request("hello")["containers"][0]["execs"]]
    assert listed == [f"e{number}" for number in range(4, 20)]


def test_the_supervisor_keeps_no_descriptors(house: House) -> None:
    def descriptors() -> list[str]:
        folder, found = f"/proc/{house.pid}/fd", []
        for fd in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):  # closed since it was listed
                found.append(os.readlink(f"{folder}/{fd}").split(":")[0])
        return sorted(found)

    before = descriptors()
    name = house.run("cat", stdin=True)
    read_all(start_exec(house, name, "true"))
    read_all(start_exec(house, name, "echo", exec="f", tty=True))
    client = house.attach(name)
    house.client.request("delete", container=name, force=True)
    read_all(client)
    wait_until(lambda: descriptors() == before)


def _send_and_half_close(client: socket.socket, data: bytes) -> None:
    # A client that sends all and reads nothing would wait for ever: its output has to be read somewhere.
    if os.fork() == 0:
        try:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
        finally:
            os._exit(0)


def _read_slowly(client: socket.socket) -> bytes:
    data = bytearray()
    with client:
        while piece := client.recv(30_000):
            data += piece
    return bytes(data)
