"""podman with pydock-runtime as its OCI runtime: what an engine made for runc and crun asks of one.

PYDOCK_RUNTIME=runc runs the same with runc.
"""

import contextlib
import os
import pty
import select
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fixtures.criu import needed
from tests.runtime import box

from pydock_runtime import cgroup

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not (shutil.which("podman") and shutil.which("conmon")), reason="podman is not installed"),
]
RUNTIME = shutil.which(os.environ.get("PYDOCK_RUNTIME") or str(Path(sys.executable).parent / "pydock-runtime"))
PARENT = f"/pydock-podman-{os.getpid()}"
SECONDS = 60


class Podman:
    """The command, with storage and state of its own, and an image `box`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        config = folder / "containers.conf"
        config.write_text(
            f'[engine]\nconmon_path = ["{shutil.which("conmon")}"]\n[containers]\nlog_driver = "k8s-file"\n'
        )
        self.environment = {**os.environ, "CONTAINERS_CONF": str(config)}
        self.command = [
            "podman",
            f"--root={folder}/storage",
            f"--runroot={folder}/run",
            f"--tmpdir={folder}/tmp",
            "--storage-driver=vfs",
            "--cgroup-manager=cgroupfs",
            "--events-backend=file",
            f"--runtime={RUNTIME}",
        ]

    def __call__(self, *words: str, input: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*self.command, *words],
            input=input,
            env=self.environment,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )

    def ok(self, *words: str, input: bytes | None = None) -> str:
        done = self(*words, input=input)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def run(self, *words: str, flags: tuple[str, ...] = ()) -> subprocess.CompletedProcess[bytes]:
        return self("run", "--network=none", f"--cgroup-parent={PARENT}", *flags, *words)

    @contextlib.contextmanager
    def running(self, *flags: str) -> Iterator[str]:
        """A container that does nothing for a while."""
        done = self.run("box", "sleep", "1000", flags=("--detach", *flags))
        assert done.returncode == 0, done.stderr.decode()
        name = done.stdout.decode().strip()
        try:
            yield name
        finally:
            self("rm", "--force", "--time=0", name)


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    with tempfile.TemporaryDirectory(prefix="podman-") as name:  # a runroot may not be longer than 50 characters
        folder = Path(name)
        made = Podman(folder)
        with tarfile.open(folder / "root.tar", "w") as archive:
            archive.add(box.make_root(folder / "root"), arcname=".")
        made.ok("import", "--message=box", str(folder / "root.tar"), "box")
        yield made
        made("rm", "--all", "--force", "--time=0")
        rows = Path("/proc/self/mountinfo").read_text().splitlines()
        for point in sorted((row.split()[4] for row in rows if f" {folder}" in row), reverse=True):
            subprocess.run(["umount", point], check=False)
        remove_cgroups()


def remove_cgroups() -> None:
    """Remove what podman leaves of the parent of its cgroups, as soon as its last conmon has gone."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            cgroup.open_existing(PARENT).remove()
            return
        except OSError:
            assert time.monotonic() < deadline, "processes of podman are left"
            time.sleep(0.05)


def test_run_passes_output_input_and_exit_codes_on(podman: Podman) -> None:
    done = podman.run("box", "sh", "-c", "echo out; echo err >&2; exit 7", flags=("--rm",))
    assert (done.returncode, done.stdout, done.stderr) == (7, b"out\n", b"err\n")
    command = [*podman.command, "run", "--rm", "-i", "--network=none", f"--cgroup-parent={PARENT}", "box", "cat"]
    told = subprocess.run(
        command, input=b"in", env=podman.environment, capture_output=True, timeout=SECONDS, check=True
    )
    assert told.stdout == b"in"


@pytest.mark.parametrize(("program", "code"), [("not-there", 127), ("/bin/plain", 126), ("/etc", 126)])
def test_what_cannot_be_run_has_the_code_for_it(podman: Podman, program: str, code: int) -> None:
    assert podman.run("box", program, flags=("--rm",)).returncode == code


def test_exec(podman: Podman) -> None:
    with podman.running() as name:
        flags = ("--user=5:6", "--workdir=/tmp", "--env=A=b")
        assert podman.ok("exec", *flags, name, "sh", "-c", "id -u; id -g; pwd; echo $A").split() == [
            "5",
            "6",
            "/tmp",
            "b",
        ]
        assert podman("exec", name, "sh", "-c", "exit 9").returncode == 9
        assert podman("exec", name, "not-there").returncode == 127


def test_a_terminal(podman: Podman) -> None:
    master, slave = pty.openpty()
    command = [*podman.command, "run", "--rm", "-it", "--network=none", f"--cgroup-parent={PARENT}"]
    with subprocess.Popen(
        [*command, "box", "sh", "-c", "tty; test -c /dev/console && echo there"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=podman.environment,
        start_new_session=True,
    ) as process:
        os.close(slave)
        shown = b""
        while select.select([master], [], [], SECONDS)[0]:
            try:
                shown += os.read(master, 4096)
            except OSError:
                break
        assert process.wait(SECONDS) == 0
    os.close(master)
    assert shown.split() == [b"/dev/pts/0", b"there"]


def test_pause_kill_and_stop(podman: Podman) -> None:
    def status(name: str) -> str:
        return podman.ok("inspect", "--format={{.State.Status}} {{.State.ExitCode}}", name).strip()

    with podman.running() as name:
        podman.ok("pause", name)
        assert status(name) == "paused 0"
        podman.ok("unpause", name)
        assert status(name) == "running 0"
        podman.ok("kill", "--signal=KILL", name)
        assert podman.ok("wait", name).strip() == "137"
        assert status(name) == "exited 137"
        podman.ok("start", name)
        podman.ok("stop", "--time=0", name)
        assert status(name) == "exited 137"


def test_limits_and_what_is_used(podman: Podman) -> None:
    with podman.running("--memory=64m", "--pids-limit=50") as name:
        paths = "/sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max"
        other = "/sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max"
        assert podman.ok("exec", name, "sh", "-c", f"cat {paths} 2>/dev/null || cat {other}").split() == [
            "67108864",
            "50",
        ]
        shown = podman.ok("stats", "--no-stream", "--format={{.MemUsage}} {{.PIDs}}", name)
        assert shown.strip().endswith("/ 67.11MB 1")
        assert "sleep" in podman.ok("top", name)


def test_volumes_and_a_read_only_root(podman: Podman, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content\n")
    flags = ("--rm", "--read-only", "--tmpfs=/scratch", f"--volume={tmp_path}:/in:ro", "--volume=named:/named")
    script = "cat /in/file; touch /scratch/x /named/x; for path in /x /in/x; do touch $path 2>&1; done; true"
    lines = podman.run("box", "sh", "-c", script, flags=flags).stdout.decode().splitlines()
    assert lines == ["content", *(f"touch: {path}: Read-only file system" for path in ("/x", "/in/x"))]
    assert podman.run("box", "ls", "/named", flags=("--rm", "--volume=named:/named")).stdout == b"x\n"


def test_a_health_check(podman: Podman) -> None:
    with podman.running("--health-cmd=test -e /tmp/well", "--health-interval=disable", "--health-retries=1") as name:
        assert podman("healthcheck", "run", name).returncode == 1
        podman.ok("exec", name, "touch", "/tmp/well")
        podman.ok("healthcheck", "run", name)
        assert podman.ok("inspect", "--format={{.State.Health.Status}}", name).strip() == "healthy"


def test_a_user_namespace(podman: Podman) -> None:
    flags = ("--rm", "--uidmap=0:300000:5000", "--gidmap=0:300000:5000")
    done = podman.run("box", "sh", "-c", "cat /proc/self/uid_map; id -u", flags=flags)
    assert done.stdout.split() == [b"0", b"300000", b"5000", b"0"], done.stderr


def test_checkpoints_go_from_podman_to_podman(podman: Podman, tmp_path: Path) -> None:
    needed()
    script = "n=0; while :; do n=$((n+1)); echo $n; usleep 50000; done"
    name, archive = f"counts-{os.getpid()}", str(tmp_path / "counts.tar")
    done = podman.run("box", "sh", "-c", script, flags=("--detach", "--name", name))
    assert done.returncode == 0, done.stderr.decode()
    try:
        podman.ok("container", "checkpoint", name)
        last = int(podman.ok("logs", "--tail=1", name))
        podman.ok("container", "restore", name)
        podman.ok("container", "checkpoint", "--compress=none", f"--export={archive}", name)
        middle = int(podman.ok("logs", "--tail=1", name))
        podman.ok("rm", name)
        podman.ok("container", "restore", f"--import={archive}")
        assert podman.ok("exec", name, "hostname").strip()
        numbers = [int(line) for line in podman.ok("logs", name).split()]  # podman takes the log along
        assert last < middle < numbers[-1]
        assert numbers == list(range(1, numbers[-1] + 1))
    finally:
        podman("rm", "--force", "--time=0", name)
