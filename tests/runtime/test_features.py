"""`features`: each claim is tried on the code that carries it out."""

import ctypes
import json
from typing import Any

import pytest

from pydock_runtime import capabilities, hooks, mempolicy, namespaces, rules, seccomp
from pydock_runtime.arguments import Call
from pydock_runtime.errors import RuntimeFailure
from pydock_runtime.rootfs import options
from pydock_runtime.verbs import features


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert features.run(Call({}, [])) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_versions_and_hooks(told: dict[str, Any]) -> None:
    for version in (told["ociVersionMin"], told["ociVersionMax"]):
        rules.check({"ociVersion": version, "process": {"cwd": "/"}})
    hook = {"path": "/bin/true"}
    assert [entry["kind"] for entry in hooks.of({"hooks": {kind: [hook] for kind in told["hooks"]}}, *hooks.KINDS)] == (
        told["hooks"]
    )


def test_mount_options_are_not_handed_to_the_file_system(told: dict[str, Any]) -> None:
    assert [word for word in told["mountOptions"] if options.of({"options": [word]}).data] == []


def test_namespaces_and_capabilities(told: dict[str, Any]) -> None:
    assert set(told["linux"]["namespaces"]) == namespaces.KINDS.keys()
    assert all(capabilities.mask([name]) for name in told["linux"]["capabilities"])


def test_every_word_of_seccomp(told: dict[str, Any]) -> None:
    claims = told["linux"]["seccomp"]
    for action in claims["actions"]:
        profile = {"listenerPath": "/x"} if action == seccomp.NOTIFY else {}
        rule = {"names": ["chmod"], "action": action}
        assert seccomp.compile_profile({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule], **profile})
    for operator in claims["operators"]:
        rule = {"names": ["chmod"], "action": "SCMP_ACT_LOG", "args": [{"index": 0, "value": 1, "op": operator}]}
        assert seccomp.compile_profile({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule]})
    for name in claims["archs"]:
        assert seccomp.compile_profile({"defaultAction": "SCMP_ACT_ERRNO", "architectures": [name]})
    assert set(claims["supportedFlags"]) <= set(claims["knownFlags"])
    for flag in claims["knownFlags"]:
        assert seccomp.compile_profile({"defaultAction": "SCMP_ACT_ALLOW", "flags": [flag]}).flags


def test_memory_policies(told: dict[str, Any]) -> None:
    claims = told["linux"]["memoryPolicy"]
    for mode in claims["modes"]:
        nodes = {} if mode in ("MPOL_DEFAULT", "MPOL_LOCAL") else {"nodes": "0"}
        assert mempolicy.check({"mode": mode, **nodes})
    for flag in claims["flags"]:
        assert mempolicy.check({"mode": "MPOL_BIND", "nodes": "0", "flags": [flag]})


def test_without_the_library_there_is_no_seccomp(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone(_name: str) -> ctypes.CDLL:
        raise OSError("not here")

    monkeypatch.setattr(seccomp.ctypes, "CDLL", gone)
    assert features.run(Call({}, [])) == 0
    assert json.loads(capsys.readouterr().out)["linux"]["seccomp"] == {"enabled": False}


def test_no_words_are_taken() -> None:
    with pytest.raises(RuntimeFailure, match="exactly 0"):
        features.run(Call({}, ["x"]))
