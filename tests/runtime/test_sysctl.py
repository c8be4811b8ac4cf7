"""Kernel parameters of the container's own namespaces."""

from pathlib import Path

import pytest
from tests.runtime import box

from pydock_runtime.errors import RuntimeFailure

pytestmark = pytest.mark.root


def test_parameters_hold_inside_and_only_there(root: Path) -> None:
    before = Path("/proc/sys/kernel/shmmni").read_text()
    wanted = box.spec(root=root, shell="cat /proc/sys/kernel/shmmni /proc/sys/net/ipv4/ip_forward")
    wanted["linux"]["sysctl"] = {"kernel.shmmni": "77", "net/ipv4/ip_forward": "1"}
    wanted["linux"]["readonlyPaths"] = ["/proc/sys"]
    assert box.run(wanted).lines == ["77", "1"]
    assert Path("/proc/sys/kernel/shmmni").read_text() == before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("kernel.panic", 'sysctl "kernel.panic" is not in a separate kernel namespace'),
        ("net.ipv4.ip_forward", 'sysctl "net.ipv4.ip_forward" not allowed in host network namespace'),
    ],
)
def test_what_belongs_to_the_host_is_refused(root: Path, name: str, message: str) -> None:
    wanted = box.spec("true", root=root)
    wanted["linux"]["namespaces"] = [{"type": kind} for kind in box.NAMESPACES if kind != "network"]
    wanted["linux"]["sysctl"] = {name: "1"}
    with pytest.raises(RuntimeFailure, match=message), box.ready(wanted):
        pass


def test_a_value_that_the_kernel_refuses_is_told(root: Path) -> None:
    wanted = box.spec("true", root=root)
    wanted["linux"]["sysctl"] = {"net.ipv4.ip_forward": "many"}
    error = box.run(wanted).error
    assert error is not None
    assert error["message"] == "sysctl net.ipv4.ip_forward=many: invalid argument"
