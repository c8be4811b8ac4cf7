"""The patterns of .dockerignore: which files of a context are left out. Used by the client and the builder.

Docker's rules: one pattern a line in the form of Go's `filepath.Match`, `**` for any number of folders, `!` takes back,
`#` begins a comment. Paths are relative to the context, and the last pattern that matches a path or a folder above it
decides.
"""

import posixpath
import re

from .errors import InvalidArgument

FILE = ".dockerignore"


class Patterns:
    """The patterns of one file, in order."""

    __slots__ = ("_has_exceptions", "_rules", "text")

    def __init__(self, text: str) -> None:
        """InvalidArgument names a pattern that is none."""
        self.text = text
        self._rules: list[tuple[re.Pattern[str], bool]] = []
        for line in text.lstrip("\ufeff").splitlines():
            pattern = line.strip()
            if not pattern or pattern.startswith("#"):
                continue
            taken_back = pattern.startswith("!")
            pattern = posixpath.normpath(pattern[1:].strip() if taken_back else pattern).lstrip("/")
            if not pattern:
                raise InvalidArgument(f'illegal exclusion pattern: "{line}"')
            if pattern != ".":
                self._rules.append((expression(pattern), taken_back))
        self._has_exceptions = any(taken_back for _, taken_back in self._rules)

    def __bool__(self) -> bool:
        return bool(self._rules)

    def ignores(self, path: str) -> bool:
        """Say whether a path (`a/b`, relative to the context) is left out."""
        ignored = False
        parts = path.split("/")
        names = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        for rule, taken_back in self._rules:
            if ignored == taken_back and any(rule.fullmatch(name) for name in names):
                ignored = not taken_back
        return ignored

    def ignores_all_of(self, folder: str) -> bool:
        """Say whether nothing in a folder can be wanted, so that it need not be looked into."""
        return not self._has_exceptions and self.ignores(folder)


def expression(pattern: str) -> re.Pattern[str]:
    """Return the regular expression of a pattern of whole paths; InvalidArgument when it is none."""
    made, at = "", 0
    while at < len(pattern):
        char = pattern[at]
        if pattern.startswith("**", at):
            at += 2
            if pattern.startswith("/", at):
                at += 1
                made += "(?:.*/)?"
            else:
                made += ".*"
            continue
        if char == "[":
            end = pattern.find("]", at + 1)
            inside = pattern[at + 1 : end]
            if end < 0 or not inside.lstrip("^!"):
                raise InvalidArgument(f'syntax error in pattern: "{pattern}"')
            negated = inside[0] in "^!"
            body = (inside[1:] if negated else inside).replace("\\", r"\\").replace("[", r"\[").replace("^", r"\^")
            made += f"[{'^' if negated else ''}{body}]"
            at = end + 1
            continue
        if char == "\\" and at + 1 < len(pattern):
            at += 1
            char = pattern[at]
            made += re.escape(char)
        else:
            made += {"*": "[^/]*", "?": "[^/]"}.get(char, re.escape(char))
        at += 1
    try:
        return re.compile(made, re.DOTALL)
    except re.error as error:
        raise InvalidArgument(f'syntax error in pattern: "{pattern}"') from error
