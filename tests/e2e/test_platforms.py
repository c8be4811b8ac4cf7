"""Images of several platforms between pydock, skopeo, podman and a real registry: the same ids and digests everywhere.

Where the engine is another one these tests are left out: an image store of one platform has other answers, and Docker's
of several has other ids (docs/adr/0012).
"""

import gzip
import json
import lzma
import re
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import docker as docker_py
import pytest
import zstandard
from tests.fixtures.archives import entry, tar
from tests.fixtures.certificates import Authority
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, RemoteEngine
from tests.fixtures.http import Api
from tests.fixtures.platforms import Json, Layout
from tests.fixtures.podman import Podman, podman
from tests.fixtures.registry import Registry, serving, skopeo

from pydock_client import Client
from pydock_shared.errors import NotFound

HASH = "me:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"
AMD, ARM = "linux/amd64", "linux/arm64/v8"


both_registries = pytest.mark.parametrize("shelf", ["plain", "closed"], indirect=True)


class Shelf(NamedTuple):
    """A registry, how others get in, and the image of two platforms and an attestation that it has as `multi:1`."""

    registry: Registry
    closed: bool
    layout: Layout
    folder: Path
    top: Json
    amd: Json
    arm: Json

    def name(self, image: str = "multi:1") -> str:
        return self.registry.name(image)

    def config(self, image: Json) -> str:
        return str(json.loads(self.layout.blobs[image["digest"]])["config"]["digest"])

    def raw(self, image: str) -> bytes:
        """The bytes of the document that the registry has under a name."""
        creds = ("--creds", "me:secret") if self.closed else ()
        return skopeo("inspect", "--raw", "--tls-verify=false", *creds, f"docker://{self.name(image)}").encode()


@pytest.fixture(scope="module")
def layout(base_archive: Path, daemon: Engine | RemoteEngine) -> tuple[Layout, Json, Json, Json]:
    """busybox for this machine and, as far as they say, for another, which has a file more."""
    if isinstance(daemon, RemoteEngine):
        pytest.skip("of this engine")
    with tarfile.open(base_archive) as archive:
        about = json.load(archive.extractfile("manifest.json") or pytest.fail("no manifest.json"))[0]
        layer = (archive.extractfile(about["Layers"][0]) or pytest.fail("no layer")).read()
    made = Layout()
    amd = made.image(AMD, [layer])
    arm = made.image(ARM, [layer, tar([entry("arch", b"arm64")])])
    return made, made.index(arm, amd, made.attestation(amd)), amd, arm


@pytest.fixture(scope="module")
def shelf(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    layout: tuple[Layout, Json, Json, Json],
) -> Iterator[Shelf]:
    """A registry, with TLS and a password where a test asks for that."""
    root, closed = tmp_path_factory.mktemp("shelf"), getattr(request, "param", "plain") == "closed"
    more = http = ""
    if closed:
        Authority().issue("here").write(root / "cert", root / "key")
        (root / "htpasswd").write_text(HASH)
        more = f"auth: {{htpasswd: {{realm: here, path: {root}/htpasswd}}}}"
        http = f', "tls": {{certificate: {root}/cert, key: {root}/key}}'
    folder = layout[0].write(root / "layout", top=layout[1])
    with serving(root / "registry", more, http) as registry:
        creds = ("--dest-creds", "me:secret") if closed else ()
        registry.copy(f"oci:{folder}:top", "multi:1", "--all", "--preserve-digests", *creds)
        yield Shelf(registry, closed, layout[0], folder, *layout[1:])


@pytest.fixture
def on(shelf: Shelf, daemon: Engine) -> Iterator[Callable[[Cli], Cli]]:
    """Gives a command line that has logged in where that is needed; every image but busybox is gone afterwards."""

    def logged_in(cli: Cli) -> Cli:
        if shelf.closed:
            cli("login", "-u", "me", "--password-stdin", shelf.registry.host, stdin="secret")
        return cli

    yield logged_in
    daemon.clear()
    for image in daemon.api.ok("GET", "/images/json", all="1"):
        if "busybox:latest" not in image["RepoTags"]:
            for name in image["RepoTags"] or [image["Id"]]:
                daemon.api("DELETE", f"/images/{name}", force="1")


@pytest.fixture(scope="module")
def other() -> Iterator[Podman]:
    with tempfile.TemporaryDirectory(prefix="podman-") as folder, podman(Path(folder)) as made:
        yield made  # its runroot may not be longer than 50 characters


def inspected(cli: Cli, name: str) -> Json:
    found: Json = json.loads(cli("image", "inspect", name))[0]
    return found


@both_registries
def test_pull_run_and_push_whole(cli: Cli, on: Callable[[Cli], Cli], shelf: Shelf, other: Podman):
    on(cli)
    name, copy = shelf.name(), shelf.name(f"copy-{cli.name}:1")
    cli("pull", name)
    found = inspected(cli, name)
    assert found["Id"] == shelf.config(shelf.amd)
    assert found["RepoDigests"] == [f"{name.removesuffix(':1')}@{shelf.top['digest']}"]
    cli("pull", "-q", "--platform", "linux/arm64", name)
    assert inspected(cli, name)["Id"] == found["Id"]
    cli("tag", name, copy)
    assert f"1: digest: {shelf.top['digest']} size: {shelf.top['size']}" in cli("push", copy)
    assert shelf.raw(f"copy-{cli.name}:1") == shelf.layout.blobs[shelf.top["digest"]]
    creds = ("--creds", "me:secret") if shelf.closed else ()
    other("pull", "-q", "--tls-verify=false", *creds, copy)
    assert other.id(copy) == found["Id"]
    assert f"{copy.removesuffix(':1')}@{shelf.top['digest']}" in other.digests(copy)
    assert "arm64" not in cli("run", "--rm", name, "ls", "/")


def test_run_takes_the_platform_that_is_asked_for(cli: Cli, on: Callable[[Cli], Cli], shelf: Shelf, api: Api):
    on(cli)
    cli("pull", "-q", shelf.name())
    done = cli.result("run", "--name", "foreign", "--platform", "linux/arm64", shelf.name(), "cat", "/arch")
    assert done.stdout == "arm64"
    assert f"Unable to find image '{shelf.name()}' locally" in done.stderr
    assert "WARNING" not in done.stderr
    about = json.loads(cli("inspect", "foreign"))[0]
    assert about["Image"] == shelf.config(shelf.arm)
    assert cli("ps", "-aq", "--no-trunc", "--filter", f"ancestor={shelf.name()}") == about["Id"]
    about = api.ok("GET", "/v1.48/containers/foreign/json")
    assert about["ImageManifestDescriptor"]["digest"] == shelf.arm["digest"]
    cli.fails("rmi", shelf.name(), code=1, message="is using its referenced image")


def test_a_platform_that_is_not_of_this_host_is_told_of(cli: Cli, on: Callable[[Cli], Cli], shelf: Shelf):
    on(cli)
    cli("pull", "-q", "--platform", "linux/arm64", shelf.name())
    done = cli.result("run", "--rm", shelf.name(), "cat", "/arch")
    assert done.stdout == "arm64"
    words = (
        r"requested image's platform \(linux/arm64/v8\) does not match the detected host platform \(linux/amd64\S*\)"
    )
    assert re.search(rf"WARNING: The {words} and no specific platform was requested", done.stderr)


def test_no_such_platform(cli: Cli, on: Callable[[Cli], Cli], shelf: Shelf):
    on(cli)
    words = "no matching manifest for linux/s390x in the manifest list entries"
    cli.fails("pull", "--platform", "linux/s390x", shelf.name(), code=1, message=words)
    assert shelf.name() not in cli("images", "--format", "{{.Repository}}:{{.Tag}}")


@both_registries
def test_push_of_a_part(pydock: Cli, on: Callable[[Cli], Cli], shelf: Shelf):
    cli, copy = on(pydock), shelf.name("part:1")
    cli("pull", "-q", shelf.name())
    cli("tag", shelf.name(), copy)
    done = cli.result("push", copy)
    assert f"1: digest: {shelf.amd['digest']}" in done.stdout
    assert "Not all multiplatform-content is present" in done.stderr
    assert f"{shelf.top['digest']} -> {shelf.amd['digest']}" in done.stderr
    assert shelf.raw("part:1") == shelf.layout.blobs[shelf.amd["digest"]]
    message = "no suitable image manifest found for platform linux/arm64"
    cli.fails("push", "--platform", "linux/arm64", copy, code=1, message=message)
    cli("pull", "-q", "--platform", "linux/arm64", shelf.name())
    cli("push", "--platform", "linux/arm64", copy)
    assert shelf.raw("part:1") == shelf.layout.blobs[shelf.arm["digest"]]


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
    "xz": lambda data: lzma.compress(data, preset=0),
}


@pytest.mark.parametrize("packed", PACKED)
def test_what_skopeo_wrote(pydock: Cli, on: Callable[[Cli], Cli], shelf: Shelf, tmp_path: Path, packed: str):
    path = tmp_path / "all.tar"
    skopeo("copy", "--all", "--preserve-digests", f"oci:{shelf.folder}:top", f"oci-archive:{path}:a.b/multi:1")
    assert on(pydock)("load", stdin=PACKED[packed](path.read_bytes())) == "Loaded image: a.b/multi:1"
    assert inspected(pydock, "a.b/multi:1")["Id"] == shelf.config(shelf.amd)
    assert pydock("run", "--rm", "--platform", "linux/arm64", "a.b/multi:1", "cat", "/arch") == "arm64"


def test_save_is_read_by_all(pydock: Cli, on: Callable[[Cli], Cli], shelf: Shelf, other: Podman, tmp_path: Path):
    cli, path, one = on(pydock), tmp_path / "saved.tar", tmp_path / "one.tar"
    skopeo(
        "copy", "--all", "--preserve-digests", f"oci:{shelf.folder}:top", f"oci-archive:{tmp_path}/all.tar:a.b/saved:1"
    )
    cli("load", "-i", f"{tmp_path}/all.tar")
    cli("save", "-o", str(path), "a.b/saved:1")
    whole = skopeo("inspect", "--raw", f"oci-archive:{path}")
    assert whole.encode() == shelf.layout.blobs[shelf.top["digest"]]
    other("load", "-q", "-i", str(path))
    assert other.id("a.b/saved:1") == shelf.config(shelf.amd)
    skopeo("copy", "--all", f"oci-archive:{path}", f"dir:{tmp_path}/dir")
    cli("save", "--platform", "linux/arm64", "-o", str(one), "a.b/saved:1")
    assert json.loads(skopeo("inspect", f"docker-archive:{one}"))["Architecture"] == "arm64"
    cli("rmi", "a.b/saved:1")
    cli("load", "--platform", "linux/arm64", "-i", str(path))
    assert inspected(cli, "a.b/saved:1")["Id"] == shelf.config(shelf.arm)
    cli("load", "-i", str(path))
    assert inspected(cli, "a.b/saved:1")["Id"] == shelf.config(shelf.amd)


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_what_podman_saved(cli: Cli, on: Callable[[Cli], Cli], shelf: Shelf, other: Podman, tmp_path: Path, form: str):
    on(cli)
    creds = ("--creds", "me:secret") if shelf.closed else ()
    other("pull", "-q", "--tls-verify=false", *creds, shelf.name())
    other("save", "-q", "--format", form, "-o", f"{tmp_path}/p.tar", shelf.name())
    assert cli("load", "-i", f"{tmp_path}/p.tar") == f"Loaded image: {shelf.name()}"
    assert inspected(cli, shelf.name())["Id"] == other.id(shelf.name()) == shelf.config(shelf.amd)


@both_registries
def test_what_podman_pushed(cli: Cli, on: Callable[[Cli], Cli], shelf: Shelf, other: Podman):
    on(cli)
    creds = ("--creds", "me:secret") if shelf.closed else ()
    name = shelf.name(f"podman-{cli.name}:1")
    other("pull", "-q", "--tls-verify=false", *creds, shelf.name())
    other("push", "-q", "--tls-verify=false", *creds, shelf.name(), name)
    cli("pull", "-q", name)
    assert inspected(cli, name)["Id"] == other.id(shelf.name())
    digest = json.loads(skopeo("inspect", "--tls-verify=false", *creds, f"docker://{name}"))["Digest"]
    assert inspected(cli, name)["RepoDigests"] == [f"{name.removesuffix(':1')}@{digest}"]


def plain_words(text: str) -> list[list[str]]:
    """The words of a table without colours."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text.encode("latin-1").decode())
    return [line.split() for line in plain.splitlines() if line.strip()]


def test_the_tree_of_images(docker: Cli, pydock: Cli, on: Callable[[Cli], Cli], shelf: Shelf):
    on(pydock)("pull", "-q", shelf.name())
    words = plain_words(pydock("images", "--tree", shelf.name()))
    assert words[0] == ["IMAGE", "ID", "DISK", "USAGE", "CONTENT", "SIZE", "EXTRA"]
    assert [row[0] for row in words[1:]] == [shelf.name(), "├─", "└─"]
    assert [row[1:3] for row in words[2:]] == [
        [ARM, shelf.arm["digest"][7:19]],
        [AMD, shelf.amd["digest"][7:19]],
    ]
    pydock.fails("images", "--tree", "-q", code=1, message="--quiet is not yet supported with --tree")
    theirs = docker.result("images", "--tree", shelf.name())
    if theirs.returncode == 0:
        assert plain_words(theirs.stdout)[-len(words) :] == words


def test_inspect_history_and_list_of_a_platform(pydock: Cli, on: Callable[[Cli], Cli], shelf: Shelf, api: Api):
    on(pydock)("pull", "-q", shelf.name())
    pydock("pull", "-q", "--platform", "linux/arm64", shelf.name())
    arm = {"platform": '{"os":"linux","architecture":"arm64"}'}
    found = api.ok("GET", f"/v1.49/images/{shelf.name()}/json", **arm)
    assert (found["Id"], found["Descriptor"]["digest"]) == (shelf.config(shelf.arm), shelf.arm["digest"])
    assert len(api.ok("GET", f"/v1.48/images/{shelf.name()}/history", **arm)) == 2
    whole = api.ok("GET", f"/v1.48/images/{shelf.name()}/json", manifests="1")
    assert whole["Descriptor"]["digest"] == shelf.top["digest"]
    assert [one["Kind"] for one in whole["Manifests"]] == ["image", "image", "attestation"]
    assert all(one["Available"] for one in whole["Manifests"])
    both = api("GET", f"/v1.49/images/{shelf.name()}/json", manifests="1", **arm)
    assert both.status == 400
    assert "conflicting options: manifests and platform options cannot both be set" in both.body["message"]
    (listed,) = [one for one in api.ok("GET", "/v1.48/images/json", manifests="1") if shelf.name() in one["RepoTags"]]
    assert listed["Manifests"] == whole["Manifests"]
    (older,) = [one for one in api.ok("GET", "/v1.46/images/json", manifests="1") if shelf.name() in one["RepoTags"]]
    assert "Manifests" not in older
    assert "Descriptor" not in older
    for wrong in ("{", '{"os":1,"architecture":"arm64"}', "a/b/c/d", '{"os":"linux"}'):
        assert api("GET", f"/v1.49/images/{shelf.name()}/json", platform=wrong).status == 400, wrong


def test_removal_of_a_platform(pydock: Cli, on: Callable[[Cli], Cli], shelf: Shelf):
    on(pydock)("pull", "-q", shelf.name())
    pydock("pull", "-q", "--platform", "linux/arm64", shelf.name())
    assert f"Deleted: {shelf.config(shelf.amd)}" in pydock("rmi", "--platform", "linux/amd64", shelf.name())
    assert inspected(pydock, shelf.name())["Architecture"] == "arm64"


@both_registries
def test_docker_py(client: docker_py.DockerClient, on: Callable[[Cli], Cli], shelf: Shelf):
    auth = {"username": "me", "password": "secret"} if shelf.closed else None
    image = client.images.pull(shelf.name("multi"), "1", auth_config=auth)
    assert image.id == shelf.config(shelf.amd)
    again = client.images.load(b"".join(image.save(named=True)))
    assert [one.id for one in again] == [image.id]
    client.images.pull(shelf.name("multi"), "1", platform="linux/arm64", auth_config=auth)
    made = client.containers.create(shelf.name(), "true", platform="linux/arm64")
    assert made.image.id == shelf.config(shelf.arm)
    made.remove()


def test_the_sdk(daemon: Engine, on: Callable[[Cli], Cli], shelf: Shelf):
    with Client(daemon.host, timeout=30) as client:
        arm = client.images.pull(shelf.name(), platform="linux/arm64")
        assert arm.attributes["Architecture"] == "arm64"
        with pytest.raises(NotFound):
            client.images.get(shelf.name(), platform="linux/amd64")
        amd = client.images.pull(shelf.name())
        assert [one["Available"] for one in amd.manifests()] == [True] * 3
        daemon.api.ok("POST", f"/images/{shelf.name()}/tag", repo=shelf.name("sdk"), tag="1")
        assert client.images.push(shelf.name("sdk:1")) == shelf.top["digest"]
        assert client.images.push(shelf.name("sdk:1"), platform="linux/amd64") == shelf.amd["digest"]
        archive = b"".join(client.images.save(shelf.name("sdk:1"), platforms=[AMD, "linux/arm64"]))
        client.images.remove(shelf.name("sdk:1"))
        assert client.images.load(archive, platforms=["linux/arm64"]) == [f"Loaded image: {shelf.name('sdk:1')}"]
        assert client.containers.run(shelf.name("sdk:1"), ["cat", "/arch"], remove=True, platform=ARM) == b"arm64"
        removed = client.images.remove(shelf.name(), platforms=["linux/amd64"])
        assert {"Deleted": amd.attributes["Id"]} in removed
