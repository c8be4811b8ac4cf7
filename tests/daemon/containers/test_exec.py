"""Execs are kept for who asks how they ended, and not for ever."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from pydock_daemon.containers import exec as execs
from pydock_daemon.containers.exec import Execs
from pydock_daemon.containers.model import Status
from pydock_shared.errors import NotFound
from pydock_shared.wire.exec import ExecCreate


def test_the_older_finished_ones_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execs, "MOST", 10)
    container = SimpleNamespace(
        id="c", name="c", alive=True, config=SimpleNamespace(labels={}), image_name="i",
        state=SimpleNamespace(status=Status.RUNNING, started_at=1),
    )  # fmt: skip
    kept = Execs(cast(Any, SimpleNamespace(publish=lambda *given, **more: None)))
    asked = ExecCreate.model_validate({"Cmd": ["true"]})
    made = [kept.create(cast(Any, container), asked, ()) for _ in range(10)]
    made[0].running = True
    made.append(kept.create(cast(Any, container), asked, ()))
    assert kept.get(made[0].id) is made[0]
    assert kept.get(made[-1].id) is made[-1]
    with pytest.raises(NotFound):
        kept.get(made[1].id)
    assert kept.get(made[9].id) is made[9]
