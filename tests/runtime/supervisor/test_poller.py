"""The epoll loop by itself."""

import os
import time
from select import EPOLLIN

import pytest

from pydock_runtime.supervisor import poller as module
from pydock_runtime.supervisor.poller import Poller


@pytest.fixture
def poller() -> Poller:
    return Poller()


def test_timers_fire_in_order_and_not_when_cancelled(poller: Poller) -> None:
    seen: list[str] = []
    poller.after(0.02, poller.stop)
    poller.after(0.01, lambda: seen.append("second"))
    poller.after(0.0, lambda: seen.append("first"))
    poller.after(0.005, lambda: seen.append("never")).cancel()
    poller.run()
    poller.close()
    assert seen == ["first", "second"]


def test_idle_work_waits_for_the_busy_but_not_for_ever(poller: Poller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE_PATIENCE", 0.02)
    reader, writer = os.pipe()
    os.write(writer, b"x")  # never read: ready in every turn
    turns = 0
    done_at = 0.0

    def busy(_events: int) -> None:
        nonlocal turns
        turns += 1

    def idle() -> None:
        nonlocal done_at
        done_at = time.monotonic()
        poller.stop()

    poller.watch(reader, EPOLLIN, busy)
    started = time.monotonic()
    poller.when_idle(idle)
    poller.run()
    poller.close()
    os.close(reader)
    os.close(writer)
    assert turns > 1
    assert 0.02 <= done_at - started < 1


def test_a_descriptor_reused_within_a_turn_gets_no_event_of_its_former_file(poller: Poller) -> None:
    pipes = [os.pipe() for _ in range(2)]
    seen: list[str] = []

    def replace(other: int) -> None:
        # Whichever comes first closes the other one and opens a quiet file under its number.
        quiet, keep = os.pipe()
        poller.forget(other)
        os.dup2(quiet, other)
        poller.watch(other, EPOLLIN, lambda _events: seen.append("wrong"))
        os.close(quiet)
        poller.after(0.01, poller.stop)
        poller.after(0.02, lambda: os.close(keep))
        seen.append("right")

    for (reader, writer), (other, _) in zip(pipes, reversed(pipes), strict=True):
        os.write(writer, b"x")
        poller.watch(reader, EPOLLIN, lambda _events, other=other: seen or replace(other))
    poller.run()
    poller.close()
    for pair in pipes:
        for fd in pair:
            os.close(fd)
    assert seen == ["right"]


def test_a_mistake_ends_one_descriptor_and_not_the_loop(poller: Poller, capfd: pytest.CaptureFixture[str]) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"x")
    calls = 0

    def broken(_events: int) -> None:
        nonlocal calls
        calls += 1
        raise ZeroDivisionError("a mistake")

    poller.watch(reader, EPOLLIN, broken)
    poller.after(0.01, poller.stop)
    poller.run()
    poller.close()
    os.close(reader)
    os.close(writer)
    assert calls == 1
    told = capfd.readouterr().err
    assert "Traceback of ZeroDivisionError: a mistake" in told
    assert "test_poller.py" in told
