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


@no_selinux
def test_a_label_of_mounts_is_refused_without_selinux(root: Path) -> None:
    wanted = box.spec("true", root=root)
    wanted["linux"]["mountLabel"] = "system_u:object_r:container_file_t:s0:c1,c2"
    with pytest.raises(RuntimeFailure, match="mount label is specified in config, but selinux is disabled"):
        box.run(wanted)


def test_a_label_of_mounts_is_part_of_their_data() -> None:
    assert labels.mount_data("mode=755", "u:r:t:s0:c1,c2") == 'mode=755,context="u:r:t:s0:c1,c2"'
    assert labels.mount_data("", "u:r:t:s0") == 'context="u:r:t:s0"'
    assert labels.mount_data("mode=755", "") == "mode=755"


@no_selinux
@pytest.mark.parametrize(("kind", "labelled"), [("tmpfs", True), ("mqueue", True), ("proc", False), ("sysfs", False)])
def test_which_mounts_have_it(root: Path, monkeypatch: pytest.MonkeyPatch, kind: str, *, labelled: bool) -> None:
    """This kernel refuses a label, and so shows whether it was given one."""
    monkeypatch.setattr(labels, "check_mounts", lambda label: None)
    wanted = box.spec("true", root=root)
    wanted["linux"] |= {"mountLabel": "u:r:t:s0", "namespaces": [*wanted["linux"]["namespaces"]]}
    wanted["mounts"] = [{"destination": "/tmp", "type": kind, "source": kind}]
    if kind in ("proc", "sysfs"):
        wanted["mounts"][0]["destination"] = f"/{kind.removesuffix('fs')}"
    error = box.run(wanted).error
    assert (error is not None) == labelled


@apparmor
def test_a_program_runs_under_its_profile(root: Path) -> None:
    wanted = box.spec("cat", "/proc/self/attr/current", root=root)
    wanted["process"]["apparmorProfile"] = "unconfined"
    assert box.run(wanted).lines == ["unconfined"]
    wanted["process"]["apparmorProfile"] = "no-such-profile"
    error = box.run(wanted).error
    assert error is not None
    assert error["message"].startswith("unable to apply no-such-profile: ")
