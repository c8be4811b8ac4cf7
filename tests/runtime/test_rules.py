"""What is against the specification, and what runc refuses, is refused before anything is made."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.runtime import box
from tests.runtime.test_verbs import OTHER, Runtime, ours_only, runtime

__all__ = ["runtime"]
pytestmark = pytest.mark.root
Change = Callable[[box.Spec], Any]


def without(kind: str, **changed: object) -> Change:
    """A spec without one of its namespaces, and with something else in it."""

    def change(spec: box.Spec) -> None:
        spec["linux"]["namespaces"] = [entry for entry in spec["linux"]["namespaces"] if entry["type"] != kind]
        spec.update(changed)

    return change


def linux(**changed: object) -> Change:
    return lambda spec: spec["linux"].update(changed)


def resources(**changed: object) -> Change:
    return lambda spec: spec["linux"]["resources"].update(changed)


def process(**changed: object) -> Change:
    return lambda spec: spec["process"].update(changed)


def seccomp(*rules: dict[str, Any], **changed: object) -> Change:
    return linux(seccomp={"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules, **changed})


AS_RUNC: dict[str, tuple[Change, str]] = {
    "hostname of the host": (without("uts"), "unable to set hostname without a private UTS namespace"),
    "hostname twice": (linux(sysctl={"kernel.hostname": "x"}), "conflicts with the OCI"),
    "no action": (linux(seccomp={"syscalls": [{"names": ["read"]}]}), "string  is not a valid action for seccomp"),
    "no action of a rule": (seccomp({"names": ["read"]}), "string  is not a valid action for seccomp"),
    "no operator": (
        seccomp({"names": ["read"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0}]}),
        "string  is not a valid operator for seccomp",
    ),
    "a device rule that says nothing": (resources(devices=[{}]), "device access at 0 field cannot be empty"),
    "few shares": (resources(cpu={"shares": 1}), "the minimum allowed cpu-shares is 2"),
    "many shares": (resources(cpu={"shares": 300000}), "the maximum allowed cpu-shares is 262144"),
    "swappiness": (resources(memory={"swappiness": 200}), "invalid memory swappiness value: 200"),
    "unified": (resources(unified={"memory.max": "1000000"}), "cannot use unified on cgroup v1"),
    "the user -1": (process(user={"uid": 4294967295, "gid": 0}), "uids and gids must be in range 0-2147483647"),
    "the group -1": (process(user={"uid": 0, "gid": 4294967295}), "uids and gids must be in range 0-2147483647"),
}
OF_THE_SPECIFICATION: dict[str, tuple[Change, str]] = {
    "no version": (lambda spec: spec.update(ociVersion="one"), 'ociVersion "one"'),
    "a later version": (lambda spec: spec.update(ociVersion="2.0.0"), 'ociVersion "2.0.0"'),
    "a limit twice": (
        process(rlimits=[{"type": "RLIMIT_CORE", "soft": 1, "hard": 1}, {"type": "RLIMIT_CORE", "soft": 2, "hard": 2}]),
        "rlimits has RLIMIT_CORE more than once",
    ),
    "a domain of the host": (without("uts", hostname="", domainname="d"), "unable to set domainname"),
    "a nameless annotation": (lambda spec: spec.update(annotations={"": "x"}), "an annotation has no name"),
    "a relative namespace": (
        without("ipc", linux={"namespaces": [{"type": "mount"}, {"type": "uts"}, {"type": "ipc", "path": "x"}]}),
        "namespace path x is not absolute",
    ),
    "a relative mask": (linux(maskedPaths=["proc/kcore"]), "maskedPaths: proc/kcore is not absolute"),
    "a relative read-only path": (linux(readonlyPaths=["proc/sys"]), "readonlyPaths: proc/sys is not absolute"),
    "a rule about nothing": (seccomp({"action": "SCMP_ACT_ERRNO"}), "names no system calls"),
    "an errno of what has none": (
        seccomp({"names": ["chmod"], "action": "SCMP_ACT_LOG", "errnoRet": 1}),
        "seccomp action SCMP_ACT_LOG takes no errno",
    ),
    "metadata for nobody": (seccomp(listenerMetadata="x"), "listenerMetadata without listenerPath"),
    "a negative user": (process(user={"uid": -1, "gid": 0}), "uids and gids must be in range"),
    "a group of many": (process(user={"uid": 1, "gid": 1, "additionalGids": [1 << 31]}), "uids and gids"),
}
CASES = AS_RUNC if OTHER else AS_RUNC | OF_THE_SPECIFICATION


@pytest.mark.parametrize("name", CASES)
def test_what_is_refused(runtime: Runtime, name: str) -> None:
    change, words = CASES[name]
    id = runtime.configure("true", change=change)
    done = runtime("run", "--bundle", str(runtime.bundle), id)
    assert (done.returncode, words in done.stderr.replace("\\", "")) == (1, True), done.stderr
    assert runtime("state", id).returncode == 1


def test_what_is_taken(runtime: Runtime) -> None:
    def change(spec: box.Spec) -> None:
        spec["ociVersion"] = "1.9.0-rc.1+build"
        spec["unknown"] = {"a": 1}
        spec["annotations"] = {"org.x": ""}
        spec["mounts"] += [
            {"destination": "tmp/../tmp", "type": "tmpfs", "source": "tmpfs"},
            {"destination": "/tmp/x/../y", "type": "tmpfs", "source": "tmpfs"},
        ]
        spec["hooks"] = {"ofLaterVersions": [{"path": "/bin/false"}]}
        spec["process"]["env"] = ["PATH=/nowhere", "A=1", "PATH=/bin", "A=2"]

    shell = "echo $A; env | grep -c ^A; grep -c ' /tmp' /proc/mounts; ls /tmp"
    id = runtime.configure(shell=shell, change=change)
    assert runtime.ok("run", "--bundle", str(runtime.bundle), id) == "2\n1\n2\ny\n"


def test_of_two_variables_of_an_exec_the_last_one_holds(runtime: Runtime) -> None:
    id = runtime.create("sleep", "100", change=process(env=["PATH=/bin", "A=1"]))
    runtime.ok("start", id)
    assert runtime.ok("exec", "--env", "A=2", "--env", "A=3", id, "sh", "-c", "echo $A; env | grep -c ^A") == "3\n1\n"


@ours_only
def test_a_poststart_hook_that_fails_is_told_although_the_program_has_ended(runtime: Runtime) -> None:
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "sleep 0.2; echo why; exit 3"]}
    id = runtime.configure("true", change=lambda spec: spec.update(hooks={"poststart": [hook]}))
    done = runtime("run", "--bundle", str(runtime.bundle), id)
    assert "error running poststart hook #0: exit status 3, output: why" in done.stderr
