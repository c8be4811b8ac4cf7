"""The corpus: Dockerfiles of our own with their contexts, and what an image of each must have. Used by its tests.

Those of `corpus` are small and begin with a busybox; their facts are kept. Those of `debian` are what people write, on
a Debian, and install packages: they are only compared, as what a mirror gives changes.

A case is one text file. It begins with a title; then come sections, each below a line `-- NAME [WORDS] --`:

    -- options --            flags of `build`, one a line; `%` is the folder of the case
    -- Dockerfile --         a file of the context; also with a mode: `-- bin/run 755 --`; or a folder: `-- bin/ 700 --`
    -- name -> target --     a symbolic link of the context
    -- a.tar.gz = --         an archive of the context: lines `MODE OWNER NAME CONTENT`, `NAME -> TARGET`
    -- ../outside --         a file beside the context
    -- fails --              a regular expression that the error has; the build must fail
    -- refused --            the same, for us alone
    -- varies --             lines `PATTERN WHY`: files that are others each time, of which the contents do not count
    -- facts --              what `facts.of` finds, written by `make build-oracle` from dockerd's image
"""

import io
import os
import re
import shlex
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

CORPUS, DEBIAN = (Path(__file__).with_name(name) for name in ("corpus", "debian"))
HEADER = re.compile(r"^-- (.+?) --$", re.MULTILINE)
WORD = re.compile(r"(.+) ([0-7]{3,4}|=)")
LONG_AGO = 1_700_000_000
NO_FILES = ("options", "fails", "refused", "varies", "facts")


@dataclass
class Case:
    """One file of the corpus."""

    path: Path
    title: str
    sections: list[tuple[str, str]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The name of the case, and of its image."""
        return self.path.stem

    def section(self, name: str) -> str:
        """Return a section's text, nothing when there is none."""
        return next((text for header, text in self.sections if header == name), "")

    def refusal(self, program: str) -> str:
        """Return what the error says with which a program refuses the case, nothing when it builds it."""
        return (self.section("fails") or (self.section("refused") if program == "pydock" else "")).strip()

    def varying(self) -> list[str]:
        """Return the patterns of paths whose contents are others each time."""
        return [line.split()[0] for line in self.section("varies").splitlines()]

    def options(self, folder: Path) -> list[str]:
        """Return the flags of `build`, for a folder into which the case was written."""
        words = shlex.split(self.section("options"))
        return [word.replace("%", str(folder)) for word in words]

    def write(self, folder: Path) -> Path:
        """Write the case into a folder that is there; return the context, a folder of its own inside."""
        # BuildKit keeps contexts by the names of their folders: what is left of another case would change times.
        context = folder / f"context-of-{self.name}"
        context.mkdir()
        for header, text in self.sections:
            if header not in NO_FILES:
                _write(context, header, text)
        for path in [*folder.rglob("*"), folder]:
            os.utime(path, (LONG_AGO, LONG_AGO), follow_symlinks=False)
        return context

    def save(self, facts: list[str]) -> None:
        """Write the file again with other facts."""
        kept = [(header, text) for header, text in self.sections if header != "facts"]
        made = [*kept, ("facts", "".join(f"{fact}\n" for fact in facts))]
        self.path.write_text(self.title + "".join(f"-- {header} --\n{text}" for header, text in made))


def _write(context: Path, header: str, text: str) -> None:
    name, _, target = header.partition(" -> ")
    if target:
        path = context / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
        return
    found = WORD.fullmatch(header)
    name, word = found.groups() if found else (header, "")
    path = context / name
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    if word == "=":
        path.write_bytes(archive(text, name))
    elif name.endswith("/"):
        path.mkdir(exist_ok=True)
        path.chmod(int(word or "755", 8))
    else:
        path.write_text(text)
        path.chmod(int(word or "644", 8))


def archive(text: str, name: str) -> bytes:
    """Return an archive of what the lines say, compressed as its name does."""
    stream, kind = io.BytesIO(), name.rpartition(".")[2].removeprefix("t")
    with tarfile.open(fileobj=stream, mode=f"w:{kind if kind in ('gz', 'bz2', 'xz') else ''}") as made:
        for line in text.splitlines():
            mode, owner, path, *rest = line.split(" ", 3)
            info = tarfile.TarInfo(path.rstrip("/"))
            info.mode, info.mtime = int(mode, 8), LONG_AGO
            info.uid, info.gid = (int(number) for number in owner.split(":"))
            content = rest[0].encode() if rest else b""
            if content.startswith(b"-> "):
                info.type, info.linkname = tarfile.SYMTYPE, content[3:].decode()
            elif path.endswith("/"):
                info.type = tarfile.DIRTYPE
            else:
                info.size = len(content)
            made.addfile(info, io.BytesIO(content) if info.size else None)
    return stream.getvalue()


def read(path: Path) -> Case:
    """Return the case of a file."""
    title, *parts = HEADER.split(path.read_text())
    return Case(
        path, title, [(header, text.removeprefix("\n")) for header, text in zip(*[iter(parts)] * 2, strict=True)]
    )


def cases(folder: Path = CORPUS) -> list[Case]:
    """Return every case of a folder, by name."""
    return [read(path) for path in sorted(folder.glob("*.case"))]
