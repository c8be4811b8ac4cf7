"""The words and exit codes of the command line: docker's own, which is asked on the spot."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.client.conftest import Send, needs_docker
from tests.client.recorder import ID, Answer, Answers, Recorder
from tests.fixtures.cli import Cli

from pydock_client import catalog

USAGE = """
bogus
container bogus
container --bogus
help bogus
run
run --bogus x
run -h
ps --bogus
ps -Z
ps extra
ps --all=maybe
ps -n abc
ps --filter abc
ps --format
rm
tag a
port a b c
port
commit
cp a
exec
exec x
inspect
logs
logs a b
network create
network connect a
login a b
pull a b
import
save
container rm
--bogus ps
ps ---x
ps --=x
""".strip().splitlines()


@pytest.mark.parametrize("line", USAGE)
def test_a_wrong_command_line(send: Send, line: str):
    needs_docker(28)
    theirs, _ = send("docker", *line.split())
    ours, requests = send("pydock", *line.split())
    assert not requests
    assert ours.returncode == theirs.returncode
    assert ours.stderr == theirs.stderr.replace("docker", "pydock").replace("SRun", "Run")
    assert ours.stdout == theirs.stdout.replace("docker", "pydock")


def refusing(*paths: str, status: int = 500, message: str = "boom") -> Answers:
    """Answers that refuse requests given as `METHOD /path`."""
    refusal = Answer(status, {"message": message})
    return {(path.split()[0], path.split()[1]): refusal for path in paths}


FOUND = Answer(body={"Id": ID, "Name": "/x", "State": {"Running": True, "Status": "running"}, "Config": {"Tty": False}})
KNOWN: Answers = {("GET", "/containers/x/json"): FOUND}
REFUSALS: list[tuple[str, Answers]] = [
    ("create x", refusing("POST /containers/create")),
    ("run x", refusing("POST /containers/create")),
    ("run x", refusing("POST /containers/create", status=409, message="Conflict. In use")),
    ("run BUSYBOX", {}),
    ("create BUSYBOX", {}),
    ("rm x y", refusing("DELETE /containers/x", "DELETE /containers/y")),
    ("rm -f x", refusing("DELETE /containers/x", status=404, message="No such container: x")),
    ("start x y", refusing("POST /containers/x/start", "POST /containers/y/start")),
    ("stop x", refusing("POST /containers/x/stop")),
    ("kill x", refusing("POST /containers/x/kill")),
    ("restart x", refusing("POST /containers/x/restart")),
    ("pause x", refusing("POST /containers/x/pause")),
    ("wait x", refusing("POST /containers/x/wait")),
    ("rename x y", refusing("POST /containers/x/rename")),
    ("rename x y", {("POST", "/containers/x/rename"): Answer(204)}),
    ("update x", {}),
    ("update -m 5m x", refusing("POST /containers/x/update")),
    (
        "logs x",
        refusing("GET /containers/x/json", "GET /containers/x/logs", status=404, message="No such container: x"),
    ),
    ("attach x", refusing("GET /containers/x/json", status=404, message="No such container: x")),
    ("exec x ls", refusing("GET /containers/x/json", "POST /containers/x/exec", status=404, message="No such x")),
    ("exec -it x ls", KNOWN),
    ("run -it x", {}),
    ("inspect x", {}),
    ("container inspect x", refusing("GET /containers/x/json", status=404, message="No such container: x")),
    ("image inspect x", refusing("GET /images/x/json", status=404, message="No such image: x:latest")),
    ("ps", refusing("GET /containers/json")),
    ("images", refusing("GET /images/json")),
    ("rmi x y", refusing("DELETE /images/x", "DELETE /images/y")),
    ("rmi -f x", refusing("DELETE /images/x", status=404, message="No such image: x:latest")),
    ("port x", refusing("GET /containers/x/json")),
    ("top x", refusing("GET /containers/x/top")),
    ("diff x", refusing("GET /containers/x/changes")),
    ("tag a B", {}),
    ("tag a b", refusing("POST /images/a/tag")),
    ("history x", refusing("GET /images/x/history")),
    ("pull x", refusing("POST /images/create")),
    ("pull X", {}),
    ("pull -a x:1", {}),
    ("push x", refusing("POST /images/docker.io/library/x/push")),
    ("save x", refusing("GET /images/get")),
    ("save -o /nonexistent/x x", refusing("GET /images/get")),
    ("load -i /nonexistent", {}),
    ("import /nonexistent", {}),
    ("network rm x", refusing("DELETE /networks/x")),
    ("network rm -f x", refusing("DELETE /networks/x", status=404, message="network x not found")),
    ("network create --gateway 1.2.3.4 x", {}),
    ("network create --subnet 10.0.0.0/24 --gateway 1.2.3.4 x", {}),
    ("network create --subnet 10.0.0.0/24 --subnet 10.0.0.128/25 x", {}),
    ("network connect a b", refusing("POST /networks/a/connect")),
    ("network ls -f x", {}),
    ("volume rm x", refusing("DELETE /volumes/x")),
    ("volume create --name a b", {}),
    ("start -a a b", {}),
    ("commit x", refusing("POST /commit")),
    ("stats --no-stream x", refusing("GET /containers/x/stats", status=404, message="No such container: x")),
]


@pytest.mark.parametrize(("line", "answers"), REFUSALS, ids=[line for line, _ in REFUSALS])
def test_what_the_daemon_refuses(send: Send, line: str, answers: Answers):
    needs_docker(28)
    theirs, _ = send("docker", *line.split(), answers=answers)
    ours, _ = send("pydock", *line.split(), answers=answers)
    assert sorted(ours.stderr.splitlines()) == sorted(
        re.sub("(?<!/)docker(?![.])", "pydock", theirs.stderr).splitlines()
    )
    assert ours.stdout == theirs.stdout
    assert ours.returncode == theirs.returncode


ABSENT = [("ps", 1), ("run x", 125), ("create x", 1), ("exec x ls", 1), ("version", 1), ("pull x", 1), ("rm x", 1)]


@pytest.mark.parametrize(("line", "code"), ABSENT)
def test_no_daemon(tmp_path: Path, line: str, code: int):
    result = Cli("pydock", f"unix://{tmp_path}/none", tmp_path).result(*line.split())
    assert result.returncode == code
    assert f"Cannot connect to the pydock daemon at unix://{tmp_path}/none. Is pydockd running?" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-H", "foo://x", "ps"], "invalid bind address format: foo://x"),
        (["-H", "ssh://x", "ps"], "ssh:// hosts are not supported"),
        (["-H", "unix:///a", "-H", "unix:///b", "ps"], "Specify only one -H"),
        (["-c", "other", "ps"], 'unable to resolve docker endpoint: context "other": context not found'),
        (["-l", "foo", "ps"], "unable to parse logging level: foo"),
        (["--tlsverify", "-H", "tcp://127.0.0.1:1", "ps"], "Cannot connect to the pydock daemon at tcp://127.0.0.1:1"),
    ],
)
def test_a_daemon_that_cannot_be_meant(words: list[str], message: str):
    result = run(*words)
    assert result.returncode in (1, 125)
    assert message in result.stderr


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Call the program as it is, with an environment of its own."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DOCKER_", "PYDOCK_"))}
    command = [sys.executable, "-m", "pydock_client.main", *words]
    return subprocess.run(command, capture_output=True, text=True, env=kept | environment, check=False, timeout=30)


@pytest.mark.parametrize("name", ["PYDOCK_HOST", "DOCKER_HOST"])
def test_the_host_of_the_environment(recorder: Recorder, name: str):
    recorder.answers["GET", "/containers/json"] = Answer(body=[])
    assert run("ps", **{name: recorder.host}).returncode == 0
    assert [request.path for request in recorder.requests] == ["/containers/json"]


def test_pydocks_own_host_wins(recorder: Recorder):
    recorder.answers["GET", "/containers/json"] = Answer(body=[])
    assert run("ps", PYDOCK_HOST=recorder.host, DOCKER_HOST="unix:///nonexistent").returncode == 0


def test_version():
    result = run("--version")
    assert re.fullmatch(r"pydock version \d+\.\d+\.\d+\n", result.stdout)


HEAVY = {
    "typer",
    "rich",
    "pydantic",
    "aiohttp",
    "requests",
    "http.client",
    "asyncio",
    "email",
    "inspect",
    "dataclasses",
}


@pytest.mark.parametrize("line", ["ps", "run --rm x true", "exec x ls", "start x", "rm x", "images", "logs x"])
def test_a_call_imports_nothing_heavy_and_no_other_command(tmp_path: Path, line: str):
    answers: Answers = {
        ("GET", "/containers/json"): Answer(body=[]),
        ("GET", "/images/json"): Answer(body=[]),
        ("POST", f"/containers/{ID}/attach"): Answer(raw=b""),
        ("POST", f"/containers/{ID}/wait"): Answer(body={"StatusCode": 0}),
    }
    script = "import sys, pydock_client.main as m; m.run(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    with Recorder(tmp_path / "socket", answers) as recorder:
        words = [sys.executable, "-c", script, "-H", recorder.host, *line.split()]
        result = subprocess.run(words, capture_output=True, text=True, check=True, timeout=30)
    modules = set(result.stderr.splitlines()[-1].split())
    assert not modules & HEAVY
    commands = {name for name in modules if name.startswith("pydock_client.commands.")}
    own = catalog.BY_NAME[line.split()[0]].where.partition(":")[0]
    assert commands <= {f"pydock_client.commands.{name}" for name in (own, "ps" if own == "images" else own)}


def test_output_into_a_closed_pipe_is_no_crash(recorder: Recorder, pydock: Cli):
    recorder.answers["GET", "/containers/json"] = Answer(body=[{"Id": f"{number:064x}"} for number in range(5000)])
    with subprocess.Popen(
        [*pydock.program, "ps", "-q", "--no-trunc"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
        assert process.wait(10) != 0
