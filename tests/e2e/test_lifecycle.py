"""The life of a container by its verbs: create, start, attach, wait, stop, kill, rm, ps, inspect."""

import json
import time

import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.engine import eventually
from tests.fixtures.http import Api

LOOP = "trap 'exit 0' TERM; while :; do sleep 0.1; done"


def test_create_then_start(cli: Cli):
    identifier = cli("create", "--name", "web", "busybox", "echo", "hello")
    assert cli("inspect", "-f", "{{.State.Status}} {{.State.Pid}}", "web") == "created 0"
    assert cli("start", "web") == "web"
    assert cli("wait", identifier) == "0"
    assert cli("logs", "web") == "hello"
    assert cli("start", "-a", "web") == "hello"
    assert cli("logs", "web") == "hello\nhello"


def test_start_attached_with_input_gives_the_exit_code(cli: Cli):
    cli("create", "-i", "--name", "reader", "busybox", "sh", "-c", "cat; exit 4")
    result = cli.result("start", "-ai", "reader", stdin="typed\n")
    assert (result.returncode, result.stdout) == (4, "typed\n")


def test_attach_to_a_running_one(cli: Cli):
    cli("run", "-di", "--name", "shell", "busybox", "sh")
    with cli.begin("attach", "shell") as attached:
        attached.stdin.write(b"echo $((6*7)); exit 6\n")
        attached.stdin.flush()
        attached.until(b"42\n")
        assert attached.wait() == 6
    cli.fails("attach", "shell", code=1, message="[Yy]ou cannot attach to a stopped container, start it first")


def test_two_attached_to_one_both_see_it(cli: Cli):
    cli("run", "-di", "--name", "shell", "busybox", "sh")
    with cli.begin("attach", "--no-stdin", "shell") as one, cli.begin("attach", "shell") as two:
        eventually(lambda: one.process.poll() is None)
        time.sleep(0.5)
        two.stdin.write(b"echo $((6*7)); sleep 0.2; exit\n")
        two.stdin.flush()
        one.until(b"42\n")
        two.until(b"42\n")
        assert (one.wait(), two.wait()) == (0, 0)


def test_wait_gives_each_exit_code(cli: Cli):
    for code in (0, 3):
        cli("run", "-d", "--name", f"c{code}", "busybox", "sh", "-c", f"sleep 0.2; exit {code}")
    assert cli("wait", "c0", "c3").split() == ["0", "3"]


def test_wait_returns_when_it_ends(cli: Cli):
    cli("run", "-d", "--name", "web", "busybox", "sh", "-c", LOOP)
    with cli.begin("wait", "web") as waiting:
        time.sleep(0.3)
        assert waiting.process.poll() is None
        cli("kill", "-s", "TERM", "web")
        waiting.wait()
        assert waiting.output == b"0\n"


def test_stop_asks_first(cli: Cli):
    cli(
        "run", "-d", "--name", "web", "busybox", "sh", "-c", "trap 'echo bye; exit 3' TERM; while :; do sleep 0.1; done"
    )
    eventually(lambda: cli("ps", "-q"))
    time.sleep(0.3)
    assert cli("stop", "web") == "web"
    assert cli("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "web") == "exited 3"
    assert cli("logs", "web") == "bye"
    assert cli("stop", "web") == "web"


def test_stop_insists_after_its_time(cli: Cli):
    script = "trap 'echo no' TERM; echo up; while :; do sleep 0.1; done"
    cli("run", "-d", "--name", "deaf", "busybox", "sh", "-c", script)
    eventually(lambda: cli("logs", "deaf") == "up")
    begun = time.monotonic()
    cli("stop", "-t", "1", "deaf")
    assert 0.9 < time.monotonic() - begun < 5
    assert cli("inspect", "-f", "{{.State.ExitCode}}", "deaf") == "137"


def test_stop_signal(cli: Cli):
    script = "trap 'exit 8' USR1; while :; do sleep 0.1; done"
    cli("run", "-d", "--stop-signal", "SIGUSR1", "--name", "web", "busybox", "sh", "-c", script)
    time.sleep(0.3)
    cli("stop", "web")
    assert cli("inspect", "-f", "{{.State.ExitCode}}", "web") == "8"


def test_kill(cli: Cli):
    cli("run", "-d", "--name", "web", "busybox", "sh", "-c", "trap 'exit 9' HUP; while :; do sleep 0.1; done")
    time.sleep(0.3)
    assert cli("kill", "-s", "HUP", "web") == "web"
    assert cli("wait", "web") == "9"
    cli.fails("kill", "web", code=1, message="is not running")
    cli.fails("kill", "-s", "NOSUCH", "web", code=1, message="[Ii]nvalid signal: NOSUCH")


def test_restart(cli: Cli):
    cli("run", "-d", "--name", "web", "busybox", "sh", "-c", f"echo up; {LOOP}")
    eventually(lambda: cli("logs", "web") == "up")
    cli("restart", "-t", "5", "web")
    eventually(lambda: cli("logs", "web") == "up\nup")
    assert cli("inspect", "-f", "{{.State.Status}} {{.RestartCount}}", "web") == "running 0"


def test_remove(cli: Cli):
    identifier = cli("run", "-d", "--name", "web", "busybox", "sleep", "60")
    cli.fails("rm", "web", code=1, message="container is running: stop the container before removing or force remove")
    assert cli("rm", "-f", "web") == "web"
    assert cli("ps", "-aq") == ""
    cli.fails("rm", identifier, code=1, message=f"No such container: {identifier}")
    cli.fails("inspect", "--type", "container", "web", code=1, message="[Nn]o such container: web")


def test_remove_several_and_go_on_after_a_failure(cli: Cli):
    cli("create", "--name", "one", "busybox")
    cli("create", "--name", "two", "busybox")
    result = cli.result("rm", "one", "nosuch", "two")
    assert (result.returncode, result.stdout) == (1, "one\ntwo\n")
    assert "No such container: nosuch" in result.stderr


def test_restarted_container_keeps_its_files(cli: Cli):
    cli("run", "--name", "web", "busybox", "sh", "-c", "echo x >>/log; wc -l </log")
    assert cli("start", "-a", "web") == "2"


def test_names_and_prefixes_of_ids(cli: Cli):
    identifier = cli("create", "--name", "web", "busybox")
    for name in ("web", "/web", identifier, identifier[:12], identifier[:6]):
        assert cli("inspect", "-f", "{{.Name}}", name) == "/web"


def test_made_up_names_have_two_words(cli: Cli):
    name = cli("inspect", "-f", "{{.Name}}", cli("create", "busybox"))
    assert name.startswith("/")
    assert name.count("_") == 1


def test_ps(cli: Cli):
    cli("run", "-d", "--name", "up", "-l", "kind=web", "busybox", "sleep", "60")
    cli.result("run", "--name", "down", "busybox", "sh", "-c", "exit 3")
    header, *rows = cli("ps", "-a").splitlines()
    assert header.split() == ["CONTAINER", "ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]
    assert [row.split()[-1] for row in rows] == ["down", "up"]
    assert "Exited (3) " in rows[0]
    assert '"sleep 60"' in rows[1]
    assert " Up " in rows[1]
    assert cli("ps", "--format", "{{.Names}}") == "up"


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["name=u"], ["up"]),
        (["label=kind=web"], ["up"]),
        (["label=kind"], ["up"]),
        (["status=exited"], ["down"]),
        (["exited=3"], ["down"]),
        (["ancestor=busybox"], ["down", "up"]),
        (["status=exited", "name=up"], []),
        (["volume=data"], ["up"]),
        (["network=none"], ["down"]),
    ],
)
def test_filters_of_ps(docker: Cli, filters: list[str], expected: list[str]):
    docker("run", "-d", "--name", "up", "-l", "kind=web", "-v", "data:/data", "busybox", "sleep", "60")
    docker.result("run", "--name", "down", "--network", "none", "busybox", "sh", "-c", "exit 3")
    options = [word for one in filters for word in ("--filter", one)]
    eventually(lambda: sorted(docker("ps", "-a", "--format", "{{.Names}}", *options).split()) == expected)


def test_ps_last(cli: Cli):
    for name in ("one", "two", "three"):
        cli("create", "--name", name, "busybox")
    assert cli("ps", "-n", "2", "--format", "{{.Names}}").split() == ["three", "two"]
    assert cli("ps", "-l", "--format", "{{.Names}}") == "three"


def test_inspect_says_what_was_asked_for(cli: Cli):
    options = ["-e", "A=B", "-w", "/tmp", "--memory", "64m", "--cpus", "0.5", "--restart", "on-failure:3", "-h", "web"]
    cli("create", "--name", "web", *options, "busybox", "echo", "hi")
    [found] = json.loads(cli("inspect", "web"))
    config, host = found["Config"], found["HostConfig"]
    assert (config["Cmd"], config["WorkingDir"], config["Hostname"]) == (["echo", "hi"], "/tmp", "web")
    assert "A=B" in config["Env"]
    assert (host["Memory"], host["NanoCpus"], host["NetworkMode"]) in (
        (67108864, 500000000, "default"),
        (67108864, 500000000, "bridge"),
    )
    assert host["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}
    assert (found["Path"], found["Args"], found["Name"]) == ("echo", ["hi"], "/web")
    assert found["State"]["FinishedAt"] == "0001-01-01T00:00:00Z"


def test_inspect_sees_every_change(api: Api):
    """Also of what it has shown before: the record's settled half is put together once."""
    name = api.ok("POST", "/containers/create", {"Image": "busybox", "Cmd": ["true"]}, name="first")["Id"]
    before = api.ok("GET", f"/containers/{name}/json")
    api.ok(
        "POST",
        f"/containers/{name}/update",
        {"Memory": 64 << 20, "MemorySwap": -1, "RestartPolicy": {"Name": "on-failure"}},
    )
    api.ok("POST", f"/containers/{name}/rename", name="second")
    api.ok("POST", f"/containers/{name}/start")
    api.ok("POST", f"/containers/{name}/wait")
    after = api.ok("GET", f"/containers/{name}/json")
    assert (before["Name"], after["Name"]) == ("/first", "/second")
    assert (before["HostConfig"]["Memory"], after["HostConfig"]["Memory"]) == (0, 64 << 20)
    assert after["HostConfig"]["RestartPolicy"]["Name"] == "on-failure"
    assert (before["State"]["Status"], after["State"]["Status"]) == ("created", "exited")
    assert list(before) == list(after)
    assert api.ok("GET", f"/containers/{name}/json", size="1")["SizeRootFs"] > 0
    assert "SizeRootFs" not in api.ok("GET", f"/containers/{name}/json")


def test_start_of_a_missing_command_leaves_it_created(cli: Cli):
    cli("create", "--name", "broken", "busybox", "nosuch")
    cli.fails("start", "broken", code=1, message='exec: "nosuch": executable file not found in \\$PATH')
    assert cli("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "broken") == "created 127"


def test_starting_twice_is_fine(api: Api):
    identifier = api.ok("POST", "/containers/create", {"Image": "busybox", "Cmd": ["sleep", "60"]})["Id"]
    assert api("POST", f"/containers/{identifier}/start").status == 204
    assert api("POST", f"/containers/{identifier}/start").status == 304
    assert api("POST", f"/containers/{identifier}/stop", t="0").status == 204
    assert api("POST", f"/containers/{identifier}/stop", t="0").status == 304
    assert api("DELETE", f"/containers/{identifier}").status == 204
    assert api("DELETE", f"/containers/{identifier}").status == 404


def test_wait_for_removal(api: Api):
    body = {"Image": "busybox", "Cmd": ["sh", "-c", "exit 5"], "HostConfig": {"AutoRemove": True}}
    identifier = api.ok("POST", "/containers/create", body)["Id"]
    api.ok("POST", f"/containers/{identifier}/start")
    answer = api("POST", f"/containers/{identifier}/wait", condition="removed")
    assert answer.status in (200, 404)
    if answer.status == 200:
        assert answer.body["StatusCode"] == 5
    eventually(lambda: api("GET", f"/containers/{identifier}/json").status == 404)


def test_events_tell_the_life(docker: Cli):
    since = str(time.time())
    docker("run", "--rm", "--name", "web", "busybox", "true")
    eventually(lambda: docker("ps", "-aq") == "")
    output = docker("events", "--since", since, "--until", str(time.time() + 1), "--filter", "type=container")
    actions = [line.split(" container ")[1].split()[0] for line in output.splitlines()]
    assert [action for action in actions if action in ("create", "start", "die", "destroy")] == [
        "create",
        "start",
        "die",
        "destroy",
    ]
