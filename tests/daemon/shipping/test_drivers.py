"""Remote log drivers against real sockets: the bytes that a server reads."""

import json
import os
import re
import ssl
import time
from pathlib import Path

import msgpack
import pytest
from tests.fixtures.certificates import Authority
from tests.fixtures.engine import eventually
from tests.fixtures.receivers import Receiver, unchunked

from pydock_daemon.containers.logdrivers.info import Info
from pydock_daemon.containers.logdrivers.settings import LoggingError
from pydock_daemon.containers.logfiles import Batch
from pydock_daemon.containers.shipping import journald
from pydock_daemon.containers.shipping.drivers import make
from pydock_daemon.containers.shipping.records import Piece, Record, Splitter

NOW = 1_795_523_457_922_123_456
RECORDS = [
    Record("stdout", NOW, b"hi"),
    Record("stderr", NOW, "é <&>".encode()),
    Record("stdout", NOW, b"\xff", Piece("abc", 1, last=False)),
    Record("stdout", NOW, b"end", Piece("abc", 2, last=True)),
]
PID, HOST = os.getpid(), os.uname().nodename
CLOCK = time.strftime("%H:%M:%S", time.localtime(NOW // 10**9))
STAMP = f"{time.strftime('%b', time.localtime(NOW // 10**9))} {time.localtime(NOW // 10**9).tm_mday:2} {CLOCK}"
ISO = r"\d{4}-\d\d-\d\dT" + CLOCK
ZONE = r"(Z|[+-]\d\d:\d\d)"


def info(**given: str) -> Info:
    return Info(
        options={name.replace("_", "-"): text for name, text in given.items()},
        id="180e1e14fdca" + "0" * 52,
        name="web",
        image_id="sha256:e6dfcd5114ec55da",
        image_name="busybox",
        created=NOW,
        command="sh -c 'echo <hi>'",
        env={"FOO": "bar", "LINES": "a\nb"},
        labels={"a.b": "1", "_c": "2"},
    )


async def send(name: str, records: list[Record] = RECORDS, **given: str) -> None:
    driver = make(name, info(**given))
    try:
        await driver.connect()
        await driver.send(records)
    finally:
        driver.close()


@pytest.mark.parametrize(
    ("format_", "line"),
    [
        ("", rf"{STAMP} 180e1e14fdca\[{PID}\]: hi"),
        ("rfc3164", rf"{STAMP} {HOST} 180e1e14fdca\[{PID}\]: hi"),
        ("rfc5424", rf"1 {ISO}{ZONE} {HOST} 180e1e14fdca {PID} 180e1e14fdca - hi"),
        ("rfc5424micro", rf"1 {ISO}\.922123{ZONE} {HOST} 180e1e14fdca {PID} 180e1e14fdca - hi"),
    ],
    ids=["default", "rfc3164", "rfc5424", "rfc5424micro"],
)
@pytest.mark.parametrize("kind", ["tcp", "udp"])
async def test_syslog(kind: str, format_: str, line: str) -> None:
    with Receiver(kind) as server:
        await send("syslog", syslog_address=f"{kind}://{server.address}", syslog_format=format_)
        lines = server.until(b"end\n").split(b"\n")
    assert re.fullmatch(b"<30>" + line.encode(), lines[0])
    assert lines[1].startswith(b"<27>")
    assert lines[1].endswith(" é <&>".encode())
    assert lines[2].endswith(b"\xff")


@pytest.mark.parametrize("kind", ["tcp", "udp"])
@pytest.mark.parametrize("name", ["syslog", "gelf"])
async def test_an_empty_line_is_no_message(kind: str, name: str) -> None:
    with Receiver(kind) as server:
        given = {f"{name}_address": f"{kind}://{server.address}"}
        given |= {"gelf_compression_type": "none"} if (name, kind) == ("gelf", "udp") else {}
        await send(name, [Record("stdout", NOW, b""), Record("stdout", NOW, b"end")], **given)
        assert server.until(b"end").count(b"<30>" if name == "syslog" else b"short_message") == 1


@pytest.mark.parametrize("kind", ["unix", "unixgram"])
async def test_syslog_on_a_socket_of_this_host(kind: str, tmp_path: Path) -> None:
    with Receiver(kind, path=tmp_path / "log") as server:
        given = {"syslog_address": f"{kind}://{server.address}", "syslog_facility": "local3", "tag": "{{.Name}}/x"}
        await send("syslog", **given)
        assert server.until(b"end\n").startswith(f"<158>{STAMP} web/x[{PID}]: hi\n".encode())


@pytest.mark.parametrize("format_", ["", "rfc5424"])
async def test_syslog_over_tls(format_: str, tmp_path: Path) -> None:
    authority = Authority()
    authority.issue("server").write(tmp_path / "cert", tmp_path / "key")
    (tmp_path / "ca").write_bytes(authority.certificate)
    authority.issue("client").write(tmp_path / "client", tmp_path / "client.key")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tmp_path / "ca"))
    tls.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    tls.verify_mode = ssl.CERT_REQUIRED
    with Receiver("tcp", tls=tls) as server:
        own = {
            "syslog_tls_ca_cert": str(tmp_path / "ca"),
            "syslog_tls_cert": str(tmp_path / "client"),
            "syslog_tls_key": str(tmp_path / "client.key"),
        }
        address = f"tcp+tls://{server.address}"
        await send("syslog", syslog_address=address, syslog_format=format_, **own)
        data = server.until(b"end\n")
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            await send("syslog", syslog_address=address)
    if format_:
        size, _, rest = data.partition(b" ")
        assert rest[: int(size)].endswith(b" - hi\n")
        assert re.match(rb"\d+ <27>", rest[int(size) :])
    else:
        assert data.startswith(b"<30>")
    with pytest.raises(LoggingError, match='could not read CA certificate "/nosuch": open /nosuch: no such file'):
        await send("syslog", syslog_address="tcp+tls://127.0.0.1:1", syslog_tls_ca_cert="/nosuch")


@pytest.mark.parametrize("compression", ["gzip", "zlib", "none"])
async def test_gelf_over_udp(compression: str) -> None:
    long = [Record("stdout", NOW, os.urandom(8000).hex().encode())]
    with Receiver("udp") as server:
        given = {"gelf_address": f"udp://{server.address}", "gelf_compression_type": compression}
        await send("gelf", RECORDS[:1] + long + RECORDS[1:], **given, labels="a.b,_c", env="FOO", tag="{{.Name}}")
        eventually(lambda: len(unchunked(server.received)) == 5)
        messages = [json.loads(message) for message in unchunked(server.received)]
        assert max(map(len, server.received)) <= 1420
    assert [message["short_message"] for message in messages] == ["hi", long[0].line.decode(), "é <&>", "�", "end"]
    assert messages[2] == {
        "version": "1.1",
        "host": HOST,
        "short_message": "é <&>",
        "timestamp": 1795523457.922,
        "level": 3,
        "_a.b": "1",
        "_c": "2",
        "_FOO": "bar",
        "_container_id": "180e1e14fdca" + "0" * 52,
        "_container_name": "web",
        "_image_id": "sha256:e6dfcd5114ec55da",
        "_image_name": "busybox",
        "_command": "sh -c 'echo <hi>'",
        "_tag": "web",
        "_created": "2026-11-24T12:30:57.922123456Z",
    }


async def test_gelf_over_tcp() -> None:
    with Receiver("tcp") as server:
        await send("gelf", gelf_address=f"tcp://{server.address}")
        messages = server.until(b'"end"').split(b"\0")
    assert [json.loads(message)["level"] for message in messages[:-1]] == [6, 3, 6, 6]
    assert messages[-1] == b""


@pytest.mark.parametrize("kind", ["tcp", "unix"])
async def test_fluentd(kind: str, tmp_path: Path) -> None:
    with Receiver(kind, path=tmp_path / "socket" if kind == "unix" else None) as server:
        await send("fluentd", fluentd_address=f"{kind}://{server.address}", labels="a.b", env_regex="^FO")
        data = server.until(b"end")
        server.received.clear()
        await send("fluentd", fluentd_address=f"{kind}://{server.address}", fluentd_sub_second_precision="true")
        precise = server.until(b"end")
    messages = list(_unpacked(data))
    fixed = {"container_id": "180e1e14fdca" + "0" * 52, "container_name": "/web"}
    assert messages[0] == [
        "180e1e14fdca",
        NOW // 10**9,
        {**fixed, "source": "stdout", "log": "hi", "a.b": "1", "FOO": "bar"},
        {},
    ]
    assert messages[2][2]["log"] == "\udcff"
    partial = {name: text for name, text in messages[3][2].items() if name.startswith("partial")}
    assert partial == {
        "partial_message": "true",
        "partial_id": "abc",
        "partial_ordinal": "2",
        "partial_last": "true",
    }
    assert next(iter(_unpacked(precise)))[1] == msgpack.ExtType(0, (NOW // 10**9).to_bytes(4) + (922123456).to_bytes(4))


def _unpacked(data: bytes) -> msgpack.Unpacker:
    unpacker = msgpack.Unpacker(unicode_errors="surrogateescape")
    unpacker.feed(data)
    return unpacker


async def test_fluentd_waits_for_acknowledgements() -> None:
    with Receiver("tcp") as server:
        unpacker = msgpack.Unpacker(unicode_errors="replace")

        def acknowledge(data: bytes) -> bytes:
            unpacker.feed(data)
            return b"".join(msgpack.packb({"ack": message[3]["chunk"]}) for message in unpacker)

        server.answer = acknowledge
        many = [Record("stdout", NOW, b"%d" % number) for number in range(20_000)]
        await send("fluentd", many, fluentd_address=server.address, fluentd_request_ack="true")
        assert len(list(_unpacked(server.data))) == 20_000
        server.answer = lambda data: b"\xc1nonsense"
        with pytest.raises(ConnectionAbortedError):
            await send("fluentd", fluentd_address=server.address, fluentd_request_ack="true")


async def test_journald(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journald, "SOCKET", str(tmp_path / "socket"))
    with pytest.raises(LoggingError, match="journald is not enabled on this host"):
        make("journald", info())
    with Receiver("unixgram", path=tmp_path / "socket") as server:
        large = Record("stdout", NOW, b"x" * 400_000)
        await send("journald", [*RECORDS, large], labels="a.b,_c", env="FOO,LINES", tag="{{.Name}}")
        server.until(b"MESSAGE=end")
        entries = [_fields(entry) for entry in server.received if entry]
        eventually(lambda: server.fds)
        with os.fdopen(server.fds[0], "rb") as file:
            assert _fields(os.pread(file.fileno(), 1 << 20, 0))["MESSAGE"] == large.line
            with pytest.raises(PermissionError):
                os.pwrite(file.fileno(), b"y", 0)  # sealed, as the journal demands
    first = {name: value for name, value in entries[0].items() if name != "CONTAINER_LOG_EPOCH"}
    assert first == {
        "CONTAINER_ID": b"180e1e14fdca",
        "CONTAINER_ID_FULL": b"180e1e14fdca" + b"0" * 52,
        "CONTAINER_NAME": b"web",
        "CONTAINER_TAG": b"web",
        "IMAGE_NAME": b"busybox",
        "SYSLOG_IDENTIFIER": b"web",
        "SYSLOG_TIMESTAMP": b"2026-11-24T12:30:57.922123456Z",
        "CONTAINER_LOG_ORDINAL": b"1",
        "A_B": b"1",
        "C": b"2",
        "FOO": b"bar",
        "LINES": b"a\nb",
        "PRIORITY": b"6",
        "MESSAGE": b"hi",
    }
    assert entries[1]["PRIORITY"] == b"3"
    partial = [{name: value for name, value in entry.items() if "PARTIAL" in name} for entry in entries[2:4]]
    assert partial[0]["CONTAINER_PARTIAL_MESSAGE"] == b"true"
    assert partial[1] == {
        "CONTAINER_PARTIAL_ID": b"abc",
        "CONTAINER_PARTIAL_ORDINAL": b"2",
        "CONTAINER_PARTIAL_LAST": b"true",
    }


def _fields(entry: bytes) -> dict[str, bytes]:
    found = {}
    while entry:
        name, _, rest = entry.partition(b"\n")
        if b"=" in name:
            name, _, value = name.partition(b"=")
            entry = rest
        else:
            size = int.from_bytes(rest[:8], "little")
            value, entry = rest[8 : 8 + size], rest[9 + size :]
        found[name.decode()] = value
    return found


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("syslog", {"syslog_address": "tcp://127.0.0.1:1"}, "dial tcp 127.0.0.1:1: connect: connection refused"),
        ("fluentd", {"fluentd_address": "127.0.0.1:1"}, "dial tcp 127.0.0.1:1: connect: connection refused"),
        (
            "gelf",
            {"gelf_address": "tcp://127.0.0.1:1"},
            "gelf: cannot connect to GELF endpoint: 127.0.0.1:1 dial tcp 127.0.0.1:1: connect: connection refused",
        ),
    ],
)
async def test_nobody_there(name: str, given: dict[str, str], message: str) -> None:
    with pytest.raises(OSError, match=f"^{re.escape(message)}$"):
        await send(name, **given)


async def test_a_server_that_goes_away_is_noticed() -> None:
    with Receiver("tcp") as server:
        driver = make("syslog", info(syslog_address=f"tcp://{server.address}"))
        await driver.connect()
        await driver.send(RECORDS)
        server.close()
        with pytest.raises(ConnectionError):
            await driver.send(RECORDS)
        driver.close()


def batch(data: bytes, flags: int = 0, stream: str = "stdout", time: int = 1) -> Batch:
    return Batch(stream, time, data, flags)


@pytest.mark.parametrize(
    ("batches", "lines"),
    [
        ([batch(b"a\n\nb\n")], [(b"a", None), (b"", None), (b"b", None)]),
        ([batch(b"x" * 16384 + b"\n")], [(b"x" * 16384, None)]),
        (
            [batch(b"x" * 16385 + b"\nb\n")],
            [(b"x" * 16384, (1, False)), (b"x", (2, True)), (b"b", None)],
        ),
        (
            [batch(b"x" * 32768, 1), batch(b"e\n", stream="stderr"), batch(b"y\nb\n", time=2)],
            [(b"x" * 16384, (1, False)), (b"x" * 16384, (2, False)), (b"e", None), (b"y", (3, True)), (b"b", None)],
        ),
        ([batch(b"end", 3), batch(b"b\n")], [(b"end", (1, False)), (b"b", None)]),
    ],
)
def test_lines_and_pieces(batches: list[Batch], lines: list[tuple[bytes, tuple[int, bool] | None]]) -> None:
    records = list(Splitter().records(batches))
    found = [(record.line, record.piece and (record.piece.ordinal, record.piece.last)) for record in records]
    assert found == lines
    pieces = [record for record in records if record.piece]
    assert len({(record.piece.id, record.time) for record in pieces if record.piece}) == bool(pieces)
