"""`make build-oracle`: the corpus built by pydock and by a dockerd with buildx, and every difference between them.

    python -m tests.dockerfiles.oracle [--write] HOST [CASE ...]

`--write` keeps what the dockerd made as the facts of the cases. Cases with a `# syntax` line are newer than
that dockerd: they are built by pydock alone, and `--write` keeps what it made. The exit code is 1
when there is a difference.
"""

import contextlib
import difflib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.dockerfiles import case, engines
from tests.dockerfiles.case import Case
from tests.dockerfiles.engines import Builder
from tests.fixtures.engine import Engine


@contextlib.contextmanager
def ours(folder: Path, base: Path) -> Iterator[Builder]:
    """Give a pydockd of its own with the base image."""
    folder.mkdir()
    engine = Engine(folder)
    try:
        engine.start()
        engine.api.ok("POST", "/images/load", base.read_bytes())
        yield Builder("pydock", engine.host)
    finally:
        engine.destroy()


def compared(one: Case, mine: Builder, theirs: Builder, *, write: bool) -> bool:
    """Build a case twice and print how the results differ; return whether they do not."""
    found = mine.facts(one)
    if "# syntax" in one.section("Dockerfile"):
        if write and not one.refusal("pydock"):
            one.save(found)
        return True
    expected = theirs.facts(one)
    if one.refusal("pydock"):
        return True  # `facts` has seen to it
    if write:
        one.save(expected)
    lines = list(difflib.unified_diff(expected, found, "dockerd", "pydock", lineterm="", n=0))
    print(f"{one.name}: {'the same' if not lines else 'DIFFERENT'}")
    print(
        "\n".join(f"    {line}" for line in lines[2:] if not line.startswith("@@")), end="\n" * bool(lines), flush=True
    )
    return not lines


def main(words: list[str]) -> int:
    """Compare the cases that are named, all when none is."""
    write = "--write" in words
    host, *names = [word for word in words if word != "--write"]
    chosen = [one for one in case.cases() if not names or one.name in names]
    differing = []
    with tempfile.TemporaryDirectory(prefix="pydock-oracle-") as folder:
        base = engines.base(Path(folder))
        theirs = Builder("docker", host)
        subprocess.run(
            [*theirs.cli.program, "load", "-qi", str(base)], check=True, timeout=60, stdout=subprocess.DEVNULL
        )
        try:
            with ours(Path(folder) / "pydock", base) as mine:
                for one in chosen:
                    try:
                        good = compared(one, mine, theirs, write=write)
                    except AssertionError as error:
                        print(f"{one.name}: {error}", flush=True)
                        good = False
                    differing += [] if good else [one.name]
        finally:
            theirs.clear([one.name for one in chosen])
    print(f"{len(chosen)} cases, {len(differing)} different: {' '.join(differing)}")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
