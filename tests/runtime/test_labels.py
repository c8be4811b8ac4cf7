"""AppArmor and SELinux where the host has them, and a clear word where it has not."""

from pathlib import Path

import pytest
from tests.runtime import box

from pydock_runtime import labels
from pydock_runtime.errors import RuntimeFailure

pytestmark = pytest.mark.root
apparmor = pytest.mark.skipif(not labels.has_apparmor(), reason="this kernel has no AppArmor")
no_apparmor = pytest.mark.skipif(labels.has_apparmor(), reason="this kernel has AppArmor")
no_selinux = pytest.mark.skipif(labels.has_selinux(), reason="this kernel has SELinux")


@no_apparmor
def test_a_profile_is_refused_without_apparmor() -> None:
    with pytest.raises(RuntimeFailure, match="apparmor: config provided but apparmor not supported"):
        labels.check({"apparmorProfile": "docker-default"})


@no_selinux
def test_a_label_is_refused_without_selinux() -> None:
    with pytest.raises(RuntimeFailure, match="selinux is disabled or not supported"):
        labels.check({"selinuxLabel": "system_u:object_r:x:s0"})


@apparmor
def test_a_program_runs_under_its_profile(root: Path) -> None:
    wanted = box.spec("cat", "/proc/self/attr/current", root=root)
    wanted["process"]["apparmorProfile"] = "unconfined"
    assert box.run(wanted).lines == ["unconfined"]
    wanted["process"]["apparmorProfile"] = "no-such-profile"
    error = box.run(wanted).error
    assert error is not None
    assert error["message"].startswith("unable to apply no-such-profile: ")
