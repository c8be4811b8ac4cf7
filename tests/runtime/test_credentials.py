"""What a program runs with: user, capabilities, seccomp, signals, its working directory."""

import json
import os
from pathlib import Path

import pytest
from tests.runtime import box

from pydock_runtime import seccomp
from pydock_runtime.errors import RuntimeFailure

pytestmark = pytest.mark.root
DOCKER_MASK = "00000000a80425fb"
PROFILE = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}],
}


def status(root: Path, changes: dict[str, object], program: bytes | None = None) -> dict[str, str]:
    """The lines of /proc/self/status of a container's process."""
    wanted = box.spec("cat", "/proc/self/status", root=root)
    wanted["process"] |= changes
    result = box.run(wanted, program=program)
    assert result.error is None
    return {name: value.strip() for name, _, value in (line.partition(":") for line in result.lines)}


def test_root_has_docker_s_capabilities_and_no_more(root: Path) -> None:
    found = status(root, {})
    sets = {name: found[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    none = "0" * 16
    assert sets == {"CapInh": none, "CapPrm": DOCKER_MASK, "CapEff": DOCKER_MASK, "CapBnd": DOCKER_MASK, "CapAmb": none}
    assert found["NoNewPrivs"] == "0"


def test_any_other_user_has_none_but_may_gain_them(root: Path) -> None:
    found = status(root, {"user": {"uid": 1000, "gid": 1001, "additionalGids": [5, 6]}})
    assert (found["Uid"].split(), found["Gid"].split()) == (["1000"] * 4, ["1001"] * 4)
    assert found["Groups"].split() == ["5", "6"]
    assert (found["CapPrm"], found["CapEff"], found["CapBnd"]) == ("0" * 16, "0" * 16, DOCKER_MASK)


def test_ambient_capabilities_that_cannot_be_inherited_are_none(root: Path) -> None:
    wanted = box.spec("grep", "CapAmb", "/proc/self/status", root=root)
    wanted["process"]["capabilities"]["ambient"] = ["CAP_KILL"]
    assert box.run(wanted).lines == ["CapAmb:\t0000000000000000"]


def test_ambient_capabilities_survive_the_change_of_user(root: Path) -> None:
    names = ["CAP_NET_BIND_SERVICE"]
    sets = dict.fromkeys(("bounding", "effective", "permitted", "inheritable", "ambient"), names)
    found = status(root, {"user": {"uid": 1000, "gid": 1000}, "capabilities": sets})
    assert (found["CapEff"], found["CapAmb"]) == ("0000000000000400", "0000000000000400")


def test_a_capability_that_we_do_not_have_cannot_be_given(root: Path) -> None:
    held = int(
        next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "CapPrm" in line), 16
    )
    if held >> 24 & 1:
        pytest.skip("this process has CAP_SYS_RESOURCE")
    wanted = box.spec("true", root=root)
    wanted["process"]["capabilities"] = {"permitted": ["CAP_SYS_RESOURCE"]}
    with pytest.raises(RuntimeFailure, match="the runtime itself does not have CAP_SYS_RESOURCE"), box.ready(wanted):
        pass


def test_an_unknown_capability_is_named(root: Path) -> None:
    wanted = box.spec("true", root=root)
    wanted["process"]["capabilities"] = {"permitted": ["CAP_FLY"]}
    with pytest.raises(RuntimeFailure, match="unknown capability 'CAP_FLY'"), box.ready(wanted):
        pass


@pytest.mark.parametrize("no_new_privileges", [False, True])
def test_the_seccomp_program_is_in_force(root: Path, no_new_privileges: bool) -> None:
    wanted = box.spec(root=root, shell="mkdir /tmp/x; grep -e Seccomp: -e NoNew /proc/self/status")
    wanted["process"]["noNewPrivileges"] = no_new_privileges
    result = box.run(wanted, program=seccomp.compile_profile(PROFILE))
    flag = f"NoNewPrivs:\t{int(no_new_privileges)}"
    assert result.lines == ["mkdir: can't create directory '/tmp/x': Operation not supported", flag, "Seccomp:\t2"]


def test_a_user_without_rights_runs_under_docker_s_profile(root: Path) -> None:
    profile = json.loads(Path("daemon/pydock_daemon/containers/seccomp_default.json").read_text())
    allowed = [
        {"names": rule["names"], "action": rule["action"], "args": rule.get("args") or []}
        for rule in profile["syscalls"]
        if "caps" not in rule.get("includes", {})
    ]
    program = seccomp.compile_profile({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": allowed})
    found = status(root, {"user": {"uid": 1000, "gid": 1000}}, program)
    assert (found["Seccomp"], found["Uid"].split()[0]) == ("2", "1000")


def test_signals_are_as_a_shell_would_leave_them(root: Path) -> None:
    found = status(root, {})
    assert {found[name] for name in ("SigBlk", "SigIgn", "SigCgt")} == {"0" * 16}


def test_the_umask_is_0022_whatever_ours_is(root: Path) -> None:
    before = os.umask(0o077)
    try:
        assert box.run(box.spec(root=root, shell="umask")).out == "0022\n"
    finally:
        os.umask(before)


def test_the_user_owns_the_pipes_of_its_output(root: Path) -> None:
    wanted = box.spec(root=root, shell="stat -Lc %u /proc/self/fd/1; [ -w /dev/stdout ] && echo mine")
    wanted["process"]["user"] = {"uid": 1000, "gid": 1000}
    assert box.run(wanted).lines == ["1000", "mine"]


def test_the_oom_score_is_the_container_s(root: Path) -> None:
    wanted = box.spec("cat", "/proc/self/oom_score_adj", root=root)
    wanted["process"]["oomScoreAdj"] = 500
    assert box.run(wanted).out == "500\n"


def test_a_working_directory_that_is_a_file_is_an_error(root: Path) -> None:
    wanted = box.spec("true", root=root)
    wanted["process"]["cwd"] = "/etc/passwd"
    error = box.run(wanted).error
    assert error is not None
    assert error["message"] == 'chdir to cwd ("/etc/passwd") set in config.json failed: not a directory'
