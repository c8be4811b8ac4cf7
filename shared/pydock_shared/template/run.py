"""Carries a parsed template out over a JSON value, as Go's text/template/exec.go does. Used by format.py and inspect.

A mapping stands for a Go struct or map: a name that it lacks is an error when the template is strict, `<no value>`
else, and nil when it is one of the `optional` ones, which Go leaves out of the JSON when they are not set.
Objects may offer more than JSON: one with a `lookup(name)` method is asked for its fields.
"""

from __future__ import annotations

from .functions import FUNCTIONS, Callable_, shown
from .lex import TemplateError, UnknownField
from .parse import Node, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MISSING = object()
"""What a map gives for a key it lacks; printed as `<no value>`."""


class _Break(Exception):
    """`{{break}}`."""


class _Continue(Exception):
    """`{{continue}}`."""


class Template:
    """A parsed template; `render` may be called again and again. TemplateError when it is wrong or does not fit."""

    __slots__ = ("_nodes", "_optional", "_source", "_strict")

    def __init__(self, source: str, *, strict: bool = True, optional: frozenset[str] = frozenset()) -> None:
        self._source = source
        self._nodes = parse(source, set(FUNCTIONS))
        self._strict = strict
        self._optional = optional

    def render(self, value: Any) -> str:
        """Return the text for a value."""
        out: list[str] = []
        _Run(out, value, self._source, self._optional, strict=self._strict).nodes(self._nodes, value)
        return "".join(out)

    def fields(self) -> list[str]:
        """Return the names of the first-level fields the template uses, in order: the headings of a table."""
        found: list[str] = []
        _collect(self._nodes, found)
        return found


def _collect(part: Any, found: list[str]) -> None:
    if isinstance(part, Node):
        if part.kind == "field":
            found.append(part.parts[0][0])
        for inner in part.parts:
            _collect(inner, found)
    elif isinstance(part, (list, tuple)):
        for inner in part:
            _collect(inner, found)


class _Run:
    """One rendering: the output so far and the variables in sight."""

    def __init__(self, out: list[str], root: Any, source: str, optional: frozenset[str], *, strict: bool) -> None:
        self.out = out
        self.source = source
        self.variables: list[dict[str, Any]] = [{"$": root}]
        self.optional = optional
        self.strict = strict

    def nodes(self, nodes: list[Node], dot: Any) -> None:
        """Write the nodes one after another, in a scope of their own."""
        self.variables.append({})
        try:
            for node in nodes:
                self.node(node, dot)
        finally:
            self.variables.pop()

    def node(self, node: Node, dot: Any) -> None:
        """Write one node."""
        if node.kind == "text":
            self.out.append(node.parts[0])
        elif node.kind == "action":
            value = self.pipe(node.parts[0], dot)
            if not node.parts[0].parts[0]:
                self.out.append("<no value>" if value is MISSING else shown(value))
        elif node.kind == "range":
            self.range(node, dot)
        elif node.kind == "break":
            raise _Break
        elif node.kind == "continue":
            raise _Continue
        else:
            self.choose(node, dot)

    def choose(self, node: Node, dot: Any) -> None:
        """`if` and `with`."""
        pipe, then, otherwise = node.parts
        self.variables.append({})
        try:
            value = self.pipe(pipe, dot)
            if truth(value):
                self.nodes(then, value if node.kind == "with" else dot)
            else:
                self.nodes(otherwise, dot)
        finally:
            self.variables.pop()

    def range(self, node: Node, dot: Any) -> None:
        """`range` over a list, a map in the order of its keys, or a number."""
        pipe, then, otherwise = node.parts
        names = pipe.parts[0]
        entries = self.entries(self.pipe(Node("pipe", [], False, pipe.parts[2]), dot))
        for key, value in entries:
            scope = dict(zip(names, (key, value) if len(names) == 2 else (value,), strict=False))
            self.variables.append(scope)
            try:
                self.nodes(then, value)
            except _Break:
                break
            except _Continue:
                continue
            finally:
                self.variables.pop()
        if not entries:
            self.nodes(otherwise, dot)

    def entries(self, value: Any) -> list[tuple[Any, Any]]:
        """Return keys and values to range over."""
        if value is None or value is MISSING:
            return []
        if isinstance(value, dict):
            return sorted(value.items())
        if isinstance(value, list):
            return list(enumerate(value))
        if isinstance(value, int) and not isinstance(value, bool):
            return [(number, number) for number in range(value)]
        raise TemplateError(f"range can't iterate over {shown(value)}")

    def pipe(self, node: Node, dot: Any) -> Any:
        """Return the value of a pipeline, setting its variables."""
        names, declares, commands = node.parts
        value: Any = MISSING
        for position, command in enumerate(commands):
            value = self.command(command, dot, [value] if position else [])
        for name in names:
            if declares:
                self.variables[-1][name] = value
            else:
                self.scope(name)[name] = value
        return value

    def command(self, node: Node, dot: Any, last: list[Any]) -> Any:
        """Return the value of a command: a call, or a single operand."""
        first, *rest = node.parts[0]
        if first.kind == "function":
            if first.parts[0] in ("and", "or"):
                return self.logic(first.parts[0], rest, dot, last)
            return self.call(first.parts[0], [self.operand(operand, dot) for operand in rest] + last, node)
        value = self.operand(first, dot)
        arguments = [self.operand(operand, dot) for operand in rest] + last
        if isinstance(value, Callable_):
            return value(*arguments)
        if arguments:
            raise TemplateError(f"can't give argument to non-function {_spelled(first)}")
        return value

    def logic(self, name: str, operands: list[Node], dot: Any, last: list[Any]) -> Any:
        """`and` and `or` stop at the operand that decides."""
        value: Any = MISSING
        for operand in operands:
            value = self.operand(operand, dot)
            if truth(value) == (name == "or"):
                return value
        return last[0] if last else value

    def call(self, name: str, arguments: list[Any], node: Node) -> Any:
        """Return what a function makes of its arguments."""
        try:
            return FUNCTIONS[name](*(None if value is MISSING else value for value in arguments))
        except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
            text = self.source[node.at : node.end] or name
            raise self.failure(node.at, text, f"error calling {name}: {error}") from error

    def operand(self, node: Node, dot: Any) -> Any:
        """Return the value of an operand."""
        kind, parts = node.kind, node.parts
        if kind == "dot":
            return dot
        if kind == "constant":
            return parts[0]
        if kind == "field":
            return self.lookup(dot, parts[0], node.at)
        if kind == "variable":
            return self.scope(parts[0])[parts[0]]
        if kind == "chain":
            return self.lookup(self.operand(parts[0], dot), parts[1], node.at)
        if kind == "pipe":
            return self.pipe(node, dot)
        return self.call(parts[0], [], node)

    def scope(self, name: str) -> dict[str, Any]:
        """Return the innermost scope that has a variable."""
        scope: dict[str, Any]
        for scope in reversed(self.variables):
            if name in scope:
                return scope
        raise TemplateError(f"undefined variable: {name}")

    def failure(self, at: int, text: str, words: str) -> TemplateError:
        """Return the error of a place in the template, in Go's form."""
        line = self.source.count("\n", 0, at) + 1
        column = at - (self.source.rfind("\n", 0, at) + 1)
        return TemplateError(f'template: :{line}:{column}: executing "" at <{text}>: {words}')

    def lookup(self, value: Any, names: list[str], at: int) -> Any:
        """Return a field of a field of a value."""
        for name in names:
            value = self.field(value, name, names, at)
        return value

    def field(self, value: Any, name: str, names: list[str], at: int) -> Any:
        """Return one field of those that were asked for."""
        text = "." + ".".join(names)
        lookup = getattr(value, "lookup", None)
        if lookup is not None:
            try:
                return lookup(name)
            except UnknownField as error:
                words = f"can't evaluate field {name} in type {error}"
                raise self.failure(at, text, words) from error
        if isinstance(value, dict) and name in value:
            return value[name]
        if isinstance(value, dict) and name in self.optional and name == names[-1]:
            return None
        nothing = value is None or value is MISSING
        if not self.strict and (nothing or isinstance(value, dict)):
            return MISSING
        if isinstance(value, dict):
            words = f'map has no entry for key "{name}"'
        elif nothing:
            words = f"nil pointer evaluating interface {{}}.{name}"
        else:
            words = f"can't evaluate field {name} in type {_type(value)}"
        raise self.failure(at, text, words)


def truth(value: Any) -> bool:
    """Say whether a value counts as true: not false, not zero, not empty."""
    return value is not MISSING and bool(value)


def _type(value: Any) -> str:
    return {str: "string", bool: "bool", int: "int", float: "float64", list: "[]interface {}"}.get(
        type(value), "interface {}"
    )


def _spelled(node: Node) -> str:
    return "." + ".".join(node.parts[0]) if node.kind == "field" else shown(node.parts[0] if node.parts else ".")
