"""Finding the program, and Docker's words when there is none."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.runtime import box

pytestmark = pytest.mark.root
DENIED, NOT_FOUND = "exec-denied", "exec-not-found"


@pytest.mark.parametrize(
    ("command", "kind", "message"),
    [
        ("nothing", NOT_FOUND, 'exec: "nothing": executable file not found in $PATH'),
        ("/bin/nothing", NOT_FOUND, 'exec: "/bin/nothing": stat /bin/nothing: no such file or directory'),
        ("/bin/sh/x", NOT_FOUND, 'exec: "/bin/sh/x": stat /bin/sh/x: not a directory'),
        # As Go's LookPath: one in PATH that may not be executed is as good as none.
        ("plain", NOT_FOUND, 'exec: "plain": executable file not found in $PATH'),
        ("/bin/plain", DENIED, 'exec: "/bin/plain": permission denied'),
        ("/bin", DENIED, 'exec: "/bin": is a directory'),
    ],
)
def test_what_cannot_be_run_is_told(root: Path, command: str, kind: str, message: str) -> None:
    result = box.run(box.spec(command, root=root))
    assert (result.error, result.code) == ({"kind": kind, "message": message}, 1)


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (b"no program\n", DENIED, "exec /odd: exec format error"),
        (b"#!/bin/nothing\n", NOT_FOUND, "exec /odd: no such file or directory"),
    ],
)
def test_what_the_kernel_refuses_is_told(
    root: Path, tmp_path: Path, overlay: Callable[[], dict[str, object]], content: bytes, kind: str, message: str
) -> None:
    layers = overlay()
    odd = tmp_path / "upper/odd"
    odd.write_bytes(content)
    odd.chmod(0o755)
    assert box.run(box.spec("/odd", root=root), overlay=layers).error == {"kind": kind, "message": message}


def test_a_name_is_looked_up_in_the_container_s_path(root: Path) -> None:
    wanted = box.spec("true", root=root)
    wanted["process"]["env"] = ["PATH=/usr/bin:/etc"]
    error = box.run(wanted).error
    assert error is not None
    assert error["kind"] == NOT_FOUND
    wanted["process"]["env"] = []
    assert box.run(wanted).error is None
