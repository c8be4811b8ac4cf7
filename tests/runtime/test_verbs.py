"""`pydock-runtime` as podman and containerd call it.

PYDOCK_RUNTIME=runc runs the same against runc: a test that fails there is a wrong test.
"""

import array
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.runtime import box
from tests.runtime.test_terminal import read_all

import pydock_runtime
from pydock_runtime import cli

pytestmark = pytest.mark.root
OURS = [sys.executable, "-IS", str(Path(pydock_runtime.__file__).parent)]
OTHER = os.environ.get("PYDOCK_RUNTIME")
F_GET_SEALS = 1034
SLOW = ("asyncio", "dataclasses", "typing", "logging", "inspect", "argparse", "subprocess", "pathlib")
ours_only = pytest.mark.skipif(OTHER is not None, reason="of our own runtime")


class Runtime:
    """The command, with a state folder of its own, and a bundle."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.bundle = folder / "bundle"
        self.bundle.mkdir()
        self.state = folder / "state"
        self.root = root
        self.ids: list[str] = []
        self.command = [*([OTHER] if OTHER else OURS), "--root", str(self.state)]

    def __call__(self, *argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command, *argv], capture_output=True, text=True, timeout=30, check=False, **options
        )

    def ok(self, *argv: str, **options: Any) -> str:
        """The output of a call that must succeed."""
        done = self(*argv, **options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def configure(self, *args: str, shell: str = "", change: Callable[[box.Spec], None] | None = None) -> str:
        """Write the bundle's config.json; the id for a container of it."""
        wanted = box.spec(*args, root=self.root, shell=shell)
        id = f"pdrt-{os.getpid()}-{len(self.ids)}"
        wanted["linux"]["cgroupsPath"] = f"{box.PARENT}/{id}"
        if change is not None:
            change(wanted)
        (self.bundle / "config.json").write_text(json.dumps(wanted))
        self.ids.append(id)
        return id

    def create(self, *argv: str, **options: Any) -> str:
        """A created container; its output goes to the file `output`."""
        id = self.configure(*argv, **options)
        with open(self.bundle.parent / "output", "w") as output:
            command = [*self.command, "create", "--bundle", str(self.bundle), id]
            subprocess.run(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, timeout=30, check=True)
        return id

    def output(self) -> str:
        """What the last created container has written."""
        return (self.bundle.parent / "output").read_text()

    def status(self, id: str) -> str:
        """The status of a container."""
        status: str = json.loads(self.ok("state", id))["status"]
        return status

    def wait_for(self, id: str, status: str) -> None:
        """Wait until a container has a status."""
        deadline = time.monotonic() + box.PATIENCE
        while self.status(id) != status:
            assert time.monotonic() < deadline, f"{id} is {self.status(id)}, not {status}"
            time.sleep(0.01)


@pytest.fixture
def runtime(root: Path, tmp_path: Path) -> Iterator[Runtime]:
    """The command; its containers are gone at the end."""
    made = Runtime(tmp_path, root)
    yield made
    for id in made.ids:
        made("delete", "--force", id)
    assert made.ok("list", "--quiet") == ""


def test_the_life_of_a_container(runtime: Runtime) -> None:
    id = runtime.create(shell="echo started; exec sleep 100")
    state = json.loads(runtime.ok("state", id))
    assert (state["status"], state["id"], state["bundle"]) == ("created", id, str(runtime.bundle))
    assert Path(f"/proc/{state['pid']}").exists()
    assert runtime.output() == ""
    runtime.ok("start", id)
    assert runtime.status(id) == "running"
    assert runtime("start", id).returncode == 1
    assert [row["id"] for row in json.loads(runtime.ok("list", "--format", "json"))] == [id]
    assert runtime.ok("list", "--quiet") == f"{id}\n"
    assert json.loads(runtime.ok("ps", "--format", "json", id)) == [state["pid"]]
    assert runtime("delete", id).returncode == 1
    runtime.ok("kill", id, "KILL")
    runtime.wait_for(id, "stopped")
    assert runtime.output() == "started\n"
    runtime.ok("delete", id)
    assert runtime("state", id).returncode == 1
    assert runtime("delete", id).returncode == 1
    runtime.ok("delete", "--force", id)


def test_run_passes_output_input_and_exit_code_on(runtime: Runtime) -> None:
    id = runtime.configure(shell="cat; echo err >&2; exit 42")
    done = runtime("run", "--bundle", str(runtime.bundle), id, input="some\n")
    assert (done.returncode, done.stdout, done.stderr) == (42, "some\n", "err\n")
    assert runtime("state", id).returncode == 1


def test_run_passes_signals_on(runtime: Runtime, tmp_path: Path) -> None:
    id = runtime.configure(shell="trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done")
    command = [*runtime.command, "run", "--bundle", str(runtime.bundle), id]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(box.PATIENCE) == 9


def test_exec_runs_in_the_container(runtime: Runtime) -> None:
    id = runtime.create("sleep", "100")
    runtime.ok("start", id)
    done = runtime(
        "exec",
        "--env",
        "A=1",
        "--cwd",
        "/tmp",
        "--user",
        "5:6",
        id,
        "sh",
        "-c",
        "echo $A $(pwd) $(id -u) $(id -g); exit 3",
    )
    assert (done.returncode, done.stdout) == (3, "1 /tmp 5 6\n")
    process = runtime.bundle.parent / "process.json"
    process.write_text(
        json.dumps({"args": ["hostname"], "env": ["PATH=/bin"], "cwd": "/", "user": {"uid": 0, "gid": 0}})
    )
    assert runtime.ok("exec", "--process", str(process), id) == "box\n"
    pid_file = runtime.bundle.parent / "pid"
    detached = [*runtime.command, "exec", "--detach", "--pid-file", str(pid_file), id, "sleep", "100"]
    subprocess.run(detached, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    assert int(pid_file.read_text()) in json.loads(runtime.ok("ps", "--format", "json", id))
    assert "nothing" in runtime("exec", id, "nothing").stderr


def test_pause_stops_and_resume_goes_on(runtime: Runtime) -> None:
    id = runtime.create("sleep", "100")
    runtime.ok("start", id)
    runtime.ok("pause", id)
    assert runtime.status(id) == "paused"
    done = runtime("exec", id, "true")
    assert (done.returncode, "cannot exec in a paused container" in done.stderr) == (255, True)
    runtime.ok("resume", id)
    assert runtime.status(id) == "running"
    runtime.ok("pause", id)
    runtime.ok("delete", "--force", id)


def test_limits_change(runtime: Runtime) -> None:
    id = runtime.create("sleep", "100")
    runtime.ok("start", id)
    runtime.ok("update", "--pids-limit", "50", "--memory", "100000000", id)
    runtime.ok("update", "--resources", "-", id, input=json.dumps({"cpu": {"shares": 333}}))
    stats = json.loads(runtime.ok("events", "--stats", id))
    assert (stats["type"], stats["id"]) == ("stats", id)
    assert stats["data"]["pids"]["limit"] == 50
    assert stats["data"]["memory"]["usage"]["limit"] // 4096 == 100000000 // 4096


def test_a_created_container_can_be_deleted(runtime: Runtime) -> None:
    id = runtime.create("sleep", "100")
    runtime.ok("delete", "--force", id)
    assert runtime("state", id).returncode == 1


def test_a_program_that_is_missing_is_told_and_leaves_nothing(runtime: Runtime) -> None:
    id = runtime.configure("nothing")
    log = runtime.bundle.parent / "log"
    done = runtime("--log", str(log), "--log-format", "json", "run", "--bundle", str(runtime.bundle), id)
    assert done.returncode == 1 if not OTHER else done.returncode != 0
    assert 'exec: "nothing": executable file not found in $PATH' in done.stderr + log.read_text()
    line = json.loads(log.read_text().splitlines()[-1])
    assert line["level"] == "error"
    assert "executable file not found in $PATH" in line["msg"]
    assert runtime("state", id).returncode == 1


def receive_terminal(listener: socket.socket) -> int:
    """The terminal that a runtime sends to a console socket."""
    assert select.select([listener], (), (), box.PATIENCE)[0]
    with listener.accept()[0] as connection:
        _, control, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4))
        return int(array.array("i", control[0][2][:4])[0])


@pytest.mark.parametrize("verb", ["create", "run"])
def test_the_terminal_goes_to_the_console_socket(runtime: Runtime, verb: str) -> None:
    def terminal(wanted: box.Spec) -> None:
        wanted["process"]["terminal"] = True

    id = runtime.configure(shell="tty; cat /proc/self/stat | cut -d' ' -f7", change=terminal)
    path = str(runtime.bundle.parent / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        more = ["--detach"] if verb == "run" else []
        runtime.ok(verb, *more, "--console-socket", path, "--bundle", str(runtime.bundle), id)
        master = receive_terminal(listener)
    if verb == "create":
        runtime.ok("start", id)
    lines = read_all(master).split()
    os.close(master)
    # 34816: the first pty of the container's own devpts.
    assert lines == [b"/dev/pts/0", b"34816"]


@ours_only
def test_run_lends_its_own_terminal(runtime: Runtime) -> None:
    def terminal(wanted: box.Spec) -> None:
        wanted["process"]["terminal"] = True

    id = runtime.configure(shell="stty size; read line; echo got $line", change=terminal)
    master, slave = os.openpty()
    command = [*runtime.command, "run", "--bundle", str(runtime.bundle), id]
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True) as process:
        os.close(slave)
        os.write(master, b"a line\n")
        text = read_all(master)
        assert process.wait(box.PATIENCE) == 0
    os.close(master)
    assert b"got a line" in text


@ours_only
def test_descriptors_are_preserved_when_asked(runtime: Runtime) -> None:
    id = runtime.configure(shell="cat <&3")
    reader, writer = os.pipe()
    os.write(writer, b"through\n")
    os.close(writer)
    move = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.execv(sys.argv[2], sys.argv[2:])"
    command = [*runtime.command, "run", "--preserve-fds", "1", "--bundle", str(runtime.bundle), id]
    done = subprocess.run(
        [sys.executable, "-c", move, str(reader), *command],
        pass_fds=[reader],
        capture_output=True,
        text=True,
        check=True,
    )
    os.close(reader)
    assert done.stdout == "through\n"


def test_an_id_is_used_once(runtime: Runtime) -> None:
    id = runtime.create("sleep", "100")
    done = runtime("create", "--bundle", str(runtime.bundle), id)
    assert done.returncode == 1
    assert "exist" in done.stderr
    assert runtime.status(id) == "created"


@pytest.mark.parametrize("id", ["../x", "a/b", "."])
def test_an_id_that_is_a_path_is_refused(runtime: Runtime, id: str) -> None:
    runtime.configure("true")
    assert "invalid container ID format" in runtime("run", "--bundle", str(runtime.bundle), id).stderr


@pytest.mark.parametrize("flags", [(), ("--rootless",)])
def test_the_example_runs(runtime: Runtime, flags: tuple[str, ...]) -> None:
    for folder in (runtime.root, *runtime.root.parents[:3]) if flags and OTHER else ():
        if folder.stat().st_mode & 0o005 != 0o005:
            pytest.skip("runc's user namespace cannot reach the folder")
    runtime.ok("spec", *flags, "--bundle", str(runtime.bundle))
    path = runtime.bundle / "config.json"
    wanted = json.loads(path.read_text())
    wanted["process"] |= {"terminal": False, "args": ["sh", "-c", "hostname; ls /"]}
    wanted["root"]["path"] = str(runtime.root)
    wanted["linux"]["cgroupsPath"] = f"{box.PARENT}/example"
    path.write_text(json.dumps(wanted))
    runtime.ids.append(f"pdrt-{os.getpid()}-example")
    assert "bin" in runtime.ok("run", "--bundle", str(runtime.bundle), runtime.ids[-1]).split()
    assert runtime("spec", "--bundle", str(runtime.bundle)).returncode == 1


def test_a_root_can_be_moved_instead_of_pivoted_to(runtime: Runtime) -> None:
    id = runtime.configure(
        shell="ls -d /etc/passwd /proc/1; ls /tmp/.. | wc -l; grep -c ' - proc ' /proc/self/mountinfo"
    )
    lines = runtime.ok("run", "--no-pivot", "--bundle", str(runtime.bundle), id).splitlines()
    assert lines[:2] == ["/etc/passwd", "/proc/1"]
    assert int(lines[2]) < 10
    assert lines[3] == "1"


def test_an_exec_of_a_paused_container_waits(runtime: Runtime) -> None:
    id = runtime.create("sleep", "100")
    runtime.ok("start", id)
    runtime.ok("pause", id)
    assert runtime("exec", id, "true").returncode != 0
    with subprocess.Popen([*runtime.command, "exec", "--ignore-paused", id, "true"]) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        runtime.ok("resume", id)
        assert process.wait(box.PATIENCE) == 0


def test_a_signal_that_comes_too_late_is_refused_in_the_words_engines_know(runtime: Runtime) -> None:
    id = runtime.create("true")
    runtime.ok("start", id)
    runtime.wait_for(id, "stopped")
    done = runtime("kill", id, "TERM")
    assert (done.returncode, "container not running" in done.stderr) == (1, True)


def test_features_are_told(runtime: Runtime) -> None:
    features = json.loads(runtime.ok("features"))
    assert {"mount", "pid", "network", "ipc", "uts", "cgroup"} <= set(features["linux"]["namespaces"])
    assert "rro" in features["mountOptions"]
    if not OTHER:
        # Every kernel that has pidfds for CLONE_PIDFD has these; the fourth one came with Linux 5.19.
        assert features["linux"]["seccomp"]["supportedFlags"][:3] == features["linux"]["seccomp"]["knownFlags"][:3]
        assert features["linux"]["netDevices"]["enabled"]


@ours_only
@pytest.mark.parametrize("verb", sorted(cli.VERBS))
def test_every_verb_explains_itself_on_a_bare_interpreter(verb: str) -> None:
    command = [sys.executable, "-IS", "-X", "importtime", OURS[-1], verb, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"usage: pydock-runtime {verb} ")
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "pydock_runtime.cli" in imported
    assert imported & set(SLOW) == set()


@ours_only
@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["fly"], "No help topic for 'fly'"),
        (["start"], '"start" requires exactly 1 argument(s)'),
        (["kill", "nobody"], "container does not exist"),
        (["list", "--format", "xml"], "invalid format option"),
    ],
)
def test_what_is_wrong_is_told(runtime: Runtime, argv: list[str], message: str) -> None:
    done = runtime(*argv)
    assert (done.returncode, done.stderr) == (3 if argv == ["fly"] else 1, f"pydock-runtime: {message}\n")


@ours_only
def test_the_interpreter_that_the_container_could_see_is_a_sealed_copy(runtime: Runtime) -> None:
    id = runtime.create("sleep", "100")
    pid = json.loads(runtime.ok("state", id))["pid"]
    assert os.readlink(f"/proc/{pid}/exe").startswith("/memfd:")
    with open(f"/proc/{pid}/exe", "rb") as file:
        assert fcntl.fcntl(file, F_GET_SEALS) == 0b1111
