"""What an engine without swarm, plugins and experiments answers: Docker's status and words, for every one of them."""

import pytest
from tests.fixtures.engine import Engine, RemoteEngine
from tests.fixtures.http import Api

pytestmark = pytest.mark.root
NO_MANAGER = "This node is not a swarm manager."
KINDS = ("services", "secrets", "configs")
SWARM = [
    *("GET /swarm", "POST /swarm/update?version=1", "GET /swarm/unlockkey", "POST /swarm/unlock"),
    *("GET /nodes", "GET /nodes/x", "DELETE /nodes/x", "POST /nodes/x/update?version=1"),
    *(f"{call.replace('*', kind)}" for kind in KINDS for call in ("GET /*", "POST /*/create", "GET /*/x")),
    *(f"{call.replace('*', kind)}" for kind in KINDS for call in ("DELETE /*/x", "POST /*/x/update?version=1")),
    *("GET /services/x/logs?stdout=1", "GET /tasks", "GET /tasks/x", "GET /tasks/x/logs?stdout=1"),
]
CHECKPOINTS = (
    "GET /containers/x/checkpoints", "POST /containers/x/checkpoints", "DELETE /containers/x/checkpoints/y",
)  # fmt: skip
NOWHERE = [
    *("GET /", "GET /v1.40", "GET /v1.40/", "GET /containers/", "GET /containers/x", "GET /containers/json/"),
    *("PUT /containers/json", "DELETE /info", "PATCH /containers/json", "TRACE /info", "POST /_ping", "GET /nodes/"),
    *("HEAD /info", "HEAD /containers/json", "HEAD /images/json", "HEAD /nowhere"),
]


@pytest.mark.parametrize("call", SWARM)
def test_outside_of_a_swarm(api: Api, call: str) -> None:
    answer = api(*call.split(), {})
    assert answer.status == 503
    assert NO_MANAGER in answer.body["message"]


def test_a_swarm_is_not_left_before_it_is_joined(api: Api) -> None:
    assert api("POST", "/swarm/leave").body == {"message": "This node is not part of a swarm"}


@pytest.mark.parametrize("call", ["POST /swarm/init", "POST /swarm/join", "POST /plugins/pull?remote=x"])
def test_refused_by_name(api: Api, daemon: Engine | RemoteEngine, call: str) -> None:
    if isinstance(daemon, RemoteEngine):
        pytest.skip("Docker can")
    answer = api(*call.split(), {})
    assert (answer.status, answer.body["message"]) == (501, f"{call.partition('?')[0]} is not supported")


@pytest.mark.parametrize("call", CHECKPOINTS)
def test_checkpoints_are_an_experiment(api: Api, call: str) -> None:
    answer = api(*call.split())
    assert answer.status == 501
    assert answer.body["message"].startswith("This experimental feature is disabled by default.")


def test_no_plugin_is_installed(api: Api) -> None:
    assert api.ok("GET", "/plugins") == []
    for call in ("GET /plugins/a/b/json", "DELETE /plugins/x", "POST /plugins/x/disable", "POST /plugins/x/push"):
        answer = api(*call.split())
        name = call.split("/plugins/")[1].removesuffix("/json").split("/disable")[0].split("/push")[0]
        assert (answer.status, answer.body["message"].replace(":latest", "")) == (404, f'plugin "{name}" not found')


@pytest.mark.parametrize("call", ["POST /session", "POST /grpc"])
def test_no_upgrade(api: Api, call: str) -> None:
    answer = api(*call.split())
    assert answer.status in (400, 500)  # 500 by Docker for /grpc
    assert answer.body["message"] == "no upgrade proto in request"


@pytest.mark.parametrize("call", NOWHERE)
def test_page_not_found(api: Api, call: str) -> None:
    method, path = call.split()
    answer = api(method, path)
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/json"
    assert method == "HEAD" or answer.body == {"message": "page not found"}


def test_options_of_anything(api: Api) -> None:
    answer = api("OPTIONS", "/containers/json")
    assert (answer.status, answer.body) == (200, "")
