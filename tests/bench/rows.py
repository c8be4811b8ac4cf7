"""What is measured: each row is a name, a unit, and a function of one engine. Used by `__main__`.

Times are of one action, as a client sees it; the client is the same small one for both engines.
"""

import contextlib
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from tests.bench import builds, images, logs
from tests.bench.engines import Side, family, pss, seconds_of_all
from tests.bench.load import load
from tests.fixtures.http import UnixConnection, ask

NETWORKS = ("bridge", "none", "host")


class Row(NamedTuple):
    """A measurement: how often it is taken, alternating, and what pydock owes as a share of docker's."""

    name: str
    unit: str
    times: int
    measure: Callable[[Side], float]
    owed: float | None
    more_is_better: bool = False


@contextlib.contextmanager
def timed(result: list[float], scale: float = 1000) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    result.append((time.perf_counter() - begun) * scale)


def life(connection: UnixConnection, network: str) -> None:
    """Create, start, wait, remove, on one connection."""
    body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"NetworkMode": network}}
    made = ask(connection, "POST", "/containers/create", body)
    assert made.status == 201, made
    name = made.body["Id"]
    for method, path in (("POST", f"/{name}/start"), ("POST", f"/{name}/wait"), ("DELETE", f"/{name}")):
        answer = ask(connection, method, f"/containers{path}")
        assert answer.status < 300, answer


def by_command_line(network: str) -> Callable[[Side], float]:
    def measure(side: Side) -> float:
        result: list[float] = []
        with timed(result):
            side.cli("run", "--rm", "--network", network, "busybox", "true")
        return result[0]

    return measure


def by_api(network: str) -> Callable[[Side], float]:
    def measure(side: Side) -> float:
        result: list[float] = []
        with contextlib.closing(UnixConnection(side.socket)) as connection:
            ask(connection, "GET", "/_ping")
            with timed(result):
                life(connection, network)
        return result[0]

    return measure


def at_once(network: str, workers: int = 16, total: int = 96) -> Callable[[Side], float]:
    """Containers a second with so many under way."""
    local = threading.local()

    def measure(side: Side) -> float:
        opened: list[UnixConnection] = []

        def one(_: int) -> None:
            connection = getattr(local, side.name, None)
            if connection is None:
                connection = UnixConnection(side.socket, timeout=120)
                setattr(local, side.name, connection)
                opened.append(connection)
            life(connection, network)

        begun = time.perf_counter()
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(one, range(total)))
        seconds = time.perf_counter() - begun
        for connection in opened:
            connection.close()
        return total / seconds

    return measure


def fifty(side: Side) -> float:
    """Fifty lives in a row, in milliseconds each."""
    with contextlib.closing(UnixConnection(side.socket)) as connection:
        result: list[float] = []
        with timed(result):
            for _ in range(50):
                life(connection, "bridge")
    return result[0] / 50


@contextlib.contextmanager
def idle_containers(side: Side, count: int, **more: Any) -> Iterator[list[str]]:
    body = {"Image": "busybox", "Cmd": ["sleep", "1000"], "HostConfig": {"NetworkMode": "none"}, **more}
    names: list[str] = []
    try:
        for _ in range(count):
            names.append(side.api.ok("POST", "/containers/create", body)["Id"])
            side.api.ok("POST", f"/containers/{names[-1]}/start")
        yield names
    finally:
        for name in names:
            side.api.ok("DELETE", f"/containers/{name}", force="1")


def exec_by_api(side: Side) -> float:
    """Create, start and end of an exec in a running container; the median of ten."""
    result: list[float] = []
    with idle_containers(side, 1) as [name]:
        for _ in range(10):
            with timed(result):
                made = side.api.ok("POST", f"/containers/{name}/exec", {"Cmd": ["true"], "AttachStdout": True})
                with side.api.hijack(f"/exec/{made['Id']}/start", {"Detach": False, "Tty": False}) as stream:
                    while stream.recv(4096):
                        pass
    return statistics.median(result)


def listing(side: Side) -> float:
    """`ps` by command line; for docker, its own."""
    result: list[float] = []
    with timed(result):
        side.cli("ps")
    return result[0]


def import_typer(_: Side) -> float:
    """How long an interpreter takes that imports typer: the yardstick of `pydock ps`."""
    result: list[float] = []
    with timed(result):
        subprocess.run([sys.executable, "-c", "import typer"], check=True)
    return result[0]


def idle_memory(side: Side) -> float:
    """Megabytes of the engine's own processes."""
    return pss(side.processes())


def memory_of_a_container(count: int) -> Callable[[Side], float]:
    """Megabytes that one more idle container costs when there are so many, everything counted."""

    def measure(side: Side) -> float:
        before = pss(side.processes())
        with idle_containers(side, count) as names:
            time.sleep(1)
            after = pss(family(side, names))
        return (after - before) / count

    return measure


def save_and_load(side: Side) -> float:
    """Milliseconds of one `save` and `load` of busybox, through the API."""
    result: list[float] = []
    connection = UnixConnection(side.socket)
    with contextlib.closing(connection), timed(result):
        connection.request("GET", "/images/busybox/get")
        archive = connection.getresponse().read()
        answer = ask(connection, "POST", "/images/load", archive)
        assert answer.status == 200, answer
    return result[0]


@contextlib.contextmanager
def created_containers(side: Side, count: int) -> Iterator[list[str]]:
    body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none"}}
    names: list[str] = []
    try:
        for _ in range(count):
            names.append(side.api.ok("POST", "/containers/create", body)["Id"])
        yield names
    finally:
        for name in names:
            side.api.ok("DELETE", f"/containers/{name}")


def reads(what: str, connections: int, column: str) -> Callable[[Side], float]:
    """A column of the load of reading the list of 200 containers, or one of them."""

    def measure(side: Side) -> float:
        with created_containers(side, 200) as names:
            target = "/containers/json?all=1" if what == "list" else f"/containers/{names[7]}/json"
            return float(getattr(load(side.socket, target, connections, 3), column))

    return measure


def health_checks(count: int, seconds: float = 10) -> Callable[[Side], float]:
    """Milliseconds of the engine's processors for one probe (`true`), with so many containers that are checked each
    second: by docker less often, where two processors are too few for that many.

    The first ones of each container are not measured: of those the engine learns how the next ones are made.
    """
    check = {"Test": ["CMD", "true"], "Interval": 10**9, "Timeout": 30 * 10**9}

    def measure(side: Side) -> float:
        with idle_containers(side, count, Healthcheck=check) as names:
            time.sleep(3 + 4 * count / 20)
            used, begun = seconds_of_all(side, names), f"{time.time():.6f}"
            time.sleep(seconds)
            used = seconds_of_all(side, names) - used
            query = {"since": begun, "until": f"{time.time():.6f}", "filters": {"event": ["exec_die"]}}
            return used * 1000 / side.api.ok("GET", "/events", **query).count("exec_die")

    return measure


def crowded(side: Side) -> tuple[float, float]:
    """One life on the bridge with nothing else running, and with 300 containers running."""
    alone, among = [], []
    with contextlib.closing(UnixConnection(side.socket)) as connection:
        for _ in range(40):
            with timed(alone):
                life(connection, "bridge")
        with idle_containers(side, 300):
            for _ in range(40):
                with timed(among):
                    life(connection, "bridge")
    return statistics.median(alone), statistics.median(among)


ROWS = (
    *(Row(f"run --rm busybox true, {net}", "ms", 10, by_command_line(net), owed)
      for net, owed in zip(NETWORKS, (0.5, 0.8, 1.0), strict=True)),
    *(Row(f"API create+start+wait+remove, {net}", "ms", 20, by_api(net), 0.12 if net == "bridge" else None)
      for net in NETWORKS),
    Row("50 one after another, bridge", "ms each", 1, fifty, None),
    Row("16 at a time, bridge", "per s", 2, at_once("bridge"), 6, True),
    Row("16 at a time, none", "per s", 2, at_once("none"), 6, True),
    Row("API exec", "ms", 2, exec_by_api, 0.5),
    Row("ps", "ms", 10, listing, None),
    Row("PSS per idle container", "MB", 1, memory_of_a_container(10), 0.15),
    Row("PSS per container, 300 idle", "MB", 1, memory_of_a_container(300), 0.15),
    Row("PSS of the engine, idle", "MB", 1, idle_memory, 0.7),
    Row("save and load of busybox", "ms", 5, save_and_load, 1.0),
    *(Row(f"{verb} of {what}", "s", 3, measure(name), 1.0)
      for name, what in (("debian", "Debian"), ("small", "60,000 files"))
      for verb, measure in (("pull", images.pulled), ("load", images.loaded), ("save", images.saved),
                            ("push", images.pushed))),
    Row("memory of a pull of 2 GB", "MB", 1, images.memory_of_a_pull, None),
    *(Row(f"{what} of 200, {connections} at once", "per s", 1, reads(what, connections, "per_second"), owed, True)
      for what in ("list", "inspect") for connections, owed in ((1, None), (32, 0.7))),
    *(Row(f"{what} of 200, {connections} at once, p99", "ms", 1, reads(what, connections, "p99"), None)
      for what in ("list", "inspect") for connections in (1, 32)),
    *(Row(f"health checks of {count}, CPU of one", "ms", 1, health_checks(count), 0.1) for count in (20, 100)),
    Row("build of ten RUN, cold", "s", 3, builds.cold(builds.TEN), 1.0),
    Row("build of ten RUN, cached", "s", 3, builds.cached(builds.TEN), 0.5),
    Row("build of ten COPY, cold", "s", 3, builds.cold(builds.COPIES), 1.0),
    Row("build with apt on Debian, cold", "s", 3, builds.cold(builds.APT, builds.HOST_NETWORK), 1.0),
    Row("build with apt on Debian, cached", "s", 3, builds.cached(builds.APT, builds.HOST_NETWORK), 0.5),
    Row("build of three stages of 2 s", "s", 1, builds.cold(builds.STAGES), None),
    Row("build, COPY of 20,000 files", "s", 1, builds.large, 1.0),
    Row("build, the same again", "s", 1, builds.large_again, 0.5),
    Row("build, one of 20,000 changed", "s", 1, builds.large_changed, 0.5),
    Row("log of 500 MB, written", "MB/s", 1, lambda side: logs.written(side).speed, 1.0, True),
    Row("log of 500 MB, read back", "MB/s", 1, lambda side: logs.read(side).speed, 1.0, True),
    Row("CPU per GB of log written", "s", 1, lambda side: logs.written(side).cpu, 1.0),
    Row("CPU per GB of log read back", "s", 1, lambda side: logs.read(side).cpu, 1.0),
)  # fmt: skip
