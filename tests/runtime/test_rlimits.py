"""Limits of the process."""

import resource
from pathlib import Path

import pytest
from tests.runtime import box

from pydock_runtime import rlimits
from pydock_runtime.errors import RuntimeFailure

pytestmark = pytest.mark.root


def test_limits_hold_inside(root: Path) -> None:
    wanted = box.spec(root=root, shell="ulimit -Sn; ulimit -Hn; ulimit -Sc")
    wanted["process"]["rlimits"] = [
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
    ]
    assert box.run(wanted).lines == ["100", "200", "0"]


def test_a_limit_above_ours_becomes_ours_when_we_may_not_raise_it(root: Path) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = box.spec(root=root, shell="ulimit -Sn; ulimit -Hn")
    # No kernel allows as many (fs.nr_open).
    wanted["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 1 << 40, "hard": 1 << 41}]
    assert box.run(wanted).lines == [str(hard)] * 2


def test_unlimited_may_be_written_in_two_ways() -> None:
    entries = [{"type": "RLIMIT_CPU", "soft": 7, "hard": -1}, {"type": "RLIMIT_CPU", "soft": (1 << 64) - 1, "hard": -1}]
    endless = resource.RLIM_INFINITY
    assert rlimits.check(entries) == [(resource.RLIMIT_CPU, 7, endless), (resource.RLIMIT_CPU, endless, endless)]


def test_soft_above_hard_is_refused() -> None:
    with pytest.raises(RuntimeFailure, match="RLIMIT_CPU: the soft limit is above the hard limit"):
        rlimits.check([{"type": "RLIMIT_CPU", "soft": -1, "hard": 7}])
