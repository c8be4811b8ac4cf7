"""What is said of a container that wants more memory than it may have."""

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, eventually
from tests.fixtures.http import Api

LIMITED = ("-m", "8m", "--memory-swap", "8m", "busybox", "sh", "-c")


def events(api: Api, name: str) -> list[dict[str, str]]:
    """The attributes of the `oom` events of a container."""
    id_ = api.ok("GET", f"/containers/{name}/json")["Id"]  # the name is another test's as well
    filters = json.dumps({"event": ["oom"], "container": [id_]})
    answer = api("GET", "/events", since="1", until=f"{time.time():.6f}", filters=filters)
    lines = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
    return [json.loads(line)["Actor"]["Attributes"] for line in lines.splitlines()]


def killed(api: Api, name: str) -> bool:
    found: bool = api.ok("GET", f"/containers/{name}/json")["State"]["OOMKilled"]
    return found


def readable() -> bool:
    """Say whether the kernel's log can be read."""
    with suppress(OSError):
        os.close(os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK))
        return True
    return False


def test_a_process_that_is_not_the_first_is_reported_at_once(docker: Cli, api: Api):
    docker("run", "-d", "--name", "hungry", *LIMITED, "sleep 0.2; tail /dev/zero; sleep 0.5; tail /dev/zero; sleep 100")
    eventually(lambda: len(events(api, "hungry")) == 2)
    assert killed(api, "hungry")
    assert api.ok("GET", "/containers/hungry/json")["State"]["Running"]
    docker("kill", "hungry")
    assert killed(api, "hungry")
    assert len(events(api, "hungry")) == 2


def test_the_victim_is_named(docker: Cli, api: Api, daemon: Engine):
    if not isinstance(daemon, Engine) or not readable():
        pytest.skip("an extension, and only where the kernel's log can be read")
    # Again and again: the kernel names ten victims in five seconds, whoever they are, and other tests have some too.
    docker("run", "-d", "--name", "hungry", *LIMITED, "while :; do tail /dev/zero; sleep 0.5; done")
    eventually(lambda: any("victim" in about for about in events(api, "hungry")))
    assert {about.get("victim", "tail") for about in events(api, "hungry")} == {"tail"}


def test_the_first_process_is_reported_before_its_end(cli: Cli, api: Api, daemon: Engine):
    since = time.time()
    assert cli.result("run", "--name", "first", *LIMITED, "exec tail /dev/zero").returncode == 137
    assert killed(api, "first")
    shown = cli("events", "--since", f"{since:.6f}", "--until", f"{time.time():.6f}", "--filter", "container=first",
                "--format", "{{.Action}}").splitlines()  # fmt: skip
    assert shown[-3:].index("oom") < shown[-3:].index("die")
    if isinstance(daemon, Engine):
        assert cli.result("start", "-a", "first").returncode == 137
        assert len(events(api, "first")) == 2


def test_what_happens_while_there_is_no_daemon_is_told_afterwards(fresh_daemon: Callable[..., Engine], tmp_path: Path):
    engine = fresh_daemon()
    docker = Cli("docker", engine.host, tmp_path)
    script = "sleep 0.5; tail /dev/zero; echo over; sleep 100"
    docker("run", "-d", "--name", "alone", *LIMITED, script)
    engine.kill()
    time.sleep(1)
    engine.start()
    assert killed(engine.api, "alone")
    assert len(events(engine.api, "alone")) == 1


def test_one_that_is_not_killed_is_not_reported(docker: Cli, api: Api):
    docker("run", "--name", "fine", "-m", "8m", "busybox", "true")
    assert not killed(api, "fine")
    assert events(api, "fine") == []
