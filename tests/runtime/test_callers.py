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


def test_limits_that_kernels_do_not_have_any_more_are_warned_of(runtime: Runtime) -> None:
    def change(wanted: box.Spec) -> None:
        wanted["linux"]["resources"]["memory"] = {"kernel": 64 << 20}

    done = runtime("run", "--bundle", str(runtime.bundle), runtime.configure("true", change=change))
    assert done.returncode == 0
    assert "ignored" in done.stderr


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


WHOLE = {
    "memory": {"limit": 0, "reservation": 0, "swap": 0},
    "cpu": {"shares": 0, "quota": 0, "period": 0, "realtimeRuntime": 0, "realtimePeriod": 0, "cpus": "", "mems": ""},
    "blockIO": {"weight": 0},
}


def test_updates_leave_what_is_zero(runtime: Runtime) -> None:
    id = runtime.create("sleep", "100")
    runtime.ok("start", id)
    runtime.ok("update", "--memory", "64m", "--memory-swap", "128m", "--pids-limit", "30", "--cpu-share", "300", id)
    for resources in (WHOLE, {}, {"memory": {}, "pids": {"limit": 0}}):
        runtime.ok("update", "--resources", "-", id, input=json.dumps(resources))
    runtime.ok("update", id)
    runtime.ok("update", "--memory", "0", "--kernel-memory", "1m", id)
    data = json.loads(runtime.ok("events", "--stats", id))["data"]
    assert (data["memory"]["usage"]["limit"], data["pids"]["limit"]) == (64 << 20, 30)
    refused = runtime("update", "--memory", "4096", id)
    assert (refused.returncode, "unable to set memory limit to 4096 (current usage:" in refused.stderr) == (1, True)
    runtime.ok("update", "--memory", "-1", id)
    assert json.loads(runtime.ok("events", "--stats", id))["data"]["memory"]["usage"]["limit"] >= 1 << 62


def test_a_process_of_a_file_has_what_it_leaves_out_of_the_container_s(runtime: Runtime) -> None:
    id = runtime.create("sleep", "100")
    runtime.ok("start", id)
    file = runtime.bundle.parent / "process.json"
    shown = "grep CapBnd /proc/self/status"
    process = {"args": ["sh", "-c", shown], "env": ["PATH=/bin"], "cwd": "/", "user": {"uid": 0, "gid": 0}}

    def run(**changed: object) -> subprocess.CompletedProcess[str]:
        file.write_text(json.dumps(process | changed))
        return runtime("exec", "--process", str(file), id)

    assert run().stdout == "CapBnd:\t00000000a80425fb\n"
    assert run(capabilities={"bounding": ["CAP_KILL"]}).stdout == "CapBnd:\t0000000000000020\n"
    for changed, words in (
        ({"cwd": ""}, "Cwd property must not be empty"),
        ({"env": ["A=1", "B"]}, "invalid environment variable: "),
        ({"env": ["=b"]}, "environment variable name can't be empty"),
    ):
        done = run(**changed)
        assert (done.returncode, words in done.stderr) == (255, True), done.stderr
    assert runtime("exec", "--preserve-fds", "9", id, "true").returncode == 255
    assert "process args cannot be empty" in runtime("exec", id).stderr


def test_a_program_needs_a_folder_and_an_environment_that_is_one(runtime: Runtime) -> None:
    for changed, words in (
        ({"cwd": ""}, "Cwd property must not be empty"),
        ({"env": ["PATH=/bin", "B"]}, "invalid environment variable: "),
    ):
        id = runtime.configure("true", change=lambda spec: spec["process"].update(changed))  # noqa: B023 - at once
        done = runtime("run", "--bundle", str(runtime.bundle), id)
        assert (done.returncode, words in done.stderr) == (1, True), done.stderr


def test_numbers_of_words_and_unknown_verbs(runtime: Runtime) -> None:
    for command, words in {
        ("state",): '"state" requires exactly 1 argument(s)',
        ("start", "a", "b"): '"start" requires exactly 1 argument(s)',
        ("kill",): '"kill" requires a minimum of 1 argument(s)',
        ("exec",): '"exec" requires a minimum of 1 argument(s)',
        ("ps",): '"ps" requires a minimum of 1 argument(s)',
        ("list", "a"): '"list" requires exactly 0 argument(s)',
        ("features", "a"): '"features" requires exactly 0 argument(s)',
    }.items():
        done = runtime(*command)
        assert (done.returncode, words in done.stderr.replace("\\", "")) == (1, True), (command, done.stderr)
    assert runtime("bogus").returncode == 3
    assert runtime().returncode == 0
    assert runtime("--criu", "/nowhere/criu", "list").returncode == 0


def test_what_is_no_id(runtime: Runtime) -> None:
    runtime.configure("true", change=lambda spec: spec["linux"].pop("cgroupsPath"))
    for id in ("a:b", "a b", "a/b", ".."):
        done = runtime("create", "--bundle", str(runtime.bundle), id)
        assert (done.returncode, "invalid container ID format" in done.stderr) == (1, True), done.stderr


def test_an_error_is_json_where_that_is_asked_for(runtime: Runtime) -> None:
    told = json.loads(runtime("--log-format", "json", "state", "nobody").stderr)
    assert (told["level"], told["msg"]) == ("error", "container does not exist")


def test_files_beside_the_states_are_nobody_s(runtime: Runtime) -> None:
    id = runtime.create("sleep", "100")
    (runtime.state / "a-file").touch()
    (runtime.state / "a-folder").mkdir()
    assert runtime.ok("list", "--quiet") == f"{id}\n"
