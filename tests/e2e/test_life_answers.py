"""What operations on containers answer, word by word as a dockerd 26 does: lists, updates, waits, names, removals.

Where that answers 500 to a request that is wrong, we answer 400 or 409.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.http import Api


@pytest.fixture
def web(docker: Cli) -> Iterator[str]:
    """A container that runs."""
    docker("run", "-d", "--name", "web", "--expose", "8080", "--tmpfs", "/t", "busybox", "sleep", "600")
    yield "web"
    docker("rm", "-f", "web")


def listed(api: Api, filters: dict[str, list[str]], **query: str) -> list[str]:
    found = api.ok("GET", "/containers/json", filters=json.dumps(filters), **query)
    return [entry["Names"][0] for entry in found]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"expose": ["8080"]}, True),
        ({"expose": ["8000-8090/tcp"]}, True),
        ({"expose": ["8080/udp"]}, False),
        ({"publish": ["8080"]}, False),
        ({"volume": ["/t"]}, False),
        ({"is-task": ["false"]}, True),
        ({"is-task": ["1"]}, False),
    ],
)
def test_filters(api: Api, web: str, filters: dict[str, list[str]], found: bool) -> None:
    assert (f"/{web}" in listed(api, filters)) is found


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"publish": ["x"]}, "error while looking up for publish x: "),
        ({"expose": ["a/b/c"]}, "error while looking up for expose a/b/c: "),
        ({"is-task": ["x"]}, "invalid filter 'is-task=[x]'"),
    ],
)
def test_filters_that_make_no_sense(api: Api, web: str, filters: dict[str, list[str]], message: str) -> None:
    answer = api("GET", "/containers/json", filters=json.dumps(filters))
    assert answer.status in (400, 500), answer
    assert message in answer.body["message"]


def test_an_exit_code_alone_does_not_show_what_has_ended(docker: Cli, api: Api) -> None:
    docker.fails("run", "--name", "ended", "busybox", "sh", "-c", "exit 3", code=3)
    assert "/ended" not in listed(api, {"exited": ["3"]})
    assert "/ended" in listed(api, {"exited": ["3"]}, all="1")
    docker("rm", "ended")


def test_a_limit_of_processes_is_taken_away(docker: Cli, api: Api, web: str) -> None:
    for asked, shown in ((50, 50), (0, 0), (50, 50), (-1, 0)):
        api.ok("POST", f"/containers/{web}/update", {"PidsLimit": asked})
        assert api.ok("GET", f"/containers/{web}/json")["HostConfig"]["PidsLimit"] == shown
        inside = docker("exec", web, "sh", "-c", "cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max 2>&-; true")
        assert inside == ("50" if shown else "max")


@pytest.mark.parametrize(
    ("asked", "status", "message"),
    [
        ({"Memory": 1}, 400, "Minimum memory limit allowed is 6MB"),
        ({"CpusetCpus": "7777"}, 400, "Requested CPUs are not available"),
        ({"RestartPolicy": {"Name": "always", "MaximumRetryCount": 3}}, 400, "can only be used with 'on-failure'"),
        ({"RestartPolicy": {"Name": "always"}}, 409, "Restart policy cannot be updated because AutoRemove is enabled"),
    ],
)
def test_updates_that_cannot_be(docker: Cli, api: Api, asked: dict[str, Any], status: int, message: str) -> None:
    docker("run", "-d", "--rm", "--name", "brief", "--memory", "64m", "busybox", "sleep", "600")
    answer = api("POST", "/containers/brief/update", asked)
    assert (answer.status, message in answer.body["message"]) == (status, True), answer
    docker("rm", "-f", "brief")


def test_a_wait_says_why_there_was_no_start(docker: Cli, api: Api) -> None:
    docker("create", "--name", "broken", "busybox", "nosuch")
    assert api("POST", "/containers/broken/start").status == 400
    answer = api.ok("POST", "/containers/broken/wait")
    assert answer["StatusCode"] == 127
    assert 'exec: "nosuch": executable file not found in $PATH' in answer["Error"]["Message"]
    docker("rm", "broken")
    assert api("POST", "/containers/nosuch/wait", condition="x").body["message"] == 'invalid condition: "x"'


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("unpause", "Container {id} is not paused"),
        ("kill?signal=BAD", "cannot kill container: web: invalid signal: BAD"),
        ("stop?signal=BAD", "cannot stop container: web: invalid signal: BAD"),
        ("rename?name=bad%20name", "Error when allocating new name: Invalid container name (/bad name), only "),
        (
            "rename?name=other",
            'Error when allocating new name: Conflict. The container name "/other" is already in use',
        ),
    ],
)
def test_what_is_said(docker: Cli, api: Api, web: str, path: str, message: str) -> None:
    other = docker("create", "--name", "other", "busybox", "true")
    id_ = api.ok("GET", f"/containers/{web}/json")["Id"]
    verb, _, query = path.partition("?")
    name, _, value = query.partition("=")
    answer = api("POST", f"/containers/{web}/{verb}", **({name: value.replace("%20", " ")} if name else {}))
    assert answer.status in (400, 409, 500), answer
    assert message.format(id=id_) in answer.body["message"]
    docker("rm", other)


def test_what_is_said_of_a_removal(docker: Cli, api: Api, web: str) -> None:
    what = f'cannot remove container "/{web}": container is'
    hint = "stop the container before removing or force remove"
    assert api("DELETE", f"/containers/{web}").body["message"] == f"{what} running: {hint}"
    docker("pause", web)
    assert api("DELETE", f"/containers/{web}").body["message"] == f"{what} paused and must be unpaused first"
    docker("unpause", web)


def test_a_start_that_fails_is_told_once(docker: Cli) -> None:
    assert "Error waiting" not in docker.fails("run", "--rm", "busybox", "nosuch", code=127)


def test_files_are_copied_to_where_a_program_will_begin(docker: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here")
    docker("create", "--name", "made", "-w", "/made/below", "busybox", "cat", "file")
    docker("cp", str(tmp_path / "file"), "made:/made/below/")
    assert docker("start", "-a", "made") == "here"
    docker("rm", "made")


def test_a_start_takes_no_settings(docker: Cli, api: Api, web: str) -> None:
    answer = api("POST", f"/containers/{web}/start", {"Binds": ["/a:/b"]})
    assert answer.status == 400
    assert "starting container with non-empty request body was deprecated" in answer.body["message"]
    assert api("POST", f"/containers/{web}/start", {}).status == 304


def test_a_program_finds_out_that_it_is_in_a_container(docker: Cli, web: str) -> None:
    assert docker("exec", web, "stat", "-c", "%F %a", "/.dockerenv") == "regular empty file 755"
    assert docker("diff", web) == "A /t"
    docker("commit", web, "marked")
    assert docker("run", "--rm", "marked", "ls", "/.dockerenv") == "/.dockerenv"
    assert docker("history", "-q", "marked").split()[0]
    docker("rmi", "marked")
