"""Which mounts criu is told of, on real mounts; and what it is told of namespaces and cgroups."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.runtime import box

from pydock_runtime import cgroup
from pydock_runtime.checkpoint import dump, external, restore
from pydock_runtime.errors import RuntimeFailure

pytestmark = pytest.mark.root


def test_the_table_of_mounts_has_names_with_blanks(tmp_path: Path) -> None:
    table = external.read_table("self")
    assert table["/proc"][1] == "/"
    assert external._unescape(rb"/a\040b\011c\134d") == b"/a b\tc\\d"


def test_what_comes_from_outside_is_named_by_its_destination(
    root: Path, tmp_path: Path, overlay: Callable[[], dict[str, object]]
) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    wanted = box.spec(root=root, shell="ln -s /tmp /link")
    wanted["mounts"] += [
        {"destination": "/srv/data", "type": "bind", "source": str(folder), "options": ["rbind"]},
        {"destination": "/srv/../srv/none/", "type": "tmpfs", "source": "tmpfs"},
    ]
    wanted["linux"]["maskedPaths"] = ["/proc/keys", "/sys/firmware", "/nowhere"]
    with box.ready(wanted, overlay=overlay()) as running:
        group = running.child.cgroup
        found = external.names(wanted, group, running.child.pid)
        views = {f"/sys/fs/cgroup/{name}".rstrip("/") for name in group.views()}
        assert found == {
            "/srv/data": "/srv/data",
            **{place: place for place in views},
            **({"/proc/keys": external.NOTHING} if os.path.exists("/proc/keys") else {}),
        }
        sources = external.sources(wanted, group)
        assert sources["/srv/data"] == str(folder)
        assert set(found.values()) <= set(sources)
        assert {sources[place] for place in views} == set(group.views().values())
        assert sources[external.NOTHING] == "/dev/null"


def test_cgroups_are_named_controller_by_controller(root: Path) -> None:
    group = cgroup.open_existing("/some/where")
    rows = restore.cgroup_roots(group)
    ours = [row for row in rows if row["path"] == "/some/where"]
    assert len(ours) >= len(group.views())
    assert all("," not in row["ctrl"] for row in rows)


@pytest.mark.parametrize(("word", "number"), [("ignore", 0), ("soft", 3), ("full", 4), ("strict", 5), ("", 6)])
def test_words_for_cgroups_are_criu_s_numbers(word: str, number: int) -> None:
    assert dump.cgroup_options(word) == {"manage_cgroups": True, "manage_cgroups_mode": number}


def test_what_criu_would_leave_out_is_refused(root: Path) -> None:
    mapped = {"destination": "/a", "type": "bind", "source": "/", "options": ["bind", "idmap"]}
    for change, message in (
        ({"mounts": [mapped]}, "mounts whose ids are mapped"),
        ({"linux": {"namespaces": [{"type": "mount", "path": "/proc/1/ns/mnt"}]}}, "a mount namespace of others"),
        ({"linux": {"memoryPolicy": {"mode": "MPOL_LOCAL"}}}, "linux.memoryPolicy"),
        ({"process": {"ioPriority": {"class": "IOPRIO_CLASS_IDLE"}}}, "process.ioPriority"),
    ):
        with pytest.raises(RuntimeFailure, match=f"^criu does not restore {message}$"):
            dump.check({**box.spec("true", root=root), **change})
    dump.check(box.spec("true", root=root))
