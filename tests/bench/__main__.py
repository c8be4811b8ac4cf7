"""Runs every row on both engines in turn and prints medians and ratios: `make bench [ROWS=word]`."""

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench import engines, images
from tests.bench.engines import Side
from tests.bench.rows import ROWS, Row, crowded, import_typer, listing


def main() -> None:
    """Measure and print; a row that misses what is owed says so, and is no failure."""
    wanted = os.environ.get("ROWS", "")
    with tempfile.TemporaryDirectory(prefix="pydock-bench-") as name:
        folder = Path(name)
        archive = folder / "busybox.tar"
        subprocess.run([sys.executable, "-m", "pydock_daemon.images.base", str(archive)], check=True)
        base = archive.read_bytes()
        with (
            engines.pydock(folder / "pydock", base) as ours,
            engines.docker(folder / "docker", base) as theirs,
            contextlib.ExitStack() as stack,
        ):
            stack.callback(images.close, [side for side in (theirs, ours) if side])
            print(f"{'':38} {'docker':>10} {'pydock':>10} {'ratio':>7}  owed")
            for row in ROWS:
                if wanted in row.name:
                    report(row, ours, theirs)
            for name, owed, measure in YARDSTICKS:
                if wanted in name:
                    before, after = measure(ours)
                    print_row(name, "ms", before, after, owed, more_is_better=False)


def report(row: Row, ours: Side, theirs: Side | None) -> None:
    """Measure one row, both sides in turn, and print it."""
    sides = [side for side in (theirs, ours) if side]
    values: dict[str, list[float]] = {side.name: [] for side in sides}
    for side in sides if row.times > 1 else ():  # what is measured once is long
        row.measure(side)
    for _ in range(row.times):
        for side in sides:
            values[side.name].append(row.measure(side))
    medians = {name: statistics.median(found) for name, found in values.items()}
    print_row(row.name, row.unit, medians.get("docker"), medians["pydock"], row.owed, more_is_better=row.more_is_better)


def beside_typer(ours: Side) -> tuple[float, float]:
    """`pydock ps` beside an interpreter that imports typer."""
    pairs = [(import_typer(ours), listing(ours)) for _ in range(10)]
    typer, ps = (statistics.median(column) for column in zip(*pairs, strict=True))
    return typer, ps


# Rows that compare pydock with something else than docker, which stands in docker's column.
YARDSTICKS = (
    ("pydock ps to `import typer`", 1.6, beside_typer),
    ("API life with 300 running, to none", 1.2, crowded),
)


def print_row(
    name: str, unit: str, theirs: float | None, ours: float, owed: float | None, *, more_is_better: bool
) -> None:
    """One line of the table."""
    docker = f"{theirs:10.1f}" if theirs is not None else f"{'-':>10}"
    ratio = ours / theirs if theirs else None
    text = f"{ratio:7.2f}" if ratio is not None else f"{'-':>7}"
    sign, good = ("≥", lambda r: r >= owed) if more_is_better else ("≤", lambda r: r <= owed)
    verdict = "" if owed is None or ratio is None else f"  {sign} {owed:g}{'' if good(ratio) else '  MISSED'}"
    print(f"{name:38} {docker} {ours:10.1f} {text}{verdict}  ({unit})", flush=True)


if __name__ == "__main__":
    main()
