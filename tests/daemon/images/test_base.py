"""The base image from this machine's busybox."""

import asyncio
import subprocess
from pathlib import Path

import pytest
from tests.daemon.images.conftest import Shop

from pydock_daemon.images import base, save
from pydock_shared.errors import PydockError

pytestmark = pytest.mark.root


async def test_it_loads_and_its_programs_run(shop: Shop, busybox: Path) -> None:
    (image,) = await shop.load(busybox.read_bytes())
    assert image.repo_tags == ["busybox:latest"]
    assert image.settings["Cmd"] == ["sh"]
    shop.snapshots.prepare("k", image.chain)
    with shop.snapshots.mounted("k") as tree:
        script = "test -d /tmp && id -un && /usr/bin/env sh -c 'echo $0' && ls -ld /tmp | cut -c1-10"
        child = await asyncio.create_subprocess_exec("chroot", tree, "/bin/sh", "-c", script, stdout=subprocess.PIPE)
        output, _ = await child.communicate()
    assert output.decode().split() == ["root", "sh", "drwxrwxrwt"]


def test_the_same_program_gives_the_same_archive(busybox: Path) -> None:
    assert b"".join(save.archive([base.build(base.BUSYBOX)])) == busybox.read_bytes()


def test_without_busybox_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(PydockError, match="busybox-static"):
        base.build(tmp_path / "busybox")
