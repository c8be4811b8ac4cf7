"""What BuildKit's clients ask besides builds: sessions over gRPC, records of builds, methods that there are not."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.test_buildkit import fails, folders, solved
from tests.fixtures.buildkit import CONTROL, Files, answering, connected
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine

from pydock_daemon.buildkit.messages import make
from pydock_shared.errors import NotSupported

pytestmark = pytest.mark.root


def test_folders_of_another_session(daemon: Engine, docker: Cli, tmp_path: Path) -> None:
    """As `docker buildx bake` has them: one session gives the folders of all targets."""
    other = folders(tmp_path, {"Dockerfile": "FROM busybox\nCOPY a /a\n", "a": "from another"})

    async def run() -> None:
        async with answering(daemon.host, other) as name, connected(daemon.host, Files({})) as client:
            given = {f"local-sessionid:{folder}": name for folder in ("context", "dockerfile")}
            await client.solve(given, Exporter="moby", ExporterAttrs={"name": "another:1"})

    asyncio.run(run())
    assert docker("run", "--rm", "another:1", "cat", "/a") == "from another"


def test_a_method_that_there_is_not(daemon: Engine) -> None:
    async def run() -> None:
        async with connected(daemon.host, Files({})) as client:
            await client.caller.ask(f"{CONTROL}/Nothing", make("Empty"), "Empty")

    with pytest.raises(NotSupported, match="Control/Nothing is not supported"):
        asyncio.run(run())


def test_records_of_builds(daemon: Engine, tmp_path: Path) -> None:
    given = folders(tmp_path, {"Dockerfile": "FROM busybox\nLABEL a=1\n"})

    fails(daemon, given, {"target": "recorded"})
    solved(daemon, given, Internal=True)

    async def listed() -> list[Any]:
        async with (
            connected(daemon.host, given) as client,
            client.caller.call(f"{CONTROL}/ListenBuildHistory", "HistoryOf", "BuildEvent") as stream,
        ):
            await stream.send_message(make("HistoryOf", EarlyExit=True), end=True)
            found = []
            while (event := await stream.recv_message()) is not None:
                found.append(event.record)
            return found

    assert 'target stage "recorded" could not be found' in asyncio.run(listed())[0].error.message
