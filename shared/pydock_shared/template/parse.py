"""Makes a tree of a template, as in Go's text/template/parse. Used by run.py."""

from __future__ import annotations

import ast

from .lex import TemplateError, Word, lex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

CONSTANTS: dict[str, Any] = {"true": True, "false": False, "nil": None}


class Node:
    """A node of the tree: `kind` says which, `parts` hold what belongs to it; it stands from `at` to `end`.

    text(str) | action(pipe) | if/with/range(pipe, then, otherwise) | break | continue
    pipe(variables, declares, commands) | command(operands)
    dot | field(names) | variable(name, names) | chain(node, names) | function(name) | constant(value)
    """

    __slots__ = ("at", "end", "kind", "parts")

    def __init__(self, kind: str, *parts: Any, at: int = 0, end: int = 0) -> None:
        self.kind = kind
        self.parts = parts
        self.at = at
        self.end = end

    def __repr__(self) -> str:
        return f"Node({self.kind!r}, {self.parts!r})"


def parse(source: str, functions: set[str]) -> list[Node]:
    """Return the tree of a template; TemplateError when it is wrong."""
    try:
        nodes, end = _block(lex(source), functions)
    except TemplateError as error:
        raise TemplateError(f"template: :1: {error}") from None
    if end:
        raise TemplateError(f"template: :1: unexpected {{{{{end[0].text}}}}}")
    return nodes


def _block(items: Iterator[str | list[Word]], functions: set[str]) -> tuple[list[Node], list[Word]]:
    """Return the nodes up to `else`, `end` or the end of the template, and the words that ended them."""
    nodes: list[Node] = []
    for item in items:
        if isinstance(item, str):
            nodes.append(Node("text", item))
            continue
        if not item:
            raise TemplateError("missing value for command")
        first = item[0].text if item[0].kind == "name" else ""
        if first in ("else", "end"):
            return nodes, item
        if first in ("if", "with", "range"):
            nodes.append(_control(first, item[1:], items, functions))
        elif first in ("break", "continue"):
            nodes.append(Node(first))
        elif first in ("define", "template", "block"):
            raise TemplateError(f"{{{{{first}}}}} is not supported")
        else:
            nodes.append(Node("action", _Pipeline(item, functions).whole()))
    return nodes, []


def _control(kind: str, words: list[Word], items: Iterator[str | list[Word]], functions: set[str]) -> Node:
    if not words:
        raise TemplateError(f"missing value for {kind}")
    pipe = _Pipeline(words, functions).whole()
    then, end = _block(items, functions)
    otherwise: list[Node] = []
    if end and end[0].text == "else":
        if len(end) > 1 and end[1].text in ("if", "with"):
            return Node(kind, pipe, then, [_control(end[1].text, end[2:], items, functions)])
        otherwise, end = _block(items, functions)
    if not end:
        raise TemplateError("unexpected EOF")
    return Node(kind, pipe, then, otherwise)


class _Pipeline:
    """Reads the words of one action."""

    def __init__(self, words: list[Word], functions: set[str]) -> None:
        self.words = words
        self.functions = functions
        self.at = 0

    def whole(self) -> Node:
        """Return the pipeline that all words make."""
        pipe = self.pipe()
        if self.at < len(self.words):
            raise TemplateError(f"unexpected {self.words[self.at].text!r} in command".replace("'", '"'))
        return pipe

    def pipe(self) -> Node:
        """Return a pipeline up to a closing parenthesis or the end."""
        variables, declares = self._variables()
        commands = [self._command()]
        while self._take("|"):
            commands.append(self._command())
        return Node("pipe", variables, declares, commands)

    def _variables(self) -> tuple[list[str], bool]:
        """`$x :=`, `$x =` or `$i, $x :=` in front of a pipeline."""
        texts = [word.text for word in self.words[self.at : self.at + 4]]
        kinds = [word.kind for word in self.words[self.at : self.at + 4]]
        if kinds[:1] == ["variable"] and texts[1:2] in ([":="], ["="]):
            self.at += 2
            return texts[:1], texts[1] == ":="
        if (
            kinds[:1] == ["variable"]
            and texts[1:2] == [","]
            and kinds[2:3] == ["variable"]
            and texts[3:4] in ([":="], ["="])
        ):
            self.at += 4
            return [texts[0], texts[2]], texts[3] == ":="
        return [], False

    def _take(self, text: str) -> bool:
        if self.at < len(self.words) and self.words[self.at].text == text and self.words[self.at].kind == "mark":
            self.at += 1
            return True
        return False

    def _command(self) -> Node:
        operands = []
        start = self.words[self.at].at if self.at < len(self.words) else 0
        while self.at < len(self.words) and not (
            self.words[self.at].kind == "mark" and self.words[self.at].text in "|)"
        ):
            operands.append(self._operand())
        if not operands:
            raise TemplateError("missing value for command")
        last = self.words[self.at - 1]
        return Node("command", operands, at=start, end=last.at + len(last.text))

    def _operand(self) -> Node:
        node = self._term()
        names = []
        place = self.words[self.at].at if self.at < len(self.words) else 0
        while self.at < len(self.words) and self.words[self.at].kind == "field" and not self.words[self.at].spaced:
            names.append(self.words[self.at].text[1:])
            self.at += 1
        if not names:
            return node
        if node.kind in ("constant", "function"):
            raise TemplateError(f"unexpected .{names[0]} after term")
        if node.kind == "field":
            return Node("field", [*node.parts[0], *names], at=place)
        return Node("chain", node, names, at=place)

    def _term(self) -> Node:
        word = self.words[self.at]
        self.at += 1
        if word.kind == "dot":
            return Node("dot")
        if word.kind == "field":
            return Node("field", [word.text[1:]], at=word.at)
        if word.kind == "variable":
            return Node("variable", word.text)
        if word.kind == "name":
            return self._name(word.text)
        if word.kind in ("string", "raw", "char", "number"):
            return Node("constant", _constant(word))
        if word.kind == "mark" and word.text == "(":
            pipe = self.pipe()
            if not self._take(")"):
                raise TemplateError("unclosed left paren")
            return pipe
        raise TemplateError(f'unexpected "{word.text}" in operand')

    def _name(self, text: str) -> Node:
        if text in CONSTANTS:
            return Node("constant", CONSTANTS[text])
        if text not in self.functions:
            raise TemplateError(f'function "{text}" not defined')
        return Node("function", text)


def _constant(word: Word) -> Any:
    if word.kind == "raw":
        return word.text[1:-1]
    try:
        if word.kind == "number":
            text = word.text.replace("_", "")
            return int(text, 0) if text.lstrip("+-").isdigit() or "x" in text.lower() else float(text)
        value = ast.literal_eval(word.text)
    except (ValueError, SyntaxError):
        raise TemplateError(f"bad number or string syntax: {word.text}") from None
    return ord(value) if word.kind == "char" else value
