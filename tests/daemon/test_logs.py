"""Reading logs: the files are made by the supervisor's own writers."""

import asyncio
import os
import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from tests.runtime.supervisor.test_logfile import turn

from pydock_daemon.containers.logfiles import Batch
from pydock_daemon.containers.logs import encode, read_logs
from pydock_runtime.supervisor import logs as writers
from pydock_runtime.supervisor.poller import Poller
from pydock_shared.errors import NotSupported, PydockError

DRIVERS = ["local", "json-file"]


def open_log(path: Path, driver: str, poller: Poller | None = None, **options: Any) -> writers.Log:
    return writers.open_log({"driver": driver, "path": str(path), **options}, poller or Poller())


async def read(path: Path, driver: str, **options: Any) -> list[Batch]:
    return [batch async for batches in read_logs(path, driver, **options) for batch in batches]


def text(batches: list[Batch]) -> bytes:
    return b"".join(batch.data for batch in batches)


def write_lines(path: Path, driver: str, lines: int, **options: Any) -> list[bytes]:
    """Write numbered lines in pieces of odd sizes; returns them."""
    generator = random.Random(7)
    written = [b"line %d %s\n" % (number, b"y" * generator.randrange(300)) for number in range(lines)]
    data = b"".join(written)
    log = open_log(path, driver, **options)
    while data:
        size = generator.randrange(1, 5000)
        log.write(1, data[:size])
        data = data[size:]
    log.close()
    return written


@pytest.mark.parametrize("driver", DRIVERS)
async def test_everything_comes_back_across_rotated_files(tmp_path: Path, driver: str) -> None:
    lines = write_lines(tmp_path / "log", driver, 20_000, max_size=1_000_000, max_files=10)
    assert (tmp_path / "log.2").exists()
    assert text(await read(tmp_path / "log", driver)) == b"".join(lines)


@pytest.mark.parametrize("follow", [False, True])
async def test_a_log_that_goes_while_it_is_opened_is_an_empty_one(tmp_path: Path, follow: bool) -> None:
    folder, over = tmp_path / "container", threading.Event()

    def come_and_go() -> None:
        while not over.is_set():
            folder.mkdir()
            folder.rmdir()

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        for _ in range(300):
            assert await read(folder / "log", "local", follow=follow) == []
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("tail", [0, 1, 7, 1000, 9_000, 20_000, 30_000])
async def test_tail_counts_lines_across_files(tmp_path: Path, driver: str, tail: int) -> None:
    lines = write_lines(tmp_path / "log", driver, 20_000, max_size=1_000_000, max_files=10)
    expected = lines[-tail:] if tail else []
    assert text(await read(tmp_path / "log", driver, tail=tail)) == b"".join(expected)


@pytest.mark.parametrize("driver", DRIVERS)
async def test_compressed_files_are_read_as_well(tmp_path: Path, driver: str) -> None:
    poller = Poller()
    lines = write_lines(
        tmp_path / "log", driver, 20_000, poller=poller, max_size=1_000_000, max_files=10, compress=True
    )
    turn(poller, lambda: not any(tmp_path.glob("log.[0-9]")))
    poller.close()
    assert (tmp_path / "log.2.gz").exists()
    assert text(await read(tmp_path / "log", driver)) == b"".join(lines)
    assert text(await read(tmp_path / "log", driver, tail=9_000)) == b"".join(lines[-9_000:])
    (tmp_path / "log.1.gz").write_bytes(b"nonsense")
    with pytest.raises(PydockError, match="cannot be unpacked"):
        await read(tmp_path / "log", driver)


@pytest.mark.parametrize("driver", DRIVERS)
async def test_following_finds_its_place_among_compressed_files(tmp_path: Path, driver: str) -> None:
    poller = Poller()
    path = tmp_path / "log"
    log = open_log(path, driver, poller, max_size=10_000, max_files=9, compress=True)
    log.write(1, b"first\n")
    stopped = False
    following = read_logs(path, driver, follow=True, stopped=lambda: stopped)
    assert text(await anext(following)) == b"first\n"
    expected = [b"line %d %s\n" % (number, b"x" * 200) for number in range(200)]
    for line in expected:
        log.write(1, line)
    log.close()
    turn(poller, lambda: not any(tmp_path.glob("log.[0-9]")))
    poller.close()
    stopped = True
    async with asyncio.timeout(5):
        rest = [batch async for batches in following for batch in batches]
    assert text(rest) == b"".join(expected)


async def test_attributes_come_with_the_lines_of_json_file(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log", "json-file", attributes='{"stream":"x","tag":"a"}')
    log.write(1, b"one\ntwo \\n\n")
    log.write(2, b"err")
    log.close()
    batches = await read(tmp_path / "log", "json-file")
    assert text(batches) == b"one\ntwo \\n\nerr"
    assert {batch.attributes for batch in batches} == {'{"stream": "x", "tag": "a"}'}


async def test_lines_that_dockerd_wrote(tmp_path: Path) -> None:
    lines = [
        '{"log":"one\\n","stream":"stdout","time":"2026-01-02T03:04:05.678Z"}',
        '{"log":"tw\\u003c\\n","stream":"stdout","time":"2026-01-02T03:04:05.678Z"}',
        '{"log":"three","stream":"stderr","time":"2026-01-02T03:04:05Z"}',
        '{"log":"four\\\\n","stream":"stderr","attrs":{"a":"b"},"time":"2026-01-02T03:04:06.1+00:00"}',
        '{ "time":"2026-01-02T03:04:06.1Z", "stream":"stdout", "log":"5\\n" }',
    ]
    (tmp_path / "log").write_text("\n".join(lines) + "\n")
    batches = await read(tmp_path / "log", "json-file")
    assert text(batches) == b"one\ntw<\nthreefour\\n5\n"
    assert [(batch.stream, batch.time % 10**10) for batch in batches][-3:] == [
        ("stderr", 5 * 10**9),
        ("stderr", 6_100_000_000),
        ("stdout", 6_100_000_000),
    ]


@pytest.mark.parametrize("driver", DRIVERS)
async def test_streams_and_times_choose(tmp_path: Path, driver: str) -> None:
    log = open_log(tmp_path / "log", driver)
    marks = []
    for number in range(3):
        log.write(1, b"out %d\n" % number)
        log.write(2, b"err %d\n" % number)
        await asyncio.sleep(0.002)
        marks.append(time.time_ns())
        await asyncio.sleep(0.002)
    log.close()
    path = tmp_path / "log"
    assert text(await read(path, driver, stderr=False)) == b"out 0\nout 1\nout 2\n"
    assert text(await read(path, driver, stdout=False, tail=2)) == b"err 2\n"  # as in Docker: both streams count
    assert text(await read(path, driver, since=marks[1])) == b"out 2\nerr 2\n"
    assert text(await read(path, driver, until=marks[0])) == b"out 0\nerr 0\n"
    assert text(await read(path, driver, since=marks[0], until=marks[1], tail=3)) == b"err 1\n"
    streams = {batch.stream for batch in await read(path, driver)}
    assert streams == {"stdout", "stderr"}


@pytest.mark.parametrize("driver", DRIVERS)
async def test_odd_bytes_and_unfinished_lines_survive(tmp_path: Path, driver: str) -> None:
    data = b'a\\n"b"\tc\x00\n\ncaf\xc3\xa9\\\n' + b"z" * 50_000 + b"\nno end"
    log = open_log(tmp_path / "log", driver)
    log.write(1, data)
    log.close()
    assert text(await read(tmp_path / "log", driver)) == data
    assert text(await read(tmp_path / "log", driver, tail=1)) == b"no end"


async def test_a_log_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    assert await read(tmp_path / "log", "local") == []
    assert await read(tmp_path / "none" / "log", "json-file", tail=3, follow=True) == []


async def test_none_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(NotSupported, match="does not support reading"):
        await read(tmp_path / "log", "none")


@pytest.mark.parametrize(("driver", "content"), [("local", b"\xff" * 100), ("json-file", b"nonsense\n")])
async def test_a_damaged_file_is_named(tmp_path: Path, driver: str, content: bytes) -> None:
    (tmp_path / "log").write_bytes(content)
    with pytest.raises(PydockError, match=f"{tmp_path}/log is damaged"):
        await read(tmp_path / "log", driver)


async def test_a_frame_being_written_is_the_end_for_now(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = open_log(path, "local")
    log.write(1, b"one\n")
    log.write(1, b"two, which is longer\n")
    log.close()
    os.truncate(path, path.stat().st_size - 5)
    assert text(await read(path, "local")) == b"one\n"
    assert text(await read(path, "local", tail=5)) == b"one\n"


@pytest.mark.parametrize("driver", DRIVERS)
async def test_following_crosses_rotations_and_ends_with_the_container(tmp_path: Path, driver: str) -> None:
    path = tmp_path / "log"
    log = open_log(path, driver, max_size=20_000, max_files=4)
    log.write(1, b"before\n")
    stopped = False
    task = asyncio.create_task(read(path, driver, follow=True, stopped=lambda: stopped))
    expected = b"before\n"
    for number in range(400):
        line = b"line %d %s\n" % (number, b"x" * 200)
        expected += line
        log.write(1, line)
        if number % 20 == 0:
            await asyncio.sleep(0.005)
    log.write(1, b"last")
    log.close()
    stopped = True
    async with asyncio.timeout(2):
        assert text(await task) == expected + b"last"


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_follower_that_is_slow_keeps_the_files_it_has_not_read(tmp_path: Path, driver: str) -> None:
    path = tmp_path / "log"
    log = open_log(path, driver, max_size=10_000, max_files=2)
    log.write(1, b"first\n")
    stopped = False
    following = read_logs(path, driver, follow=True, stopped=lambda: stopped)
    assert text(await anext(following)) == b"first\n"
    expected = [b"line %d %s\n" % (number, b"x" * 200) for number in range(500)]
    for line in expected:
        log.write(1, line)
        await asyncio.sleep(0)  # the client takes nothing meanwhile
    log.close()
    stopped = True
    async with asyncio.timeout(5):
        rest = [batch async for batches in following for batch in batches]
    assert text(rest) == b"".join(expected)


async def test_following_waits_for_the_first_output(tmp_path: Path) -> None:
    path = tmp_path / "log"
    stopped = False
    task = asyncio.create_task(read(path, "local", follow=True, tail=10, stopped=lambda: stopped))
    await asyncio.sleep(0.02)
    log = open_log(path, "local")
    log.write(1, b"hello\n")
    await asyncio.sleep(0.05)
    assert not task.done()
    stopped = True
    log.close()
    async with asyncio.timeout(2):
        assert text(await task) == b"hello\n"


async def test_leaving_a_follow_closes_its_descriptors(tmp_path: Path) -> None:
    path = tmp_path / "log"
    open_log(path, "local").write(1, b"hello\n")
    before = len(os.listdir("/proc/self/fd"))
    following = read_logs(path, "local", follow=True, stopped=lambda: False)
    assert text(await anext(following)) == b"hello\n"
    assert len(os.listdir("/proc/self/fd")) > before
    await following.aclose()
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_the_api_sends() -> None:
    batches = [Batch("stdout", 0, b"a\nb\n"), Batch("stderr", 1_500_000_000, b"c")]
    assert encode(batches, framed=False, timestamps=False) == b"a\nb\nc"
    assert encode(batches, framed=True, timestamps=False) == (
        b"\x01\0\0\0\0\0\0\x02a\n\x01\0\0\0\0\0\0\x02b\n\x02\0\0\0\0\0\0\x01c"
    )
    stamped = encode(batches, framed=False, timestamps=True, details=lambda batch: b"k=v ")
    assert stamped == (
        b"1970-01-01T00:00:00.000000000Z k=v a\n"
        b"1970-01-01T00:00:00.000000000Z k=v b\n"
        b"1970-01-01T00:00:01.500000000Z k=v c"
    )
