"""One log on disk: older files are compressed beside the loop, and wait for what was not sent on."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.runtime.supervisor.test_logs import frames, open_log

from pydock_runtime.supervisor import logformat
from pydock_runtime.supervisor.poller import Poller


def turn(poller: Poller, condition: Callable[[], bool], seconds: float = 10) -> None:
    """Let the loop run until the condition holds."""
    late = poller.after(seconds, poller.stop)

    def look() -> None:
        if condition():
            poller.stop()
        else:
            poller.after(0.002, look)

    poller._running = True
    look()
    poller.run()
    late.cancel()
    assert condition()


def write(path: Path, poller: Poller, driver: str = "local", lines: range = range(10), **options: object) -> None:
    log = open_log(path, driver, poller, max_size=100, compress=True, **options)
    for number in lines:
        log.write(1, b"%d" % number + b"x" * 98 + b"\n")
    log.close()


def test_older_files_are_compressed_and_say_what_they_were(tmp_path: Path) -> None:
    poller = Poller()
    write(tmp_path / "log", poller, max_files=4)
    inodes = {number: (tmp_path / f"log.{number}").stat().st_ino for number in (1, 2, 3)}
    turn(poller, lambda: (tmp_path / "log.3.gz").exists() and not any(tmp_path.glob("log.[123]")))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "log.1.gz", "log.2.gz", "log.3.gz"]
    for number, first in ((1, b"8"), (2, b"7"), (3, b"6")):
        packed = tmp_path / f"log.{number}.gz"
        plain = tmp_path / "plain"
        plain.write_bytes(gzip.decompress(packed.read_bytes()))  # any tool reads it
        assert frames(plain)[0][2][:1] == first
        assert logformat.gz_origin(str(packed)) == (inodes[number], logformat.begin_of(str(plain)))
        assert packed.stat().st_mode & 0o777 == 0o640
        plain.unlink()
    poller.close()


def test_rotation_goes_on_while_a_file_is_compressed(tmp_path: Path) -> None:
    poller = Poller()
    log = open_log(tmp_path / "log", "json-file", poller, max_size=2_000_000, max_files=3, compress=True)
    line = os.urandom(30_000).hex().encode() + b"\n"
    for _ in range(400):
        log.write(1, line)
    turn(poller, lambda: not any(tmp_path.glob("log.[12]")) and not any(tmp_path.glob("*.tmp")))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "log.1.gz", "log.2.gz"]
    log.close()
    poller.close()


def test_what_a_killed_supervisor_left_is_compressed_at_the_next_start(tmp_path: Path) -> None:
    poller = Poller()
    write(tmp_path / "log", poller, max_files=3)
    poller.close()  # as if it had died here: the children's ends are never told
    poller = Poller()
    write(tmp_path / "log", poller, max_files=3, lines=range(0))
    turn(poller, lambda: (tmp_path / "log.2.gz").exists() and (tmp_path / "log.1.gz").exists())
    turn(poller, lambda: not any(tmp_path.glob("*.tmp")))
    poller.close()


@pytest.mark.parametrize("compress", [False, True])
def test_a_file_waits_for_the_cursor(tmp_path: Path, *, compress: bool) -> None:
    poller = Poller()
    path, cursor = tmp_path / "log", tmp_path / "cursor"
    log = open_log(path, "local", poller, max_size=100, max_files=3, cursor=str(cursor), compress=compress)
    for number in range(4):
        log.write(1, b"%d" % number + b"x" * 98 + b"\n")
    assert log.full
    assert [data[:1] for _, _, data in frames(path)] == [b"2", b"3"]  # nothing is lost meanwhile
    if compress:
        turn(poller, lambda: (tmp_path / "log.2.gz").exists())
    cursor.write_bytes(logformat.CURSOR.pack(logformat.begin_of(f"{path}.2"), 117))
    log.look_again()
    assert log.full
    cursor.write_bytes(logformat.CURSOR.pack(logformat.begin_of(f"{path}.1"), 0))
    log.look_again()
    assert not log.full
    log.write(1, b"4\n")
    assert [data[:1] for _, _, data in frames(path)] == [b"4"]
    log.close()
    if compress:
        turn(poller, lambda: not any(tmp_path.glob("log.[12]")) and not any(tmp_path.glob("*.tmp")))
    poller.close()
