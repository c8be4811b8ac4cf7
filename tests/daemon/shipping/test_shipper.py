"""A log on its way: every record arrives, in order, whatever happens to the server, the files and pydockd."""

import asyncio
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.daemon.test_logs import open_log
from tests.fixtures.receivers import Receiver
from tests.runtime.supervisor.test_logfile import turn

from pydock_daemon.containers.logdrivers.settings import cursor_path
from pydock_daemon.containers.shipping.drivers import make
from pydock_daemon.containers.shipping.shipper import Shipper
from pydock_runtime.supervisor.poller import Poller

from .test_drivers import info


def shipper(path: Path, port: int, stopped: Callable[[], bool] = lambda: True, **given: str) -> Shipper:
    address = f"127.0.0.1:{port}"
    return Shipper(
        "web", path, make("fluentd", info(fluentd_address=address, fluentd_retry_wait="5ms", **given)), stopped
    )


def numbers(data: bytes) -> list[int]:
    """The numbers of the lines `number N.` in the order they came."""
    return [int(found) for found in re.findall(rb"number (\d+)\.", data)]


def firsts(found: list[int]) -> list[int]:
    """Each number once, where it came first."""
    return list(dict.fromkeys(found))


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_what_was_not_sent_is_sent_when_the_server_is_back(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = open_log(path, "local")
    stopped = False
    with Receiver("tcp") as server:
        port = server.port
        sending = shipper(path, port, lambda: stopped)
        log.write(1, b"number 0.\n")
        await until(lambda: numbers(server.data) == [0])
    log.write(1, b"number 1.\n")
    await until(lambda: not sending.reached)
    log.write(1, b"number 2.\n")
    with Receiver("tcp", port=port) as server:
        await until(lambda: firsts(numbers(server.data)) == [1, 2])
        log.write(1, b"number 3.\n")
        log.close()
        stopped = True
        sending.wake()
        await asyncio.wait_for(sending.task, 5)
        await until(lambda: firsts(numbers(server.data)) == [1, 2, 3])


async def test_an_interrupted_shipper_goes_on_where_it_was(tmp_path: Path) -> None:
    path, poller = tmp_path / "log", Poller()
    log = open_log(path, "local", poller, max_size=20_000, max_files=50, compress=True)
    with Receiver("tcp") as server:
        for start in range(0, 4000, 500):
            sending = shipper(path, server.port, lambda: False)
            for number in range(start, start + 500):
                log.write(1, b"number %d.\n" % number)
                if number % 50 == 0:
                    await asyncio.sleep(0.001)
            sending.task.cancel()
            await asyncio.wait([sending.task])
            turn(poller, lambda: True)
        log.close()
        await asyncio.wait_for(shipper(path, server.port).task, 10)
        await until(lambda: firsts(numbers(server.data)) == list(range(4000)))
        assert len(numbers(server.data)) < 12_000  # what is sent twice is what was on its way
        server.received.clear()
        await asyncio.wait_for(shipper(path, server.port).task, 10)
        await asyncio.sleep(0.05)
        assert server.data == b""
    turn(poller, lambda: not any(tmp_path.glob("*.tmp")) and not any(tmp_path.glob("log.[0-9]")))
    poller.close()


async def test_a_blocking_log_waits_and_loses_nothing(tmp_path: Path) -> None:
    path, poller = tmp_path / "log", Poller()
    cursor = cursor_path(path)
    log = open_log(path, "local", poller, max_size=2000, max_files=2, cursor=str(cursor))
    number = 0
    stopped = False
    with Receiver("tcp") as server:
        sending = shipper(path, server.port, lambda: stopped)
        while number < 3000:
            async with asyncio.timeout(20):
                while log.full:
                    await asyncio.sleep(0.001)
                    log.look_again()
            log.write(1, b"number %d.\n" % number)
            number += 1
        log.close()
        stopped = True
        sending.wake()
        await asyncio.wait_for(sending.task, 5)
        await until(lambda: numbers(server.data) == list(range(3000)))
    poller.close()


async def test_one_file_alone_waits_as_well(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = open_log(path, "local", max_size=100, max_files=1, cursor=str(cursor_path(path)))
    for number in range(20):
        log.write(1, b"number %d.\n" % number)
    assert log.full
    with Receiver("tcp") as server:
        sending = shipper(path, server.port, lambda: False)
        await until(lambda: numbers(server.data) == list(range(20)))
        await until(lambda: log.look_again() or not log.full)
        log.write(1, b"number 20.\n")
        await until(lambda: numbers(server.data) == list(range(21)))
        sending.task.cancel()
        await asyncio.wait([sending.task])
    log.close()


async def test_a_container_that_starts_anew_has_another_connection(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = open_log(path, "local")
    log.write(1, b"number 0.\n")
    with Receiver("tcp") as server:
        sending = shipper(path, server.port)  # stopped: it ends as soon as all is sent
        sending.renew(make("fluentd", info(fluentd_address=server.address, tag="again")))
        await until(lambda: b"again" in server.data)
        await asyncio.wait_for(sending.task, 5)
        sending = shipper(path, server.port)
        await asyncio.sleep(0)
        sending.renew(make("fluentd", info(fluentd_address=server.address)))
        log.write(1, b"number 1.\n")
        log.close()
        await asyncio.wait_for(sending.task, 5)
        await until(lambda: numbers(server.data) == [0, 1])


async def test_what_was_dropped_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "log"
    log = open_log(path, "local", max_size=100, max_files=2)  # non-blocking: no cursor is waited for
    with Receiver("tcp") as server:
        log.write(1, b"number 0.%s\n" % bytes(100))
        await asyncio.wait_for(shipper(path, server.port).task, 5)
        for number in range(1, 5):
            log.write(1, b"number %d.%s\n" % (number, bytes(100)))
        assert "dropped" not in caplog.text
        await asyncio.wait_for(shipper(path, server.port).task, 5)
        await until(lambda: numbers(server.data) == [0, 3, 4])
        assert "log of web: lines were dropped before they could be sent on" in caplog.text
    log.close()


async def test_attempts_can_be_limited(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log", "local")
    log.write(1, b"number 0.\n")
    log.close()
    sending = shipper(tmp_path / "log", 1, fluentd_max_retries="2")
    await asyncio.wait_for(sending.task, 5)
    assert not sending.reached


async def test_nothing_is_left_open(tmp_path: Path) -> None:

    log = open_log(tmp_path / "log", "local")
    log.write(1, b"number 0.\n")
    log.close()
    before = len(os.listdir("/proc/self/fd"))
    sending = shipper(tmp_path / "log", 1, lambda: False)
    await until(lambda: not sending.reached)
    sending.task.cancel()
    await asyncio.wait([sending.task])
    assert len(os.listdir("/proc/self/fd")) == before
