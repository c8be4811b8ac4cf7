"""CVE-2019-5736: the program that made the container is reached by /proc/PID/exe and written over."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.runtime import box
from tests.runtime.test_verbs import OTHER, Runtime

pytestmark = pytest.mark.root
# Everybody's program is opened for writing, and a reference kept: the runtime's own while it comes in, too.
ATTACK = """
while :; do
  for pid in /proc/[0-9]*; do
    { exec 9<$pid/exe; } 2>/dev/null && { echo overwritten > /proc/self/fd/9; } 2>/dev/null && echo $pid >> /tmp/written
    exec 9<&-
  done
done
"""


@pytest.fixture
def attacked(tmp_path: Path) -> Iterator[Runtime]:
    """A container whose image has a program that is the one of whoever runs it."""
    root = box.make_root(tmp_path / "root")
    (root / "bin/itself").symlink_to("/proc/self/exe")
    (root / "bin/script").write_text("#!/proc/self/exe\n")
    (root / "bin/script").chmod(0o755)
    made = Runtime(tmp_path, root)
    yield made
    for id in made.ids:
        made("delete", "--force", id)


def digest() -> str:
    path = shutil.which(OTHER) if OTHER else sys.executable
    return hashlib.sha256(Path(path or "").read_bytes()).hexdigest()


def test_the_runtime_s_program_is_never_written(attacked: Runtime) -> None:
    before = digest()
    id = attacked.create(shell=ATTACK)
    attacked.ok("start", id)
    for program in ("/bin/itself", "/bin/script") * 3:
        with subprocess.Popen(
            [*attacked.command, "exec", id, program, "-c", "import time; time.sleep(0.2)"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            process.wait(box.PATIENCE)
    attacked.ok("delete", "--force", id)
    assert digest() == before
    assert not (attacked.root / "tmp/written").exists() or OTHER
