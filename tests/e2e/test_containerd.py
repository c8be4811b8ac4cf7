"""containerd with pydock-runtime as its OCI runtime, by `ctr run --runc-binary` and containerd's own shim for runc.

PYDOCK_RUNTIME=runc runs the same with runc.
"""

import contextlib
import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.runtime import box

from pydock_runtime import cgroup

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not (shutil.which("containerd") and shutil.which("ctr")), reason="containerd is not installed"),
]
RUNTIME = shutil.which(os.environ.get("PYDOCK_RUNTIME") or str(Path(sys.executable).parent / "pydock-runtime"))
PARENT = f"/pydock-containerd-{os.getpid()}"
SECONDS = 60
CONFIG = """version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{folder}/sock"
"""


class Ctr:
    """containerd's command, at a daemon of its own."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.root = root
        self.command = ["ctr", "--address", f"{folder}/sock"]

    def __call__(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([*self.command, *words], capture_output=True, timeout=SECONDS, check=False)

    def ok(self, *words: str) -> str:
        done = self(*words)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def run_command(self, name: str, *args: str, flags: tuple[str, ...] = ()) -> list[str]:
        fixed = ["run", "--runc-binary", RUNTIME or "", "--cgroup", f"{PARENT}/{name}", "--rootfs"]
        return [*self.command, *fixed, *flags, str(self.root), name, *args]

    def run(self, name: str, *args: str, flags: tuple[str, ...] = ()) -> subprocess.CompletedProcess[bytes]:
        command = self.run_command(name, *args, flags=("--rm", *flags))
        return subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)

    def status(self, name: str) -> str:
        rows = (line.split() for line in self.ok("task", "ls").splitlines())
        return next((row[2] for row in rows if row[0] == name), "")

    @contextlib.contextmanager
    def running(self, name: str, *flags: str) -> Iterator[str]:
        """A container that does nothing for a while."""
        command = self.run_command(name, "sleep", "1000", flags=("--detach", *flags))
        subprocess.run(command, capture_output=True, timeout=SECONDS, check=True)
        try:
            yield name
        finally:
            self("task", "rm", "--force", name)
            self("container", "rm", name)


@pytest.fixture(scope="module")
def ctr(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ctr]:
    folder = tmp_path_factory.mktemp("containerd")
    (folder / "config.toml").write_text(CONFIG.format(folder=folder))
    made = Ctr(folder, box.make_root(folder / "box"))
    with open(folder / "log", "wb") as log:
        daemon = subprocess.Popen(
            ["containerd", "--config", str(folder / "config.toml")], stdout=log, stderr=log, start_new_session=True
        )
    try:
        deadline = time.monotonic() + SECONDS
        while made("version").returncode:
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.05)
        yield made
    finally:
        daemon.terminate()
        daemon.wait(SECONDS)
        with contextlib.suppress(OSError):
            cgroup.open_existing(PARENT).remove()


def test_run(ctr: Ctr) -> None:
    done = ctr.run("c-run", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout) == (7, b"out\n")
    assert done.stderr.startswith(b"err\n")


def test_what_cannot_be_run_is_said(ctr: Ctr) -> None:
    done = ctr.run("c-missing", "not-there")
    assert done.returncode != 0
    assert b'exec: "not-there": executable file not found in $PATH' in done.stderr


def test_exec_pause_kill_and_what_is_used(ctr: Ctr, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content\n")
    mount = f"type=bind,src={tmp_path},dst=/in,options=rbind:ro"
    with ctr.running("c-life", "--memory-limit", str(64 << 20), "--mount", mount) as name:
        assert ctr.ok("task", "exec", "--exec-id", "one", name, "cat", "/in/file") == "content\n"
        assert ctr("task", "exec", "--exec-id", "two", name, "sh", "-c", "exit 5").returncode == 5
        ctr.ok("task", "pause", name)
        assert ctr.status(name) == "PAUSED"
        ctr.ok("task", "resume", name)
        assert ctr.status(name) == "RUNNING"
        assert str(64 << 20) in ctr.ok("task", "metrics", name)
        assert len(ctr.ok("task", "ps", name).splitlines()) == 2
        ctr.ok("task", "kill", "--signal", "KILL", name)
        deadline = time.monotonic() + SECONDS
        while ctr.status(name) != "STOPPED":
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_terminal(ctr: Ctr) -> None:
    master, slave = pty.openpty()
    command = ctr.run_command("c-tty", "tty", flags=("--rm", "--tty"))
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True) as process:
        os.close(slave)
        shown = b""
        while select.select([master], [], [], SECONDS)[0]:
            try:
                shown += os.read(master, 4096)
            except OSError:
                break
        assert process.wait(SECONDS) == 0
    os.close(master)
    assert b"/dev/pts/0" in shown
