"""HTTP to the daemon: what is sent, what is understood, and connections that are kept, replaced and given away."""

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.client.recorder import Answer, Recorder

from pydock_client.http import Daemon, parse_host, quote
from pydock_shared.errors import Conflict, InvalidArgument, NotFound, NotSupported, PydockError, Unavailable

Script = Callable[..., Daemon]


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[Script]:
    """A server that reads one request per connection and answers with the bytes it was given."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(tmp_path / "s"))
    listener.listen()
    threads: list[threading.Thread] = []
    daemon = Daemon(f"unix://{tmp_path}/s")

    def serve(answers: tuple[bytes, ...]) -> None:
        for answer in answers:
            connection, _ = listener.accept()
            with connection:
                while b"\r\n\r\n" not in connection.recv(65536):
                    continue
                for byte in range(len(answer)):  # the worst a network can do
                    connection.sendall(answer[byte : byte + 1])

    def make(*answers: bytes) -> Daemon:
        threads.append(threading.Thread(target=serve, args=(answers,)))
        threads[-1].start()
        return daemon

    yield make
    daemon.close()
    for thread in threads:
        thread.join(5)
    listener.close()


def test_a_body_of_known_length(scripted: Script):
    assert scripted(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n[1, 2]\r\n").call("GET", "/x") == [1, 2]


def test_a_body_in_chunks(scripted: Script):
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\n[1,\r\n3\r\n 2]\r\n0\r\nTrailer: x\r\n\r\n"
    assert scripted(raw).call("GET", "/x") == [1, 2]


def test_a_body_up_to_the_end(scripted: Script):
    assert scripted(b"HTTP/1.1 200 OK\r\n\r\n[1, 2]").call("GET", "/x") == [1, 2]


def test_no_body(scripted: Script):
    assert scripted(b"HTTP/1.1 204 No Content\r\n\r\n").call("GET", "/x") is None


def test_continue_is_passed_over(scripted: Script):
    raw = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    assert scripted(raw).call("GET", "/x") == {}


def test_objects_come_one_a_line(scripted: Script):
    raw = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{"a":1}\n{\r\n7\r\n"b":2}\n\r\n0\r\n\r\n'
    assert list(scripted(raw).request("GET", "/x").objects()) == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{}",
    ],
)
def test_an_answer_that_breaks_off(scripted: Script, raw: bytes):
    with pytest.raises(Unavailable):
        scripted(raw).call("GET", "/x")


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, NotFound), (409, Conflict), (400, InvalidArgument), (501, NotSupported), (500, PydockError)],
)
def test_an_error_is_the_kind_of_its_status(recorder: Recorder, status: int, kind: type[PydockError]):
    recorder.answers["GET", "/x"] = Answer(status, {"message": "it is so"})
    with Daemon(recorder.host) as daemon, pytest.raises(kind) as failed:
        daemon.call("GET", "/x")
    assert failed.value.message == "Error response from daemon: it is so"


def test_an_error_that_is_no_json(recorder: Recorder):
    recorder.answers["GET", "/x"] = Answer(500, b"plain words")
    with Daemon(recorder.host) as daemon, pytest.raises(PydockError, match="plain words"):
        daemon.call("GET", "/x")


def test_a_connection_is_kept(recorder: Recorder):
    recorder.answers["GET", "/x"] = Answer(body={})
    with Daemon(recorder.host) as daemon:
        for _ in range(3):
            daemon.call("GET", "/x")
    assert recorder.connections == 1


def test_a_connection_whose_answer_is_not_read_is_not_used_again(recorder: Recorder):
    recorder.answers["GET", "/x"] = Answer(body={})
    with Daemon(recorder.host) as daemon:
        first = daemon.begin("GET", "/x")
        daemon.call("GET", "/x")
        assert first.response().json() == {}
    assert recorder.connections == 2


def test_a_kept_connection_that_was_closed_is_replaced(scripted: Script):
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    daemon = scripted(answer, answer)
    assert daemon.call("GET", "/x") == {}
    assert daemon.call("GET", "/x") == {}


def test_what_is_sent(recorder: Recorder):
    recorder.answers["POST", "/a%20b/%C3%BC"] = Answer(body={})
    with Daemon(recorder.host) as daemon:
        query = {"yes": True, "no": False, "none": None, "many": ["a", "b&c"], "path": "/x y", "number": 0}
        daemon.call("POST", "/a b//ü", query, {"k": "v"}, X_Extra="1")
    (request,) = recorder.requests
    assert request.query == {"yes": "1", "many": "b&c", "path": "/x y", "number": "0"}
    assert request.body == {"k": "v"}
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-extra"] == "1"


def test_a_body_of_pieces_goes_in_chunks(recorder: Recorder):
    recorder.answers["POST", "/x"] = Answer(body={})
    with Daemon(recorder.host) as daemon:
        daemon.call("POST", "/x", None, iter([b"one", b"", b"two"]))
    assert recorder.requests[0].headers["transfer-encoding"] == "chunked"
    assert recorder.requests[0].body == b"onetwo"


def test_head_has_no_body(recorder: Recorder):
    recorder.answers["HEAD", "/x"] = Answer(body={"a": 1})
    recorder.answers["GET", "/x"] = Answer(body={})
    with Daemon(recorder.host) as daemon:
        assert daemon.request("HEAD", "/x").read() == b""
        assert daemon.call("GET", "/x") == {}
    assert recorder.connections == 1


def test_hijack_gives_the_socket_and_what_came_early(recorder: Recorder):
    recorder.answers["POST", "/x"] = Answer(raw=b"early")
    with Daemon(recorder.host) as daemon:
        stream, early, media = daemon.hijack("/x").hijacked()
        with stream:
            assert early + stream.recv(10) == b"early"
    assert media == "application/vnd.docker.multiplexed-stream"


def test_hijack_refused(recorder: Recorder):
    recorder.answers["POST", "/x"] = Answer(409, {"message": "not now"})
    with Daemon(recorder.host) as daemon, pytest.raises(Conflict, match="not now"):
        daemon.hijack("/x").hijacked()


def test_no_daemon(tmp_path: Path):
    with pytest.raises(Unavailable, match="Cannot connect to the pydock daemon"):
        Daemon(f"unix://{tmp_path}/none").call("GET", "/x")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:///a/b", (socket.AF_UNIX, "/a/b")),
        ("unix://", (socket.AF_UNIX, "/var/run/pydock.sock")),
        ("tcp://1.2.3.4:99", (socket.AF_INET, ("1.2.3.4", 99))),
        ("tcp://host", (socket.AF_INET, ("host", 2375))),
        ("tcp://[::1]:5", (socket.AF_INET, ("::1", 5))),
        ("http://x:80/", (socket.AF_INET, ("x", 80))),
    ],
)
def test_hosts(text: str, address: object):
    assert parse_host(text) == address


@pytest.mark.parametrize("text", ["ssh://x", "npipe:////./pipe/x", "foo://x", "fd://"])
def test_hosts_that_are_none(text: str):
    with pytest.raises(PydockError, match=r"not supported|invalid bind address"):
        parse_host(text)


def test_tcp(recorder: Recorder):
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    thread = threading.Thread(target=serve)
    thread.start()
    with listener, Daemon(f"tcp://127.0.0.1:{listener.getsockname()[1]}") as daemon:
        assert daemon.call("GET", "/x") == {}
    thread.join(5)


def test_quote():
    assert quote("a b?c&d=é/:,") == "a%20b%3Fc%26d%3D%C3%A9/:,"
