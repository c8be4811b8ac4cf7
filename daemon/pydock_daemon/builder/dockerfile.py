"""The parser of Dockerfiles: from text to instructions with their places. Used by `stages`; pure.

Source: the Dockerfile reference. Errors are InvalidArgument with the line and a caret below what is wrong.
"""

import difflib
import re
from dataclasses import dataclass, field
from typing import NoReturn

from pydock_shared import jsontext
from pydock_shared.errors import InvalidArgument

INSTRUCTIONS = (
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD",
    "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
)  # fmt: skip
FLAGS: dict[str, tuple[str, ...]] = {
    "ADD": ("chown", "chmod", "link", "checksum", "keep-git-dir", "exclude", "unpack"),
    "COPY": ("from", "chown", "chmod", "link", "parents", "exclude"),
    "FROM": ("platform",),
    "RUN": ("mount", "network", "security"),
}
LISTS = ("RUN", "CMD", "ENTRYPOINT", "SHELL", "ADD", "COPY", "VOLUME")
"""Instructions whose arguments may be a JSON list of texts."""
HEREDOCS = ("RUN", "COPY", "ADD")
DIRECTIVE = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.+?)\s*$")
DIRECTIVES = ("syntax", "escape", "check")
HEREDOC = re.compile(r"<<(-?)(['\"]?)([A-Za-z_][A-Za-z0-9_.]*)\2(?=\s|$|[;|&>)])")
FLAG = re.compile(r"--([a-zA-Z0-9-]+)(?:=(\"(?:[^\"\\]|\\.)*\"|'[^']*'|\S*))?(?=\s|$)")
LARGEST = 1 << 20


@dataclass(frozen=True)
class Heredoc:
    """A document inside the file; `expand` says whether variables in it are replaced."""

    name: str
    text: str
    expand: bool
    raw: str = ""
    """The text as it stands in the file: the tabs that `<<-` takes off are the shell's to take off in a RUN."""


@dataclass(frozen=True)
class Instruction:
    """One instruction: its name, its flags in order, the rest as text, and as words where that is JSON."""

    name: str
    text: str
    line: int
    flags: tuple[tuple[str, str], ...] = ()
    words: tuple[str, ...] | None = None
    heredocs: tuple[Heredoc, ...] = ()
    source: str = ""
    end: int = 0
    """The line that it ends on."""

    def flag(self, name: str) -> str | None:
        """Return the value of a flag that is given at most once."""
        values = self.all(name)
        return values[-1] if values else None

    def all(self, name: str) -> list[str]:
        """Return the values of a flag."""
        return [value for flag, value in self.flags if flag == name]

    @property
    def original(self) -> str:
        """Return the instruction as progress shows it."""
        return self.source or f"{self.name} {self.text}".strip()


@dataclass
class Dockerfile:
    """A parsed file."""

    instructions: list[Instruction]
    escape: str = "\\"
    directives: dict[str, str] = field(default_factory=dict)


def parse(text: str, name: str = "Dockerfile") -> Dockerfile:
    """Return the instructions of a file. InvalidArgument says where it is wrong."""
    if len(text) > LARGEST:
        raise InvalidArgument(f"{name}: the Dockerfile is larger than {LARGEST} bytes")
    if "\0" in text:
        raise InvalidArgument(f"{name}: the Dockerfile holds NUL bytes")
    return _Parser(text, name).run()


def fail(name: str, lines: list[str], line: int, column: int, message: str) -> NoReturn:
    """Raise the error for a place: `line` and `column` count from one."""
    shown = lines[line - 1] if line <= len(lines) else ""
    raise InvalidArgument(f"dockerfile parse error on line {line}: {message}\n{name}:{line}:{column}\n"
                          f"{shown}\n{' ' * (column - 1)}^")  # fmt: skip


class _Parser:
    def __init__(self, text: str, name: str) -> None:
        self._name = name
        self._lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
        self._at = 0
        self._file = Dockerfile([])

    def run(self) -> Dockerfile:
        self._directives()
        while self._at < len(self._lines):
            begin = self._at
            text = self._logical_line()
            if text.strip():
                self._file.instructions.append(self._instruction(text.strip(), begin + 1))
        if not self._file.instructions:
            raise InvalidArgument(f"file with no instructions: {self._name}" if self._lines != [""] else
                                  f"the Dockerfile ({self._name}) cannot be empty")  # fmt: skip
        return self._file

    def _fail(self, line: int, message: str, word: str = "") -> NoReturn:
        column = max(self._lines[line - 1].find(word), 0) + 1 if word and line <= len(self._lines) else 1
        fail(self._name, self._lines, line, column, message)

    def _directives(self) -> None:
        """Read the lines at the top that are no comments but settings of the parser."""
        for number, line in enumerate(self._lines, 1):
            found = DIRECTIVE.fullmatch(line.strip())
            if not found or found[1].lower() not in DIRECTIVES:
                return
            key = found[1].lower()
            if key in self._file.directives:
                self._fail(number, f"only one {key} parser directive can be used", found[1])
            if key == "escape":
                if found[2] not in ("\\", "`"):
                    self._fail(number, f"invalid escape token '{found[2]}' does not match ` or \\", found[2])
                self._file.escape = found[2]
            self._file.directives[key] = found[2]

    def _logical_line(self) -> str:
        """Take lines as far as they go on; comments between them are left out, and so are empty lines."""
        made, going_on = "", False
        while self._at < len(self._lines):
            line = self._lines[self._at]
            self._at += 1
            if line.lstrip().startswith("#") or (going_on and not line.strip()):
                if not going_on:
                    return ""
                continue
            stripped = line.rstrip()
            if stripped.endswith(self._file.escape) and not stripped.endswith(self._file.escape * 2):
                made += stripped[:-1]
                going_on = True
                continue
            return made + line
        return made

    def _instruction(self, text: str, line: int) -> Instruction:
        word, *others = text.split(None, 1)
        rest = others[0] if others else ""
        name = word.upper()
        if name not in INSTRUCTIONS:
            near = difflib.get_close_matches(name, INSTRUCTIONS, 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            self._fail(line, f"unknown instruction: {word}{hint}", word)
        flags, rest = self._flags(name, rest.strip(), line)
        heredocs = self._heredocs(name, rest, line)
        if not rest and name not in ("CMD", "ENTRYPOINT"):
            self._fail(line, f"{name} requires at least one argument", word)
        words = self._words(name, rest)
        return Instruction(name, rest, line, tuple(flags), words, heredocs, text, self._at)

    def _flags(self, name: str, rest: str, line: int) -> tuple[list[tuple[str, str]], str]:
        flags = []
        known = FLAGS.get(name, ())
        while known and rest.startswith("--"):
            found = FLAG.match(rest)
            if not found or rest.startswith("-- "):
                break
            flag, value = found[1], found[2]
            if flag not in known:
                near = difflib.get_close_matches(flag, known, 1)
                hint = f" (did you mean {near[0]}?)" if near else ""
                self._fail(line, f"unknown flag: --{flag}{hint}", f"--{flag}")
            flags.append((flag, "" if value is None else value.strip("\"'")))
            rest = rest[found.end() :].lstrip()
        return flags, rest

    def _heredocs(self, name: str, rest: str, line: int) -> tuple[Heredoc, ...]:
        if name not in HEREDOCS:
            return ()
        made = []
        for found in HEREDOC.finditer(rest):
            lines, raw = [], []
            while True:
                if self._at >= len(self._lines):
                    self._fail(line, f"unterminated heredoc <<{found[3]}", f"<<{found[1]}")
                text = self._lines[self._at]
                self._at += 1
                if (text.lstrip("\t") if found[1] else text) == found[3]:
                    break
                lines.append(text.lstrip("\t") if found[1] else text)
                raw.append(text)
            texts = ("".join(f"{line}\n" for line in some) for some in (lines, raw))
            made.append(Heredoc(found[3], next(texts), expand=not found[2], raw=next(texts)))
        return tuple(made)

    def _words(self, name: str, rest: str) -> tuple[str, ...] | None:
        if name not in LISTS or not rest.startswith("["):
            return None
        try:
            found = jsontext.parsed(rest)
        except ValueError:
            return None
        if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
            return None
        return tuple(found)
