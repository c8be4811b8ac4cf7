"""From a seccomp profile in Docker's form to the OCI form of one container. Used by `start` and `exec`.

Docker's form has conditions (capabilities, architectures, kernel version) and a table of sub-architectures; the OCI
form has neither. The answer depends on few things, so it is kept by them.
"""

import functools
import hashlib
import json
import os
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydock_shared.errors import InvalidArgument

DEFAULT_PROFILE = Path(__file__).with_name("seccomp_default.json")
ARCHITECTURES = {
    "x86_64": ("amd64", "SCMP_ARCH_X86_64"),
    "aarch64": ("arm64", "SCMP_ARCH_AARCH64"),
    "riscv64": ("riscv64", "SCMP_ARCH_RISCV64"),
    "s390x": ("s390x", "SCMP_ARCH_S390X"),
    "ppc64le": ("ppc64le", "SCMP_ARCH_PPC64LE"),
    "armv7l": ("arm", "SCMP_ARCH_ARM"),
    "loongarch64": ("loong64", "SCMP_ARCH_LOONGARCH64"),
}


class Profile:
    """A profile ready for the runtime, with the digest by which its compiled form is kept."""

    __slots__ = ("digest", "oci")

    def __init__(self, oci: dict[str, Any]) -> None:
        self.oci = oci
        self.digest = hashlib.sha256(json.dumps(oci, sort_keys=True).encode()).hexdigest()


def option(security_options: Iterable[str] | None) -> str | None:
    """Return the profile named by `--security-opt seccomp=...`, None when there is none."""
    chosen = None
    for text in security_options or ():
        if text.startswith(("seccomp=", "seccomp:")):
            chosen = text[len("seccomp=") :]
    return chosen


def for_container(profile: str | None, capabilities: list[str]) -> Profile | None:
    """Return the profile of a container: None asks for the default, `unconfined` gives None, else it is JSON text."""
    if profile == "unconfined":
        return None
    return _resolved(profile, frozenset(capabilities))


@functools.lru_cache(maxsize=64)
def _resolved(profile: str | None, capabilities: frozenset[str]) -> Profile:
    try:
        parsed = json.loads(DEFAULT_PROFILE.read_text() if profile in (None, "", "builtin") else str(profile))
    except ValueError as error:
        raise InvalidArgument(f"decoding seccomp profile failed: {error}") from error
    if not isinstance(parsed, dict) or "defaultAction" not in parsed:
        raise InvalidArgument("decoding seccomp profile failed: no defaultAction")
    machine = ARCHITECTURES.get(platform.machine())
    if machine is None:
        raise InvalidArgument(f"seccomp is not supported on {platform.machine()}")
    return Profile(resolve(parsed, capabilities, machine=machine, kernel=kernel_version()))


def resolve(
    profile: Mapping[str, Any], capabilities: frozenset[str], *, machine: tuple[str, str], kernel: tuple[int, int]
) -> dict[str, Any]:
    """Return the OCI form (`linux.seccomp`) of a profile in Docker's form."""
    arch, native = machine
    oci: dict[str, Any] = {"defaultAction": profile["defaultAction"], "syscalls": []}
    for key in ("defaultErrnoRet", "flags", "listenerPath", "listenerMetadata"):
        if profile.get(key) is not None:
            oci[key] = profile[key]
    subs = [row for row in profile.get("archMap") or () if row["architecture"] == native]
    oci["architectures"] = profile.get("architectures") or [
        native,
        *(subs[0].get("subArchitectures") or () if subs else ()),
    ]
    for rule in profile.get("syscalls") or ():
        includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
        if not _included(includes, capabilities, arch, kernel) or _excluded(excludes, capabilities, arch, kernel):
            continue
        entry = {"names": rule.get("names") or [rule["name"]], "action": rule["action"]}
        entry |= {key: rule[key] for key in ("errnoRet", "args") if rule.get(key)}
        oci["syscalls"].append(entry)
    return oci


def kernel_version() -> tuple[int, int]:
    """Return major and minor version of the running kernel."""
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(digit for digit in minor if digit.isdigit()))


def _included(conditions: Mapping[str, Any], capabilities: frozenset[str], arch: str, kernel: tuple[int, int]) -> bool:
    return (
        ("arches" not in conditions or arch in conditions["arches"])
        and capabilities.issuperset(conditions.get("caps") or ())
        and kernel >= _version(conditions.get("minKernel"))
    )


def _excluded(conditions: Mapping[str, Any], capabilities: frozenset[str], arch: str, kernel: tuple[int, int]) -> bool:
    return (
        arch in (conditions.get("arches") or ())
        or not capabilities.isdisjoint(conditions.get("caps") or ())
        or ("minKernel" in conditions and kernel >= _version(conditions["minKernel"]))
    )


def _version(text: str | None) -> tuple[int, int]:
    major, minor = (text or "0.0").split(".")[:2]
    return int(major), int(minor)
