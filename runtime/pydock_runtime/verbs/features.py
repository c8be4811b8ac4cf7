"""`features`: what this runtime knows, in the form of the runtime-spec (features.md)."""

from __future__ import annotations

import json

from pydock_runtime import __version__, capabilities, hooks, mempolicy, namespaces, seccomp
from pydock_runtime import spec as specs
from pydock_runtime.arguments import Call, Flag
from pydock_runtime.checkpoint import folders as checkpoint
from pydock_runtime.errors import RuntimeFailure
from pydock_runtime.rootfs import options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ARGUMENTS = ""
SEALED = False
FLAGS: tuple[Flag, ...] = ()


def run(call: Call) -> int:
    """Print the features."""
    call.require(0, 0)
    words = sorted({*options.FLAGS, *options.PROPAGATION, *options.RECURSIVE, *options.IDMAPS, options.COPY_UP})
    features = {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": specs.VERSION,
        "hooks": list(hooks.KINDS),
        "mountOptions": words,
        "linux": {
            "namespaces": sorted(namespaces.KINDS),
            "capabilities": list(capabilities.NUMBERS),
            "cgroup": {"v1": True, "v2": True, "systemd": True, "systemdUser": False, "rdma": True},
            "seccomp": _seccomp(),
            "apparmor": {"enabled": True},
            "selinux": {"enabled": True},
            "intelRdt": {"enabled": True, "schemata": True, "monitoring": True},
            "memoryPolicy": {"modes": list(mempolicy.MODES), "flags": list(mempolicy.FLAGS)},
            "mountExtensions": {"idmap": {"enabled": True}},
            "netDevices": {"enabled": True},
        },
        "potentiallyUnsafeConfigAnnotations": [checkpoint.ANNOTATION],
        "annotations": {
            "io.pydock.runtime.version": __version__,
            "org.opencontainers.runc.checkpoint.enabled": "true",
        },
    }
    print(json.dumps(features, indent=2))
    return 0


def _seccomp() -> dict[str, Any]:
    """Return what can be filtered: nothing without the library."""
    try:
        architectures = seccomp.architectures()
    except RuntimeFailure:
        return {"enabled": False}
    return {
        "enabled": True,
        "actions": list(seccomp.ACTIONS),
        "operators": list(seccomp.COMPARISONS),
        "archs": architectures,
        "knownFlags": list(seccomp.FLAGS),
        "supportedFlags": [name for name in seccomp.FLAGS if seccomp.takes(name)],
    }
