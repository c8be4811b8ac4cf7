"""Hidden and read-only paths."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.runtime import box

pytestmark = pytest.mark.root


def test_masked_files_are_empty_and_masked_folders_too(root: Path) -> None:
    wanted = box.spec(root=root, shell="cat /proc/keys; ls /proc/acpi /sys/firmware; touch /sys/firmware/x")
    wanted["linux"]["maskedPaths"] = ["/proc/keys", "/proc/acpi", "/sys/firmware", "/proc/no/such/thing"]
    assert box.run(wanted).lines == [
        "/proc/acpi:",
        "",
        "/sys/firmware:",
        "touch: /sys/firmware/x: Read-only file system",
    ]


def test_what_hides_is_the_host_s_null_device_whatever_the_container_s_is(
    root: Path, tmp_path: Path, overlay: Callable[[], dict[str, object]]
) -> None:
    layers = overlay()
    (tmp_path / "upper/dev").mkdir()
    (tmp_path / "upper/dev/null").symlink_to("/proc/sys/kernel/core_pattern")
    wanted = box.spec(root=root, shell="stat -c '%t:%T' /proc/keys")
    wanted["mounts"] = [mount for mount in wanted["mounts"] if not mount["destination"].startswith("/dev")]
    wanted["linux"]["maskedPaths"] = ["/proc/keys"]
    assert box.run(wanted, overlay=layers).out == "1:3\n"


def test_read_only_paths_take_nothing(root: Path) -> None:
    wanted = box.spec(root=root, shell="echo x > /proc/sys/kernel/shmmni; echo $?; ls /proc/sys | head -1")
    wanted["linux"]["readonlyPaths"] = ["/proc/sys", "/proc/no/such/thing"]
    assert box.run(wanted).lines[0].endswith("Read-only file system")
    wanted["linux"]["readonlyPaths"] = []
    assert box.run(wanted).lines[0] != "sh: can't create /proc/sys/kernel/shmmni: Read-only file system"


def test_a_link_to_be_masked_stays_inside(root: Path, tmp_path: Path, overlay: Callable[[], dict[str, object]]) -> None:
    layers = overlay()
    outside = tmp_path / "outside"
    outside.write_text("untouched")
    (tmp_path / "upper/way").symlink_to(outside)
    wanted = box.spec("true", root=root)
    wanted["linux"]["maskedPaths"] = ["/way"]
    assert box.run(wanted, overlay=layers).error is None
    assert outside.read_text() == "untouched"
