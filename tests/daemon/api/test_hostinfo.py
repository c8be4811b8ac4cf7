"""What /info says of kernels, by the files of their cgroups, and of file systems and proxies."""

import os
import subprocess
from pathlib import Path

import pytest

from pydock_daemon.api import hostinfo
from pydock_daemon.config import Config

V1 = frozenset(names[0] for _, names, *_ in hostinfo.LIMITS) | {
    f"blkio.throttle.{what}_device" for what in ("read_bps", "write_bps", "read_iops", "write_iops")
}
V2 = frozenset(("memory.max", "memory.swap.max", "cpu.max", "cpu.weight", "cpuset.cpus", "pids.max", "io.max"))


@pytest.mark.parametrize(
    ("files", "unified", "words"),
    [
        (V1, False, []),
        (V2 | {"io.weight"}, True, []),
        (V1 - {"memory.memsw.limit_in_bytes"}, False, ["swap limit"]),
        (V1 - {"memory.oom_control"}, False, ["oom kill disable"]),
        (V2, True, ["io.weight", "io.weight (per device)"]),
        (
            V2 - {"cpu.max", "io.max"} | {"io.bfq.weight"},
            True,
            ["cpu cfs quota", "cpu cfs period", *(f"io.max ({what})" for what in ("rbps", "wbps", "riops", "wiops"))],
        ),
        (V1 - {"blkio.throttle.read_bps_device"}, False, ["blkio throttle.read_bps_device"]),
    ],
)
def test_what_the_kernel_lacks_is_a_warning(files: frozenset[str], unified: bool, words: list[str]) -> None:
    assert hostinfo.missing(files, unified=unified) == [f"WARNING: No {word} support" for word in words]


@pytest.mark.root
def test_an_open_api_is_a_warning(tmp_path: Path) -> None:
    (warning,) = hostinfo.host(Config(data_root=tmp_path, hosts=("unix:///x", "tcp://0.0.0.0:2375")))["Warnings"][:1]
    assert warning.startswith("WARNING: API is accessible on http://0.0.0.0:2375 without encryption.\n")


def test_a_proxy_is_shown_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy:3128")
    monkeypatch.setenv("NO_PROXY", "localhost")
    assert hostinfo.proxies() == {
        "HttpProxy": "",
        "HttpsProxy": "http://xxxxx:xxxxx@proxy:3128",
        "NoProxy": "localhost",
    }


def test_the_file_system_of_a_folder(tmp_path: Path) -> None:
    assert hostinfo.filesystem(Path("/proc/self")) == "proc"
    kind = subprocess.run(["stat", "-f", "-c", "%T", tmp_path], capture_output=True, text=True, check=True).stdout
    names = {"ext2/ext3": "extfs", "overlayfs": "overlay"}
    assert hostinfo.filesystem(tmp_path) == names.get(kind.strip(), kind.strip())
