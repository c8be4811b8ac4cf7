"""/images over HTTP: statuses, shapes and texts, the same as the Docker engine's."""

import io
import json
import tarfile
from collections.abc import Iterator
from typing import Any

import docker as docker_py
import pytest
from tests.fixtures.archives import docker_archive, entry, folder, tar
from tests.fixtures.http import Api
from tests.fixtures.registry import Registry, serving

pytestmark = pytest.mark.root
LAYERS = [tar([folder("a"), entry("a/x", b"1")]), tar([entry("a/y", b"22")])]
NAMES = ("apitest:1", "apitest:2", "other/apitest:1")


@pytest.fixture
def image(api: Api) -> Iterator[str]:
    """The id of an image called apitest:1; it and every further name of these tests are gone afterwards."""
    api.ok("POST", "/images/load", docker_archive(LAYERS, ["apitest:1"]))
    yield str(api.ok("GET", "/images/apitest:1/json")["Id"])
    for name in NAMES:
        api("DELETE", f"/images/{name}", force="1")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """An empty registry."""
    with serving(tmp_path_factory.mktemp("registry")) as made:
        yield made


def records(body: Any) -> list[dict[str, Any]]:
    """The records of a stream, however many."""
    return [json.loads(line) for line in body.splitlines()] if isinstance(body, str) else [body]


def test_list(api: Api, image: str) -> None:
    (shown,) = api.ok("GET", "/images/json", filters={"reference": ["apitest"]})
    assert shown["Id"] == image
    assert shown["RepoTags"] == ["apitest:1"]
    assert (shown["Size"], shown["SharedSize"], shown["Containers"], shown["ParentId"]) == (3, -1, 0, "")
    assert "VirtualSize" not in shown
    (old,) = api.ok("GET", "/v1.42/images/json", filters={"reference": ["apitest"]})
    assert old["VirtualSize"] == 3
    api.ok("POST", f"/images/{image}/tag", repo="other/apitest", tag="1")
    assert api("DELETE", "/images/apitest:1").body == [{"Untagged": "apitest:1"}]
    assert api.ok("GET", "/images/json", filters={"reference": {"*/apitest": True}})[0]["Id"] == image


@pytest.mark.parametrize(
    ("method", "path", "query", "status", "message"),
    [
        ("GET", "/images/nothere/json", {}, 404, "No such image: nothere:latest"),
        ("GET", "/images/nothere/history", {}, 404, "No such image: nothere:latest"),
        ("GET", "/images/nothere/get", {}, 404, "No such image: nothere"),
        ("GET", "/images/get", {"names": "nothere"}, 404, "No such image: nothere"),
        ("GET", "/images/Upper/json", {}, 400, "repository name (library/Upper) must be lowercase"),
        ("GET", "/images/json", {"filters": {"color": ["red"]}}, 400, "invalid filter 'color'"),
        ("DELETE", "/images/nothere", {}, 404, "No such image: nothere:latest"),
        ("POST", "/images/nothere/tag", {"repo": "x"}, 404, "No such image: nothere:latest"),
        ("POST", "/images/create", {"fromImage": "Upper", "tag": "1"}, 400, "must be lowercase"),
        ("POST", "/images/create", {"fromImage": "x", "platform": "a/b/c/d"}, 400, "cannot parse platform specifier"),
        ("POST", "/images/create", {"fromSrc": "-", "changes": "RUN x"}, 400, "RUN is not a valid change command"),
        ("POST", "/images/prune", {"filters": {"color": ["red"]}}, 400, "invalid filter 'color'"),
    ],
)
def test_refusals(api: Api, method: str, path: str, query: dict[str, Any], status: int, message: str) -> None:
    answer = api(method, path, **query)
    assert (answer.status, message in answer.body["message"]) == (status, True), answer


def test_inspect_and_history(api: Api, image: str) -> None:
    shown = api.ok("GET", "/v1.43/images/apitest:1/json")
    assert shown["RootFS"]["Type"] == "layers"
    assert shown["Config"]["Cmd"] == ["sh"]
    assert shown["GraphDriver"]["Name"] == "overlay2"
    assert set(shown["GraphDriver"]["Data"]) == {"LowerDir", "MergedDir", "UpperDir", "WorkDir"}
    newest, oldest = api.ok("GET", f"/images/{image[7:19]}/history")
    assert (newest["Id"], newest["Tags"], newest["Size"]) == (image, ["apitest:1"], 2)
    assert (oldest["Id"], oldest["CreatedBy"]) == ("<missing>", "step 0")


def test_load_says_what_it_loaded(api: Api, image: str) -> None:
    answer = api("POST", "/images/load", docker_archive(LAYERS, ["apitest:2"]), quiet="1")
    assert records(answer.body) == [{"stream": "Loaded image: apitest:2\n"}]


def test_save_and_load_give_the_same_image(client: docker_py.DockerClient, image: str) -> None:
    saved = b"".join(client.images.get("apitest:1").save(named=True))
    client.images.remove("apitest:1")
    (again,) = client.images.load(saved)
    assert (again.id, again.tags) == (image, ["apitest:1"])


def test_tag_and_remove(api: Api, image: str) -> None:
    assert api("POST", "/images/apitest:1/tag", repo="apitest", tag="2").status == 201
    assert api("POST", "/images/apitest:1/tag", repo="Bad", tag="2").status == 400
    shown = api.ok("GET", "/images/apitest:2/json")
    assert shown["RepoTags"] == ["apitest:1", "apitest:2"]
    assert api("DELETE", f"/images/{image}").status == 409
    deleted = api.ok("DELETE", f"/images/{image}", force="1")
    assert deleted[:3] == [{"Untagged": "apitest:1"}, {"Untagged": "apitest:2"}, {"Deleted": image}]
    assert len(deleted) == 5


def test_an_image_that_a_container_uses(api: Api) -> None:
    api.ok("POST", "/images/busybox:latest/tag", repo="apitest", tag="1")
    id_ = api.ok("POST", "/containers/create", {"Image": "apitest:1", "Cmd": ["true"]})["Id"]
    assert api("DELETE", "/images/apitest:1").status == 200
    answer = api("DELETE", "/images/busybox:latest")
    assert answer.status == 409
    assert f'repository reference "busybox:latest" (must force) - container {id_[:12]}' in answer.body["message"]


def test_import(api: Api, client: docker_py.DockerClient) -> None:
    answer = client.api.import_image_from_data(LAYERS[0], repository="apitest", tag="1", changes=["USER me"])
    id_ = json.loads(answer)["status"]
    shown = api.ok("GET", "/images/apitest:1/json")
    assert shown["Id"] == id_
    assert shown["Config"]["User"] == "me"
    client.images.remove("apitest:1")


def test_push_and_pull(client: docker_py.DockerClient, image: str, registry: Registry) -> None:
    name = registry.name("apitest")
    client.images.get("apitest:1").tag(name, "1")
    pushed = list(client.images.push(name, tag="1", stream=True, decode=True))
    assert pushed[0] == {"status": f"The push refers to repository [{name}]"}
    assert pushed[-1]["aux"]["Tag"] == "1"
    client.images.remove(image, force=True)
    pulled = client.images.pull(name, tag="1")
    assert pulled.id == image
    assert client.images.get_registry_data(f"{name}:1").attrs["Platforms"] == [{"architecture": "amd64", "os": "linux"}]
    client.images.remove(f"{name}:1")
    with pytest.raises(docker_py.errors.NotFound, match="manifest unknown"):
        client.images.pull(name, tag="2")


def test_prune(client: docker_py.DockerClient, image: str) -> None:
    client.images.load(docker_archive(LAYERS[:1], ["apitest:1"]))
    pruned = client.images.prune()
    assert {"Deleted": image} in pruned["ImagesDeleted"]
    assert pruned["SpaceReclaimed"] > 0


def test_a_saved_stream_is_an_archive(api: Api, client: docker_py.DockerClient, image: str) -> None:
    data = b"".join(client.api.get_image("apitest:1"))
    with tarfile.open(fileobj=io.BytesIO(data)) as opened:
        member = opened.extractfile("manifest.json")
        assert member
        assert json.load(member)[0]["RepoTags"] == ["apitest:1"]
