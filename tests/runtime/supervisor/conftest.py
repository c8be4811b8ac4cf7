"""One supervisor for the tests of a module; each test leaves it without containers."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.runtime.supervisor.house import BUSYBOX, House, make_rootfs


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if not os.path.exists(BUSYBOX):
        pytest.skip("needs busybox-static")
    return make_rootfs(tmp_path_factory.mktemp("rootfs"))


@pytest.fixture(scope="module")
def _house(tmp_path_factory: pytest.TempPathFactory, rootfs: Path) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("house"), rootfs)
    yield house
    house.close()


@pytest.fixture
def house(_house: House) -> Iterator[House]:
    yield _house
    for container in _house.client.request("hello")["containers"]:
        _house.client.request("delete", container=container["container"], force=True)
    assert "Traceback" not in _house.diary()
