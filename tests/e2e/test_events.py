"""`events`: what happens, in Docker's words and order, for whoever asks now or later."""

import contextlib
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, RemoteEngine
from tests.fixtures.http import Api, UnixConnection

Event = dict[str, Any]


class Since:
    """What happened since this was made; reading it begins anew."""

    def __init__(self, api: Api) -> None:
        self.api, self.began = api, time.time()

    def __call__(self, version: str = "", **filters: list[str]) -> list[Event]:
        query = {"since": f"{self.began:.9f}", "until": f"{time.time():.9f}"}
        answer = self.api.ok("GET", f"{version}/events", **query, filters=json.dumps(filters))
        self.began = float(query["until"])
        return [answer] if isinstance(answer, dict) else [json.loads(line) for line in answer.splitlines()]


@pytest.fixture
def since(api: Api) -> Since:
    return Since(api)


def said(events: list[Event], *types: str) -> list[str]:
    """Type and action of events; Docker's order of `die` and `stop` is a matter of chance, so `stop` is left out."""
    shown = [f"{event['Type']} {event['Action']}" for event in events if not types or event["Type"] in types]
    return [line for line in shown if line != "container stop"]


def test_life_of_a_container(docker: Cli, since: Since):
    docker("network", "create", "back")
    docker("volume", "create", "data")
    options = ("--name", "web", "--label", "a=b", "-v", "data:/data", "--network", "back")
    docker("run", "-d", *options, "busybox", "sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.1; done")
    ready = "container create|network connect|volume mount|container start".split("|")
    events = since()
    assert said(events) == ["network create", "volume create", *ready]
    container, mount = events[2]["Actor"], events[4]["Actor"]
    assert container["Attributes"] == {"a": "b", "image": "busybox", "name": "web"}
    where = {"container": container["ID"], "destination": "/data", "driver": "local"}
    assert mount == {"ID": "data", "Attributes": where | {"propagation": "", "read/write": "true"}}

    docker("top", "web")
    docker("pause", "web")
    docker("unpause", "web")
    docker("rename", "web", "other")
    docker("kill", "-s", "WINCH", "other")
    events = since()
    assert said(events) == [f"container {action}" for action in ("top", "pause", "unpause", "rename", "kill")]
    assert events[3]["Actor"]["Attributes"]["oldName"] == "/web"
    assert events[4]["Actor"]["Attributes"]["signal"] == "28"

    docker("restart", "other")
    end = "network disconnect|volume unmount|container die".split("|")
    begin = "network connect|volume mount|container start|container restart".split("|")
    assert said(since()) == ["container kill", *end, *begin]
    docker("stop", "other")
    events = since()
    assert said(events) == ["container kill", *end]
    died = next(event for event in events if event["Action"] == "die")["Actor"]["Attributes"]
    assert died["exitCode"] == "3"
    assert died["execDuration"].isdigit()

    docker("rm", "other")
    docker("volume", "rm", "data")
    docker("network", "rm", "back")
    assert said(since()) == ["container destroy", "volume destroy", "network destroy"]


def test_processes_and_streams(docker: Cli, api: Api, since: Since):
    docker("run", "--name", "web", "busybox", "true")
    assert "container attach" in said(since())
    docker("run", "-dt", "--name", "terminal", "busybox", "sleep", "60")
    since()
    docker("exec", "terminal", "echo", "a", "b")
    docker.result("exec", "terminal", "nosuch")
    events = since()
    first = ["exec_create: echo a b", "exec_start: echo a b", "exec_die"]
    assert [event["Action"] for event in events] == [*first, "exec_create: nosuch ", "exec_start: nosuch "]
    assert events[2]["Actor"]["Attributes"]["exitCode"] == "0"
    assert {event["Actor"]["Attributes"]["execID"] for event in events[:3]} == {
        events[0]["Actor"]["Attributes"]["execID"]
    }
    api.ok("POST", "/containers/terminal/resize", h="7", w="70")
    (event,) = since()
    assert event["Action"] == "resize"
    assert {key: event["Actor"]["Attributes"][key] for key in ("height", "width")} == {"height": "7", "width": "70"}


def test_a_size_for_what_has_no_terminal_is_no_mistake(docker: Cli, api: Api, since: Since):
    docker("run", "-d", "--name", "web", "busybox", "sleep", "60")
    one = api.ok("POST", "/containers/web/exec", {"Cmd": ["sleep", "60"], "AttachStdout": True})["Id"]
    api.ok("POST", f"/exec/{one}/start", {"Detach": True})
    api.ok("POST", f"/exec/{one}/resize", h="7", w="70")
    since()
    api.ok("POST", "/containers/web/resize", h="7", w="70")
    assert said(since()) == ["container resize"]


def test_images(docker: Cli, since: Since, tmp_path: Path):
    docker("tag", "busybox", "events:1")
    docker("save", "-o", str(tmp_path / "saved"), "events:1")
    docker("rmi", "events:1")
    docker("load", "-i", str(tmp_path / "saved"))
    docker("rmi", "events:1")
    (tmp_path / "root").mkdir()
    subprocess.run(["tar", "-C", tmp_path / "root", "-cf", tmp_path / "root.tar", "."], check=True)
    docker("import", str(tmp_path / "root.tar"), "events:2")
    docker("rmi", "events:2")
    actions = [event["Action"] for event in since(type=["image"])]
    assert actions == ["tag", "save", "untag", "load", "untag", "tag", "import", "untag", "delete"]


def test_prunes(docker: Cli, since: Since):
    for kind in ("container", "image", "volume", "network"):
        docker(kind, "prune", "-f", "--filter", "label=nobody.has.this")
    events = [event for event in since() if event["Action"] == "prune"]
    assert [event["Type"] for event in events] == ["container", "image", "volume", "network"]
    assert {event["Actor"]["Attributes"]["reclaimed"] for event in events} == {"0"}


def test_filters(docker: Cli, api: Api):
    began = f"{time.time():.6f}"
    docker("run", "-d", "--name", "first", "--label", "role=a", "busybox", "true")
    docker("wait", "first")
    docker("create", "--name", "second", "--label", "role=b", "busybox", "true")
    docker("network", "create", "back")

    def names(**filters: list[str]) -> set[str]:
        answer = api.ok("GET", "/events", since=began, until=f"{time.time():.6f}", filters=json.dumps(filters))
        events = [answer] if isinstance(answer, dict) else [json.loads(line) for line in answer.splitlines()]
        return {f"{event['Actor']['Attributes']['name']} {event['Action']}" for event in events}

    assert names(label=["role=b"]) == {"second create"}
    assert names(label=["role"], event=["create"]) == {"first create", "second create"}
    assert names(container=["fir"], event=["die"]) == {"first die"}
    assert names(type=["container"], container=["second"]) == {"second create"}
    assert names(image=["busybox"], event=["create"]) == {"first create", "second create"}
    assert names(network=["back"]) == {"back create"}
    assert names(scope=["swarm"]) == set()
    assert names(event=["start", "destroy"], type=["container"]) == {"first start"}


def test_fields_of_a_template(cli: Cli):
    since = f"{time.time():.6f}"
    cli("create", "--name", "web", "--label", "b=c", "busybox")
    cli("network", "create", "back")
    span = ("events", "--since", since, "--until", f"{time.time():.6f}", "--format")
    form = "{{.Type}}|{{.Action}}|{{.Status}}|{{.From}}|{{.Scope}}|{{eq .ID .Actor.ID}}|{{lt .Time .TimeNano}}"
    assert cli(*span, form).splitlines() == [
        "container|create|create|busybox|local|true|true",
        "network|create|||local|false|true",
    ]
    attributes = cli(*span, "{{json .Actor.Attributes}}").splitlines()[0]
    assert attributes == '{"b":"c","image":"busybox","name":"web"}'
    wrong = "can't evaluate field No in type \\*events.Message"
    cli.fails(
        *span, "{{.No}}", code=64, message=f'Error parsing format: template: :1:2: executing "" at <.No>: {wrong}'
    )


def test_old_fields_by_version(docker: Cli, since: Since, daemon: Engine | RemoteEngine):
    docker("create", "--name", "web", "busybox")
    began = since.began
    (old,) = since("/v1.45")
    assert (old["status"], old["id"], old["from"]) == ("create", old["Actor"]["ID"], "busybox")
    if isinstance(daemon, RemoteEngine):
        pytest.skip("this engine's versions end before these fields do")
    since.began = began
    (new,) = since("/v1.52")
    assert set(new) == {"Type", "Action", "Actor", "scope", "time", "timeNano"}


@pytest.mark.parametrize(
    ("version", "accept", "form", "start", "end"),
    [
        ("1.51", "application/json-seq", "application/json", b"{", b"}\n"),
        ("1.52", "application/json-seq", "application/json-seq", b"\x1e{", b"}\n"),
        ("1.52", "application/x-ndjson;q=0.9", "application/x-ndjson", b"{", b"}\n"),
        ("1.52", "application/jsonl", "application/json", b"{", b"}\n"),
        ("1.53", "text/html, application/jsonl", "application/jsonl", b"{", b"}\n"),
        ("1.53", "*/*", "application/json", b"{", b"}\n"),
    ],
)
def test_form_of_the_stream(
    daemon: Engine | RemoteEngine, docker: Cli, version: str, accept: str, form: str, start: bytes, end: bytes
):
    if isinstance(daemon, RemoteEngine):
        pytest.skip("this engine does not know these versions")
    began = time.time()
    docker("create", "busybox")
    docker("create", "busybox")
    with contextlib.closing(UnixConnection(daemon.socket)) as connection:
        path = f"/v{version}/events?since={began:.6f}&until={time.time():.6f}"
        connection.request("GET", path, headers={"Accept": accept})
        answer = connection.getresponse()
        data = answer.read()
    assert answer.headers["Content-Type"] == form
    assert data.startswith(start)
    assert data.endswith(end)
    records = [record for record in data.replace(b"\x1e", b"").splitlines() if record]
    assert [json.loads(record)["Action"] for record in records] == ["create", "create"]


def test_an_end_alone_gives_everything_up_to_it(docker: Cli, api: Api):
    made = docker("create", "busybox")
    answer = api.ok("GET", "/events", until=f"{time.time():.6f}", filters=json.dumps({"container": [made]}))
    assert answer["Action"] == "create"


def test_a_container_that_does_not_run_leaves_a_network(docker: Cli, since: Since):
    docker("network", "create", "back")
    docker("create", "--name", "web", "--network", "back", "busybox")
    since()
    docker("network", "disconnect", "back", "web")
    (event,) = since()
    assert (event["Type"], event["Action"], event["Actor"]["Attributes"]["name"]) == ("network", "disconnect", "back")
    docker("network", "connect", "back", "web")
    assert since() == []


def test_an_answer_in_pieces_says_whose_it_is_too(docker: Cli, daemon: Engine | RemoteEngine):
    docker("run", "--name", "web", "busybox", "echo", "hello")
    now = time.time()
    with contextlib.closing(UnixConnection(daemon.socket)) as connection:
        connection.request("GET", "/_ping")
        ping = connection.getresponse()
        ping.read()
        for method, path in (
            ("GET", f"/events?until={now:.6f}"),
            ("GET", "/containers/web/logs?stdout=1"),
            ("GET", "/containers/web/archive?path=/etc"),
            ("POST", "/containers/web/wait"),
            ("GET", "/images/get?names=busybox"),
        ):
            connection.request(method, path)
            answer = connection.getresponse()
            data = answer.read()
            for name in ("Api-Version", "Server", "Ostype", "Docker-Experimental"):
                assert answer.headers[name] == ping.headers[name], (path, name)
            if "events" in path:
                assert data.endswith(b"}\n")
                assert b'{"Type":"container","Action":' in data.replace(b'"from":"busybox",', b"")


def test_mistakes(api: Api):
    answer = api("GET", "/events", since="5", until="2")
    assert answer.status == 400
    assert answer.body["message"] == "`since` time (5) cannot be after `until` time (2)"
    ignored = api("GET", "/events", until="2", filters={"nosuch": ["x"]})
    assert ignored.status == 400 or ignored.headers["server"].startswith("Docker")
    assert api("GET", "/events", since="nonsense").status in (400, 500)
