"""Rights that must not come along, and reach that must not go out.

CVE-2022-24769, CVE-2022-2990, CVE-2022-0492, and input typed into somebody else's terminal.
"""

import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.runtime import box, machine
from tests.runtime.test_verbs import Runtime, runtime

pytestmark = pytest.mark.root
__all__ = ["runtime"]
IOCTL, TIOCSTI, KILL, PTRACE, SEIZE = 16, 0x5412, 62, 101, 0x4206
EPERM, ESRCH, ENOTTY = 1, 3, 25


@pytest.fixture
def armed(tmp_path: Path) -> Iterator[Runtime]:
    """A container with a root of its own, for programs of system calls."""
    made = Runtime(tmp_path, box.make_root(tmp_path / "root"))
    yield made
    for id in made.ids:
        made("delete", "--force", id)


def test_no_capability_is_inherited(runtime: Runtime) -> None:
    """CVE-2022-24769: with an inheritable set a file's capabilities would come back after a change of user."""
    script = "grep -e CapInh -e CapAmb /proc/self/status"
    id = runtime.create(shell=f"{script}; exec sleep 100")
    runtime.ok("start", id)
    empty = ["CapInh:", "0" * 16, "CapAmb:", "0" * 16]
    assert runtime.ok("exec", id, "sh", "-c", script).split() == empty
    assert runtime.output().split() == empty


def test_the_caller_s_groups_are_not_the_container_s(runtime: Runtime) -> None:
    """CVE-2022-2990: a group too many opens files, a group too few opens those that are closed to the group."""

    def change(wanted: box.Spec) -> None:
        wanted["process"]["user"] = {"uid": 1000, "gid": 1001, "additionalGids": [29]}

    id = runtime.configure("id", "-G", change=change)
    begin = "import os, sys; os.setgroups([4242, 4243]); os.execvp(sys.argv[1], sys.argv[1:])"
    command = [*runtime.command, "run", "--bundle", str(runtime.bundle), id]
    done = subprocess.run([sys.executable, "-c", begin, *command], capture_output=True, text=True, check=True)
    assert sorted(done.stdout.split()) == ["1001", "29"]


@machine.needs_x86_64
def test_nothing_is_typed_into_the_caller_s_terminal(armed: Runtime) -> None:
    """TIOCSTI: the caller's terminal is stdin of a container without one of its own."""
    machine.install(armed.root, "bin/type", (IOCTL, 0, TIOCSTI, b"x"))
    id = armed.configure("/bin/type")
    master, slave = pty.openpty()
    attributes = termios.tcgetattr(slave)
    attributes[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(slave, termios.TCSANOW, attributes)

    def take_terminal() -> None:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    command = [*armed.command, "run", "--bundle", str(armed.bundle), id]
    done = subprocess.run(command, stdin=slave, preexec_fn=take_terminal, check=False, timeout=30)
    assert done.returncode in (EPERM, ENOTTY)  # runc passes a pipe on
    assert not select.select([slave], [], [], 0)[0]
    os.close(master)
    os.close(slave)


def test_no_release_agent_is_set(runtime: Runtime) -> None:
    """CVE-2022-0492: in a user namespace of its own root may mount cgroups, and name a program of the host."""
    script = """
mkdir -p /tmp/cg
for name in memory rdma pids cpu; do
  try="mount -t cgroup -o $name cgroup /tmp/cg && echo /attack > /tmp/cg/release_agent && echo set $name"
  unshare -UrmC sh -c "$try"
  sh -c "$try"
done 2>/dev/null
for path in $(find /sys/fs/cgroup -name release_agent); do echo /attack > $path && echo set $path; done 2>/dev/null
true
"""
    id = runtime.configure(shell=script)
    assert "set" not in runtime.ok("run", "--bundle", str(runtime.bundle), id)
    (runtime.root / "tmp/cg").rmdir()
    for path in Path("/sys/fs/cgroup").glob("*/release_agent"):
        assert "attack" not in path.read_text()


@machine.needs_x86_64
def test_no_process_outside_is_reached(armed: Runtime) -> None:
    with subprocess.Popen(["sleep", "100"]) as victim:
        machine.install(armed.root, "bin/kill-it", (KILL, victim.pid, signal.SIGKILL))
        machine.install(armed.root, "bin/kill-all", (KILL, -1, 0))
        machine.install(armed.root, "bin/trace", (PTRACE, SEIZE, victim.pid, 0, 0))
        for name, expected in (("kill-it", ESRCH), ("trace", ESRCH), ("kill-all", ESRCH)):
            id = armed.configure(f"/bin/{name}")
            assert armed("run", "--bundle", str(armed.bundle), id).returncode == expected, name
        assert victim.poll() is None
        victim.kill()


@machine.needs_x86_64
def test_a_process_that_comes_in_is_not_traced(armed: Runtime) -> None:
    """The runtime's process is in the container's pid namespace before it is the container's program."""
    pids = range(2, 40)
    for pid in pids:
        machine.install(armed.root, f"bin/trace-{pid}", (PTRACE, SEIZE, pid, 0, 0))
    loop = " ".join(f"trace-{pid} && cat /proc/{pid}/comm >> /tmp/traced;" for pid in pids)
    id = armed.create(shell=f"while :; do {loop} done 2>/dev/null")
    armed.ok("start", id)
    for _ in range(6):
        armed("exec", id, "true")
    traced = armed.root / "tmp/traced"
    caught = set(traced.read_text().split()) if traced.exists() else set()
    assert not {name for name in caught if name.startswith(("python", "pydock", "runc", "3"))}
