"""Users and groups by the image's own files, by Docker's rules."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.runtime import box

pytestmark = pytest.mark.root


def identity(root: Path, user: dict[str, object], **options: object) -> list[str] | dict[str, str] | None:
    """uid, gid, supplementary groups and home of a process of this user, or the error."""
    script = "id -u; id -g; grep Groups /proc/self/status | cut -f2- | xargs; echo $HOME"
    wanted = box.spec(root=root, shell=script)
    wanted["process"]["user"] = user
    result = box.run(wanted, **options)  # type: ignore[arg-type]
    return result.error or result.lines


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ({"username": "0"}, ["0", "0", "0", "/root"]),
        ({"username": ""}, ["0", "0", "0", "/root"]),
        ({"username": "web"}, ["1000", "1001", "29 44 1001", "/srv/web"]),
        # A number that is in the file is that user; one that is not needs no entry.
        ({"username": "1000"}, ["1000", "1001", "29 44 1001", "/srv/web"]),
        ({"username": "4000"}, ["4000", "0", "0", "/"]),
        # With a group the others of the user's are not added.
        ({"username": "web:audio"}, ["1000", "29", "29", "/srv/web"]),
        ({"username": "web:4001"}, ["1000", "4001", "4001", "/srv/web"]),
        ({"username": "0:0:7"}, ["0", "0", "0", "/root"]),
        ({"username": "web", "groups": ["last", "77"]}, ["1000", "1001", "29 44 50 77 1001", "/srv/web"]),
        ({"uid": 1000, "gid": 5}, ["1000", "5", "", "/srv/web"]),
    ],
)
def test_who_it_is(root: Path, user: dict[str, object], expected: list[str]) -> None:
    assert identity(root, user) == expected


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ({"username": "nobody"}, "unable to find user nobody: no matching entries in passwd file"),
        ({"username": "web:nobody"}, "unable to find group nobody: no matching entries in group file"),
        ({"username": "0", "groups": ["nobody"]}, "unable to find group nobody: no matching entries in group file"),
        ({"username": "-1"}, "uids and gids must be in range 0-2147483647"),
        ({"username": "4294967295"}, "uids and gids must be in range 0-2147483647"),
    ],
)
def test_who_is_unknown(root: Path, user: dict[str, object], message: str) -> None:
    assert identity(root, user) == {"kind": "invalid", "message": message}


def test_a_home_that_was_given_stays(root: Path) -> None:
    wanted = box.spec(root=root, shell="echo $HOME")
    wanted["process"]["env"] = ["PATH=/bin", "HOME=/elsewhere"]
    assert box.run(wanted).out == "/elsewhere\n"


def test_a_passwd_that_is_a_pipe_is_none(root: Path, tmp_path: Path, overlay: Callable[[], dict[str, object]]) -> None:
    layers = overlay()
    (tmp_path / "upper/etc").mkdir()
    os.mkfifo(tmp_path / "upper/etc/passwd")
    wanted = box.spec("cat", "/proc/self/environ", root=root)
    wanted["process"]["user"] = {"username": "7"}
    assert "HOME=/\0" in box.run(wanted, overlay=layers).out
