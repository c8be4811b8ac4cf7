"""Ends and new beginnings: signals, useless waits, restarts by a user and by policy, the start of a daemon, waiters."""

import json
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.conftest import OTHER_HOST
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, eventually
from tests.fixtures.http import Api

OURS = pytest.mark.skipif(bool(OTHER_HOST), reason="we differ on purpose")


def state(cli: Cli, name: str = "web") -> str:
    return cli("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}", name)


def actions(cli: Cli, since: float, name: str = "web") -> list[str]:
    filters = ("--filter", "type=container", "--filter", f"container={name}")
    output = cli("events", "--since", str(since), "--until", str(time.time()), *filters, "--format", "{{.Action}}")
    return output.splitlines()


def up(cli: Cli, *words: str, name: str = "web", script: str = "exec sleep 60") -> None:
    """Start a container and wait until its script has set its traps."""
    cli("run", "-d", "--name", name, *words, "busybox", "sh", "-c", script.replace("READY", "touch /up"))
    if "READY" in script:
        cli("exec", name, "sh", "-c", "until [ -e /up ]; do :; done")


@OURS
@pytest.mark.parametrize("words", [(), ("--pid", "host")])
def test_nobody_waits_for_a_process_that_cannot_hear(docker: Cli, words: tuple[str, ...]):
    up(docker, *words)
    begun = time.monotonic()
    docker("stop", "web")
    assert time.monotonic() - begun < 5
    assert state(docker).split()[1] == ("143" if words else "137")


def test_who_blocks_a_signal_may_read_it(docker: Cli):
    up(docker, script="trap 'exit 3' TERM; READY; while :; do sleep 0.1; done")
    docker("stop", "-t", "20", "web")
    assert state(docker) == "exited 3 0"


def test_stop_timeout_of_the_container(docker: Cli):
    up(docker, "--stop-timeout", "1", script="trap : TERM; READY; while :; do sleep 0.1; done")
    begun = time.monotonic()
    docker("stop", "web")
    assert 0.9 < time.monotonic() - begun < 5


def test_a_stop_signal_wakes_a_paused_one(docker: Cli):
    up(docker, script="trap 'exit 3' TERM; READY; while :; do sleep 0.1; done")
    docker("pause", "web")
    docker("kill", "-s", "15", "web")
    assert docker("wait", "web") == "3"


def test_kill_returns_when_it_has_ended(docker: Cli):
    up(docker)
    docker("kill", "web")
    assert state(docker) == "exited 137 0"


@OURS
@OURS
def test_whoever_pauses_it_meanwhile_does_not_keep_it_from_ending(docker: Cli, api: Api):
    docker("create", "--name", "web", "busybox", "sh", "-c", "while :; do sleep 0.1; done")
    asked = ("pause", "pause", "stop?t=0", "pause", "unpause", "pause")
    with ThreadPoolExecutor(len(asked)) as pool:
        for _ in range(25):
            api.ok("POST", "/containers/web/start")
            answers = list(pool.map(lambda verb: api("POST", f"/containers/web/{verb}"), asked))
            assert answers[2].status == 204
            assert state(docker).startswith("exited 137")


def test_a_signal_that_is_no_stop_leaves_the_policy_alone(docker: Cli):
    script = "trap 'exit 4' HUP; READY; while :; do sleep 0.1; done"
    up(docker, "--restart", "on-failure", script=script)
    docker("kill", "-s", "HUP", "web")
    eventually(lambda: state(docker) == "running 0 1")


def test_events_of_a_restart(docker: Cli):
    up(docker, script="trap 'exit 0' TERM; READY; while :; do sleep 0.1; done")
    since = time.time()
    docker("restart", "web")
    found = [action for action in actions(docker, since) if not action.startswith("exec")]
    # dockerd tells of stop and die in either order.
    assert found[0] == "kill"
    assert sorted(found[1:3]) == ["die", "stop"]
    assert found[3:] == ["start", "restart"]
    assert state(docker) == "running 0 0"


def test_restart_of_a_stopped_and_of_a_removable_one(cli: Cli):
    up(cli, "--rm")
    cli("restart", "-t", "0", "web")
    assert state(cli) == "running 0 0"
    cli("stop", "-t", "0", "web")
    eventually(lambda: cli("ps", "-aq") == "")
    cli("create", "--name", "new", "busybox", "sleep", "60")
    cli("restart", "new")
    assert state(cli, "new") == "running 0 0"


def test_one_that_waits_for_its_next_try_can_be_killed(docker: Cli):
    docker("run", "-d", "--name", "web", "--restart", "always", "busybox", "sh", "-c", "exit 3")
    eventually(lambda: state(docker).startswith("restarting 3"))
    docker("kill", "web")
    eventually(lambda: state(docker).startswith("exited 3"))
    count = state(docker)
    time.sleep(0.5)
    assert state(docker) == count


@pytest.fixture
def engine(fresh_daemon: Callable[..., Engine]) -> Engine:
    return fresh_daemon()


@pytest.fixture
def tool(engine: Engine, tmp_path: Path) -> Cli:
    return Cli("docker", engine.host, tmp_path)


def test_policies_at_the_start_of_the_daemon(engine: Engine, tool: Cli):
    for policy in ("always", "unless-stopped", "on-failure", "no"):
        for name, stopped in ((f"{policy}-stopped", True), (f"{policy}-up", False)):
            up(tool, "--restart", policy, name=name)
            if stopped:
                tool("stop", "-t", "0", name)
    up(tool, "--restart", "always", name="base")
    up(tool, "--restart", "always", "--network", "container:base", name="user")
    pids = [int(pid) for pid in tool("inspect", "-f", "{{.State.Pid}}", *tool("ps", "-q").split()).split()]
    engine.kill()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)  # as a host that is switched off
    since = time.time()
    engine.start()
    running = {"always-stopped", "always-up", "unless-stopped-up", "on-failure-up", "base", "user"}
    eventually(lambda: set(tool("ps", "--format", "{{.Names}}", "--filter", "status=running").split()) == running)
    # Who needs another is started after it: the first try succeeded.
    assert state(tool, "user") == "running 0 1"
    assert actions(tool, since, "user") == ["die", "start"]
    assert "cannot join" not in engine.log.read_text()


def test_a_start_by_policy_that_fails_is_tried_again(engine: Engine, tool: Cli, tmp_path: Path):
    source = tmp_path / "source"
    source.mkdir()
    up(tool, "--restart", "always", "--mount", f"type=bind,src={source},dst=/data")
    source.rename(tmp_path / "away")
    os.kill(int(tool("inspect", "-f", "{{.State.Pid}}", "web")), signal.SIGKILL)
    eventually(lambda: int(state(tool).split()[2]) >= 2)
    (tmp_path / "away").rename(source)
    eventually(lambda: state(tool).startswith("running 0"))


def test_waiters_before_and_after_a_crash_of_the_daemon(engine: Engine, tool: Cli):
    up(tool, script="trap 'exit 5' TERM; READY; while :; do sleep 0.1; done")
    with tool.begin("wait", "web") as one, tool.begin("wait", "web") as two:
        time.sleep(0.3)
        engine.kill()
        assert (one.wait(), two.wait()) != (0, 0)
    engine.start()
    with tool.begin("wait", "web") as one, tool.begin("wait", "web") as two:
        time.sleep(0.3)
        tool("stop", "web")
        assert (one.wait(), two.wait()) == (0, 0)
        assert (one.output.strip(), two.output.strip()) == (b"5", b"5")
    assert tool("wait", "web") == "5"
    assert json.loads(tool("inspect", "-f", "{{json .State.Running}}", "web")) is False
