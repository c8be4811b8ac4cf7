"""Takes a template apart: text, and the words of actions between `{{` and `}}`. Used by parse.py.

Trim marks (`{{-`, `-}}`) and comments are dealt with here, as in Go's text/template/parse/lex.go.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class TemplateError(Exception):
    """The template is wrong, or does not fit the value."""


class UnknownField(Exception):
    """An object that is asked for its fields does not have this one; the message names the kind of object."""


class Word:
    """One word of an action: its kind, its text, where it stands, and whether white space stands before it."""

    __slots__ = ("at", "kind", "spaced", "text")

    def __init__(self, kind: str, text: str, at: int, *, spaced: bool) -> None:
        self.kind = kind
        self.text = text
        self.at = at
        self.spaced = spaced

    def __repr__(self) -> str:
        return f"Word({self.kind!r}, {self.text!r})"


_WORD = re.compile(
    r"""(?P<space>\s+)
      | (?P<string>"(?:[^"\\\n]|\\.)*")
      | (?P<raw>`[^`]*`)
      | (?P<char>'(?:[^'\\\n]|\\.)+')
      | (?P<number>[+-]?(?:0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?))
      | (?P<variable>\$\w*)
      | (?P<field>\.[^\W\d]\w*)
      | (?P<dot>\.)
      | (?P<declare>:=)
      | (?P<mark>[(),=|])
      | (?P<name>[^\W\d]\w*)
    """,
    re.VERBOSE,
)
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


def lex(source: str) -> Iterator[str | list[Word]]:
    """Yield the texts of a template as they are, and its actions as lists of words."""
    at = 0
    trim = False
    while True:
        start = source.find("{{", at)
        text = source[at:] if start < 0 else source[at:start]
        if trim:
            text = text.lstrip(" \t\r\n")
        if start < 0:
            if text:
                yield text
            return
        at = start + 2
        if source.startswith("-", at) and source[at + 1 : at + 2].isspace():
            text, at = text.rstrip(" \t\r\n"), at + 1
        if text:
            yield text
        words, at, trim = _action(source, at)
        if words is not None:
            yield words


def _action(source: str, at: int) -> tuple[list[Word] | None, int, bool]:
    """Return the words of one action, where it ends, and whether the text behind it is trimmed; None for a comment."""
    comment = _COMMENT.match(source, at + len(source[at:]) - len(source[at:].lstrip()))
    if comment:
        words: list[Word] | None = None
        at = comment.end()
    else:
        words = []
    spaced = False
    while True:
        if source.startswith("}}", at):
            return words, at + 2, False
        if source.startswith("-}}", at) and (spaced or source[at - 1].isspace()):
            return words, at + 3, True
        found = _WORD.match(source, at)
        if not found or (words is None and found.lastgroup != "space"):
            raise TemplateError(_complaint(source, at))
        if found.lastgroup == "space":
            spaced = True
        elif words is not None:
            assert found.lastgroup is not None
            words.append(Word(found.lastgroup, found[0], at, spaced=spaced))
            spaced = False
        at = found.end()


def _complaint(source: str, at: int) -> str:
    if at >= len(source):
        return "unclosed action"
    mark = source[at]
    if mark in "\"'`":
        return {'"': "unterminated quoted string", "'": "unterminated character constant"}.get(
            mark, "unterminated raw quoted string"
        )
    return (
        f"unexpected {mark!r} in command"
        if mark in "{}"
        else f"unrecognized character in action: U+{ord(mark):04X} {mark!r}"
    )
