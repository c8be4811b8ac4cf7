"""CVE-2019-16884 and CVE-2025-52881: something else lies over /proc when the runtime reads and writes there."""

from pathlib import Path
from typing import Any

import pytest
from tests.runtime import box
from tests.runtime.test_verbs import OTHER, Runtime, runtime

pytestmark = pytest.mark.root
__all__ = ["runtime"]


def over(source: Path | str, target: str, **fields: Any) -> dict[str, Any]:
    return {"destination": target, "type": "bind", "source": str(source), "options": ["rbind"], **fields}


@pytest.mark.parametrize("target", ["/proc", "/proc/self/attr", "/proc/sys/net", "/proc/../proc/sys", "/sys/../proc/1"])
def test_nothing_is_mounted_over_proc(runtime: Runtime, tmp_path: Path, target: str) -> None:
    fake = tmp_path / "fake"
    fake.mkdir()
    id = runtime.configure("true", change=lambda wanted: wanted["mounts"].append(over(fake, target)))
    done = runtime("run", "--bundle", str(runtime.bundle), id)
    assert done.returncode != 0
    assert "cannot be mounted because it is" in done.stderr


def test_files_that_lxcfs_replaces_may_be(runtime: Runtime, tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 1 kB\n")
    change = over(tmp_path / "meminfo", "/proc/meminfo")
    id = runtime.configure("cat", "/proc/meminfo", change=lambda wanted: wanted["mounts"].append(change))
    assert runtime.ok("run", "--bundle", str(runtime.bundle), id) == "MemTotal: 1 kB\n"


def test_an_image_that_brings_a_proc_of_its_own_gets_no_writes(tmp_path: Path) -> None:
    """Without a proc of the kernel: sysctls and scores must not go to the image's files, nor be lost."""
    root = box.make_root(tmp_path / "root")
    fake = root / "proc/sys/net/ipv4"
    fake.mkdir(parents=True)
    (fake / "ip_forward").write_text("untouched")
    (root / "proc/self").mkdir()
    (root / "proc/self/oom_score_adj").write_text("untouched")

    def change(wanted: box.Spec) -> None:
        wanted["mounts"] = [mount for mount in wanted["mounts"] if mount["destination"] != "/proc"]
        wanted["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1"}
        wanted["process"]["oomScoreAdj"] = 7

    made = Runtime(tmp_path, root)
    if OTHER:
        pytest.skip("runc 1.1 starts no container without a /proc of the kernel")
    id = made.create("sleep", "100", change=change)
    made.ok("start", id)
    pid = made.ok("ps", "--format", "json", id).strip("[]\n")
    assert Path(f"/proc/{pid}/oom_score_adj").read_text() == "7\n"
    assert (fake / "ip_forward").read_text() == "untouched"
    assert (root / "proc/self/oom_score_adj").read_text() == "untouched"
    done = made("exec", id, "cat", "/proc/sys/net/ipv4/ip_forward")
    assert done.stdout == "untouched"
    made.ok("delete", "--force", id)
