"""Execs that are killed by the API or die with their client, and attached clients in numbers and of each version."""

import contextlib
import os
import signal
import socket
import time
from typing import Any

import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, RemoteEngine, eventually
from tests.fixtures.http import Api

from pydock_client import Client


@pytest.fixture
def web(pydock: Cli, daemon: Engine | RemoteEngine) -> str:
    """A container that runs, in an engine of ours."""
    if isinstance(daemon, RemoteEngine):
        pytest.skip("an extension")
    return pydock("run", "-d", "--name", "web", "busybox", "sleep", "300")


def running(api: Api) -> list[str]:
    """The ids of the execs that run in the container."""
    return api.ok("GET", "/containers/web/json")["ExecIDs"] or []


def test_an_exec_is_signalled_by_its_id(web: str, pydock: Cli, api: Api, daemon: Engine):
    script = "trap 'echo told; exit 5' TERM; echo ready; while :; do sleep 0.05; done"
    with pydock.begin("exec", "web", "sh", "-c", script) as first:
        first.until(b"ready")
        (id_,) = running(api)
        assert pydock("kill", "--exec", "-s", "TERM", id_) == id_
        assert first.wait() == 5
        assert b"told" in first.output
    assert api.ok("GET", f"/exec/{id_}/json")["ExitCode"] == 5
    with pydock.begin("exec", "web", "sh", "-c", "echo ready; sleep 60; :") as second:
        second.until(b"ready")
        (id_,) = running(api)
        with Client(daemon.host) as client:
            client.containers.get("web").kill_exec(id_)
        assert second.wait() == 137
    assert "sleep 60" not in pydock("top", "web")
    answer = api("POST", f"/exec/{id_}/kill")
    assert (answer.status, answer.body["message"]) == (409, f"exec {id_} is not running")
    assert api("POST", f"/exec/{id_}/kill", signal="NOSUCH").status == 400
    assert api("POST", "/exec/nosuch/kill").body["message"] == "No such exec instance: nosuch"


@pytest.mark.parametrize("options", [(), ("-i",)])
def test_an_exec_dies_with_its_client(web: str, pydock: Cli, api: Api, options: tuple[str, ...]):
    script = "echo ready; sleep 61; :"
    with pydock.begin("exec", *options, "--kill-on-disconnect", "web", "sh", "-c", script) as call:
        call.until(b"ready")
        (id_,) = running(api)
        call.process.send_signal(signal.SIGKILL)
    eventually(lambda: not running(api))
    assert api.ok("GET", f"/exec/{id_}/json")["ExitCode"] == 137
    assert "sleep 61" not in pydock("top", "web")


def test_without_the_flag_it_outlives_its_client_as_in_docker(web: str, pydock: Cli, api: Api):
    with pydock.begin("exec", "web", "sh", "-c", "echo ready; sleep 62; :") as call:
        call.until(b"ready")
        call.process.send_signal(signal.SIGKILL)
    time.sleep(0.2)
    assert len(running(api)) == 1
    assert "sleep 62" in pydock("top", "web")


def test_half_closed_input_and_detaching_do_not_kill(web: str, pydock: Cli, api: Api):
    output = pydock("exec", "-i", "--kill-on-disconnect", "web", "sh", "-c", "cat; sleep 0.3; echo end", stdin="in\n")
    assert output == "in\nend"
    with pydock.terminal("exec", "-it", "--kill-on-disconnect", "--detach-keys", "ctrl-x", "web", "sh") as screen:
        screen.until(b"# ")
        screen.type(b"\x18")
        screen.wait()
    time.sleep(0.2)
    assert len(running(api)) == 1


def test_there_is_nothing_to_watch_in_the_background(web: str, pydock: Cli, api: Api):
    made = api.ok("POST", "/containers/web/exec", {"Cmd": ["true"]})
    answer = api("POST", f"/exec/{made['Id']}/start", {"Detach": True, "KillOnDisconnect": True})
    assert answer.status == 400
    pydock.fails("exec", "-d", "--kill-on-disconnect", "web", "true", code=125, message="conflicting options")


def attach(api: Api, version: str, **query: Any) -> tuple[bytes, socket.socket]:
    """The head of the answer to an attach and the stream behind it."""
    stream = socket.socket(socket.AF_UNIX)
    stream.settimeout(20)
    stream.connect(api.socket_path)
    words = "&".join(f"{key}={value}" for key, value in query.items())
    head = f"POST /v{version}/containers/web/attach?{words} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
    stream.sendall(f"{head}Upgrade: tcp\r\nContent-Length: 0\r\n\r\n".encode())
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += stream.recv(1)
    return answer, stream


@pytest.mark.parametrize(
    ("version", "tty", "kind"),
    [("1.41", False, "raw-stream"), ("1.42", False, "multiplexed-stream"), ("1.42", True, "raw-stream")],
)
def test_kind_of_stream_by_version(docker: Cli, api: Api, version: str, tty: bool, kind: str):
    docker("run", "-d", "--name", "web", *(["-t"] if tty else []), "busybox", "sh", "-c", "echo hello; sleep 60")
    eventually(lambda: "hello" in docker("logs", "web"))
    head, stream = attach(api, version, logs=1, stream=1, stdout=1)
    with stream:
        assert f"application/vnd.docker.{kind}".encode() in head
        assert stream.recv(100) == (b"hello\r\n" if tty else b"\x01\0\0\0\0\0\0\x06hello\n")


def test_a_log_that_cannot_be_replayed_is_said_before_the_stream(docker: Cli, api: Api, daemon: Engine | RemoteEngine):
    if isinstance(daemon, RemoteEngine):
        pytest.skip("dockerd begins the stream, and neither ends it nor says why")
    docker("run", "-d", "--name", "web", "--log-driver", "none", "busybox", "sleep", "60")
    for method, path in (("POST", "attach"), ("GET", "attach/ws")):
        answer = api(method, f"/containers/web/{path}?logs=1&stdout=1")
        assert (answer.status, answer.body["message"]) == (501, "configured logging driver does not support reading")


def test_hundreds_of_clients_at_once(docker: Cli, api: Api, daemon: Engine | RemoteEngine):
    script = "read x; for i in 1 2 3 4 5; do echo line $i; done; sleep 60"
    docker("run", "-di", "--name", "web", "busybox", "sh", "-c", script)
    before = descriptors(daemon)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(attach(api, "1.42", stream=1, stdout=1)[1]) for _ in range(300)]
        _, typist = attach(api, "1.42", stream=1, stdin=1)
        with typist:
            typist.sendall(b"go\n")
            for client in clients[::2]:  # every second one leaves without reading
                client.close()
            for client in clients[1::2]:
                seen = b""
                while b"line 5\n" not in seen:
                    seen += client.recv(1000)
    docker("kill", "web")
    eventually(lambda: descriptors(daemon) <= before)


def descriptors(daemon: Engine | RemoteEngine) -> int:
    """How many descriptors a daemon of ours has."""
    return len(os.listdir(f"/proc/{daemon.pid}/fd")) if isinstance(daemon, Engine) else 0
