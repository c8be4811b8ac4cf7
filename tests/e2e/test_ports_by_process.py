"""Ports that no rule can lead to a container: on ::1, and on addresses of IPv6 for containers that have IPv4 alone."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, eventually
from tests.fixtures.registry import free_port

SERVE = "mkdir /www; echo here >/www/index.html; exec httpd -f -p 80 -h /www"


def page(host: str, port: int) -> bytes:
    try:
        with socket.create_connection((host, port), timeout=5) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            client.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := client.recv(1000):
                answer += piece
            return answer.rpartition(b"\r\n\r\n")[2]
    except OSError:
        return b""


@pytest.mark.parametrize("host", ["::1", "::"])
def test_streams(cli: Cli, host: str):
    port = free_port()
    cli("run", "-d", "--name", "web", "-p", f"[{host}]:{port}:80", "busybox", "sh", "-c", SERVE)
    eventually(lambda: page("::1", port) == b"here\n")
    assert cli("port", "web") == f"80/tcp -> [{host}]:{port}"
    assert page("127.0.0.1", port) == b""
    taken = r"port is already allocated|address already in use"
    cli.fails("run", "--rm", "-p", f"[::1]:{port}:80", "busybox", code=125, message=taken)
    cli("rm", "-f", "web")
    assert page("::1", port) == b""


def test_across_daemons(fresh_daemon: Callable[..., Engine], tmp_path: Path):
    engine = fresh_daemon()
    cli = Cli("pydock", engine.host, tmp_path)
    kept, gone = free_port(), free_port()
    for name, port in (("kept", kept), ("gone", gone)):
        cli("run", "-d", "--name", name, "-p", f"[::1]:{port}:80", "busybox", "sh", "-c", SERVE)
        eventually(lambda port=port: page("::1", port) == b"here\n")
    engine.kill()
    assert page("::1", kept) == b"here\n"
    engine.start()
    assert page("::1", kept) == b"here\n"
    cli("rm", "-f", "gone")
    assert page("::1", gone) == b""
    cli("restart", "-t", "0", "kept")
    eventually(lambda: page("::1", kept) == b"here\n")
