"""`top` with the arguments of ps: the container's processes, whatever its namespaces and whatever ps is asked."""

import os

import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.engine import eventually
from tests.fixtures.http import Api

SCRIPT = "sleep 1000 & exec sleep 1001"


@pytest.fixture
def web(cli: Cli) -> Cli:
    """A container with two processes; in the host's pid namespace, where it is not alone."""
    cli("run", "-d", "--pid", "host", "--network", "none", "--name", "web", "busybox", "sh", "-c", SCRIPT)
    eventually(lambda: cli("top", "web", "-o", "pid,args").count("sleep") == 2)
    return cli


@pytest.mark.parametrize(
    ("arguments", "titles", "commands"),
    [
        ("", ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"], ["sleep 1001", "sleep 1000"]),
        ("-o pid,args", ["PID", "COMMAND"], ["sleep 1001", "sleep 1000"]),
        ("axf -o pid,cmd", ["PID", "CMD"], ["\\_ sleep 1001", "\\_ sleep 1000"]),
        ("-m -o pid,tid,comm", ["PID", "TID", "COMMAND"], ["sleep", "-", "sleep", "-"]),
        ("-p 1", ["PID", "TTY", "TIME", "CMD"], []),
    ],
)
def test_its_processes_and_no_others(
    web: Cli, api: Api, arguments: str, titles: list[str], commands: list[str]
) -> None:
    found = api.ok("GET", "/containers/web/top", **({"ps_args": arguments} if arguments else {}))
    assert found["Titles"] == titles
    assert [row[-1] for row in found["Processes"] or ()] == commands


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-o", "comm=PID"), 'specifying "comm=PID" is not allowed'),
        (("-eo", "comm"), "Couldn't find PID field in ps output"),
        (("--bad",), "ps: error: unknown gnu long option"),
    ],
)
def test_what_ps_or_we_cannot_do(web: Cli, arguments: tuple[str, ...], message: str) -> None:
    web.fails("top", "web", *arguments, code=1, message=message)


def test_one_that_does_not_run(cli: Cli) -> None:
    cli("create", "--name", "still", "busybox", "true")
    cli.fails("top", "still", code=1, message="container [0-9a-f]{64} is not running")


def test_threads_and_children_of_execs_are_there(docker: Cli) -> None:
    docker("run", "-d", "--network", "none", "--name", "one", "busybox", "sleep", "1000")
    docker("exec", "-d", "one", "sleep", "1002")
    eventually(lambda: "sleep 1002" in docker("top", "one"))
    pid = docker("inspect", "-f", "{{.State.Pid}}", "one")
    assert pid in docker("top", "one", "-o", "pid").split()
    assert str(os.getpid()) not in docker("top", "one", "-eo", "pid").split()
