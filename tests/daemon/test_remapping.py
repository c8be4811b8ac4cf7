"""--userns-remap: users, groups and the ranges that are lent to them; the words are dockerd's."""

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from pydock_daemon import remapping
from pydock_shared.errors import InvalidArgument, PydockError

pytestmark = pytest.mark.root


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """A folder with ranges of nobody, whose number is 65534 here and whose group has another name."""
    (tmp_path / "subuid").write_text("# a comment\nother:1:1\n\nnobody:231072:1000\n65534:300000:64536\n")
    (tmp_path / "subgid").write_text("nobody:400000:65536\n")
    return tmp_path


def test_ranges_follow_one_another(etc: Path):
    with ExitStack() as stack:
        made = remapping.opened("nobody:nogroup", stack, etc)
        assert made
        assert made.uids == [
            {"containerID": 0, "hostID": 231072, "size": 1000},
            {"containerID": 1000, "hostID": 300000, "size": 64536},
        ]
        assert made.gids == [{"containerID": 0, "hostID": 400000, "size": 65536}]
        assert (made.owner, made.count) == ((231072, 400000), 65536)
        assert made.outside(1001, 5) == (300001, 400005)
        assert made.back["uids"][1] == {"containerID": 300000, "hostID": 1000, "size": 64536}
        assert os.readlink(f"/proc/self/fd/{made.users}").startswith("user:")
        with pytest.raises(InvalidArgument, match="Container ID 65536 cannot be mapped to a host ID"):
            made.outside(65536, 0)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(made.users)


@pytest.mark.parametrize("setting", ["65534:65534", "nobody:65534", "65534:nogroup"])
def test_numbers_of_who_has_a_name(etc: Path, setting: str):
    with ExitStack() as stack:
        made = remapping.opened(setting, stack, etc)
        assert made
        assert made.owner == (231072, 400000)


@pytest.mark.parametrize("setting", [None, "", "root", "0", "0:0"])
def test_the_host_s_ids(etc: Path, setting: str | None):
    with ExitStack() as stack:
        assert remapping.opened(setting, stack, etc) is None


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("a:b:c", 'Invalid user/group specification in --userns-remap: "a:b:c"'),
        ("4294000", "Uid 4294000 has no entry in /etc/passwd"),
        ("who", 'Error during uid lookup for "who": '),
        (":", 'Error during uid lookup for "": '),
        ("-1", 'Error during uid lookup for "-1": '),
        ("99999999999", 'Error during uid lookup for "99999999999": '),
        ("nobody", 'Error during gid lookup for "nobody": '),
        ("nobody:who", 'Error during groupname lookup for "who": '),
        ("nobody:4294000", "Gid 4294000 has no entry in /etc/"),
        ("daemon", 'Can\'t create ID mappings: no subuid ranges found for user "daemon"'),
        ("other\0", 'Error during uid lookup for "other\0": '),
    ],
)
def test_who_cannot_be(etc: Path, setting: str, words: str):
    with ExitStack() as stack, pytest.raises(PydockError) as found:
        remapping.opened(setting, stack, etc)
    assert found.value.message.startswith(words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nobody:1:2:3\n", "subuid has the line 'nobody:1:2:3'"),
        ("nobody:one:2\n", "subuid has the line 'nobody:one:2'"),
        ("nobody:1:0\n", "has a range that cannot be"),
        ("nobody:5:10\nnobody:7:10\n", "uid_map: invalid argument"),
        ("nobody:4294967290:100\n", "has a range that cannot be"),
    ],
)
def test_ranges_that_cannot_be(etc: Path, text: str, words: str):
    (etc / "subuid").write_text(text)
    with ExitStack() as stack, pytest.raises(PydockError, match="Can't create ID mappings: ") as found:
        remapping.opened("nobody:nogroup", stack, etc)
    assert words in found.value.message


def test_without_the_files(tmp_path: Path):
    with ExitStack() as stack, pytest.raises(PydockError) as found:
        remapping.opened("nobody:nogroup", stack, tmp_path)
    assert found.value.message == f"Can't create ID mappings: open {tmp_path}/subuid: no such file or directory"


MAKE = """
import sys
from contextlib import ExitStack
from pydock_daemon import remapping
with ExitStack() as stack:
    first = remapping.opened("default", stack)
    print(first.uids, first.gids, remapping.opened("dockremap", stack).owner)
"""


def test_the_default_user_is_made_with_ids_that_nobody_has(tmp_path: Path):
    (tmp_path / "layers").mkdir()
    # an /etc of its own: what useradd does there is lost
    script = (
        "mount -t tmpfs none layers && mkdir layers/u layers/w && "
        "mount -t overlay none -o lowerdir=/etc,upperdir=layers/u,workdir=layers/w /etc && "
        'printf "one:99000:65536\\ntwo:300000:65536\\n" >/etc/subuid && printf "three:200000:50\\n" >/etc/subgid && '
        'sed -i /^dockremap:/d /etc/passwd /etc/group && "$@" && tail -n1 /etc/subuid /etc/subgid'
    )
    command = ["unshare", "--mount", "sh", "-ec", script, "sh", sys.executable, "-c", MAKE]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    entry = "[{'containerID': 0, 'hostID': 200050, 'size': 65536}]"
    assert done.stdout.splitlines()[0] == f"{entry} {entry} (200050, 200050)"
