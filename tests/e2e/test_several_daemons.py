"""Several daemons side by side on one host, each keeping to its own objects."""

import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, eventually
from tests.fixtures.registry import free_port
from tests.fixtures.web import fetch

SERVE = "mkdir /www; echo $0 >/www/index.html; exec httpd -f -p 80 -h /www"


def test_each_keeps_to_its_own(fresh_daemon: Callable[..., Engine], tmp_path: Path):
    one, two = fresh_daemon(), fresh_daemon()
    first, second = Cli("docker", one.host, tmp_path), Cli("pydock", two.host, tmp_path)
    ports = {}
    for cli, word in ((first, "one"), (second, "two")):
        ports[word] = free_port()
        cli(
            "run", "-d", "--name", "web", "-p", f"{ports[word]}:80", "-v", "data:/x", "busybox", "sh", "-c", SERVE, word
        )
    for word, port in ports.items():
        eventually(lambda word=word, port=port: fetch("127.0.0.1", port) == word)
    assert first("ps", "-q") != second("ps", "-q")
    first("rm", "-f", "web")
    one.stop()
    assert fetch("127.0.0.1", ports["one"]) == ""
    assert fetch("127.0.0.1", ports["two"]) == "two"
    assert second("exec", "web", "echo", "alive") == "alive"
    one.start()
    assert first("volume", "ls", "-q") == "data"
    assert fetch("127.0.0.1", ports["two"]) == "two"


def test_a_data_root_has_one_daemon(fresh_daemon: Callable[..., Engine]):
    engine = fresh_daemon()
    rival = Engine(engine.root)
    done = subprocess.run(rival.command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert "another daemon" in done.stderr
