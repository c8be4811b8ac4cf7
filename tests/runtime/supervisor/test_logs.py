"""The log drivers' writers: what is in the files afterwards."""

import json
import os
import resource
import time
from pathlib import Path

import pytest

from pydock_runtime.supervisor import logfile, logs
from pydock_runtime.supervisor.logformat import HEADER, TRAILER
from pydock_runtime.supervisor.poller import Poller


def open_log(path: Path, driver: str, poller: Poller | None = None, **options: object) -> logs.Log:
    return logs.open_log({"driver": driver, "path": str(path), **options}, poller or Poller())


def frames(path: Path) -> list[tuple[int, int, bytes]]:
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        size, stream, flags, _ = HEADER.unpack_from(data, at)
        start = at + HEADER.size
        found.append((stream, flags, data[start : start + size]))
        assert TRAILER.unpack_from(data, start + size) == (size,)
        at = start + size + TRAILER.size
    return found


def test_local_keeps_whole_lines_together_and_waits_for_their_ends(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log", "local")
    log.write(1, b"one\ntwo\nthr")
    log.write(2, b"err\n")
    log.write(1, b"ee\n")
    log.write(1, b"never ended")
    log.close()
    assert frames(tmp_path / "log") == [
        (1, 0, b"one\ntwo\n"),
        (2, 0, b"err\n"),
        (1, 0, b"three\n"),
        (1, 3, b"never ended"),
    ]


def test_local_does_not_hold_more_than_a_long_line(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log", "local")
    for _ in range(10):
        log.write(1, b"x" * 10_000)
    log.write(1, b"\n")
    log.close()
    entries = frames(tmp_path / "log")
    assert b"".join(data for _, _, data in entries) == b"x" * 100_000 + b"\n"
    assert [len(data) for _, flags, data in entries if flags == 1] == [16384] * 6
    assert entries[-1][1] == 0


def test_local_cuts_what_a_killed_writer_left_unfinished(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = open_log(path, "local")
    log.write(1, b"first\n")
    log.write(1, b"second\n")
    log.close()
    os.truncate(path, path.stat().st_size - 3)
    log = open_log(path, "local")
    log.write(1, b"third\n")
    log.close()
    assert [data for _, _, data in frames(path)] == [b"first\n", b"third\n"]


def test_json_file_is_written_as_docker_does(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log", "json-file")
    log.write(1, b'tab\t "quoted" <&> back\\slash \x01 caf\xc3\xa9 \xff\nsec')
    log.write(2, b"\x7f del\n")
    log.write(1, b"ond\n\nlast")
    log.close()
    lines = (tmp_path / "log").read_text().splitlines()
    stamp = lines[0][-32:]
    assert lines[0].startswith(
        '{"log":"tab\\u0009 \\"quoted\\" \\u003c\\u0026\\u003e back\\\\slash \\u0001 café �\\n"'
        ',"stream":"stdout","time":"'
    )
    assert stamp.endswith('Z"}')
    entries = [json.loads(line) for line in lines]
    assert [(entry["stream"], entry["log"]) for entry in entries][1:] == [
        ("stderr", "\x7f del\n"),
        ("stdout", "second\n"),
        ("stdout", "\n"),
        ("stdout", "last"),
    ]


def test_json_file_puts_attributes_into_each_line(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log", "json-file", attributes='{"tag":"a\\u003cb"}')
    log.write(1, b"one\ntwo\n")
    log.close()
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines[0].startswith('{"log":"one\\n","stream":"stdout","attrs":{"tag":"a\\u003cb"},"time":"')
    assert [json.loads(line)["attrs"] for line in lines] == [{"tag": "a<b"}] * 2


@pytest.mark.parametrize("length", [16383, 16384, 16385, 40000, 65536])
def test_json_file_breaks_lines_at_16_kib(tmp_path: Path, length: int) -> None:
    log = open_log(tmp_path / "log", "json-file")
    data = b"short\n" + b"x" * length + b"\nafter\n"
    for at in range(0, len(data), 65536):
        log.write(1, data[at : at + 65536])
    log.close()
    entries = [json.loads(line)["log"] for line in (tmp_path / "log").read_text().splitlines()]
    assert "".join(entries).encode() == data
    assert max(map(len, entries)) <= 16384
    assert entries[0] == "short\n"
    assert entries[-1] == "after\n"


@pytest.mark.parametrize(
    "nanoseconds", [0, 1_700_000_000_000_000_000, 1_700_000_000_120_000_000, 1_700_000_000_000_000_001]
)
def test_times_have_no_trailing_zeros(nanoseconds: int) -> None:
    text = logs.rfc3339nano(nanoseconds)
    seconds, _, fraction = text.removesuffix("Z").partition(".")
    assert not fraction.endswith("0")
    whole = int(time.mktime(time.strptime(seconds, "%Y-%m-%dT%H:%M:%S"))) - time.timezone
    assert whole * 10**9 + int(fraction.ljust(9, "0") or 0) == nanoseconds


def test_files_are_rotated_and_the_oldest_dropped(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log", "local", max_size=100, max_files=3)
    for number in range(10):
        log.write(1, b"%d" % number + b"x" * 98 + b"\n")
    log.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "log.1", "log.2"]
    assert [frames(tmp_path / name)[0][2][:1] for name in ("log.2", "log.1", "log")] == [b"7", b"8", b"9"]


def test_one_file_is_started_anew(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log", "json-file", max_size=10, max_files=1)
    log.write(1, b"first\n")
    log.write(1, b"second\n")
    log.close()
    assert [path.name for path in tmp_path.iterdir()] == ["log"]
    assert json.loads((tmp_path / "log").read_text())["log"] == "second\n"


def test_what_cannot_be_written_is_lost_and_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[str] = []
    monkeypatch.setattr(logfile, "note", notes.append)  # the limit below would stop the note as well
    log = open_log(tmp_path / "log", "local")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # as a full disk: the first 100 bytes find place
    try:
        for number in range(6):
            log.write(1, b"%d, thirty bytes of a line....\n" % number)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    log.write(1, b"space again\n")
    log.close()
    assert [data[:1] for _, _, data in frames(tmp_path / "log")] == [b"0", b"1", b"s"]
    assert notes == [f"output lost: {tmp_path}/log: [Errno 27] File too large"]


def test_other_drivers_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="gelf"):
        logs.open_log({"driver": "gelf", "path": "x"}, Poller())
