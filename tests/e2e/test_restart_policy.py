"""Restart policies: who is started again, how often, and who is not."""

import time

from tests.fixtures.cli import Cli
from tests.fixtures.engine import eventually


def count(cli: Cli, name: str) -> int:
    return int(cli("inspect", "-f", "{{.RestartCount}}", name))


def test_on_failure_gives_up_after_its_count(docker: Cli):
    docker("run", "-d", "--restart", "on-failure:2", "--name", "web", "busybox", "sh", "-c", "echo try; exit 3")
    eventually(lambda: docker("inspect", "-f", "{{.State.Status}} {{.RestartCount}}", "web") == "exited 2")
    assert docker("logs", "web").split() == ["try"] * 3
    assert docker("inspect", "-f", "{{.State.ExitCode}}", "web") == "3"


def test_on_failure_leaves_success_alone(docker: Cli):
    docker("run", "-d", "--restart", "on-failure", "--name", "web", "busybox", "true")
    docker("wait", "web")
    time.sleep(0.5)
    assert docker("inspect", "-f", "{{.State.Status}} {{.RestartCount}}", "web") == "exited 0"


def test_always_starts_again_until_stopped(cli: Cli):
    cli("run", "-d", "--restart", "always", "--name", "web", "busybox", "sh", "-c", "sleep 0.1")
    eventually(lambda: count(cli, "web") >= 2)
    cli("stop", "-t", "1", "web")
    stopped = count(cli, "web")
    time.sleep(1)
    assert count(cli, "web") == stopped
    assert cli("inspect", "-f", "{{.State.Running}}", "web") == "false"


def test_killed_by_hand_is_not_started_again(docker: Cli):
    docker("run", "-d", "--restart", "unless-stopped", "--name", "web", "busybox", "sleep", "60")
    docker("stop", "-t", "0", "web")
    time.sleep(0.5)
    assert docker("inspect", "-f", "{{.State.Status}} {{.RestartCount}}", "web") == "exited 0"


def test_removed_while_it_waits_for_its_next_try(docker: Cli):
    docker("run", "-d", "--restart", "always", "--name", "web", "busybox", "false")
    eventually(lambda: count(docker, "web") >= 2)
    docker("rm", "-f", "web")
    time.sleep(0.5)
    assert docker("ps", "-aq") == ""


def test_rm_and_restart_conflict(cli: Cli):
    message = "[Cc]onflicting options: .*--rm"
    cli.fails("run", "--rm", "--restart", "always", "busybox", "true", code=125, message=message)
