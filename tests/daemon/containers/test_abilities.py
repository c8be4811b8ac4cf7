"""What limits this host can set, by what it really has."""

import os
from pathlib import Path

import pytest

from pydock_daemon.containers import abilities

pytestmark = pytest.mark.root


def test_the_files_of_a_new_cgroup_are_known_and_it_is_gone() -> None:
    abilities.files.cache_clear()
    assert abilities.has("pids.max")
    assert abilities.has("memory.limit_in_bytes", "memory.max")
    assert not abilities.has("no.such.file")
    assert not list(Path("/sys/fs/cgroup").glob(f"**/pydock-probe-{os.getpid()}"))
