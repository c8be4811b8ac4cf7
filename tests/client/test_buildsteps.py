"""What is known of a build's steps by the records about them."""

import base64
from typing import Any

from pydock_client.buildsteps import Steps


def told(*records: dict[str, Any]) -> Steps:
    steps = Steps()
    for record in records:
        steps.tell(record)
    return steps


def vertex(name: str, **more: Any) -> dict[str, Any]:
    return {"vertexes": [{"digest": f"sha256:{name}", "name": name, **more}]}


def log(name: str, text: bytes) -> dict[str, Any]:
    return {"logs": [{"vertex": f"sha256:{name}", "stream": 1, "data": base64.b64encode(text).decode()}]}


BEGUN = {"started": "2026-01-02T03:04:05.123456789Z"}
ENDED = BEGUN | {"completed": "2026-01-02T03:04:07.623456789Z"}


def test_times_and_ends() -> None:
    steps = told(vertex("a", **BEGUN), vertex("b", **BEGUN), vertex("a", cached=True, **ENDED))
    first, second = steps.all.values()
    assert (first.name, first.ended, first.cached, first.seconds) == ("a", True, True, 2.5)
    assert (second.ended, steps.done, steps.failed) == (False, 1, None)
    assert second.seconds < 60  # by our own clock, whatever the daemon's is
    steps.tell(vertex("b", error="context canceled", **ENDED))
    assert steps.failed is None
    steps.tell(vertex("b", error="it broke", **ENDED))
    assert steps.failed is second


def test_output_in_pieces() -> None:
    """Pieces end within lines and characters; a carriage return begins a line anew."""
    steps = told(
        vertex("a", **BEGUN), log("a", b"on"), log("a", "e\r\ntw\u00f6".encode()[:-1]), log("a", b"\xb6\n\n10%\r20%")
    )
    step = steps.all["sha256:a"]
    assert step.output(9) == ["one", "tw\u00f6", "20%"]
    assert step.output(1) == ["20%"]
    steps.tell(log("nobody", b"x"))
