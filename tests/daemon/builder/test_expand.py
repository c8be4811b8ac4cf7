"""Variables and quotes, as a shell would have them."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydock_daemon.builder.expand import Words
from pydock_shared.errors import InvalidArgument

VARIABLES = {"a": "one", "b": "two words", "empty": "", "path": "/usr/lib/x.tar.gz"}
FORMS = [
    "$a",
    "${a}",
    "x${a}y",
    "$a$b",
    "${none}",
    "$none.",
    "${a:-d}",
    "${none:-d}",
    "${empty:-d}",
    "${empty-d}",
    "${none-d}",
    "${a:+d}",
    "${none:+d}",
    "${empty:+d}",
    "${empty+d}",
    "${none:-$a}",
    "${none:-${b}}",
    "${path#*/}",
    "${path##*/}",
    "${path%.*}",
    "${path%%.*}",
    "${path#/usr}",
    "${path%gz}",
    "'$a'",
    '"$a b"',
    "\"'$a'\"",
    "\\$a",
    '"\\$a"',
    "a\\ b",
    "'a'b\"c\"",
    "${path%nothing}",
    "${a#o?}",
    "$a/$empty/x",
    "${b%% *}",
]


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_what_a_shell_makes_of_it(form: str) -> None:
    command = ["/bin/sh", "-c", f'v={form}; printf %s "$v"']
    wanted = subprocess.run(command, env=VARIABLES, capture_output=True, text=True, check=True).stdout
    assert Words(VARIABLES).one(form) == wanted


@pytest.mark.parametrize(
    ("form", "wanted"),
    [
        ("${path/lib/LIB}", "/usr/LIB/x.tar.gz"),
        ("${path//./_}", "/usr/lib/x_tar_gz"),
        ("${a/o*/x}", "x"),
        ("${a/z/y}", "one"),
    ],
)
def test_replacements(form: str, wanted: str) -> None:
    assert Words(VARIABLES).one(form) == wanted


def test_several_words() -> None:
    words = Words(VARIABLES)
    assert words.several("x $b \"$b\" 'c d' ${none}") == ["x", "two", "words", "two words", "c d"]
    assert Words(VARIABLES, "`").one("`$a \\x") == "$a \\x"


@pytest.mark.parametrize("text", ["'open", '"open', "${a", "${}", "${a!b}", "${none:?say}"])
def test_what_cannot_be(text: str) -> None:
    with pytest.raises(InvalidArgument):
        Words(VARIABLES).one(text)


@given(st.text(alphabet="ab$ {}:-+%#/'\"\\*?.", max_size=20))
def test_it_never_crashes(text: str) -> None:
    try:
        Words(VARIABLES).one(text)
        Words(VARIABLES).several(text)
    except InvalidArgument:
        pass
