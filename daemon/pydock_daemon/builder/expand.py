"""Variables and quotes in the words of a Dockerfile: `$a ${a} ${a:-b} ${a%b} ...`. Used by `stages` and `steps`.

Source: "Environment replacement" of the Dockerfile reference, and the forms of a POSIX shell.
"""

import re
from collections.abc import Mapping

from pydock_shared.errors import InvalidArgument

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]|[@*#]")
OPERATORS = (":-", ":+", ":?", "-", "+", "?", "##", "#", "%%", "%", "//", "/")


class Words:
    """Takes texts apart with one set of variables; `escape` is the escape character of the file."""

    def __init__(self, variables: Mapping[str, str], escape: str = "\\") -> None:
        self._variables, self._escape = variables, escape

    def one(self, text: str) -> str:
        """Return a text with its variables replaced and its quotes taken off, as one word."""
        return self._take(text, split=False)[0]

    def several(self, text: str) -> list[str]:
        """Return the words of a text: blanks outside of quotes part them, also those that come from a variable."""
        return [word for word in self._take(text, split=True) if word]

    def _take(self, text: str, *, split: bool) -> list[str]:
        words, at = [""], 0
        while at < len(text):
            char = text[at]
            if char == "'":
                end = text.find("'", at + 1)
                if end < 0:
                    raise InvalidArgument(
                        f"unexpected end of statement while looking for matching single-quote: {text}"
                    )
                words[-1] += text[at + 1 : end]
                at = end + 1
            elif char == '"':
                piece, at = self._double_quoted(text, at + 1)
                words[-1] += piece
            elif char == self._escape:
                words[-1] += text[at + 1 : at + 2] or self._escape
                at += 2
            elif char == "$":
                value, at = self.variable(text, at)
                first, *rest = value.split() if split and value.strip() else [value]
                if split and value[:1].isspace() and words[-1]:
                    words.append("")
                words[-1] += first
                words += rest
            elif split and char.isspace():
                words.append("")
                at += 1
            else:
                words[-1] += char
                at += 1
        return words

    def _double_quoted(self, text: str, at: int) -> tuple[str, int]:
        made = ""
        while at < len(text):
            char = text[at]
            if char == '"':
                return made, at + 1
            if char == "$":
                value, at = self.variable(text, at)
                made += value
            elif char == self._escape and text[at + 1 : at + 2] in ('"', "$", self._escape):
                made += text[at + 1]
                at += 2
            else:
                made += char
                at += 1
        raise InvalidArgument(f"unexpected end of statement while looking for matching double-quote: {text}")

    def variable(self, text: str, at: int) -> tuple[str, int]:
        """Return the value of what begins with the `$` at a place, and where the text goes on."""
        if text[at + 1 : at + 2] != "{":
            found = NAME.match(text, at + 1)
            return (self._variables.get(found[0], ""), found.end()) if found else ("$", at + 1)
        found = NAME.match(text, at + 2)
        if not found:
            raise InvalidArgument(f"syntax error: bad substitution: {text}")
        name, place = found[0], found.end()
        if text[place : place + 1] == "}":
            return self._variables.get(name, ""), place + 1
        operator = next((word for word in OPERATORS if text.startswith(word, place)), None)
        if operator is None:
            if place == len(text):
                raise InvalidArgument(f"syntax error: missing '}}' in substitution: {text}")
            raise InvalidArgument(f"unsupported modifier ({text[place : place + 1]}) in substitution: {text}")
        raw, end = self._until_brace(text, place + len(operator))
        return self._modified(name, operator, raw, text), end

    def _until_brace(self, text: str, at: int) -> tuple[str, int]:
        depth, begin = 1, at
        while at < len(text):
            if text[at] == self._escape:
                at += 1
            elif text.startswith("${", at):
                depth += 1
            elif text[at] == "}":
                depth -= 1
                if not depth:
                    return text[begin:at], at + 1
            at += 1
        raise InvalidArgument(f"syntax error: missing '}}' in substitution: {text}")

    def _modified(self, name: str, operator: str, raw: str, text: str) -> str:
        value = self._variables.get(name)
        is_there = bool(value) if operator.startswith(":") else value is not None
        if operator in (":-", "-"):
            return value or "" if is_there else self.one(raw)
        if operator in (":+", "+"):
            return self.one(raw) if is_there else ""
        if operator in (":?", "?"):
            if is_there:
                return value or ""
            raise InvalidArgument(f"{name}: {self.one(raw) or 'not allowed to be unset'}")
        if operator in ("/", "//"):
            return self._replaced(value or "", operator, raw)
        return _trimmed(value or "", operator, self.one(raw))

    def _replaced(self, value: str, operator: str, raw: str) -> str:
        escape = re.escape(self._escape)
        found = re.match(rf"((?:{escape}.|[^/])*)/?(.*)", raw, re.DOTALL)
        pattern, new = (found[1], found[2]) if found else (raw, "")
        shape = re.compile(_shell_pattern(self.one(pattern), greedy=True), re.DOTALL)
        replacement = self.one(new)
        return shape.sub(lambda _: replacement, value, count=0 if operator == "//" else 1)


def _trimmed(value: str, operator: str, pattern: str) -> str:
    shape = _shell_pattern(pattern, greedy=True)
    sizes = range(len(value) + 1) if len(operator) == 1 else range(len(value), -1, -1)
    for size in sizes:
        part = value[:size] if operator[0] == "#" else value[len(value) - size :]
        if re.fullmatch(shape, part, re.DOTALL):
            return value[size:] if operator[0] == "#" else value[: len(value) - size]
    return value


def _shell_pattern(pattern: str, *, greedy: bool) -> str:
    made = ""
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "\\" and at + 1 < len(pattern):
            at += 1
            made += re.escape(pattern[at])
        else:
            made += {"*": ".*" if greedy else ".*?", "?": "."}.get(char, re.escape(char))
        at += 1
    return made
