"""The libraries other programs are built on: docker-py and aiodocker do their usual things."""

import aiodocker
import docker as docker_py
import pytest
from tests.fixtures.engine import Engine, RemoteEngine

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # docker-py leaves streams to the collector


def test_docker_py_runs(client: docker_py.DockerClient):
    assert client.containers.run("busybox", ["echo", "hi"], remove=True) == b"hi\n"
    with pytest.raises(docker_py.errors.ContainerError) as caught:
        client.containers.run("busybox", ["sh", "-c", "echo no >&2; exit 3"], remove=True)
    assert caught.value.exit_status == 3
    with pytest.raises(docker_py.errors.NotFound):
        client.containers.get("nosuch")


def test_docker_py_life(client: docker_py.DockerClient):
    container = client.containers.run(
        *("busybox", ["sh", "-c", "echo up; trap 'exit 4' TERM; while :; do sleep 0.1; done"]),
        detach=True,
        name="web",
        ports={"80/tcp": None},
        labels={"a": "b"},
        mem_limit="64m",
    )
    assert next(container.logs(stream=True, follow=True)) == b"up\n"
    container.reload()
    assert container.status == "running"
    assert container.ports["80/tcp"][0]["HostIp"] in ("0.0.0.0", "::")
    assert [found.name for found in client.containers.list(filters={"label": "a=b"})] == ["web"]
    assert container.exec_run(["sh", "-c", "echo $0; exit 2"], demux=True) == (2, (b"sh\n", None))
    # The loop's shell is always there, its sleep most of the time.
    assert "while :" in str(container.top()["Processes"])
    container.pause()
    container.unpause()
    container.rename("other")
    container.stop(timeout=5)
    assert container.wait()["StatusCode"] == 4
    container.remove()


def test_docker_py_volumes_networks_and_images(client: docker_py.DockerClient):
    volume = client.volumes.create("data")
    client.containers.run("busybox", ["sh", "-c", "printf hello >/data/file"], volumes=["data:/data"], remove=True)
    network = client.networks.create("back", driver="bridge")
    container = client.containers.create(
        "busybox", ["cat", "/data/file"], volumes={"data": {"bind": "/data", "mode": "rw"}}, network="back"
    )
    container.start()
    assert container.wait()["StatusCode"] == 0
    assert container.logs() == b"hello"
    container.remove()
    network.remove()
    volume.remove()
    assert "busybox:latest" in client.images.get("busybox").tags


def test_docker_py_attach_socket(client: docker_py.DockerClient):
    container = client.containers.run("busybox", "cat", stdin_open=True, detach=True)
    stream = container.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
    stream._sock.sendall(b"typed\n")
    assert stream._sock.recv(100).endswith(b"typed\n")
    stream.close()
    container.kill()


def test_docker_py_is_told_by_a_record_what_is_wrong_with_an_archive(client: docker_py.DockerClient):
    with pytest.raises(docker_py.errors.ImageLoadError):
        client.images.load(b"no archive")


def test_docker_py_unsets_a_variable(client: docker_py.DockerClient):
    made = client.containers.create("busybox", ["env"], environment={"PATH": None, "ONE": "1"})
    assert sorted(made.attrs["Config"]["Env"]) == ["ONE=1", "PATH"]
    made.start()
    made.wait()
    names = [line.partition("=")[0] for line in made.logs().decode().splitlines()]
    assert "ONE" in names
    assert "PATH" not in names


def test_docker_py_knows_the_engine(client: docker_py.DockerClient):
    assert client.ping()
    assert client.info()["OSType"] == "linux"
    assert client.version()["ApiVersion"] >= "1.45"


async def test_aiodocker(daemon: Engine | RemoteEngine, tidy: None):
    async with aiodocker.Docker(url=daemon.host) as client:
        config = {"Image": "busybox", "Cmd": ["sh", "-c", "echo hi; sleep 0.2; exit 3"]}
        container = await client.containers.create(config=config, name="web")
        await container.start()
        assert [line async for line in container.log(stdout=True, follow=True)] == ["hi\n"]
        assert (await container.wait())["StatusCode"] == 3
        assert (await container.show())["State"]["ExitCode"] == 3
        await container.delete()
        with pytest.raises(aiodocker.DockerError) as caught:
            await client.containers.get("web")
        assert caught.value.status == 404
        assert any("busybox:latest" in image["RepoTags"] for image in await client.images.list())
