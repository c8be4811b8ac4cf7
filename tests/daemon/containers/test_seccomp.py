"""From Docker's profile to that of one container."""

import pytest

from pydock_daemon.containers import seccomp
from pydock_shared.errors import InvalidArgument

X86 = ("amd64", "SCMP_ARCH_X86_64")
PROFILE = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
    "syscalls": [
        {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
        {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64"]}},
        {"names": ["breakpoint"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm"]}},
    ],
}


def names(capabilities, kernel=(6, 1)):
    oci = seccomp.resolve(PROFILE, frozenset(capabilities), machine=X86, kernel=kernel)
    return {name for rule in oci["syscalls"] for name in rule["names"]}


def test_conditions_on_capabilities():
    assert names(()) == {"read", "ptrace", "clone3", "arch_prctl"}
    assert names({"CAP_SYS_ADMIN"}) == {"read", "ptrace", "mount", "arch_prctl"}


def test_condition_on_the_kernel():
    assert "ptrace" not in names((), kernel=(4, 4))


def test_sub_architectures():
    oci = seccomp.resolve(PROFILE, frozenset(), machine=X86, kernel=(6, 1))
    assert oci["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]


def test_the_default_profile_is_resolved_once():
    assert seccomp.for_container(None, []) is seccomp.for_container(None, [])


def test_the_default_profile_refuses_what_docker_refuses():
    profile = seccomp.for_container(None, [])
    allowed = {name for rule in profile.oci["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]}
    assert {"read", "openat", "execve", "futex"} <= allowed
    assert not {"mount", "reboot", "kexec_load", "init_module", "bpf", "keyctl", "io_uring_setup"} & allowed


def test_unconfined():
    assert seccomp.for_container("unconfined", []) is None


@pytest.mark.parametrize("text", ["{", "[]", '{"syscalls": []}'])
def test_malformed_profile(text):
    with pytest.raises(InvalidArgument, match="decoding seccomp profile failed"):
        seccomp.for_container(text, [])


def test_the_last_option_counts():
    assert seccomp.option(["no-new-privileges", "seccomp=unconfined", "seccomp:builtin"]) == "builtin"
