"""The picture of a build, at sizes of terminals."""

import time

from tests.client.test_buildsteps import BEGUN, ENDED, log, told, vertex

from pydock_client import buildscreen
from pydock_client.buildsteps import Steps


def picture(steps: Steps, width: int = 60, height: int = 20) -> list[str]:
    return [line.plain for line in buildscreen._lines(steps, time.monotonic(), width, height)]


def test_what_runs_shows_the_end_of_its_output() -> None:
    steps = told(vertex("[1/2] FROM x", cached=True, **ENDED), vertex("[2/2] RUN y", **BEGUN))
    steps.tell(log("[2/2] RUN y", b"".join(b"line %d\n" % number for number in range(20)) + b"\x1b[2J"))
    shown = picture(steps)
    assert shown[0].startswith("[+] Building 0.0s (1/2)")
    assert (shown[1].split(), shown[1][-4:]) == ([*"=> CACHED [1/2] FROM x 2.5s".split()], "2.5s")
    assert [line.strip() for line in shown[3:]] == [
        *(f"=> => # line {number}" for number in range(15, 20)), "=> => #  [2J"
    ]  # fmt: skip
    assert all(len(line) <= 60 for line in shown)


def test_a_small_terminal() -> None:
    steps = told(*(vertex(f"[{number}/9] done", **ENDED) for number in range(8)), vertex("[9/9] runs", **BEGUN))
    steps.tell(log("[9/9] runs", b"output\n"))
    shown = picture(steps, width=20, height=5)
    assert len(shown) == 5
    assert "[9/9] runs" in shown[-1]
    assert "[7/9] done" in shown[-2]
    assert len(picture(steps, height=1)) == 2


def test_a_long_name_is_cut() -> None:
    [_, line] = picture(told(vertex("x" * 200, error="it broke", **ENDED)), width=40)
    assert line == f" => ERROR {'x' * 24}\u2026 2.5s"
