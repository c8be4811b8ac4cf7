"""Messages: what others' programs put on the wire is read, field by field."""

import pytest

from pydock_daemon.buildkit.messages import CLASSES, make, timestamp

# Taken from connections between docker's buildx 0.13 and dockerd 26.
SEEN = [
    ("StatusOf", "0a03616263", {"Ref": "abc"}),
    ("Packet", "0801", {"type": 1}),
    ("Packet", "0802220368690a", {"type": 2, "data": b"hi\n"}),
    ("Ref", "0a0178", {"id": "x"}),
    ("SolvePart", "120d646f636b657266696c652e763028013001", {"Frontend": "dockerfile.v0"}),
]


@pytest.mark.parametrize(("name", "wire", "fields"), SEEN)
def test_what_was_seen(name: str, wire: str, fields: dict[str, object]) -> None:
    message = CLASSES[name].FromString(bytes.fromhex(wire))
    assert {field: getattr(message, field) for field in fields} == fields
    assert message.SerializeToString() == bytes.fromhex(wire)  # also what is not in the table


def test_maps_and_lists() -> None:
    made = make("Solve", Ref="r", FrontendAttrs={"a": "1"}, Entitlements=["x", "y"])
    made.Exporters.add(Type="moby", Attrs={"name": "n"})
    read = CLASSES["Solve"].FromString(made.SerializeToString())
    assert (dict(read.FrontendAttrs), list(read.Entitlements)) == ({"a": "1"}, ["x", "y"])
    assert [(one.Type, dict(one.Attrs)) for one in read.Exporters] == [("moby", {"name": "n"})]


def test_times() -> None:
    assert (
        timestamp(1_500_000_000_000_000_007).SerializeToString()
        == make("Timestamp", seconds=1_500_000_000, nanos=7).SerializeToString()
    )
