"""Which snapshotter a data root gets: what it has layers of, what was asked for, or what its file system can carry."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.daemon.snapshots.conftest import Bench
from tests.fixtures.archives import entry, tar

from pydock_daemon.snapshots import choosing, overlay
from pydock_daemon.snapshots.overlay import Snapshots
from pydock_daemon.store import Store
from pydock_runtime import abi, linux
from pydock_shared.errors import PydockError

pytestmark = pytest.mark.root


@pytest.fixture
def nested(tmp_path: Path) -> Iterator[Path]:
    """A folder in an overlay, as the root of a container is: the kernel takes no upper folder there."""
    for name in ("lower", "upper", "work", "merged"):
        (tmp_path / name).mkdir()
    merged = tmp_path / "merged"
    data = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    linux.mount("overlay", str(merged), "overlay", 0, data)
    yield merged
    linux.umount2(str(merged), abi.MNT_DETACH)


def opened(root: Path, wanted: str | None = None) -> Snapshots:
    """The snapshots of a data root, closed again."""
    store = Store.open(root / "db", [overlay.SCHEMA])
    try:
        made = choosing.opened(root, store, wanted)
        made.close()
        return made
    finally:
        store.close()


def test_a_data_root_in_an_overlay_has_whole_trees(nested: Path, tmp_path: Path) -> None:
    def mounted() -> list[str]:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        return [line for line in lines if str(nested) in line or str(tmp_path) in line]

    before = mounted()
    assert opened(nested).driver == "vfs"
    assert opened(tmp_path).driver == "overlay2"
    assert opened(tmp_path, "vfs").driver == "vfs"
    assert mounted() == before
    assert [path.name for path in nested.glob("overlay*")] == []


async def test_layers_of_one_driver_are_not_another_drivers(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await bench.unpack(tar([entry("x", b"1")]))
    bench.close()
    with pytest.raises(
        PydockError, match="contains layers of storage driver overlay2: vfs needs a data root of its own"
    ):
        opened(tmp_path, "vfs")
    assert opened(tmp_path).driver == opened(tmp_path, "overlay2").driver == "overlay2"
