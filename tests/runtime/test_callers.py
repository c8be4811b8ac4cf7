"""What callers of runc rely on: words, exit codes, options, and descriptors that are passed on.

PYDOCK_RUNTIME=runc runs the same against runc.
"""

import json
import os
import subprocess
import sys

import pytest
from tests.runtime import box
from tests.runtime.test_verbs import Runtime, runtime

__all__ = ["runtime"]
pytestmark = pytest.mark.root


def test_engines_know_the_words(runtime: Runtime) -> None:
    id = runtime.create("sleep", "100")
    said = {
        ("start", "nobody"): "container does not exist",
        ("resume", id): "container not paused",
        ("kill", id, "FOO"): "unknown signal",
        ("update", "--memory", "abc", id): "invalid value for memory: invalid size: 'abc'",
        ("create", "--bundle", str(runtime.bundle), id): "container with given ID already exists",
        ("ps", "--format", "xml", id): "invalid format option",
    }
    for command, words in said.items():
        done = runtime(*command)
        assert (done.returncode, words in done.stderr) == (1, True), (command, done.stderr)
    runtime.ok("start", id)
    assert "cannot start an already running container" in runtime("start", id).stderr
    assert runtime("exec", "nobody", "true").returncode == 255
    runtime.ok("kill", "--all", id, "0")
    runtime.ok("kill", id, "KILL")
    runtime.wait_for(id, "stopped")
    assert "cannot start a container that has stopped" in runtime("start", id).stderr
    assert "cannot exec in a stopped container" in runtime("exec", id, "true").stderr
    for command, words in {
        ("pause", id): "container not running",
        ("update", "--pids-limit", "5", id): "container not running",
        ("events", "--stats", id): f"container with id {id} is not running",
    }.items():
        assert words in runtime(*command).stderr


def test_an_exec_goes_into_a_container_that_was_not_started(runtime: Runtime) -> None:
    id = runtime.create("sleep", "100")
    assert runtime.ok("exec", id, "hostname") == "box\n"
    assert runtime.status(id) == "created"


def test_processes_are_shown_as_ps_shows_them(runtime: Runtime) -> None:
    id = runtime.create("sleep", "100")
    runtime.ok("start", id)
    pid = json.loads(runtime.ok("state", id))["pid"]
    header, row = runtime.ok("ps", id).splitlines()
    assert header.split() == "UID PID PPID C STIME TTY TIME CMD".split()
    assert row.split()[1] == str(pid)
    assert row.endswith("sleep 100")
    assert [line.split() for line in runtime.ok("ps", id, "-o", "pid,comm").splitlines()] == [
        ["PID", "COMMAND"],
        [str(pid), "sleep"],
    ]
    assert runtime("ps", id, "-o", "comm").returncode == 1


def test_sizes_are_written_as_people_write_them(runtime: Runtime) -> None:
    id = runtime.create("sleep", "100")
    runtime.ok("start", id)
    runtime.ok("update", "--memory", "64m", id)
    limit = json.loads(runtime.ok("events", "--stats", id))["data"]["memory"]["usage"]["limit"]
    assert limit == 64 << 20


def test_capabilities_that_there_are_not_are_warned_of(runtime: Runtime) -> None:
    def change(wanted: box.Spec) -> None:
        wanted["process"]["capabilities"] = {key: ["CAP_KILL", "CAP_FLY"] for key in ("bounding", "permitted")}

    done = runtime("run", "--bundle", str(runtime.bundle), runtime.configure("true", change=change))
    assert done.returncode == 0
    assert "ignoring unknown or unavailable capabilities" in done.stderr
    assert "CAP_FLY" in done.stderr


def test_sockets_of_a_service_are_passed_on(runtime: Runtime) -> None:
    id = runtime.configure(shell="echo $LISTEN_FDS $LISTEN_PID; cat <&4; cat <&3")
    texts = ("first\n", "second\n")
    files = []
    for text in texts:
        reader, writer = os.pipe()
        os.write(writer, text.encode())
        os.close(writer)
        files.append(reader)
    move = (
        "import os, sys; first, second = map(int, sys.argv[1:3]); os.dup2(first, 10); os.dup2(second, 11); "
        "os.dup2(10, 3); os.dup2(11, 4); os.environ |= {'LISTEN_FDS': '2', 'LISTEN_PID': str(os.getpid())}; "
        "os.execvp(sys.argv[3], sys.argv[3:])"
    )
    command = [*runtime.command, "run", "--bundle", str(runtime.bundle), id]
    done = subprocess.run(
        [sys.executable, "-c", move, *map(str, files), *command],
        pass_fds=files,
        capture_output=True,
        text=True,
        check=True,
    )
    for reader in files:
        os.close(reader)
    assert done.stdout == "2 1\nsecond\nfirst\n"
