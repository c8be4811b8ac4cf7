"""`make build-oracle`: the corpus built by pydock and by a dockerd with buildx, and every difference between them.

    python -m tests.dockerfiles.oracle [--write | --debian] HOST [CASE ...]

`--debian` takes the cases on a Debian, which need the package mirror and the registries of PyPI and npm.
`--write` keeps what the dockerd made as the facts of the cases. Cases with a `# syntax` line are newer than that
dockerd: they are built by pydock alone, and `--write` keeps what it made. The exit code is 1 when something differs.
"""

import contextlib
import difflib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.dockerfiles import case, engines
from tests.dockerfiles.case import Case
from tests.dockerfiles.engines import Builder, Ground
from tests.fixtures.engine import Engine


@contextlib.contextmanager
def ours(folder: Path, base: Path, ground: Ground) -> Iterator[Builder]:
    """Give a pydockd of its own with the base image."""
    folder.mkdir()
    engine = Engine(folder)
    try:
        engine.start()
        engine.api.ok("POST", "/images/load", base.read_bytes())
        yield Builder("pydock", engine.host, ground=ground)
    finally:
        engine.destroy()


def compared(one: Case, mine: Builder, theirs: Builder, *, write: bool) -> bool:
    """Build a case twice and print how the results differ; return whether they do not."""
    if "# syntax" in one.section("Dockerfile"):
        found = mine.facts(one)
        if write and not one.refusal("pydock"):
            one.save(found)
        return True
    begun = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        expecting = pool.submit(theirs.facts, one)
        found = mine.facts(one)
        expected = expecting.result()
    if one.refusal("pydock"):
        return True  # `facts` has seen to it
    if write:
        one.save(expected)
    lines = list(difflib.unified_diff(expected, found, "dockerd", "pydock", lineterm="", n=0))
    print(f"{one.name}: {'the same' if not lines else 'DIFFERENT'} ({time.monotonic() - begun:.0f} s)")
    print(
        "\n".join(f"    {line}" for line in lines[2:] if not line.startswith("@@")), end="\n" * bool(lines), flush=True
    )
    return not lines


def main(words: list[str]) -> int:
    """Compare the cases that are named, all when none is."""
    host, *names = [word for word in words if not word.startswith("--")]
    folder_of_cases = case.DEBIAN if "--debian" in words else case.CORPUS
    chosen = [one for one in case.cases(folder_of_cases) if not names or one.name in names]
    ground, write = engines.GROUNDS[folder_of_cases], "--write" in words
    differing = []
    with tempfile.TemporaryDirectory(prefix="pydock-oracle-") as folder:
        base = engines.base(Path(folder), ground)
        theirs = Builder("docker", host, ground=ground)
        load = [*theirs.cli.program, "load", "-qi", str(base)]
        subprocess.run(load, check=True, timeout=ground.timeout, stdout=subprocess.DEVNULL)
        try:
            with ours(Path(folder) / "pydock", base, ground) as mine:
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
