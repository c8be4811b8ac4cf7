"""Health checks: states, log, events, filters, what rests and what goes on, the daemon's own probes, actions."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import docker as docker_py
import pytest
from tests.conftest import OTHER_HOST
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, eventually
from tests.fixtures.http import Api

FAST = ("--health-interval", "100ms", "--health-timeout", "5s", "--health-retries", "2")
OURS = pytest.mark.skipif(bool(OTHER_HOST), reason="an extension of ours")


def health(cli: Cli, name: str = "web") -> dict:
    return json.loads(cli("inspect", "-f", "{{json .State.Health}}", name))


def becomes(cli: Cli, status: str, name: str = "web") -> None:
    eventually(lambda: health(cli, name)["Status"] == status, every=0.1)


def test_from_starting_to_unhealthy_to_healthy(cli: Cli):
    since = str(time.time())
    check = ("--health-cmd", "test -e /ok || { echo bad; exit 3; }")
    cli("run", "-d", "--name", "web", *check, *FAST, "busybox", "sleep", "60")
    assert "(health: starting)" in cli("ps", "--format", "{{.Status}}")
    becomes(cli, "unhealthy")
    assert cli("ps", "--format", "{{.Status}}").endswith("(unhealthy)")
    last = health(cli)["Log"][-1]
    assert (last["ExitCode"], last["Output"]) == (3, "bad\n")
    assert health(cli)["FailingStreak"] >= 2
    assert cli("ps", "-q", "--filter", "health=healthy") == ""
    cli("exec", "web", "touch", "/ok")
    becomes(cli, "healthy")
    assert cli("ps", "--format", "{{.Names}}", "--filter", "health=healthy") == "web"
    eventually(lambda: {entry["ExitCode"] for entry in health(cli)["Log"]} == {0}, every=0.1)
    assert len(health(cli)["Log"]) == 5
    events = cli(
        "events", "--since", since, "--until", str(time.time()), "--filter", "container=web", "--format", "{{.Action}}"
    ).splitlines()
    assert [event for event in events if event.startswith("health")] == [
        "health_status: unhealthy",
        "health_status: healthy",
    ]
    first = events.index("start") + 1
    command = "/bin/sh -c test -e /ok || { echo bad; exit 3; }"
    assert events[first : first + 3] == [f"exec_create: {command}", f"exec_start: {command}", "exec_die"]


def test_a_slow_probe_is_killed_with_what_it_started(docker: Cli):
    docker("run", "-d", "--name", "web", "--health-cmd", "echo begun; sleep 55; true", "--health-timeout", "300ms",
           "--health-interval", "100ms", "--health-retries", "1", "busybox", "sleep", "60")  # fmt: skip
    becomes(docker, "unhealthy")
    last = health(docker)["Log"][0]
    assert (last["ExitCode"], last["Output"]) == (-1, "Health check exceeded timeout (300ms): begun\n")
    if not OTHER_HOST:  # dockerd kills the shell alone
        running = [line.split(None, 2)[2] for line in docker("exec", "web", "ps").splitlines()]
        assert running.count("sleep 55") <= 1


def test_output_is_cut(docker: Cli):
    docker("run", "-d", "--name", "web", "--health-cmd", "yes | head -c 5000", *FAST, "busybox", "sleep", "60")
    becomes(docker, "healthy")
    output = health(docker)["Log"][0]["Output"]
    assert output == ("y\n" * 2048) + "..."


def test_within_the_start_period_failures_do_not_count(docker: Cli):
    docker("run", "-d", "--name", "web", "--health-cmd", "false", "--health-interval", "30s", "--health-retries", "1",
           "--health-start-period", "1500ms", "--health-start-interval", "100ms", "busybox", "sleep", "60")  # fmt: skip
    eventually(lambda: len(health(docker)["Log"]) >= 3)
    found = health(docker)
    assert (found["Status"], found["FailingStreak"]) == ("starting", 0)


def test_it_rests_while_paused_and_begins_anew_with_a_start(docker: Cli):
    docker("run", "-d", "--name", "web", "--health-cmd", "true", *FAST, "busybox", "sleep", "60")
    becomes(docker, "healthy")
    docker("pause", "web")
    assert health(docker)["Status"] == "unhealthy"
    assert docker("ps", "--format", "{{.Status}}").endswith("(Paused)")
    before = health(docker)["Log"]
    time.sleep(0.4)
    assert health(docker)["Log"] == before
    docker("unpause", "web")
    becomes(docker, "healthy")
    docker("kill", "web")
    assert health(docker)["Status"] == "unhealthy"
    assert docker("ps", "-a", "--format", "{{.Names}}", "--filter", "health=unhealthy") == "web"
    docker("start", "web")
    assert OTHER_HOST or health(docker)["Status"] == "starting"  # dockerd may still say what the end has left
    becomes(docker, "healthy")


def test_none_and_no_check(cli: Cli):
    cli("run", "-d", "--name", "web", "--no-healthcheck", "busybox", "sleep", "60")
    assert cli("inspect", "-f", "{{json .Config.Healthcheck.Test}} {{json .State.Health}}", "web") == '["NONE"] null'
    assert cli("ps", "--format", "{{.Names}}", "--filter", "health=none") == "web"
    cli.fails("ps", "--filter", "health=foo", code=1, message="unrecognized filter value for health: foo")
    message = "Interval in Healthcheck cannot be less than 1ms"
    cli.fails("create", "--health-cmd", "x", "--health-interval", "1us", "busybox", code=1, message=message)


def test_the_check_of_an_image(docker: Cli):
    docker("create", "--name", "base", "busybox")
    docker("commit", "--change", "HEALTHCHECK --interval=100ms --retries=2 CMD false", "base", "checked")
    try:
        docker("run", "-d", "--name", "web", "checked", "sleep", "60")
        docker("run", "-d", "--name", "other", "--health-cmd", "true", "checked", "sleep", "60")
        becomes(docker, "unhealthy")
        becomes(docker, "healthy", "other")
        merged = json.loads(docker("inspect", "-f", "{{json .Config.Healthcheck}}", "other"))
        assert merged == {"Test": ["CMD-SHELL", "true"], "Interval": 100_000_000, "Retries": 2}
    finally:
        docker("rm", "-f", "web", "other")
        docker("rmi", "checked")


def test_docker_py_reads_it(client: docker_py.DockerClient):
    check = {"test": ["CMD", "test", "-d", "/"], "interval": 100_000_000}
    container = client.containers.run("busybox", "sleep 60", detach=True, healthcheck=check)
    assert container.attrs["Config"]["Healthcheck"]["Interval"] == 100_000_000
    eventually(lambda: container.reload() or container.health == "healthy")


@pytest.mark.skipif(bool(OTHER_HOST), reason="another engine's versions may end before these do")
def test_the_summary_has_it_since_1_52(api: Api):
    body = {"Image": "busybox", "Cmd": ["sleep", "60"], "Healthcheck": {"Test": ["CMD", "true"]}}
    identifier = api.ok("POST", "/containers/create", body)["Id"]
    api.ok("POST", f"/containers/{identifier}/start")
    [found] = api.ok("GET", "/v1.52/containers/json")
    assert found["Health"] == {"Status": "starting", "FailingStreak": 0}
    [older] = api.ok("GET", "/v1.51/containers/json")
    assert "Health" not in older


@OURS
@pytest.mark.parametrize("network", ["bridge", "none", "host"])
def test_the_daemon_asks_by_itself(docker: Cli, network: str):
    port = "18941"
    serve = f"mkdir /www; echo fine >/www/index.html; exec httpd -f -p 127.0.0.1:{port} -h /www"
    for name, url in (("page", f"http://localhost:{port}/"), ("port", f"tcp://127.0.0.1:{port}")):
        docker("run", "-d", "--name", name, "--network", network, "--health-cmd", url, *FAST, "busybox", "sh", "-c",
               serve)  # fmt: skip
        becomes(docker, "healthy", name)
        output = health(docker, name)["Log"][-1]["Output"]
        assert output == ("HTTP 200 OK\nfine\n" if name == "page" else "")
        docker("rm", "-f", name)


@OURS
def test_the_daemon_says_why_a_page_is_not_well(docker: Cli):
    url = "http://localhost:80/nosuch"
    docker("run", "-d", "--name", "web", "--health-cmd", url, *FAST, "busybox", "sh", "-c", "sleep 1; exec httpd -f")
    becomes(docker, "unhealthy")
    assert "Connect call failed" in health(docker)["Log"][0]["Output"]
    eventually(lambda: "HTTP 404 Not Found" in health(docker)["Log"][-1]["Output"])


@OURS
@pytest.mark.parametrize(
    ("action", "policy", "then"),
    [
        ("restart", "no", "running"),
        ("kill", "always", "running"),
        ("stop", "always", "exited"),
        ("kill", "no", "exited"),
    ],
)
def test_an_action_when_unhealthy(docker: Cli, action: str, policy: str, then: str):
    script = "[ -e /ok ] || { touch /ok /sick; exec sleep 60; }; rm -f /sick; exec sleep 60"
    label = f"io.pydock.health.action={action}"
    check = ("--health-cmd", "test ! -e /sick", *FAST, "--label", label)
    docker("run", "-d", "--name", "web", "--restart", policy, *check, "busybox", "sh", "-c", script)
    if then == "running":
        becomes(docker, "healthy")
    eventually(lambda: docker("inspect", "-f", "{{.State.Status}}", "web") == then)


@OURS
@pytest.mark.parametrize("action", ["restart", "kill"])
def test_a_stop_by_a_user_is_no_reason_for_an_action(docker: Cli, action: str):
    script = "trap 'touch /sick; sleep 0.6; exit 0' TERM; while :; do sleep 0.05; done"
    check = ("--health-cmd", "test ! -e /sick", *FAST, "--label", f"io.pydock.health.action={action}")
    docker("run", "-d", "--name", "web", *check, "busybox", "sh", "-c", script)
    becomes(docker, "healthy")
    docker("stop", "web")
    time.sleep(0.3)  # for what must not happen
    assert docker("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "web") == "exited 0"


@OURS
def test_a_probe_that_dies_with_the_container_tells_nothing(docker: Cli):
    check = (
        "--health-cmd",
        "sleep 60",
        "--health-interval",
        "50ms",
        "--health-timeout",
        "99s",
        "--health-retries",
        "1",
    )
    docker("run", "-d", "--name", "web", *check, "--label", "io.pydock.health.action=restart", "busybox", "sleep", "99")
    eventually(lambda: "sleep 60" in docker("top", "web"))
    since = str(time.time())
    docker("kill", "web")
    time.sleep(0.3)  # for what must not happen
    assert docker("inspect", "-f", "{{.State.Status}} {{len .State.Health.Log}}", "web") == "exited 0"
    shown = docker("events", "--since", since, "--until", str(time.time()), "--format", "{{.Action}}")
    assert "health_status" not in shown


def test_a_daemon_that_starts_goes_on_with_what_it_knew(fresh_daemon: Callable[..., Engine], tmp_path: Path):
    engine = fresh_daemon()
    docker = Cli("docker", engine.host, tmp_path)
    docker("run", "-d", "--name", "web", "--health-cmd", "true", *FAST, "busybox", "sleep", "60")
    becomes(docker, "healthy")
    engine.kill()
    engine.start()
    found = health(docker)
    assert found["Status"] == "healthy"
    assert found["Log"]
    eventually(lambda: health(docker)["Log"][-1]["Start"] > found["Log"][-1]["Start"])
    last = health(docker)["Log"][-1]["Start"]  # successes that repeat are written at the end
    engine.stop()
    engine.start()
    assert last in [entry["Start"] for entry in health(docker)["Log"]]
