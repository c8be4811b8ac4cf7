"""Mounts of a spec: options, propagation, and destinations that try to get out."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.runtime import box

pytestmark = pytest.mark.root
Overlay = Callable[[], dict[str, Any]]


def bind(source: Path | str, target: str, *options: str) -> dict[str, Any]:
    """An entry of `mounts`."""
    return {"destination": target, "type": "bind", "source": str(source), "options": ["rbind", *options]}


def with_mounts(root: Path, script: str, *mounts: dict[str, Any]) -> box.Spec:
    """A spec with further mounts."""
    wanted = box.spec(root=root, shell=script)
    wanted["mounts"] += mounts
    return wanted


def mounted(result: box.Result) -> dict[str, list[str]]:
    """Mount options by mount point, of a container that printed /proc/self/mountinfo; optional fields come last."""
    rows = [line.split() for line in result.lines if " - " in line]
    return {row[4]: row[5].split(",") + row[6 : row.index("-")] for row in rows}


def test_docker_s_mounts_have_docker_s_options(root: Path) -> None:
    found = mounted(box.run(box.spec("cat", "/proc/self/mountinfo", root=root)))
    plain = ["nosuid", "nodev", "noexec", "relatime"]
    assert found["/proc"] == ["rw", *plain]
    assert found["/sys"] == ["ro", *plain]
    assert found["/dev"] == ["rw", "nosuid"]
    assert found["/sys/fs/cgroup"][0] == "ro"
    assert {"/dev/pts", "/dev/shm", "/dev/mqueue"} <= set(found)


def test_a_folder_and_a_file_are_shown(root: Path, tmp_path: Path, overlay: Overlay) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_text("content\n")
    wanted = with_mounts(
        root,
        "cat /new/deep/file /new/file; echo more > /new/deep/file",
        bind(folder, "/new/deep"),
        bind(folder / "file", "/new/file"),
    )
    assert box.run(wanted, overlay=overlay()).lines == ["content", "content"]
    assert (folder / "file").read_text() == "more\n"


def test_read_only_is_for_the_mount_not_for_what_lies_below_unless_recursive(
    root: Path, tmp_path: Path, overlay: Overlay
) -> None:
    upper = tmp_path / "upper_mount"
    (upper / "below").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "below", str(upper / "below")], check=True)
    script = "touch /m/x; touch /m/below/x && echo below; touch /r/below/y || echo not"
    wanted = with_mounts(root, script, bind(upper, "/m", "ro"), bind(upper, "/r", "rro"))
    try:
        result = box.run(wanted, overlay=overlay())
    finally:
        subprocess.run(["umount", str(upper / "below")], check=True)
    assert result.lines == [
        "touch: /m/x: Read-only file system",
        "below",
        "touch: /r/below/y: Read-only file system",
        "not",
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), []),
        (("rprivate",), []),
        (("rslave",), ["master"]),
        (("rshared",), ["shared"]),
    ],
)
def test_propagation_is_what_was_asked(
    root: Path, tmp_path: Path, overlay: Overlay, options: tuple[str, ...], expected: list[str]
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "shared", str(shared)], check=True)
    subprocess.run(["mount", "--make-shared", str(shared)], check=True)
    try:
        result = box.run(with_mounts(root, "cat /proc/self/mountinfo", bind(shared, "/m", *options)), overlay=overlay())
    finally:
        subprocess.run(["umount", str(shared)], check=True)
    assert [field.split(":")[0] for field in mounted(result)["/m"] if ":" in field] == expected


def test_options_of_a_bind_mount_hold(root: Path, tmp_path: Path, overlay: Overlay) -> None:
    result = box.run(
        with_mounts(root, "cat /proc/self/mountinfo", bind(tmp_path, "/m", "nosuid", "nodev", "noexec", "noatime")),
        overlay=overlay(),
    )
    assert mounted(result)["/m"][:5] == ["rw", "nosuid", "nodev", "noexec", "noatime"]


def test_a_tmpfs_has_its_size_and_mode(root: Path, overlay: Overlay) -> None:
    entry = {"destination": "/t", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "size=64k", "mode=700"]}
    result = box.run(with_mounts(root, "stat -c %a /t; df -k /t | tail -1", entry), overlay=overlay())
    assert result.lines[0] == "700"
    assert result.lines[1].split()[1] == "64"


def test_later_mounts_lie_over_earlier_ones(root: Path, tmp_path: Path, overlay: Overlay) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    wanted = with_mounts(root, "ls /m /m/in", bind(tmp_path / "one", "/m"), bind(tmp_path / "two", "/m/in"))
    (tmp_path / "one/in").mkdir()
    assert box.run(wanted, overlay=overlay()).lines == ["/m:", "in", "one", "", "/m/in:", "two"]


def test_a_missing_source_is_named(root: Path, overlay: Overlay) -> None:
    error = box.run(with_mounts(root, "true", bind("/not/there", "/m")), overlay=overlay()).error
    assert error == {"kind": "invalid", "message": "bind source path does not exist: /not/there"}


def test_a_folder_over_a_file_is_an_error_that_names_both(root: Path, tmp_path: Path, overlay: Overlay) -> None:
    error = box.run(with_mounts(root, "true", bind(tmp_path, "/etc/passwd")), overlay=overlay()).error
    assert error is not None
    assert error["message"] == f'error mounting "{tmp_path}" to rootfs at "/etc/passwd": not a directory'


@pytest.mark.parametrize("options", [["nonsense=1"], ["size=huge"]])
def test_an_option_that_the_file_system_refuses_is_an_error(root: Path, overlay: Overlay, options: list[str]) -> None:
    entry = {"destination": "/t", "type": "tmpfs", "source": "tmpfs", "options": options}
    error = box.run(with_mounts(root, "true", entry), overlay=overlay()).error
    assert error is not None
    assert error["message"] == 'error mounting "tmpfs" to rootfs at "/t": invalid argument'


def hostile(tmp_path: Path, link: str, target: str) -> None:
    """Put a link into the upper layer, as an image could have it."""
    place = tmp_path / "upper" / link
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target)


@pytest.mark.parametrize("up", ["/", "../../../../../../../../../.."])
def test_a_link_in_the_image_leads_nowhere_outside(root: Path, tmp_path: Path, overlay: Overlay, up: str) -> None:
    layers = overlay()
    outside = tmp_path / "outside"
    outside.mkdir()
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").touch()
    hostile(tmp_path, "way", f"{up}{outside}")
    wanted = with_mounts(root, "cat /proc/self/mountinfo", bind(source, "/way/out"), bind(source / "file", "/way/file"))
    result = box.run(wanted, overlay=layers)
    assert list(outside.iterdir()) == []
    # Inside, the link means the same path below the container's root.
    assert {f"{outside}/out", f"{outside}/file"} <= set(mounted(result))


def test_a_destination_with_dots_stays_inside(root: Path, tmp_path: Path, overlay: Overlay) -> None:
    result = box.run(with_mounts(root, "cat /proc/self/mountinfo", bind(tmp_path, "/../../../in")), overlay=overlay())
    assert "/in" in mounted(result)


@pytest.mark.parametrize("target", ["/proc", "/sys"])
def test_the_kernel_s_file_systems_go_on_no_link(root: Path, tmp_path: Path, overlay: Overlay, target: str) -> None:
    layers = overlay()
    hostile(tmp_path, target[1:], "/tmp")
    error = box.run(box.spec("true", root=root), overlay=layers).error
    assert error is not None
    assert error["message"] == f"{target} must be an ordinary directory, not a link"


def test_the_host_s_dev_is_left_as_it_is(root: Path) -> None:
    before = sorted(os.listdir("/dev"))
    wanted = box.spec("ls", "/dev", root=root)
    wanted["mounts"] = [mount for mount in wanted["mounts"] if not mount["destination"].startswith("/dev")]
    wanted["mounts"].append(bind("/dev", "/dev"))
    assert sorted(box.run(wanted).lines) == before == sorted(os.listdir("/dev"))


def test_host_mounts_made_later_come_in_only_where_asked(root: Path, tmp_path: Path, overlay: Overlay) -> None:
    shared = tmp_path / "shared"
    (shared / "late").mkdir(parents=True)
    subprocess.run(["mount", "--bind", str(shared), str(shared)], check=True)
    subprocess.run(["mount", "--make-shared", str(shared)], check=True)
    wanted = with_mounts(
        root, "ls /slave/late /private/late", bind(shared, "/slave", "rslave"), bind(shared, "/private")
    )
    late = str(shared / "late")

    def mount(_: box.Running) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "late", late], check=True)
        (shared / "late/new").touch()

    try:
        result = box.run(wanted, overlay=overlay(), meanwhile=mount)
    finally:
        subprocess.run(["umount", late], check=True)
        subprocess.run(["umount", str(shared)], check=True)
    assert result.lines == ["/private/late:", "", "/slave/late:", "new"]


def test_mounts_made_inside_get_out_only_where_shared(root: Path, tmp_path: Path, overlay: Overlay) -> None:
    shared = tmp_path / "shared"
    for name in ("one", "two"):
        (shared / name).mkdir(parents=True)
    subprocess.run(["mount", "--bind", str(shared), str(shared)], check=True)
    for kind in ("--make-private", "--make-shared"):  # a group of its own, also where the host's root is shared
        subprocess.run(["mount", kind, str(shared)], check=True)
    script = (
        "mount -t tmpfs one /s/one; mount -t tmpfs two /p/two; mount -t tmpfs three /tmp; touch /s/one/out /p/two/out"
    )
    wanted = with_mounts(root, script, bind(shared, "/s", "rshared"), bind(shared, "/p", "rslave"))
    names = [*box.DOCKER_CAPABILITIES, "CAP_SYS_ADMIN"]
    wanted["process"]["capabilities"] = dict.fromkeys(("bounding", "effective", "permitted"), names)
    before = Path("/proc/self/mountinfo").read_text().count(f" {shared}")
    try:
        assert box.run(wanted, overlay=overlay()).lines == []
        assert (shared / "one/out").exists()
        assert not (shared / "two/out").exists()
        assert Path("/proc/self/mountinfo").read_text().count(f" {shared}") == before + 1
    finally:
        subprocess.run(["umount", str(shared / "one")], check=False)
        subprocess.run(["umount", str(shared)], check=True)


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("rnoatime", "noatime"),
        ("rstrictatime", ""),
        ("rnodiratime", "nodiratime"),
        ("rnosuid", "nosuid"),
        ("rnodev", "nodev"),
        ("rnoexec", "noexec"),
        ("rnosymfollow", "nosymfollow"),
    ],
)
def test_recursive_options_are_for_what_lies_below_too(
    root: Path, tmp_path: Path, overlay: Overlay, option: str, expected: str
) -> None:
    folder = tmp_path / "folder"
    (folder / "below").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "below", str(folder / "below")], check=True)
    try:
        wanted = with_mounts(root, "cat /proc/self/mountinfo", bind(folder, "/m", option))
        found = mounted(box.run(wanted, overlay=overlay()))
    finally:
        subprocess.run(["umount", str(folder / "below")], check=True)
    for place in ("/m", "/m/below"):
        assert expected in found[place] if expected else not {"relatime", "noatime"} & set(found[place])
