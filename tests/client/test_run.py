"""`run`, `start -a`, `attach` and `exec` against a recorder: the order of requests, streams, and exit codes."""

from pathlib import Path

import pytest
from tests.client.conftest import Send
from tests.client.recorder import ID, Answer, Answers, Recorder
from tests.fixtures.cli import Cli

from pydock_shared.framing import STDERR, STDOUT, frame

OUTPUT = Answer(raw=frame(STDOUT, b"to out\n") + frame(STDERR, b"to err\n"))
SERVED: Answers = {
    ("POST", f"/containers/{ID}/attach"): OUTPUT,
    ("POST", f"/containers/{ID}/wait"): Answer(body={"StatusCode": 3}),
    ("GET", "/containers/x/json"): Answer(
        body={
            "Id": ID,
            "State": {"Running": True},
            "Config": {"Tty": False, "OpenStdin": False},
            "HostConfig": {"AutoRemove": False},
        }
    ),
    ("POST", "/containers/x/attach"): OUTPUT,
    ("POST", "/containers/x/wait"): Answer(body={"StatusCode": 4}),
    ("POST", "/containers/x/exec"): Answer(201, {"Id": "e"}),
    ("POST", "/exec/e/start"): OUTPUT,
    ("GET", "/exec/e/json"): Answer(body={"ExitCode": 5, "Running": False}),
}
START = ("POST", f"/containers/{ID}/start")


def test_run_attaches_and_waits_before_it_starts(send: Send):
    result, requests = send("pydock", "run", "x", answers=SERVED)
    assert (result.returncode, result.stdout, result.stderr) == (3, "to out\n", "to err\n")
    paths = [request.path.replace(ID, "ID") for request in requests]
    assert paths[0] == "/containers/create"
    assert set(paths[1:3]) == {"/containers/ID/attach", "/containers/ID/wait"}
    assert paths[3:] == ["/containers/ID/start"]
    attach = next(request for request in requests if request.path.endswith("/attach"))
    assert attach.query == {"stream": "1", "stdout": "1", "stderr": "1"}
    assert (attach.headers["connection"], attach.headers["upgrade"]) == ("Upgrade", "tcp")


def test_run_needs_three_connections_and_no_ping(tmp_path: Path):
    with Recorder(tmp_path / "s", SERVED) as recorder:
        Cli("pydock", recorder.host, tmp_path).result("run", "x")
        assert recorder.connections == 3


@pytest.mark.parametrize(("options", "condition"), [([], "next-exit"), (["--rm"], "removed")])
def test_run_waits_for_the_end_it_is_to_see(send: Send, options: list[str], condition: str):
    _, requests = send("pydock", "run", *options, "x", answers=SERVED)
    wait = next(request for request in requests if request.path.endswith("/wait"))
    assert wait.query == {"condition": condition}


STARTS = [
    ('exec: "x": executable file not found in $PATH', 127),
    ("exec /x: no such file or directory", 127),
    ("exec /x: permission denied", 126),
    ('exec: "/etc": is a directory', 126),
    ("driver failed", 125),
]


@pytest.mark.parametrize(("message", "code"), STARTS)
def test_a_start_that_fails(send: Send, message: str, code: int):
    result, _ = send("pydock", "run", "x", answers={**SERVED, START: Answer(400, {"message": message})})
    assert result.returncode == code
    assert result.stderr.endswith(
        f"pydock: Error response from daemon: {message}\n\nRun 'pydock run --help' for more information\n"
    )


def test_run_detached(send: Send):
    result, requests = send("pydock", "run", "-d", "x", answers=SERVED)
    assert (result.returncode, result.stdout) == (0, f"{ID}\n")
    assert [request.path for request in requests] == ["/containers/create", f"/containers/{ID}/start"]


def test_run_pulls_what_is_missing(send: Send):
    missing = Answer(404, {"message": "No such image: x:latest"})
    pulled = Answer(body=b'{"status":"Pulling from library/x","id":"latest"}\n{"status":"Status: Downloaded"}\n')
    answers: Answers = {
        **SERVED,
        ("POST", "/containers/create"): [missing, Answer(201, {"Id": ID, "Warnings": ["beware"]})],
        ("POST", "/images/create"): pulled,
    }
    result, requests = send("pydock", "run", "x", answers=answers)
    assert result.returncode == 3
    assert result.stdout == "to out\n"
    lines = ["Unable to find image 'x:latest' locally", "latest: Pulling from library/x", "Status: Downloaded"]
    assert result.stderr == "\n".join([*lines, "WARNING: beware", "to err\n"])
    pull = next(request for request in requests if request.path == "/images/create")
    assert pull.query == {"fromImage": "docker.io/library/x", "tag": "latest"}


@pytest.mark.parametrize("message", ["No such container: y", "network y not found"])
def test_run_pulls_nothing_when_something_else_is_missing(send: Send, message: str):
    answers: Answers = {("POST", "/containers/create"): Answer(404, {"message": message})}
    result, requests = send("pydock", "run", "x", answers=answers)
    assert result.returncode == 125
    assert [request.path for request in requests] == ["/containers/create"]


def test_pull_never(send: Send):
    answers: Answers = {("POST", "/containers/create"): Answer(404, {"message": "No such image: x:latest"})}
    result, requests = send("pydock", "run", "--pull", "never", "x", answers=answers)
    assert result.returncode == 125
    assert len(requests) == 1


def test_the_id_file(send: Send, tmp_path: Path):
    path = tmp_path / "id"
    assert send("pydock", "run", "-d", "--cidfile", str(path), "x", answers=SERVED)[0].returncode == 0
    assert path.read_text() == ID
    result, requests = send("pydock", "run", "--cidfile", str(path), "x", answers=SERVED)
    assert result.returncode == 125
    assert "container ID file found" in result.stderr
    assert not requests


def test_start_attached(send: Send):
    answers: Answers = {**SERVED, START: Answer(204)}
    result, requests = send("pydock", "start", "-a", "x", answers=answers)
    assert (result.returncode, result.stdout, result.stderr) == (3, "to out\n", "to err\n")
    assert requests[-1].path == f"/containers/{ID}/start"


def test_attach(send: Send):
    result, _ = send("pydock", "attach", "x", answers=SERVED)
    assert (result.returncode, result.stdout, result.stderr) == (4, "to out\n", "to err\n")


def test_attach_to_what_does_not_run(send: Send):
    stopped = Answer(body={"Id": ID, "State": {"Running": False}, "Config": {"Tty": False}})
    result, _ = send("pydock", "attach", "x", answers={("GET", "/containers/x/json"): stopped})
    assert result.returncode == 1
    assert result.stderr == "You cannot attach to a stopped container, start it first\n"


def test_exec(send: Send):
    result, requests = send("pydock", "exec", "-e", "A=1", "-w", "/w", "-u", "me", "x", "ls", "-l", answers=SERVED)
    assert (result.returncode, result.stdout, result.stderr) == (5, "to out\n", "to err\n")
    assert [request.path for request in requests] == ["/containers/x/exec", "/exec/e/start", "/exec/e/json"]
    assert requests[0].body == {
        "AttachStdin": False,
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": False,
        "Cmd": ["ls", "-l"],
        "User": "me",
        "WorkingDir": "/w",
        "Env": ["A=1"],
    }


def test_exec_detached(send: Send):
    answers: Answers = {**SERVED, ("POST", "/exec/e/start"): Answer(200)}
    result, requests = send("pydock", "exec", "-d", "x", "ls", answers=answers)
    assert (result.returncode, result.stdout) == (0, "")
    assert requests[-1].body == {"Detach": True, "Tty": False}


def test_logs_keep_the_streams_apart(send: Send):
    logs = Answer(body=frame(STDOUT, b"one\n") + frame(STDERR, b"two\n"))
    result, requests = send(
        "pydock", "logs", "-t", "--tail", "5", "--since", "1", "x", answers={("GET", "/containers/x/logs"): logs}
    )
    assert (result.stdout, result.stderr) == ("one\n", "two\n")
    assert requests[0].query == {
        "stdout": "1",
        "stderr": "1",
        "timestamps": "1",
        "tail": "5",
        "since": "1.000000000",
    }
