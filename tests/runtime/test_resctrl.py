"""Intel's RDT, on a host that has none: on a plain folder that looks like the kernel's."""

from pathlib import Path
from typing import Any

import pytest
from tests.runtime import box

from pydock_runtime import resctrl
from pydock_runtime.errors import RuntimeFailure

pytestmark = pytest.mark.root
ID = "0123456789ab"


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A folder that looks like resctrl with two groups: the container's, and one that was made before."""
    for name, schemata in ((ID, ""), ("gold", "    L3:0=00ff;1=000f\n    MB:0=100;1= 70\n")):
        (tmp_path / name / "mon_groups").mkdir(parents=True)
        (tmp_path / name / "schemata").write_text(schemata)
        (tmp_path / name / "tasks").touch()
    return tmp_path


@pytest.fixture
def mounted(plain: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That folder, taken for the host's resctrl."""
    monkeypatch.setattr(resctrl, "_found", [str(plain)])
    return plain


@pytest.mark.parametrize(
    ("asked", "written"),
    [
        ({"l3CacheSchema": "L3:0=f"}, ["L3:0=f\n"]),
        ({"memBwSchema": "MB:0=20"}, ["MB:0=20\n"]),
        ({"l3CacheSchema": "L3:0=f\nMB:0=50", "memBwSchema": "MB:0=20"}, ["L3:0=f\nMB:0=20\n"]),
        ({"l3CacheSchema": "L3:0=f\nMB:0=50"}, ["L3:0=f\nMB:0=50\n"]),
        ({"schemata": ["L2:0=3", "MB:0=10"]}, ["L2:0=3\nMB:0=10\n"]),
        ({"l3CacheSchema": "L3:0=f", "schemata": ["L3:0=1"]}, ["L3:0=1\n", "L3:0=f\n"]),
        ({}, [""]),
    ],
)
def test_schemata_of_a_container_s_own_group(plain: Path, asked: dict[str, Any], written: list[str]) -> None:
    share = resctrl.Share(str(plain), ID, asked)
    share.make()
    share.add(77)
    # On a plain folder what is written last lies over what was written before.
    assert (plain / ID / "schemata").read_text() == written[0]
    assert (plain / ID / "tasks").read_text() == "77"


@pytest.mark.parametrize(
    "schema",
    [{}, {"l3CacheSchema": "L3:1=f;0=ff"}, {"schemata": ["MB:1=070"]}, {"memBwSchema": "MB:0=100"}],
)
def test_a_named_group_is_used_as_it_is(plain: Path, schema: dict[str, Any]) -> None:
    before = (plain / "gold" / "schemata").read_text()
    share = resctrl.Share(str(plain), ID, {"closID": "gold", "enableMonitoring": True, **schema})
    share.make()
    assert (plain / "gold" / "schemata").read_text() == before
    assert (plain / "gold" / "mon_groups" / ID).is_dir()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"closID": "gold", "l3CacheSchema": "L3:0=f"}, "schemata of the closID do not match: L3:"),
        ({"closID": "none"}, "closID none does not exist"),
        ({"memBwSchema": "L3:0=1"}, r"invalid intelRdt\.memBwSchema"),
        ({"memBwSchema": "MB:0=1\nL3:0=1"}, r"invalid intelRdt\.memBwSchema"),
        ({"enableCMT": True}, "does not monitor"),
        ({"closID": "gold", "schemata": ["L3:0=zz"]}, "invalid schemata"),
    ],
)
def test_what_cannot_be_is_told(plain: Path, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(RuntimeFailure, match=message):
        resctrl.Share(str(plain), ID, asked).make()


@pytest.mark.parametrize("name", ["..", "info", "mon_data", "a/b", "a\nb", "x" * 256])
def test_a_group_is_one_folder(name: str) -> None:
    with pytest.raises(RuntimeFailure, match=r"invalid intelRdt\.closID"):
        resctrl.of({"closID": name}, ID)


def test_a_host_without_it_says_so(root: Path) -> None:
    if resctrl.mounted():
        pytest.skip("this host has resctrl")
    wanted = box.spec("true", root=root)
    wanted["linux"]["intelRdt"] = {}
    with pytest.raises(RuntimeFailure, match="Intel RDT is not enabled"):
        box.run(wanted)


def test_its_mount_is_found() -> None:
    line = "40 30 0:38 / /sys/fs/resctrl rw,relatime shared:5 - resctrl resctrl rw,mba_MBps"
    assert resctrl.find(f"22 1 8:1 / / rw - ext4 /dev/root rw\n{line}\n") == "/sys/fs/resctrl"
    assert resctrl.find("22 1 8:1 / / rw - ext4 /dev/root rw\n") is None


def test_groups_of_a_process_are_read() -> None:
    assert resctrl.groups("/r", "res:/\nmon:\n") == []
    assert resctrl.groups("/r", "res:/gold\nmon:\n") == ["/r/gold"]
    assert resctrl.groups("/r", "res:/gold\nmon:x\n") == ["/r/gold", "/r/gold/mon_groups/x"]


def test_a_container_is_in_its_group_before_its_program_begins(root: Path, mounted: Path) -> None:
    wanted = box.spec("true", root=root)
    wanted["linux"]["intelRdt"] = {"schemata": ["L3:0=f"]}
    with box.ready(wanted, id=ID) as running:
        assert (mounted / ID / "tasks").read_text() == str(running.child.pid)
    assert (mounted / ID / "schemata").read_text() == "L3:0=f\n"


def test_a_failed_start_leaves_no_group(root: Path, mounted: Path) -> None:
    wanted = box.spec("true", root=root)
    wanted["linux"]["intelRdt"] = {}
    # On a plain folder a new group has no file for its tasks.
    with pytest.raises(FileNotFoundError, match="tasks"), box.ready(wanted, id="other"):
        pass
    assert not (mounted / "other").exists()


def test_a_group_with_a_name_stays(mounted: Path) -> None:
    (mounted / "gold" / "mon_groups" / ID).mkdir()
    resctrl.remove(ID, {"closID": "gold", "enableMonitoring": True})
    assert (mounted / "gold").is_dir()
    assert (mounted / ID).is_dir()
    assert not (mounted / "gold" / "mon_groups" / ID).exists()


def test_a_group_of_its_own_goes(mounted: Path) -> None:
    (mounted / "other").mkdir()
    resctrl.remove("other")
    assert not (mounted / "other").exists()
