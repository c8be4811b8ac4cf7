"""`logs`: everything that was written, in order, by stream, by time, by number, and as it comes."""

import contextlib
import re
import time
from pathlib import Path

from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, RemoteEngine, eventually
from tests.fixtures.http import Api, UnixConnection


def test_streams(cli: Cli):
    cli("run", "-d", "--name", "web", "busybox", "sh", "-c", "echo out; echo err >&2")
    cli("wait", "web")
    result = cli.result("logs", "web")
    assert (result.stdout, result.stderr) == ("out\n", "err\n")


def test_tail(cli: Cli):
    cli("run", "--name", "web", "busybox", "seq", "100")
    assert cli("logs", "--tail", "2", "web") == "99\n100"
    assert cli("logs", "-n", "0", "web") == ""
    assert cli("logs", "--tail", "all", "web").splitlines() == [str(number) for number in range(1, 101)]


def test_follow_ends_with_the_container(cli: Cli):
    cli("run", "-d", "--name", "web", "busybox", "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.2; done")
    with cli.begin("logs", "-f", "web") as following:
        assert following.wait() == 0
        assert following.output == b"1\n2\n3\n"


def test_follow_sees_lines_as_they_come(cli: Cli):
    script = "echo first; while [ ! -e /go ]; do sleep 0.05; done; echo second; sleep 60"
    cli("run", "-d", "--name", "web", "busybox", "sh", "-c", script)
    with cli.begin("logs", "--follow", "--tail", "1", "web") as following:
        following.until(b"first\n")
        cli("exec", "web", "touch", "/go")
        following.until(b"second\n")
    assert cli("logs", "web") == "first\nsecond"


def test_timestamps(cli: Cli):
    cli("run", "--name", "web", "busybox", "echo", "hi")
    stamp, text = cli("logs", "-t", "web").split(" ")
    assert text == "hi"
    assert time.strftime("%Y-%m-%dT%H", time.gmtime()) in stamp or stamp.endswith("Z")
    assert len(stamp) == len("2026-01-01T00:00:00.000000000Z")


def test_since_and_until(cli: Cli):
    cli("run", "-d", "--name", "web", "busybox", "sh", "-c", "echo early; sleep 1.5; echo late")
    eventually(lambda: "early" in cli("logs", "web"))
    middle = time.time() + 0.5
    cli("wait", "web")
    assert cli("logs", "--since", f"{middle:.3f}", "web") == "late"
    assert cli("logs", "--until", f"{middle:.3f}", "web") == "early"
    assert cli("logs", "--since", "10m", "web") == "early\nlate"
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(middle + 60))
    assert cli("logs", "--since", stamp, "web") == ""


def test_logs_of_a_terminal_are_raw(cli: Cli):
    cli("run", "-t", "--name", "web", "busybox", "sh", "-c", "echo out; echo err >&2")
    result = cli.result("logs", "web")
    assert (result.stdout, result.stderr) == ("out\r\nerr\r\n", "")


def test_a_long_line_and_one_without_end(cli: Cli):
    script = "head -c 100000 /dev/zero | tr '\\0' x; echo; printf unfinished"
    cli("run", "--name", "web", "busybox", "sh", "-c", script)
    assert cli.result("logs", "web").stdout == "x" * 100000 + "\nunfinished"


def test_bytes_that_are_no_text(cli: Cli):
    cli("run", "--name", "web", "--log-driver", "local", "busybox", "printf", "\\377\\001\\200\\n")
    assert cli.result("logs", "web").stdout == "\xff\x01\x80\n"


def test_json_file_driver_with_rotation(cli: Cli):
    options = ("--log-driver", "json-file", "--log-opt", "max-size=20k", "--log-opt", "max-file=3")
    cli("run", "--name", "web", *options, "busybox", "seq", "3000")
    lines = [int(line) for line in cli("logs", "web").splitlines()]
    assert lines[-1] == 3000
    assert lines == list(range(lines[0], 3001))
    assert 100 < len(lines) < 2000


def test_compressed_files_are_read_back(cli: Cli):
    options = ("--log-driver", "local", "--log-opt", "max-size=20k", "--log-opt", "max-file=4")
    cli("run", "--name", "web", *options, "busybox", "seq", "9000")
    lines = [int(line) for line in cli("logs", "web").splitlines()]
    assert lines == list(range(lines[0], 9001))
    assert len(lines) > 2000


def test_details_are_what_was_asked_for(cli: Cli):
    options = ("--label", "a.b=1", "--env", "FOO=b=r", "--log-opt", "labels=a.b", "--log-opt", "env-regex=^FO")
    cli("run", "--name", "web", *options, "--log-opt", "tag={{.Name}}", "busybox", "sh", "-c", "echo hi; printf end")
    assert cli("logs", "--details", "web").splitlines() == ["FOO=b%3Dr,a.b=1,tag=web hi", "FOO=b%3Dr,a.b=1,tag=web end"]
    _stamp, rest = cli("logs", "-t", "--details", "--tail", "1", "web").split(" ", 1)
    assert rest == "FOO=b%3Dr,a.b=1,tag=web end"
    cli("run", "--name", "bare", "busybox", "echo", "hi")
    assert cli.result("logs", "--details", "bare").stdout == " hi\n"


def test_what_other_programs_read(cli: Cli):
    cli("run", "--name", "web", "--log-opt", "tag={{.Name}}", "busybox", "echo", "<hi>")
    path = Path(cli("inspect", "-f", "{{.LogPath}}", "web"))
    assert path.name == cli("inspect", "-f", "{{.Id}}", "web") + "-json.log"
    line = path.read_text()
    assert line.startswith('{"log":"\\u003chi\\u003e\\n","stream":"stdout","attrs":{"tag":"web"},"time":"')
    cli("run", "--name", "other", "--log-driver", "local", "busybox", "true")
    assert cli("inspect", "-f", "{{.LogPath}}", "other") == ""


def test_refusals_are_those_of_docker(cli: Cli):
    start = "failed to create task for container: failed to initialize logging driver"
    for options, message in (
        (("--log-driver", "foo"), 'error looking up logging plugin foo: plugin "foo" not found'),
        (("--log-opt", "x=y"), "unknown log opt 'x' for json-file log driver"),
        (("--log-opt", "max-size=abc"), f"{start}: invalid size: 'abc'"),
        (("--log-opt", "compress=true"), f"{start}: compress cannot be true when max-file is less than 2"),
        (("--log-driver", "none", "--log-opt", "x=y"), "invalid logging opts for driver none"),
    ):
        cli.fails("run", "--rm", *options, "busybox", "true", code=125, message=re.escape(message))


def test_no_log_driver(cli: Cli, api: Api):
    assert cli("run", "--name", "web", "--log-driver", "none", "busybox", "echo", "hi") == "hi"
    cli.fails("logs", "web", code=1, message="configured logging driver does not support reading")
    assert api("GET", "/containers/web/logs?stdout=1").status == 501


def test_logs_of_nobody(cli: Cli):
    cli.fails("logs", "nosuch", code=1, message="No such container: nosuch")


def test_a_log_that_was_asked_for_outlives_its_container(api: Api, daemon: Engine | RemoteEngine):
    """As docker-py's run() does: the answer has begun, the container is removed, and then the answer is read."""
    for number in range(15):
        body = {"Image": "busybox", "Cmd": ["echo", f"number {number}"]}
        name = api.ok("POST", "/containers/create", body)["Id"]
        api.ok("POST", f"/containers/{name}/start")
        api.ok("POST", f"/containers/{name}/wait")
        with contextlib.closing(UnixConnection(daemon.socket)) as connection:
            connection.request("GET", f"/containers/{name}/logs?stdout=1&follow=1")
            answer = connection.getresponse()
            api.ok("DELETE", f"/containers/{name}")
            assert f"number {number}\n".encode() in answer.read()
