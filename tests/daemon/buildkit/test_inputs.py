"""Results that are handed on: ours by name, and nothing else."""

import hashlib

import pytest

from pydock_daemon.buildkit import inputs
from pydock_daemon.buildkit.messages import CLASSES, make
from pydock_shared.errors import NotSupported

IMAGE = "sha256:" + "1" * 64


def test_there_and_back() -> None:
    made = inputs.definition(IMAGE)
    assert inputs.image(CLASSES["Definition"].FromString(made.SerializeToString())) == IMAGE
    source, last = getattr(made, "def")
    assert CLASSES["Op"].FromString(last).inputs[0].digest == f"sha256:{hashlib.sha256(source).hexdigest()}"
    assert len(made.metadata) == 2


@pytest.mark.parametrize("ops", [[], [b"\xff"], [make("Op", source=make("Source", identifier="local://x"))]])
def test_what_is_none_of_ours(ops: list[bytes]) -> None:
    data = [op if isinstance(op, bytes) else op.SerializeToString() for op in ops]
    with pytest.raises(NotSupported, match="LLB is not supported"):
        inputs.image(make("Definition", **{"def": [*data, *data]}))
