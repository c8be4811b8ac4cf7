"""Messages as protocol buffers, against the bytes of the encoding's own description and of criu's."""

from typing import Any

import pytest

from pydock_runtime.checkpoint import protobuf, rpc
from pydock_runtime.checkpoint.protobuf import NUMBER, TEXT

Form = dict[str, tuple[int, Any]]
# protobuf.dev, "Encoding"
EXAMPLES: list[tuple[Form, dict[str, Any], str]] = [
    ({"a": (1, NUMBER)}, {"a": 150}, "08 96 01"),
    ({"a": (1, NUMBER)}, {"a": 0}, "08 00"),
    ({"b": (2, TEXT)}, {"b": "testing"}, "12 07 74 65 73 74 69 6e 67"),
    ({"c": (3, {"a": (1, NUMBER)})}, {"c": {"a": 150}}, "1a 03 08 96 01"),
    ({"d": (4, TEXT)}, {"d": "hello"}, "22 05 68 65 6c 6c 6f"),
    ({"a": (1, NUMBER)}, {"a": -2}, "08 fe ff ff ff ff ff ff ff ff 01"),
    ({"t": (63, TEXT)}, {"t": "é"}, "fa 03 02 c3 a9"),
]


@pytest.mark.parametrize(("form", "message", "encoded"), EXAMPLES)
def test_both_ways(form: Form, message: dict[str, Any], encoded: str) -> None:
    data = bytes.fromhex(encoded)
    assert protobuf.encode(form, message) == data
    assert protobuf.decode(form, data) == message


def test_a_list_is_a_field_that_comes_several_times() -> None:
    form: Form = {"f": (6, NUMBER), "m": (7, {"a": (1, TEXT)})}
    assert (
        protobuf.encode(form, {"f": [3, 270], "m": [{"a": "x"}, {}]}).hex(" ") == "30 03 30 8e 02 3a 03 0a 01 78 3a 00"
    )
    assert protobuf.encode(form, {"f": [], "m": []}) == b""


def test_fields_that_are_not_known_are_passed_over() -> None:
    data = bytes.fromhex("08960112036162631d010000002101000000000000002805")
    assert protobuf.decode({"e": (5, NUMBER)}, data) == {"e": 5}


@pytest.mark.parametrize("data", ["08", "0896", "1203", "120361", "0b", "0e", "1d0100", "08" + "ff" * 11])
def test_what_is_no_message_is_refused(data: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        protobuf.decode({"a": (1, NUMBER)}, bytes.fromhex(data))


def test_text_must_be_text() -> None:
    with pytest.raises(ValueError, match="utf-8"):
        protobuf.decode({"b": (2, TEXT)}, bytes.fromhex("1201ff"))
    with pytest.raises(ValueError, match="another kind"):
        protobuf.decode({"b": (2, TEXT)}, bytes.fromhex("1005"))
    with pytest.raises(ValueError, match="another kind"):
        protobuf.decode({"a": (1, NUMBER)}, bytes.fromhex("0a0161"))


def test_a_request_is_what_criu_reads() -> None:
    options = {"images_dir_fd": 5, "pid": 77, "leave_running": True, "manage_cgroups_mode": 3, "external": ["net[1]:n"]}
    encoded = protobuf.encode(rpc.REQUEST, {"type": rpc.DUMP, "opts": options})
    assert encoded.hex(" ") == "08 01 12 14 08 05 10 4d 18 01 90 02 03 aa 02 08 6e 65 74 5b 31 5d 3a 6e"
