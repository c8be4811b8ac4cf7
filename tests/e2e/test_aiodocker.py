"""aiodocker and docker-py on what the first tests of clients leave out: streams, images of a registry, networks."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiodocker
import docker as docker_py
import pytest
from tests.fixtures.engine import Engine, RemoteEngine
from tests.fixtures.registry import Registry, serving

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # docker-py leaves streams to the collector
SLEEP = {"Image": "busybox", "Cmd": ["sleep", "60"]}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, base_archive: Path) -> Iterator[Registry]:
    with serving(tmp_path_factory.mktemp("registry")) as running:
        running.copy(f"docker-archive:{base_archive}", "tools/busybox:1")
        yield running


@pytest.fixture
async def aio(daemon: Engine | RemoteEngine, tidy: None) -> AsyncIterator[aiodocker.Docker]:
    async with aiodocker.Docker(url=daemon.host) as client:
        yield client


async def test_exec(aio: aiodocker.Docker):
    container = await aio.containers.run(config=SLEEP, name="web")
    execution = await container.exec(["sh", "-c", "read x; echo out $x; echo err >&2; exit 5"], stdin=True)
    async with execution.start(detach=False) as stream:
        await stream.write_in(b"typed\n")
        messages = [message async for message in _messages(stream)]
    assert sorted(messages) == [(1, b"out typed\n"), (2, b"err\n")]
    assert (await execution.inspect())["ExitCode"] == 5
    execution = await container.exec(["sh", "-c", "stty size; tty"], tty=True)
    async with execution.start(detach=False) as stream:
        text = b"".join([data async for _, data in _messages(stream)])
    assert b"/dev/pts/" in text


async def _messages(stream: aiodocker.stream.Stream) -> AsyncIterator[tuple[int, bytes]]:
    while (message := await stream.read_out()) is not None:
        yield message.stream, message.data


async def test_attach_both_ways(aio: aiodocker.Docker):
    config = {"Image": "busybox", "Cmd": ["sh", "-c", "read x; echo got $x; exit 6"], "OpenStdin": True}
    container = await aio.containers.create(config=config | {"StdinOnce": True})
    async with container.attach(stdin=True, stdout=True, stderr=True) as stream:
        await container.start()
        await stream.write_in(b"a word\n")
        messages = [message async for message in _messages(stream)]
    assert messages == [(1, b"got a word\n")]
    assert (await container.wait())["StatusCode"] == 6


async def test_pull_and_remove(aio: aiodocker.Docker, registry: Registry):
    name = registry.name("tools/busybox:1")
    rows = [row async for row in aio.images.pull(name, stream=True)]
    assert rows[-1]["status"] == f"Status: Downloaded newer image for {name}"
    assert name in (await aio.images.inspect(name))["RepoTags"]
    assert {"Untagged": name} in await aio.images.delete(name)
    with pytest.raises(aiodocker.DockerError) as caught:
        await aio.images.pull(registry.name("tools/nosuch:1"))
    assert caught.value.status in (404, 500)
    assert "tools/nosuch" in str(caught.value)


async def test_volumes_and_networks(aio: aiodocker.Docker):
    volume = await aio.volumes.create({"Name": "data", "Labels": {"a": "b"}})
    assert (await volume.show())["Labels"] == {"a": "b"}
    network = await aio.networks.create({"Name": "back", "Driver": "bridge"})
    server = await aio.containers.create(config=SLEEP | {"HostConfig": {"Binds": ["data:/data"]}}, name="server")
    await network.connect({"Container": server.id, "EndpointConfig": {"Aliases": ["alias"]}})
    await server.start()
    assert (await network.show())["Containers"][server.id]["Name"] == "server"
    host = {"NetworkMode": "back"}
    config = {"Image": "busybox", "Cmd": ["ping", "-c1", "-W3", "alias"], "HostConfig": host}
    client = await aio.containers.run(config=config, name="client")
    assert (await client.wait())["StatusCode"] == 0, await client.log(stdout=True, stderr=True)
    await server.stop(t=0)
    await network.disconnect({"Container": server.id, "Force": True})
    assert server.id not in (await network.show())["Containers"]
    await server.delete(force=True)
    await client.delete(force=True)
    assert await network.delete()
    await volume.delete()
    assert "data" not in [found["Name"] for found in (await aio.volumes.list())["Volumes"] or ()]


async def test_events(aio: aiodocker.Docker):
    queue = aio.events.subscribe()
    while aio.events.json_stream is None:  # noqa: ASYNC110 - aiodocker tells in no other way that it listens
        await asyncio.sleep(0.01)
    container = await aio.containers.run(config=SLEEP, name="web")
    await container.delete(force=True)
    actions: list[str] = []
    while "destroy" not in actions:
        event = await queue.get()
        if event["Type"] == "container" and event["Actor"]["ID"] == container.id:
            actions.append(event["Action"])
    assert [action for action in actions if action != "attach"] == ["create", "start", "kill", "die", "destroy"]
    await aio.events.stop()


def test_docker_py_pull_run_and_remove(client: docker_py.DockerClient, registry: Registry):
    name = registry.name("tools/busybox:1")
    rows = list(client.api.pull(name, stream=True, decode=True))
    assert any(row["status"].startswith("Digest: sha256:") for row in rows)
    assert client.containers.run(name, ["echo", "hi"], remove=True) == b"hi\n"
    client.images.remove(name)
    with pytest.raises(docker_py.errors.ImageNotFound):
        client.images.get(name)
    with pytest.raises(docker_py.errors.APIError, match="tools/nosuch"):
        client.images.pull(registry.name("tools/nosuch"), tag="1")


def test_docker_py_streams_of_exec_and_logs(client: docker_py.DockerClient):
    script = "for i in 1 2 3; do echo line $i; sleep 0.1; done; echo end >&2; exit 2"
    container = client.containers.run("busybox", ["sh", "-c", script], detach=True)
    assert b"".join(container.logs(stream=True, follow=True)) == b"line 1\nline 2\nline 3\nend\n"
    assert container.wait()["StatusCode"] == 2
    assert container.logs(stderr=False, tail=2) == b"line 3\n"  # lines of both streams count
    running = client.containers.run("busybox", ["sleep", "60"], detach=True)
    pieces = running.exec_run(["sh", "-c", "echo a; sleep 0.2; echo b"], stream=True).output
    assert b"".join(pieces) == b"a\nb\n"
    raw = running.exec_run(["sh", "-c", "read x; echo $x"], stdin=True, socket=True, tty=True).output
    raw._sock.settimeout(10)
    raw._sock.sendall(b"word\n")
    seen = b""
    while piece := raw._sock.recv(100):
        seen += piece
    raw._sock.shutdown(socket.SHUT_RDWR)
    raw.close()
    assert seen.replace(b"\r", b"").endswith(b"word\n")


def test_docker_py_networks(client: docker_py.DockerClient):
    pool = docker_py.types.IPAMPool(subnet="10.203.77.0/24", gateway="10.203.77.1")
    network = client.networks.create("back", ipam=docker_py.types.IPAMConfig(pool_configs=[pool]), labels={"a": "b"})
    container = client.containers.create("busybox", ["sleep", "60"], name="web")
    network.connect(container, ipv4_address="10.203.77.9", aliases=["site"])
    container.start()
    container.reload()
    assert container.attrs["NetworkSettings"]["Networks"]["back"]["IPAddress"] == "10.203.77.9"
    network.reload()
    assert [found.name for found in network.containers] == ["web"]
    assert [found.name for found in client.networks.list(filters={"label": "a=b"})] == ["back"]
    container.remove(force=True)
    network.remove()
    with pytest.raises(docker_py.errors.NotFound):
        client.networks.get("back")
