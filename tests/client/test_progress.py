"""Progress of pull and load: plain lines as docker prints them, lines in place on a terminal, and errors."""

import json
import os
import pty
from typing import Any

import pytest
from tests.client.conftest import Send, needs_docker
from tests.client.recorder import Answer

from pydock_client import progress
from pydock_shared.errors import PydockError

STREAM: list[dict[str, Any]] = [
    {"status": "Pulling from library/x", "id": "1"},
    {"status": "Pulling fs layer", "id": "aaa"},
    {"status": "Downloading", "id": "aaa", "progressDetail": {"current": 5, "total": 10}, "progress": "[=>] 5B/10B"},
    {"status": "Download complete", "id": "aaa", "progressDetail": {}},
    {"status": "Pull complete", "id": "aaa", "progressDetail": {}},
    {"status": "Digest: sha256:abc"},
    {"aux": {"ID": "sha256:def"}},
    {"status": "Status: Downloaded newer image for x:1"},
]


def answer(entries: list[dict[str, Any]]) -> Answer:
    """A stream as the daemon sends it."""
    return Answer(body="".join(json.dumps(entry) + "\r\n" for entry in entries).encode())


@pytest.mark.parametrize("words", [["pull", "x:1"], ["pull", "x"], ["pull", "-q", "x"]])
def test_plain_lines(send: Send, words: list[str]):
    needs_docker(26)
    answers = {("POST", "/images/create"): answer(STREAM)}
    theirs, _ = send("docker", *words, answers=answers)
    ours, _ = send("pydock", *words, answers=answers)
    assert (ours.returncode, ours.stdout) == (theirs.returncode, theirs.stdout)


def test_an_error_in_the_stream(send: Send):
    failure = {"errorDetail": {"message": "it broke"}, "error": "it broke"}
    answers = {("POST", "/images/create"): answer([*STREAM[:2], failure])}
    result, _ = send("pydock", "pull", "x:1", answers=answers)
    assert result.returncode == 1
    assert result.stdout == "1: Pulling from library/x\naaa: Pulling fs layer\n"
    assert result.stderr == "it broke\n"


def test_load_prints_what_the_daemon_says(send: Send):
    answers = {("POST", "/images/load"): answer([{"stream": "Loaded image: x:1\n"}])}
    result, requests = send("pydock", "load", answers=answers, stdin="archive")
    assert result.stdout == "Loaded image: x:1\n"
    assert requests[0].body == b"archive"


def shown(entries: list[dict[str, Any]]) -> str:
    """What stands on a terminal's wire."""
    master, slave = pty.openpty()
    text = b""
    with os.fdopen(slave, "w") as out:
        progress.show(entries, out)
        while not text.endswith(b"All done\r\n"):
            text += os.read(master, 65536)
    os.close(master)
    return text.decode().replace("\r\n", "\n")


def test_on_a_terminal_each_id_keeps_its_line():
    text = shown(
        [
            {"status": "Waiting", "id": "a"},
            {"status": "Waiting", "id": "b"},
            {"status": "Downloading", "id": "a", "progressDetail": {"current": 5, "total": 10}},
            {"status": "Done", "id": "b"},
            {"status": "All done"},
        ]
    )
    assert "\x1b[2A\x1b[2K\ra: Downloading" in text
    assert "\x1b[1A\x1b[2K\rb: Done" in text
    assert "5B/10B" in text
    assert text.endswith("All done\n")


def test_quiet_says_nothing_but_raises():
    progress.quiet(STREAM)
    with pytest.raises(PydockError, match="no"):
        progress.quiet([{"error": "no"}])


def test_facts_on_the_side():
    found: list[dict[str, Any]] = []
    with open(os.devnull, "w") as out:
        progress.show(STREAM, out, found.append)
    assert found == [{"ID": "sha256:def"}]
