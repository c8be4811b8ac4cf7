"""CVE-2025-31133 and CVE-2025-52565: /dev/null and /dev/console are links to what is to be got at."""

import os
import pty
import select
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.runtime import box
from tests.runtime.test_verbs import OTHER, Runtime, runtime

pytestmark = pytest.mark.root
__all__ = ["runtime"]


def with_dev(folder: Path, shell_target: str) -> Callable[[box.Spec], None]:
    """A container whose /dev is a volume that somebody has prepared."""

    def change(wanted: box.Spec) -> None:
        kept = [mount for mount in wanted["mounts"] if not mount["destination"].startswith("/dev")]
        devices = {"destination": "/dev", "type": "bind", "source": str(folder), "options": ["rbind"]}
        pts = next(mount for mount in wanted["mounts"] if mount["destination"] == "/dev/pts")
        wanted["mounts"] = [*kept, devices, pts]
        wanted["linux"]["maskedPaths"] = ["/proc/keys", "/proc/interrupts"]

    return change


@pytest.mark.parametrize("target", ["/etc/passwd", "/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/nowhere"])
def test_what_masks_a_path_is_the_null_device_whatever_the_container_calls_so(
    runtime: Runtime, tmp_path: Path, target: str
) -> None:
    if OTHER and target.startswith(("/etc", "/proc/sys/")):
        pytest.skip("runc before 1.2.8 is open to this attack")
    devices = tmp_path / "dev"
    (devices / "pts").mkdir(parents=True)
    (devices / "null").symlink_to(target)
    script = "for path in /proc/keys /proc/interrupts; do stat -c '%t %T %F' $path; cat $path; done"
    id = runtime.configure(shell=script, change=with_dev(devices, target))
    done = runtime("run", "--bundle", str(runtime.bundle), id)
    if done.returncode == 0:
        assert done.stdout.splitlines() == ["1 3 character special file"] * 2
    assert os.readlink(devices / "null") == target


@pytest.mark.parametrize("target", ["/etc/passwd", "/proc/sysrq-trigger", "/nowhere"])
def test_the_console_is_mounted_over_nothing_that_a_link_names(runtime: Runtime, tmp_path: Path, target: str) -> None:
    devices = tmp_path / "dev"
    (devices / "pts").mkdir(parents=True)
    (devices / "console").symlink_to(target)

    def change(wanted: box.Spec) -> None:
        with_dev(devices, target)(wanted)
        wanted["process"]["terminal"] = True

    id = runtime.configure(shell="cut -d ' ' -f 5 /proc/self/mountinfo; cat /etc/passwd; echo end", change=change)
    master, slave = pty.openpty()
    command = [*runtime.command, "run", "--bundle", str(runtime.bundle), id]
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave) as process:
        os.close(slave)
        shown = b""
        while select.select([master], [], [], box.PATIENCE)[0]:
            try:
                shown += os.read(master, 4096)
            except OSError:
                break
        process.wait(box.PATIENCE)
    os.close(master)
    places = shown.decode().replace("\r", "").splitlines()
    assert target not in places
    if "end" in places:
        assert any(line.startswith("root:x:0:0") for line in places)
    assert os.readlink(devices / "console") == target
