"""CVE-2016-9962 and CVE-2024-21626: what the runtime has open, and where it stands, leads to the host."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.runtime.test_verbs import OTHER, Runtime, runtime

from pydock_runtime import launch, linux
from pydock_runtime.errors import RuntimeFailure

pytestmark = pytest.mark.root
__all__ = ["runtime"]
PR_GET_DUMPABLE = 3
LOOK = "pwd; ls -d etc/os-release ../etc/os-release ../../../../../../../../../../../../etc/os-release"


def outside(text: str) -> bool:
    """Whether a listing shows what only the host has."""
    return any(word in text for word in ("os-release", "unreachable"))


@pytest.mark.parametrize("fd", range(3, 14))
def test_a_working_directory_that_is_a_descriptor_leads_nowhere(runtime: Runtime, fd: int) -> None:
    id = runtime.configure(shell=LOOK, change=lambda wanted: wanted["process"].update(cwd=f"/proc/self/fd/{fd}"))
    done = runtime("run", "--bundle", str(runtime.bundle), id)
    assert not outside(done.stdout), done.stdout


@pytest.mark.parametrize("fd", range(3, 14, 2))
def test_nor_does_that_of_an_exec(runtime: Runtime, fd: int) -> None:
    id = runtime.create("sleep", "100")
    runtime.ok("start", id)
    done = runtime("exec", "--cwd", f"/proc/self/fd/{fd}", id, "sh", "-c", LOOK)
    assert not outside(done.stdout), done.stdout


def test_a_program_has_its_stdio_and_nothing_else(runtime: Runtime) -> None:
    id = runtime.create(shell="ls /proc/self/fd; exec sleep 100")
    runtime.ok("start", id)
    runtime.wait_for(id, "running")
    found = set(runtime.ok("exec", id, "ls", "/proc/self/fd").split())
    assert found == {"0", "1", "2", "3"}  # the last one is the listing's own
    assert found == set(runtime.output().split())


def test_a_process_that_comes_in_is_not_looked_into(runtime: Runtime) -> None:
    """Neither its descriptors, nor its memory, nor its environment, by the container's root."""
    seen = "/tmp/seen-" + str(os.getpid())
    script = f"""
while :; do
  for pid in /proc/[0-9]*; do
    case $pid in /proc/1|/proc/$$) continue;; esac
    for fd in $pid/fd/*; do readlink $fd; done 2>/dev/null >> {seen}
    grep -h -e python -e memfd $pid/maps 2>/dev/null >> {seen}
  done
done
"""
    id = runtime.create(shell=script)
    runtime.ok("start", id)
    for _ in range(8):
        runtime.ok("exec", id, "true")
    runtime.ok("kill", id, "KILL")
    path = runtime.root / seen.lstrip("/")
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    host = [line for line in lines if line.startswith(("/root", "/home", "/usr", str(runtime.state), "/memfd"))]
    assert host == [] or OTHER
    assert not any("python" in line for line in lines)


def test_a_container_that_waits_for_its_start_is_not_looked_into(runtime: Runtime) -> None:
    """Its init still is the runtime's program, with a way out of the container."""
    id = runtime.create("sleep", "100")
    script = "for fd in /proc/1/fd/*; do readlink $fd; done; cat /proc/1/maps /proc/1/environ; readlink /proc/1/exe"
    done = runtime("exec", id, "sh", "-c", f"{script}; ls /proc/1/root/ /proc/1/cwd/ | wc -l")
    assert done.stdout.split() == ["0"], done.stdout


@pytest.mark.skipif(OTHER is not None, reason="of our own runtime")
def test_a_helper_that_enters_namespaces_of_others_is_not_looked_into() -> None:
    def look(_: object) -> int:
        raise ValueError(f"dumpable {linux.prctl(PR_GET_DUMPABLE)}")

    with pytest.raises(RuntimeFailure, match="dumpable 0"):
        launch.by_helper(look)


def test_the_caller_s_descriptors_are_not_passed_on(runtime: Runtime, tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(folder, True)
    try:
        id = runtime.configure("ls", "-l", "/proc/self/fd")
        assert str(tmp_path) not in runtime.ok("run", "--bundle", str(runtime.bundle), id)
    finally:
        os.close(folder)


def test_one_that_was_asked_for_is_no_way_to_the_host(runtime: Runtime) -> None:
    """--preserve-fds passes files on knowingly; a working directory by one of them is refused all the same."""
    id = runtime.configure(shell=LOOK, change=lambda wanted: wanted["process"].update(cwd="/proc/self/fd/3"))
    command = [*runtime.command, "run", "--preserve-fds", "1", "--bundle", str(runtime.bundle), id]
    begin = "import os, sys; os.dup2(os.open('/', os.O_RDONLY), 3); os.execvp(sys.argv[1], sys.argv[1:])"
    done = subprocess.run([sys.executable, "-c", begin, *command], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert not outside(done.stdout)
