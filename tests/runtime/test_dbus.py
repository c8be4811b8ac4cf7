"""The wire of D-Bus: what goes in comes out, and looks as the specification says."""

import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydock_runtime import dbus
from pydock_runtime.errors import RuntimeFailure

NUMBERS = st.integers(0, 2**32 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@pytest.mark.parametrize(
    ("signature", "values", "data"),
    [
        ("u", [1], b"\1\0\0\0"),
        ("yu", [1, 2], b"\1\0\0\0\2\0\0\0"),
        ("s", ["foo"], b"\3\0\0\0foo\0"),
        ("g", ["au"], b"\2au\0"),
        ("b", [True], b"\1\0\0\0"),
        ("at", [[5]], b"\x08\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0"),  # the length is without the padding before the first
        ("v", [("s", "x")], b"\1s\0\0\1\0\0\0x\0"),
        ("y(u)", [1, (2,)], b"\1\0\0\0\0\0\0\0\2\0\0\0"),
    ],
)
def test_the_form_of_the_specification(signature: str, values: list[Any], data: bytes) -> None:
    assert dbus.marshal(signature, values) == data
    found = dbus.unmarshal(signature, data)
    assert found == [value[1] if signature == "v" else value for value in values]


@given(NUMBERS, TEXTS, st.lists(TEXTS), st.lists(st.tuples(TEXTS, NUMBERS)), st.integers(0, 2**64 - 1))
def test_what_goes_in_comes_out(number: int, text: str, texts: list[str], pairs: list[Any], large: int) -> None:
    values = [number, text, texts, pairs, ("t", large), [(text, ("as", texts))]]
    data = dbus.marshal("usasa(su)va(sv)", values)
    assert dbus.unmarshal("usasa(su)va(sv)", data) == [number, text, texts, pairs, large, [(text, texts)]]


def test_signatures_are_taken_apart() -> None:
    assert dbus.types("sa{sv}a(sa(sv))au") == ["s", "a{sv}", "a(sa(sv))", "au"]
    assert dbus.unmarshal("a{sv}", dbus.marshal("a{sv}", [[("a", ("u", 1))]])) == [[("a", 1)]]


@pytest.mark.parametrize("answer", [b"REJECTED EXTERNAL\r\n", b"", b"OK 1234\r\n"])
def test_one_that_is_not_systemd(tmp_path: Path, answer: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "sock"))
        listener.listen()

        def speak() -> None:
            with listener.accept()[0] as sock:
                sock.recv(100)
                sock.sendall(answer)

        thread = threading.Thread(target=speak)
        thread.start()
        with pytest.raises(RuntimeFailure, match="systemd"), dbus.Connection(str(tmp_path / "sock")) as bus:
            bus.call("/", "a.b", "C", destination="d")
        thread.join()


def test_nobody_is_there(tmp_path: Path) -> None:
    with pytest.raises(RuntimeFailure, match="No such file"):
        dbus.Connection(str(tmp_path / "sock"))
