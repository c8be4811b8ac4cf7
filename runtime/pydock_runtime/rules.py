"""What the runtime-spec asks of a config.json besides the types of its parts, see `shapes`. Used by the verbs.

Source: config.md and config-linux.md of 1.3; the words are runc's where it has some. pydockd makes its specs itself:
they are not looked at again.
"""

from __future__ import annotations

import os
import re

from pydock_runtime import seccomp
from pydock_runtime.errors import INVALID, RuntimeFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

VERSION = re.compile(r"(\d+)\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
MAJOR = "1"
PATHS = ("maskedPaths", "readonlyPaths")


def check(spec: dict[str, Any]) -> None:
    """Raise RuntimeFailure for the first thing that is against the specification."""
    check_process(spec["process"] or {})
    for fault in (*_general(spec), *_linux(spec.get("linux") or {})):
        raise RuntimeFailure(fault, INVALID)


def settle(spec: dict[str, Any]) -> None:
    """Make the destinations of mounts absolute: a relative one is from the root, and `..` what is above it by name."""
    for mount in spec.get("mounts") or ():
        if mount.get("destination"):
            mount["destination"] = "/" + os.path.normpath(f"/{mount['destination']}").lstrip("/")


def check_process(process: dict[str, Any]) -> None:
    """Raise RuntimeFailure for what is wrong with a process of its own, as `exec` has it, too."""
    for fault in _process(process):
        raise RuntimeFailure(fault, INVALID)


def _process(process: dict[str, Any]) -> Iterator[str]:
    if not process.get("cwd"):
        yield "Cwd property must not be empty"
    for entry in process.get("env") or ():
        name, equals, _ = entry.partition("=")
        if not equals:
            yield f'invalid environment variable: "{entry}"'
        if not name:
            yield f'environment variable name can\'t be empty: "{entry}"'
    types = [limit.get("type") for limit in process.get("rlimits") or ()]
    for kind in types:
        if types.count(kind) > 1:
            yield f"rlimits has {kind} more than once"


def _general(spec: dict[str, Any]) -> Iterator[str]:
    version = VERSION.fullmatch(spec["ociVersion"] or "")
    if version is None or version[1] != MAJOR:
        yield f'ociVersion "{spec["ociVersion"]}" is not a version that this runtime knows'
    kinds = [entry.get("type") for entry in (spec.get("linux") or {}).get("namespaces") or ()]
    for name in ("hostname", "domainname"):
        if spec.get(name) and "uts" not in kinds:
            yield f"unable to set {name} without a private UTS namespace"
    if "" in (spec.get("annotations") or {}):
        yield "an annotation has no name"


def _linux(part: dict[str, Any]) -> Iterator[str]:
    for entry in part.get("namespaces") or ():
        if not (entry.get("path") or "/").startswith("/"):
            yield f"namespace path {entry['path']} is not absolute"
    for name in PATHS:
        for path in part.get(name) or ():
            if not path.startswith("/"):
                yield f"{name}: {path} is not absolute"
    for number, rule in enumerate((part.get("resources") or {}).get("devices") or ()):
        if "allow" not in rule or not rule.get("access"):
            yield f"device access at {number} field cannot be empty"
    if part.get("seccomp"):
        yield from _seccomp(part["seccomp"])


def _seccomp(profile: dict[str, Any]) -> Iterator[str]:
    default = profile.get("defaultAction") or ""
    actions = [(default, profile.get("defaultErrnoRet"))]
    for rule in profile.get("syscalls") or ():
        actions.append((rule.get("action") or "", rule.get("errnoRet")))
        if not rule.get("names"):
            yield "a rule of seccomp names no system calls"
        for argument in rule.get("args") or ():
            if argument.get("op") not in seccomp.COMPARISONS:
                yield f"string {argument.get('op') or ''} is not a valid operator for seccomp"
    for action, number in actions:
        if action not in seccomp.ACTIONS:
            yield f"string {action} is not a valid action for seccomp"
        elif number is not None and action not in seccomp.WITH_NUMBER:
            yield f"seccomp action {action} takes no errno"
    if profile.get("listenerMetadata") and not profile.get("listenerPath"):
        yield "seccomp has listenerMetadata without listenerPath"
