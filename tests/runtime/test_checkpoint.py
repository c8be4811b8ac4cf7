"""`checkpoint` and `restore` with the real criu; PYDOCK_RUNTIME=runc runs what both can against runc.

criu goes into details of the kernel: Debian 12's 3.17 works with its own 6.1 and not with 6.18, 4.2 works
with both. Where it does not these skip.
"""

import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.fixtures.criu import needed
from tests.runtime import box
from tests.runtime.test_usermaps import in_users, mapped, mapped_root
from tests.runtime.test_verbs import OTHER, Runtime, ours_only, receive_terminal, runtime

from pydock_runtime import state

__all__ = ["mapped", "mapped_root", "runtime"]

pytestmark = pytest.mark.root
CAP_SYS_RESOURCE = 24
COUNT = "trap 'exit 7' TERM; n=0; while :; do n=$((n+1)); echo $n; usleep 20000; done"


@pytest.fixture
def criu() -> None:
    """A criu that works."""
    needed()


class Pipe:
    """A pipe that is the output of a container, and is so again after a restore."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self.seen: list[str] = []

    def lines(self, wanted: int) -> list[str]:
        """The next lines, so many at least."""
        text = ""
        while text.count("\n") < wanted:
            assert select.select([self.reader], (), (), box.PATIENCE)[0], f"only {text!r}"
            text += os.read(self.reader, 1 << 16).decode()
        return text.splitlines()


@pytest.fixture
def output() -> Iterator[Pipe]:
    """A pipe for the containers of a test."""
    made = Pipe()
    yield made
    os.close(made.reader)
    os.close(made.writer)


def call(runtime: Runtime, output: Pipe, *argv: str) -> subprocess.CompletedProcess[bytes]:
    """The command with the pipe as its output, errors too."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": output.writer, "stderr": output.writer}
    return subprocess.run([*runtime.command, *argv], timeout=60, check=False, **streams)


def running(
    runtime: Runtime, output: Pipe, shell: str = COUNT, change: Callable[[box.Spec], None] | None = None
) -> str:
    """A container that writes into the pipe."""
    id = runtime.configure(shell=shell, change=change)
    done = call(runtime, output, "create", "--bundle", str(runtime.bundle), id)
    assert done.returncode == 0, output.lines(1)
    runtime.ok("start", id)
    return id


def images(runtime: Runtime) -> list[str]:
    """The flags for the folders of a checkpoint."""
    return ["--image-path", str(runtime.bundle.parent / "images"), "--work-path", str(runtime.bundle.parent / "work")]


def restored(runtime: Runtime, output: Pipe, id: str, *flags: str) -> None:
    """Restore a container, and leave it."""
    bundle = ["--bundle", str(runtime.bundle)]
    done = call(runtime, output, "restore", "--detach", *images(runtime), *bundle, *flags, id)
    assert done.returncode == 0, output.lines(1)


def mounts(runtime: Runtime, id: str) -> list[tuple[str, ...]]:
    """What is mounted in a container: place, options, type, in the order of the places."""
    rows = [line.split() for line in runtime.ok("exec", id, "cat", "/proc/self/mountinfo").splitlines()]
    # What runc masks files with has another type afterwards.
    return sorted((row[4], row[5], "" if OTHER else row[row.index("-") + 1]) for row in rows)


@pytest.mark.usefixtures("criu")
def test_a_container_goes_on_where_it_was(runtime: Runtime, output: Pipe) -> None:
    def limits(wanted: box.Spec) -> None:
        wanted["linux"]["resources"] |= {"memory": {"limit": 64 << 20}, "pids": {"limit": 33}}
        wanted["linux"]["maskedPaths"] = ["/proc/keys", "/sys/firmware"]
        wanted["linux"]["readonlyPaths"] = ["/proc/sys"]

    id = running(runtime, output, change=limits)
    before, first = mounts(runtime, id), json.loads(runtime.ok("state", id))
    output.lines(3)
    runtime.ok("checkpoint", *images(runtime), id)
    assert state.process_state(first["pid"])[0] in ("Z", "X")
    assert runtime("state", id).returncode == 1
    last = int(output.lines(1)[-1])

    pid_file = runtime.bundle.parent / "pid"
    restored(runtime, output, id, "--pid-file", str(pid_file))
    assert int(output.lines(1)[0]) == last + 1
    second = json.loads(runtime.ok("state", id))
    assert (second["status"], second["pid"]) == ("running", int(pid_file.read_text()))
    same = ("id", "bundle", "rootfs", "ociVersion", "annotations")
    assert {key: second.get(key) for key in same} == {key: first.get(key) for key in same}
    assert runtime.ok("list", "--quiet") == f"{id}\n"
    assert mounts(runtime, id) == before
    assert runtime.ok("exec", id, "hostname") == "box\n"
    stats = json.loads(runtime.ok("events", "--stats", id))["data"]
    assert (stats["pids"]["limit"], stats["memory"]["usage"]["limit"]) == (33, 64 << 20)
    runtime.ok("pause", id)
    assert runtime.status(id) == "paused"
    runtime.ok("resume", id)
    runtime.ok("kill", id, "TERM")
    runtime.wait_for(id, "stopped")
    runtime.ok("delete", id)


@pytest.mark.usefixtures("criu")
def test_rights_are_what_they_were_or_there_is_no_checkpoint(runtime: Runtime, output: Pipe) -> None:
    def rights(wanted: box.Spec) -> None:
        wanted["process"] |= {"noNewPrivileges": True, "oomScoreAdj": 300, "scheduler": {"policy": "SCHED_BATCH"}}
        wanted["process"]["user"] |= {"additionalGids": [29, 44], "umask": 0o027}
        wanted["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]
        kinds = ("bounding", "effective", "permitted", "inheritable", "ambient")
        wanted["process"]["capabilities"] = {kind: ["CAP_NET_BIND_SERVICE", "CAP_KILL"] for kind in kinds}
        refused = {"names": ["mount", "umount2"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}
        wanted["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [refused]}
        wanted["linux"]["sysctl"] = {"net.ipv4.ip_unprivileged_port_start": "77", "kernel.shmmax": "123456"}

    id = running(runtime, output, change=rights)
    before = confinement(runtime, id)
    done = runtime("checkpoint", *images(runtime), id)
    if "for noNewPrivileges" in done.stderr:
        assert "3.19 or newer is needed" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    output.lines(1)
    restored(runtime, output, id)
    assert confinement(runtime, id) == before


@pytest.mark.usefixtures("criu")
def test_a_user_is_who_it_was(runtime: Runtime, output: Pipe) -> None:
    def user(wanted: box.Spec) -> None:
        wanted["process"]["user"] = {"uid": 1000, "gid": 1001, "additionalGids": [29]}

    same_confinement(runtime, output, user)


@pytest.mark.usefixtures("criu")
def test_users_of_a_namespace_are_who_they_were(mapped: Runtime, output: Pipe) -> None:
    same_confinement(mapped, output, in_users(process={"user": {"uid": 1000, "gid": 1001}}))


def same_confinement(runtime: Runtime, output: Pipe, change: Callable[[box.Spec], None]) -> None:
    """Compare what a container may before and after."""
    if not int(Path("/proc/self/status").read_text().partition("CapEff:")[2].split()[0], 16) >> CAP_SYS_RESOURCE & 1:
        pytest.skip("criu reads the limits of other users by CAP_SYS_RESOURCE, which this root has not")
    id = running(runtime, output, change=change)
    before = confinement(runtime, id)
    runtime.ok("checkpoint", *images(runtime), id)
    output.lines(1)
    restored(runtime, output, id)
    assert confinement(runtime, id) == before
    assert runtime.ok("exec", "--user", "1000:1001", id, "id", "-u") == "1000\n"


def confinement(runtime: Runtime, id: str) -> dict[str, object]:
    """What the kernel says of a container's init, and its kernel parameters."""
    pid = json.loads(runtime.ok("state", id))["pid"]
    rows = (line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    kinds = ("Cap", "NoNewPrivs", "Seccomp", "Groups", "Uid", "Gid", "Umask", "SigIgn", "SigCgt")
    files = ("limits", "oom_score_adj", "environ", "cmdline")
    script = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shmmax"
    return {
        **{name: value.split() for name, value in rows if name.startswith(kinds)},
        **{name: Path(f"/proc/{pid}/{name}").read_bytes() for name in files},
        "policy": os.sched_getscheduler(pid),
        # runc leaves those of the network as a new namespace has them.
        "parameters": "" if OTHER else runtime.ok("exec", id, "sh", "-c", script),
    }


@pytest.mark.usefixtures("criu")
def test_a_container_can_go_on_and_be_restored_later(runtime: Runtime, output: Pipe) -> None:
    id = running(runtime, output)
    runtime.ok("checkpoint", "--leave-running", *images(runtime), id)
    assert runtime.status(id) == "running"
    output.lines(3)
    assert runtime("restore", "--detach", *images(runtime), "--bundle", str(runtime.bundle), id).returncode == 1
    assert runtime.status(id) == "running"
    runtime.ok("pause", id)
    runtime.ok("checkpoint", *images(runtime), id)
    output.lines(1)
    restored(runtime, output, id)
    output.lines(3)


@pytest.mark.usefixtures("criu")
def test_a_restore_that_waits_passes_signals_on_and_has_the_exit_code(runtime: Runtime, output: Pipe) -> None:
    id = running(runtime, output)
    runtime.ok("checkpoint", *images(runtime), id)
    output.lines(1)
    command = [*runtime.command, "restore", *images(runtime), "--bundle", str(runtime.bundle), id]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output.writer, stderr=output.writer) as process:
        output.lines(3)
        process.send_signal(signal.SIGTERM)
        assert process.wait(box.PATIENCE) == 7
    assert runtime("state", id).returncode == 1


@pytest.mark.usefixtures("criu")
def test_files_of_the_host_are_there_again(runtime: Runtime, output: Pipe) -> None:
    folder = runtime.bundle.parent / "shared"
    (folder / "below").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "below", folder / "below"], check=True)

    def binds(wanted: box.Spec) -> None:
        for place, options in (("/tmp/rw", ["rbind"]), ("/tmp/ro", ["rbind", "rro"])):
            wanted["mounts"].append({"destination": place, "type": "bind", "source": str(folder), "options": options})
        wanted["root"]["readonly"] = True

    try:
        id = running(runtime, output, change=binds)
        before = mounts(runtime, id)
        runtime.ok("checkpoint", *images(runtime), id)
        output.lines(1)
        (folder / "below/new").write_text("of the host\n")
        restored(runtime, output, id)
        output.lines(1)
        assert mounts(runtime, id) == before
        if not OTHER:  # runc puts an empty file system in the place of the second mount
            assert runtime.ok("exec", id, "cat", "/tmp/rw/below/new") == "of the host\n"
        assert runtime("exec", id, "touch", "/tmp/ro/below/other").returncode == 1
        assert runtime("exec", id, "touch", "/tmp/other").returncode == 1
        runtime.ok("delete", "--force", id)
    finally:
        subprocess.run(["umount", folder / "below"], check=True)


@pytest.mark.usefixtures("criu")
def test_a_terminal_is_there_again(runtime: Runtime) -> None:
    def terminal(wanted: box.Spec) -> None:
        wanted["process"]["terminal"] = True

    id = runtime.configure(shell="echo begun; read line; echo got $line; sleep 100", change=terminal)
    path = str(runtime.bundle.parent / "s")
    bundle = ["--console-socket", path, "--bundle", str(runtime.bundle), id]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        runtime.ok("create", *bundle)
        master = receive_terminal(listener)
        runtime.ok("start", id)
        assert os.read(master, 100) == b"begun\r\n"
        runtime.ok("checkpoint", *images(runtime), id)
        os.close(master)
        runtime.ok("restore", "--detach", *images(runtime), *bundle)
        master = receive_terminal(listener)
    os.write(master, b"a line\n")
    text = b""
    while b"got a line" not in text:
        assert select.select([master], (), (), box.PATIENCE)[0], text
        text += os.read(master, 100)
    assert runtime.ok("exec", id, "readlink", "/proc/1/fd/0") == "/dev/pts/0\n"
    os.close(master)


@pytest.mark.usefixtures("criu")
def test_a_network_namespace_of_others_is_joined_again(runtime: Runtime, output: Pipe) -> None:
    with subprocess.Popen(["unshare", "--net", "sleep", "100"]) as holder:
        try:
            path = f"/proc/{holder.pid}/ns/net"
            wait_until(lambda: os.readlink(path) != os.readlink("/proc/self/ns/net"))

            def joined(wanted: box.Spec) -> None:
                wanted["linux"]["namespaces"] = [
                    {**entry, **({"path": path} if entry["type"] == "network" else {})}
                    for entry in wanted["linux"]["namespaces"]
                ]

            id = running(runtime, output, change=joined)
            runtime.ok("checkpoint", *images(runtime), id)
            output.lines(1)
            restored(runtime, output, id)
            output.lines(1)
            assert runtime.ok("exec", id, "readlink", "/proc/1/ns/net").strip() == os.readlink(path)
        finally:
            holder.kill()


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + box.PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@ours_only
@pytest.mark.usefixtures("criu")
def test_the_loopback_is_up_before_sockets_are_bound_to_it(runtime: Runtime, output: Pipe) -> None:
    id = running(runtime, output, shell="echo up; exec nc -ll -p 7000 127.0.0.1 -e echo served")
    runtime.ok("exec", id, "sh", "-c", "until grep -q 1B58 /proc/net/tcp; do usleep 10000; done")
    runtime.ok("checkpoint", *images(runtime), id)
    restored(runtime, output, id)
    assert runtime.ok("exec", id, "nc", "127.0.0.1", "7000") == "served\n"


@pytest.mark.usefixtures("criu")
def test_memory_that_has_not_changed_is_written_once(runtime: Runtime, output: Pipe) -> None:
    id = running(runtime, output)
    folder = runtime.bundle.parent
    done = runtime("checkpoint", "--pre-dump", "--image-path", str(folder / "first"), id)
    if "lacks mem_track" in done.stderr or "missing features" in done.stderr:
        pytest.skip("this kernel does not track changes of memory")
    assert (done.returncode, runtime.status(id)) == (0, "running"), done.stderr
    (folder / "images").mkdir()
    runtime.ok("checkpoint", "--parent-path", "../first", *images(runtime), id)
    pages = {
        name: sum(path.stat().st_size for path in (folder / name).glob("pages-*.img")) for name in ("first", "images")
    }
    assert 0 <= pages["images"] < pages["first"]
    output.lines(1)
    restored(runtime, output, id)
    output.lines(3)


@pytest.mark.usefixtures("criu")
def test_hooks_run_when_the_namespaces_are_there(runtime: Runtime, output: Pipe) -> None:
    told = runtime.bundle.parent / "told"
    script = f"cat >>{told}; echo >>{told}"

    def hooks(wanted: box.Spec) -> None:
        wanted["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]}

    id = running(runtime, output, change=hooks)
    runtime.ok("checkpoint", *images(runtime), id)
    restored(runtime, output, id)
    first, second = (json.loads(line) for line in told.read_text().splitlines())
    assert second["pid"] == json.loads(runtime.ok("state", id))["pid"] != first["pid"]
    assert (second["id"], second["bundle"]) == (id, str(runtime.bundle))
