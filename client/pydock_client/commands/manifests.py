"""`manifest`: lists of images for several platforms, edited on this side; not supported, and refused by name."""

from __future__ import annotations

from pydock_client.command import Call, Command
from pydock_client.flags import BOOL, STRING, STRINGS, Flag
from pydock_shared.errors import NotSupported

_INSECURE = Flag("--insecure", BOOL, "Allow communication with an insecure registry")


def _refused(call: Call) -> None:
    raise NotSupported(f"{call.words} is not supported")


ANNOTATE = Command(
    _refused,
    "[OPTIONS] MANIFEST_LIST MANIFEST",
    arguments=(2, 2),
    flags=(
        Flag("--arch", STRING, "Set the architecture"),
        Flag("--os", STRING, "Set the operating system"),
        Flag("--os-features", STRINGS, "Set features of the operating system"),
        Flag("--os-version", STRING, "Set the version of the operating system"),
        Flag("--variant", STRING, "Set the variant of the architecture"),
    ),
)
CREATE = Command(
    _refused,
    "[OPTIONS] MANIFEST_LIST MANIFEST [MANIFEST...]",
    arguments=(2, None),
    flags=(Flag("-a --amend", BOOL, "Amend an existing manifest list"), _INSECURE),
)
INSPECT = Command(
    _refused,
    "[OPTIONS] [MANIFEST_LIST] MANIFEST",
    arguments=(1, 2),
    flags=(_INSECURE, Flag("-v --verbose", BOOL, "Show layers and platforms as well")),
)
PUSH = Command(
    _refused,
    "[OPTIONS] MANIFEST_LIST",
    arguments=(1, 1),
    flags=(_INSECURE, Flag("-p --purge", BOOL, "Remove the local manifest list after the push")),
)
RM = Command(_refused, "MANIFEST_LIST [MANIFEST_LIST...]", arguments=(1, None))
