"""The SDK on a real daemon: the nouns, their verbs, and errors by kind."""

import gc
from collections.abc import Iterator

import pytest
from tests.fixtures.archives import entry, extract_names, tar
from tests.fixtures.engine import Engine, eventually

import pydock_client
from pydock_client import Client
from pydock_client.sdk import ContainerError
from pydock_shared.errors import Conflict, Forbidden, NotFound, Unavailable


@pytest.fixture
def client(daemon: Engine, tidy: None) -> Iterator[Client]:
    """A client of the session's daemon."""
    with Client(daemon.host, timeout=30) as made:
        yield made


def test_public_names():
    assert set(pydock_client.__all__) == {"Client", "Tls", "__version__"}
    with pytest.raises(AttributeError):
        _ = pydock_client.nothing


def test_run(client: Client):
    assert client.containers.run("busybox", ["echo", "hello"], remove=True) == b"hello\n"
    assert client.containers.list(all=True) == []


def test_a_run_that_fails_says_how(client: Client):
    with pytest.raises(ContainerError) as failed:
        client.containers.run("busybox", ["sh", "-c", "echo bad >&2; exit 3"], remove=True)
    assert (failed.value.exit_code, failed.value.output) == (3, b"bad\n")
    assert client.containers.list(all=True) == []


def test_a_container_through_its_life(client: Client):
    container = client.containers.create("busybox", ["sleep", "1000"], name="web", Labels={"a": "b"})
    assert (container.name, container.status) == ("web", "created")
    container.start()
    container.reload()
    assert container.status == "running"
    assert [found.name for found in client.containers.list(filters={"label": ["a=b"]})] == ["web"]
    assert container.exec(["sh", "-c", "echo out; echo err >&2; exit 4"]) == (4, b"out\nerr\n")
    assert [row[-1] for row in container.top()["Processes"]] == ["sleep 1000"]
    container.pause()
    container.unpause()
    container.rename("other")
    container.kill()
    assert container.wait() == 137
    container.remove()
    with pytest.raises(NotFound):
        client.containers.get("other")


def test_health_and_the_end(client: Client):
    check = {"Test": ["CMD", "true"], "Interval": 50_000_000}
    script = "trap 'exit 6' HUP; while :; do sleep 0.05; done"
    container = client.containers.create("busybox", ["sh", "-c", script], Healthcheck=check, StopSignal="HUP")
    assert container.health == "none"
    container.start()
    eventually(lambda: container.reload() or container.health == "healthy")
    assert [found.health for found in client.containers.list()] == ["healthy"]
    container.restart(5, signal="KILL")
    # Its trap is set once SIGHUP, the lowest bit, is caught.
    container.exec(["sh", "-c", "until grep -q 'SigCgt:.*[13579bdf]$' /proc/1/status; do :; done"])
    container.stop(5, signal="HUP")
    assert container.wait() == 6


def test_numbers_and_limits(client: Client):
    container = client.containers.run("busybox", ["sleep", "1000"], detach=True, name="web")
    assert not isinstance(container, bytes)
    assert container.update(Memory=64 << 20, MemorySwap=64 << 20) == []
    stats = container.stats()
    assert (stats["name"], stats["memory_stats"]["limit"]) == ("/web", 64 << 20)
    assert next(container.follow_stats())["pids_stats"]["current"] == 1
    client.containers.create("busybox", ["true"], name="idle")
    assert [found["name"] for found in client.containers.stats()] == ["/web"]
    assert [found["name"] for found in client.containers.stats("idle", "web")] == ["/idle", "/web"]
    assert len(client.containers.stats(all=True)) == 2
    assert container.top("-o pid,args")["Titles"] == ["PID", "COMMAND"]
    assert client.df(type="container")["ContainerUsage"]["TotalCount"] == 2


def test_files(client: Client):
    container = client.containers.create("busybox", ["cat", "/tmp/in"], name="web")
    container.put_archive("/tmp", tar([entry("in", b"words")]))
    assert extract_names(container.get_archive("/tmp")) == ["tmp", "tmp/in"]
    assert container.diff() == [{"Path": "/tmp", "Kind": 0}, {"Path": "/tmp/in", "Kind": 1}]
    assert "tmp/in" in extract_names(b"".join(container.export()))
    image = container.commit("words:1", message="said", changes=["ENV A=1"], Labels={"a": "b"})
    try:
        assert image.tags == ["words:1"]
        assert (image.attributes["Config"]["Labels"], image.attributes["Comment"]) == ({"a": "b"}, "said")
        assert client.containers.run("words:1", remove=True) == b"words"
    finally:
        client.images.remove("words:1")


def test_logs(client: Client):
    container = client.containers.run("busybox", ["sh", "-c", "echo one; echo two >&2"], detach=True)
    assert not isinstance(container, bytes)
    container.wait()
    assert container.logs() == b"one\ntwo\n"
    assert container.logs(stderr=False) == b"one\n"
    assert b"".join(container.follow(tail=1)) in (b"one\n", b"two\n")


def test_detached_and_removed_at_its_end(client: Client):
    container = client.containers.run("busybox", ["sleep", "1000"], detach=True, remove=True)
    assert not isinstance(container, bytes)
    container.stop(timeout=0)
    for event in client.events(since="1", filters={"container": [container.id], "event": ["destroy"]}):
        assert event["Action"] == "destroy"
        break
    assert client.containers.list(all=True) == []


def test_images(client: Client):
    image = client.images.get("busybox")
    assert "busybox:latest" in image.tags
    image.tag("other:1")
    try:
        image.reload()
        assert "other:1" in image.tags
        assert image.id in [found.id for found in client.images.list()]
        assert image.history()
        archive = b"".join(image.save())
        assert client.images.load(archive)
    finally:
        assert {"Untagged": "other:1"} in client.images.remove("other:1")
    with pytest.raises(NotFound):
        client.images.get("other:1")


def test_networks(client: Client):
    network = client.networks.create("net", Labels={"a": "b"})
    assert network.name in [found.name for found in client.networks.list()]
    container = client.containers.run("busybox", ["sleep", "1000"], detach=True, HostConfig={"NetworkMode": "net"})
    assert not isinstance(container, bytes)
    with pytest.raises((Conflict, Forbidden)):  # which of them depends on the version of Docker
        network.remove()
    container.remove(force=True)
    network.remove()
    with pytest.raises(NotFound):
        client.networks.get("net")


def test_volumes(client: Client):
    volume = client.volumes.create("vol", Labels={"a": "b"})
    assert volume.id == client.volumes.get("vol").id
    assert "vol" in [found.name for found in client.volumes.list()]
    volume.remove()
    with pytest.raises(NotFound):
        client.volumes.get("vol")


def test_about_the_daemon(client: Client):
    assert client.version()["ApiVersion"]
    assert client.info()["Containers"] == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_no_daemon():
    with Client("unix:///nonexistent") as client, pytest.raises(Unavailable, match="Cannot connect"):
        client.version()
    gc.collect()  # requests-unixsocket does not close a socket that could not connect
