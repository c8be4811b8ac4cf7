"""Remote log drivers: what a container prints arrives at a server, once pydockd has been killed as well."""

import itertools
import re
import time
from collections.abc import Callable
from pathlib import Path

from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, eventually
from tests.fixtures.receivers import Receiver

FLOOD = "i=0; while [ ! -e /stop ]; do seq $((i+1)) $((i+3000)); i=$((i+3000)); sleep 0.02; done"
INITIALIZE = "failed to create task for container: failed to initialize logging driver: "


def syslog(server: Receiver, *more: str) -> tuple[str, ...]:
    return ("--log-driver", "syslog", "--log-opt", f"syslog-address=tcp://{server.address}", *more)


def numbers(data: bytes) -> list[int]:
    """The numbers that lines consist of, as they came; the last line may not be whole."""
    return [int(found) for found in re.findall(rb"\]: (\d+)\n", data)]


def test_lines_arrive_and_are_read_back(cli: Cli):
    with Receiver("tcp") as server:
        more = ("--log-opt", "tag={{.Name}}", "--log-opt", "syslog-format=rfc5424")
        cli("run", "--name", "web", *syslog(server, *more), "busybox", "sh", "-c", "echo out; echo err >&2")
        server.until(b"err\n")
        server.until(b"out\n")
        result = cli.result("logs", "web")
    assert re.search(rb"<30>1 \S+ \S+ web \d+ web - out\n", server.data)
    assert re.search(rb"<27>1 \S+ \S+ web \d+ web - err\n", server.data)
    assert (result.stdout, result.stderr) == ("out\n", "err\n")
    assert cli("inspect", "-f", "{{.LogPath}} {{.HostConfig.LogConfig.Type}}", "web") == "syslog"


def test_the_last_lines_of_a_container_that_goes(cli: Cli):
    with Receiver("tcp") as server:
        cli("run", "--rm", *syslog(server), "busybox", "seq", "20000")
        eventually(lambda: server.data.endswith(b": 20000\n"))
    assert numbers(server.data) == list(range(1, 20001))


def test_without_a_server_no_start(cli: Cli):
    refused = "dial tcp 127.0.0.1:1: connect: connection refused"
    for options, message in (
        (("syslog", "syslog-address=tcp://127.0.0.1:1"), refused),
        (("fluentd", "fluentd-address=127.0.0.1:1"), refused),
        (("gelf", "gelf-address=tcp://127.0.0.1:1"), f"gelf: cannot connect to GELF endpoint: 127.0.0.1:1 {refused}"),
    ):
        driver, option = options
        call = ("run", "--name", "web", "--log-driver", driver, "--log-opt", option, "--rm", "busybox", "true")
        cli.fails(*call, code=125, message=re.escape(INITIALIZE + message))
    assert cli("ps", "-aq", "--filter", "name=web") == ""
    fluentd = ("--log-driver", "fluentd", "--log-opt", "fluentd-address=127.0.0.1:1", "--log-opt", "fluentd-async=true")
    assert cli("run", "--rm", *fluentd, "busybox", "echo", "hi") == "hi"
    udp = ("--log-driver", "syslog", "--log-opt", "syslog-address=udp://127.0.0.1:1")
    assert cli("run", "--rm", *udp, "busybox", "echo", "hi") == "hi"


def test_reading_back_can_be_switched_off(cli: Cli):
    options = ("--log-opt", "syslog-address=udp://127.0.0.1:1", "--log-opt", "cache-disabled=true")
    cli("run", "--name", "web", "--log-driver", "syslog", *options, "busybox", "echo", "hi")
    cli.fails("logs", "web", code=1, message="configured logging driver does not support reading")


def test_every_record_arrives_though_the_daemon_is_killed(fresh_daemon: Callable[..., Engine], tmp_path: Path):
    engine = fresh_daemon()
    cli = Cli("docker", engine.host, tmp_path)
    with Receiver("tcp") as server:
        cli("run", "-d", "--name", "load", *syslog(server), "busybox", "sh", "-c", FLOOD)
        for _ in range(3):
            seen = len(server.data)
            eventually(lambda seen=seen: len(server.data) > seen + 100_000)
            engine.kill()
            time.sleep(0.2)  # it prints on
            engine.start()
        cli("exec", "load", "touch", "/stop")
        cli("wait", "load")
        printed = [int(line) for line in cli("logs", "load").splitlines()]
        last = f": {printed[-1]}\n".encode()
        eventually(lambda: server.data.endswith(last))
    assert printed == list(range(1, printed[-1] + 1))
    found = numbers(server.data)
    assert list(dict.fromkeys(found)) == printed
    # Each time it was killed, at most what was on its way is sent again; never does one go back further.
    repeats = [(before, after) for before, after in itertools.pairwise(found) if after <= before]
    assert len(repeats) <= 3


def test_a_daemon_default_holds_for_its_containers(fresh_daemon: Callable[..., Engine], tmp_path: Path):
    with Receiver("udp") as server:
        address = f"syslog-address=udp://{server.address}"
        engine = fresh_daemon("--log-driver", "syslog", "--log-opt", address, "--log-opt", "tag=own")
        cli = Cli("pydock", engine.host, tmp_path)
        cli("run", "--rm", "busybox", "echo", "hi")
        assert re.search(rb" own\[\d+\]: hi\n", server.until(b"hi\n"))
        assert cli("info", "-f", "{{.LoggingDriver}}") == "syslog"
        logs = cli("info", "-f", "{{.Plugins.Log}}")
        assert logs == "[fluentd gelf journald json-file local syslog]"


def test_a_container_waits_for_a_server_that_is_gone(fresh_daemon: Callable[..., Engine], tmp_path: Path):
    """Mode blocking: what was not sent is kept, and when no more is to be kept the container waits."""
    engine = fresh_daemon()
    cli = Cli("docker", engine.host, tmp_path)
    small = ("--log-opt", "cache-max-size=50k", "--log-opt", "cache-max-file=2", "--log-opt", "cache-compress=false")
    with Receiver("tcp") as server:
        port = server.port
        cli("run", "-d", "--name", "load", *syslog(server, *small), "busybox", "sh", "-c", f"{FLOOD}; sleep 60")
        eventually(lambda: len(server.data) > 10_000)
        first = server
    folder = engine.root / "data" / "containers" / cli("inspect", "-f", "{{.Id}}", "load")
    sizes: list[int] = []

    def still() -> bool:
        sizes.append(sum(path.stat().st_size for path in folder.glob("*.log*")))
        time.sleep(0.3)
        return len(sizes) > 3 and sizes[-1] == sizes[-2] == sizes[-3] > 0

    eventually(still)
    assert sizes[-1] < 3_000_000
    with Receiver("tcp", port=port) as server:
        eventually(lambda: len(server.data) > 1_000_000)
    once = list(dict.fromkeys(numbers(first.data) + numbers(server.data)))
    assert once == list(range(1, len(once) + 1))
