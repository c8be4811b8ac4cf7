"""What the API says no to: Docker's status and Docker's words, which name the thing, for each kind of mistake.

Every row was first answered by a Docker engine. Left out are mistakes for which Docker answers 500: they are 400 here.
"""

from typing import Any

import pytest
from tests.fixtures.http import Api

pytestmark = pytest.mark.root
CREATE = "/containers/create"
GONE = "No such container: nope"
UPPER = "invalid reference format: repository name (library/UPPER) must be lowercase"
RULE = 'includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed'


def host(**fields: Any) -> dict[str, Any]:
    """Return the body of a create request with these fields of HostConfig."""
    return {"Image": "busybox", "HostConfig": fields}


@pytest.mark.parametrize(
    ("method", "path", "query", "message"),
    [
        ("GET", "/nowhere", {}, "page not found"),
        ("GET", "/v1.24/nowhere", {}, "page not found"),
        ("GET", "/containers/nope/json", {}, GONE),
        ("POST", "/containers/nope/start", {}, GONE),
        ("POST", "/containers/nope/stop", {}, GONE),
        ("POST", "/containers/nope/kill", {}, GONE),
        ("POST", "/containers/nope/restart", {}, GONE),
        ("POST", "/containers/nope/wait", {}, GONE),
        ("POST", "/containers/nope/exec", {}, GONE),
        ("POST", "/containers/nope/rename", {"name": "other"}, GONE),
        ("POST", "/containers/nope/resize", {"h": "1", "w": "1"}, GONE),
        ("GET", "/containers/nope/logs", {"stdout": "1"}, GONE),
        ("DELETE", "/containers/nope", {}, GONE),
        ("GET", "/exec/nope/json", {}, "No such exec instance: nope"),
        ("POST", "/exec/nope/start", {}, "No such exec instance: nope"),
        ("POST", "/exec/nope/resize", {"h": "1", "w": "1"}, "No such exec instance: nope"),
        ("GET", "/images/nope/json", {}, "No such image: nope:latest"),
        ("GET", "/images/nope/history", {}, "No such image: nope:latest"),
        ("DELETE", "/images/nope", {}, "No such image: nope:latest"),
        ("POST", "/images/nope/tag", {"repo": "a", "tag": "b"}, "No such image: nope:latest"),
        ("GET", "/networks/nope", {}, "network nope not found"),
        ("DELETE", "/networks/nope", {}, "network nope not found"),
        ("GET", "/volumes/nope", {}, "get nope: no such volume"),
        ("DELETE", "/volumes/nope", {}, "get nope: no such volume"),
    ],
)
def test_what_is_not_there(api: Api, method: str, path: str, query: dict[str, str], message: str) -> None:
    body = {"Cmd": ["true"]} if "exec" in path and method == "POST" else None
    answer = api(method, path, body, **query)
    assert answer.status == 404, answer
    assert message in answer.body["message"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("GET", "/v9.99/info", None, 400, "client version 9.99 is too new. Maximum supported API version is "),
        ("GET", "/v1.10/info", None, 400, "client version 1.10 is too old. Minimum supported API version is 1.24"),
        ("GET", "/images/UPPER/json", None, 400, UPPER),
        ("POST", "/images/create?fromImage=UPPER", None, 400, UPPER),
        ("POST", "/images/busybox/tag?repo=UPPER", None, 400, UPPER),
        ("POST", "/images/busybox/tag?repo=a&tag=/", None, 400, "invalid tag format"),
        ("POST", "/networks/create", {}, 400, "invalid name: "),
        ("POST", "/networks/create", {"Name": "n1", "Driver": "nope"}, 404, 'plugin "nope" not found'),
        ("POST", "/networks/create", {"Name": "host"}, 403, "operation is not permitted on predefined host network"),
        ("POST", "/networks/create", {"Name": "n1", "IPAM": {"Config": [{"Subnet": "x"}]}}, 400, "invalid subnet x"),
        ("DELETE", "/networks/bridge", None, 403, "bridge is a pre-defined network and cannot be removed"),
        ("POST", "/networks/bridge/connect", {"Container": "nope"}, 404, GONE),
        ("POST", "/volumes/create", {"Name": "a/b"}, 400, f'"a/b" {RULE}'),
        ("POST", "/volumes/create", {"Name": "vv", "Driver": "nope"}, 404, 'plugin "nope" not found'),
        ("GET", "/containers/json?filters=x", None, 400, "invalid filter"),
        ("GET", '/containers/json?filters={"foo":["x"]}', None, 400, "invalid filter 'foo'"),
        ("GET", '/containers/json?filters={"status":["foo"]}', None, 400, "invalid filter 'status=foo'"),
        ("GET", '/images/json?filters={"foo":["x"]}', None, 400, "invalid filter 'foo'"),
        ("GET", '/images/json?filters={"dangling":["x"]}', None, 400, "invalid filter 'dangling=[x]'"),
        ("GET", '/networks?filters={"foo":["x"]}', None, 400, "invalid filter 'foo'"),
        ("GET", '/volumes?filters={"foo":["x"]}', None, 400, "invalid filter 'foo'"),
    ],
)  # fmt: skip
def test_what_is_not_allowed(api: Api, method: str, path: str, body: Any, status: int, message: str) -> None:
    answer = api(method, path, body)
    assert answer.status == status, answer
    assert message in answer.body["message"]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"Image": "nope"}, 404, "No such image: nope:latest"),
        ({"Image": "nope:1"}, 404, "No such image: nope:1"),
        ({"Image": "UPPER"}, 400, UPPER),
        ({"Image": "busybox", "StopSignal": "FOO"}, 400, "invalid signal: FOO"),
        ({"Image": "busybox", "WorkingDir": "rel"}, 400, "the working directory 'rel' is invalid"),
        ({"Image": "busybox", "Env": ["=x"]}, 400, "invalid environment variable: =x"),
        (host(Memory=1), 400, "Minimum memory limit allowed is 6MB"),
        (host(Memory="1g"), 400, "HostConfig"),
        (host(Memory=64 << 20, MemorySwap=1 << 20), 400, "Minimum memoryswap limit should be larger than"),
        (host(NanoCpus=10**15), 400, "Range of CPUs is from 0.01 to "),
        (host(NanoCpus=10**9, CpuQuota=1000), 400, "Conflicting options: Nano CPUs and CPU Quota cannot both be set"),
        (host(ShmSize=-1), 400, "SHM size can not be less than 0"),
        (host(Binds=["a b:/b"]), 400, f'"a b" {RULE}'),
        (host(Tmpfs={"rel": ""}), 400, "invalid mount path: 'rel' mount path must be absolute"),
        (host(Mounts=[{"Type": "bind", "Source": "/no", "Target": "/b"}]), 400, "bind source path does not exist: /no"),
        (host(Mounts=[{"Type": "foo", "Target": "/b"}]), 400, 'mount config for type "foo": mount type unknown'),
        (host(Mounts=[{"Type": "bind", "Source": "/", "Target": ""}]), 400, "field Target must not be empty"),
        (host(VolumesFrom=["nope"]), 400, GONE),
        (host(RestartPolicy={"Name": "foo"}), 400, "invalid restart policy: unknown policy 'foo'"),
        (host(RestartPolicy={"Name": "always"}, AutoRemove=True), 400, "can't create 'AutoRemove' container with"),
        (host(RestartPolicy={"Name": "always", "MaximumRetryCount": 2}), 400, "maximum retry count can only be used"),
        (host(PortBindings={"80/tcp": [{"HostPort": "x"}]}), 400, 'invalid port specification: "x"'),
        (host(LogConfig={"Type": "foo"}), 400, "error looking up logging plugin foo"),
        (host(CapAdd=["FOO"]), 400, 'invalid CapAdd: unknown capability: "CAP_FOO"'),
        (host(Runtime="nope"), 400, "unknown or invalid runtime name: nope"),
        (host(IpcMode="foo"), 400, "invalid IPC mode: foo"),
        (host(PidMode="foo"), 400, "invalid PID mode: foo"),
    ],
)  # fmt: skip
def test_what_no_container_can_be_made_of(api: Api, body: dict[str, Any], status: int, message: str) -> None:
    before = api.ok("GET", "/containers/json", all="1")
    answer = api("POST", CREATE, body)
    assert answer.status == status, answer
    assert message in answer.body["message"]
    assert api.ok("GET", "/containers/json", all="1") == before


@pytest.mark.parametrize("name", ["a", "a b", "-ab", "a/b/c"])
def test_a_name_that_is_none(api: Api, name: str) -> None:
    answer = api("POST", CREATE, {"Image": "busybox"}, name=name)
    assert answer.status == 400
    assert answer.body["message"] == f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"


def test_a_name_in_use(api: Api) -> None:
    made = api.ok("POST", CREATE, {"Image": "busybox"}, name="taken")
    answer = api("POST", CREATE, {"Image": "busybox"}, name="taken")
    assert answer.status == 409
    assert answer.body["message"] == (
        f'Conflict. The container name "/taken" is already in use by container "{made["Id"]}". '
        "You have to remove (or rename) that container to be able to reuse that name."
    )


def test_a_body_that_is_no_json(api: Api) -> None:
    assert api("POST", CREATE).status == 400
    assert api("POST", CREATE, b"{").status == 400
