"""Kinds of error and the status each stands for."""

import pytest

from pydock_shared import errors
from pydock_shared.errors import PydockError


def test_every_kind_has_a_status_of_its_own_and_is_found_by_it() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, PydockError)]
    assert set(errors.KINDS.values()) == set(kinds)
    assert len(errors.KINDS) == len(kinds)
    for kind in kinds:
        made = errors.from_status(kind.status, "no such thing: x")
        assert type(made) is kind
        assert made.message == str(made) == "no such thing: x"


@pytest.mark.parametrize("status", [402, 418, 500, 502, 599])
def test_any_other_status_is_a_failure(status: int) -> None:
    assert type(errors.from_status(status, "x")) is PydockError
