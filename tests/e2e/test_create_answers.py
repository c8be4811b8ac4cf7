"""What `POST /containers/create` answers to odd requests: the words, the warnings, and what inspect shows afterwards.

All of it was read off a dockerd 26. Where that answers 500 to a request that is wrong, we answer 400.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, RemoteEngine
from tests.fixtures.http import Answer, Api

FOR_A_WRONG_REQUEST = (400, 500)
MAC = "02:42:ac:11:00:99"
DEPRECATED = "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead."
BIND = 'invalid mount config for type "bind"'
VOLUME = 'invalid mount config for type "volume"'


@pytest.fixture
def other(docker: Cli) -> Iterator[str]:
    """A container that runs."""
    docker("run", "-d", "--name", "other", "--ipc", "shareable", "busybox", "sleep", "600")
    yield "other"
    docker("rm", "-f", "other")


def create(api: Api, body: dict[str, Any], version: str = "1.45") -> Answer:
    return api("POST", f"/v{version}/containers/create", {"Image": "busybox", "Cmd": ["sleep", "600"], **body})


def shown(api: Api, body: dict[str, Any], version: str = "1.45") -> dict[str, Any]:
    """Return a new container as inspect shows it."""
    answer = create(api, body, version)
    assert answer.status == 201, answer
    found = api.ok("GET", f"/v{version}/containers/{answer.body['Id']}/json")
    api.ok("DELETE", f"/containers/{answer.body['Id']}", v="1")
    return dict(found)


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ({"Binds": ["/a:/b:ro,rw"]}, "invalid mode: ro,rw"),
        ({"Binds": ["/a:/b:private,shared"]}, "invalid mode: private,shared"),
        ({"Binds": ["v:/b:copy"]}, "invalid mode: copy"),
        ({"Binds": ["/b:ro"]}, "invalid volume specification: '/b:ro'"),
        ({"Binds": ["a:b:c:d"]}, "invalid volume specification: 'a:b:c:d'"),
        ({"Binds": ["/a:b"]}, f"invalid volume specification: '/a:b': {BIND}: invalid mount path: 'b' mount path must"),
        ({"Binds": ["/a:/b:nocopy"]}, f"'/a:/b:nocopy': {BIND}: field VolumeOptions must not be specified"),
        ({"Binds": ["v:/b:rshared"]}, f"'v:/b:rshared': {VOLUME}: field BindOptions must not be specified"),
        ({"Mounts": [{"Type": "bind", "Target": "/b"}]}, f"{BIND}: field Source must not be empty"),
        ({"Mounts": [{"Type": "bind", "Source": "/", "Target": "/"}]}, f"{BIND}: invalid specification: destination"),
        ({"Mounts": [{"Type": "bind", "Source": "/", "Target": "/b", "BindOptions": {"Propagation": "x"}}]},
         f"{BIND}: invalid propagation mode: x"),
        ({"Mounts": [{"Type": "volume", "Target": "/b", "BindOptions": {}}]},
         'BindOptions must not be specified on mount type "volume"'),
        ({"Mounts": [{"Type": "volume", "Target": "/b", "ReadOnly": True}]},
         f"{VOLUME}: must not set ReadOnly mode when using anonymous volumes"),
        ({"VolumesFrom": [""]}, "volumes-from specification cannot be an empty string"),
        ({"NetworkMode": "container:"}, "Invalid network mode: invalid container format container:<name|id>"),
        ({"PidMode": "private"}, "invalid PID mode: private"),
        ({"PidMode": "container:"}, "invalid PID mode: container:"),
        ({"UTSMode": "private"}, "invalid UTS mode: private"),
        ({"CgroupnsMode": "bad"}, "invalid cgroup namespace mode: bad"),
        ({"RestartPolicy": {"Name": "no", "MaximumRetryCount": -1}},
         "maximum retry count can only be used with 'on-failure' and cannot be negative"),
        ({"Annotations": {"": "x"}}, "invalid Annotations: the empty string is not permitted as an annotation key"),
        ({"ExtraHosts": ["a=1.2.3.4"]}, 'bad format for add-host: "a=1.2.3.4"'),
        ({"ExtraHosts": ["a:b"]}, 'invalid IP address in add-host: "b"'),
        ({"CpusetCpus": "1-0"}, "Invalid value 1-0 for cpuset cpus: invalid format: 1-0"),
        ({"CpusetCpus": "0-99999999"}, "for cpuset cpus: value of out range, maximum is 8192"),
        ({"SecurityOpt": ["bad"]}, 'invalid --security-opt 1: "bad"'),
        ({"SecurityOpt": ["no-new-privileges=x"]}, 'invalid --security-opt 2: "no-new-privileges=x"'),
        ({"ConsoleSize": [-1, 5]}, "ConsoleSize"),
        ({"BlkioDeviceReadBps": [{"Path": "/dev/vda", "Rate": -1}]}, "BlkioDeviceReadBps"),
    ],
)  # fmt: skip
def test_refused_by_name(api: Api, host: dict[str, Any], message: str) -> None:
    answer = create(api, {"HostConfig": host})
    assert answer.status in FOR_A_WRONG_REQUEST, answer
    assert message in answer.body["message"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"Hostname": "x"}, "hostname and the network mode"),
        ({"ExposedPorts": {"80/tcp": {}}}, "port exposing and the container type network mode"),
        ({"Dns": ["1.1.1.1"]}, "dns and the network mode"),
        ({"ExtraHosts": ["a:1.1.1.1"]}, "custom host-to-IP mapping and the network mode"),
        ({"PublishAllPorts": True}, "port publishing and the container type network mode"),
    ],
)
def test_what_goes_with_no_other_network(api: Api, other: str, body: dict[str, Any], message: str) -> None:
    own = {name: value for name, value in body.items() if name in ("Hostname", "ExposedPorts")}
    host = {name: value for name, value in body.items() if name not in own}
    answer = create(api, {**own, "HostConfig": {"NetworkMode": f"container:{other}", **host}})
    assert (answer.status, answer.body["message"]) == (400, f"conflicting options: {message}")


def test_the_name_of_the_host_is_not_another(api: Api) -> None:
    answer = create(api, {"Hostname": "x", "HostConfig": {"UTSMode": "host"}})
    assert (answer.status, answer.body["message"]) == (400, "conflicting options: hostname and the UTS mode")


@pytest.mark.parametrize(
    ("body", "warnings"),
    [
        ({"MacAddress": MAC}, [DEPRECATED]),
        ({"HostConfig": {"NetworkMode": "host", "PortBindings": {"80/tcp": [{"HostPort": "0"}]}}},
         ["Published ports are discarded when using host network mode"]),
    ],
)  # fmt: skip
def test_warnings(api: Api, body: dict[str, Any], warnings: list[str]) -> None:
    answer = create(api, body)
    assert answer.status == 201
    assert answer.body["Warnings"] == warnings
    api.ok("DELETE", f"/containers/{answer.body['Id']}")


@pytest.mark.parametrize(
    ("body", "path", "expected"),
    [
        ({}, "HostConfig.Dns", None),
        ({}, "HostConfig.Devices", None),
        ({"StopTimeout": 0}, "Config.StopTimeout", 0),
        ({"WorkingDir": "/a/../b/"}, "Config.WorkingDir", "/b"),
        ({"ExposedPorts": {"80/tcp": None}}, "Config.ExposedPorts", {"80/tcp": {}}),
        ({"Healthcheck": {"Test": [], "Retries": 0}}, "Config.Healthcheck", {}),
        ({"NetworkDisabled": True}, "NetworkSettings.Networks", {}),
        ({"MacAddress": MAC}, "Config.MacAddress", MAC),
        ({"NetworkingConfig": {"EndpointsConfig": {"bridge": {"MacAddress": MAC}}}}, "Config.MacAddress", MAC),
        ({"HostConfig": {"Privileged": True}}, "HostConfig.SecurityOpt", ["label=disable"]),
        ({"HostConfig": {"PidMode": "host"}}, "HostConfig.SecurityOpt", ["label=disable"]),
        ({"HostConfig": {"Memory": 64 << 20}}, "HostConfig.MemorySwap", 128 << 20),
        ({"HostConfig": {"MemorySwappiness": -1}}, "HostConfig.MemorySwappiness", None),
        ({"HostConfig": {"PidsLimit": -1}}, "HostConfig.PidsLimit", None),
        ({"HostConfig": {"ConsoleSize": [1]}}, "HostConfig.ConsoleSize", [1, 0]),
        ({"HostConfig": {"RestartPolicy": {"Name": "always"}}}, "HostConfig.RestartPolicy",
         {"Name": "always", "MaximumRetryCount": 0}),
        ({"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "0"}]}}}, "HostConfig.PortBindings",
         {"80/tcp": [{"HostIp": "", "HostPort": "0"}]}),
        ({"HostConfig": {"Devices": [{"PathOnHost": "/dev/null"}]}}, "HostConfig.Devices",
         [{"PathOnHost": "/dev/null", "PathInContainer": "", "CgroupPermissions": ""}]),
    ],
)  # fmt: skip
def test_what_inspect_shows(api: Api, body: dict[str, Any], path: str, expected: Any) -> None:
    found: Any = shown(api, body)
    for name in path.split("."):
        found = found[name]
    assert found == expected


def test_the_interface_before_api_1_44(api: Api) -> None:
    """Its address is the container's, and what an endpoint says of it is not heard."""
    assert create(api, {"MacAddress": MAC, "HostConfig": {"NetworkMode": "none"}}, "1.43").status == 400
    endpoint = {"EndpointsConfig": {"bridge": {"MacAddress": MAC}}}
    assert "MacAddress" not in shown(api, {"NetworkingConfig": endpoint}, "1.43")["Config"]
    assert shown(api, {"MacAddress": MAC}, "1.24")["Config"]["MacAddress"] == MAC


def test_mounts_are_shown_where_they_were_asked_for(api: Api) -> None:
    host = {"Tmpfs": {"/s": "ro"}, "Mounts": [{"Type": "tmpfs", "Target": "/m", "ReadOnly": True}], "Binds": ["/v"]}
    mounts = {entry["Destination"]: entry for entry in shown(api, {"HostConfig": host})["Mounts"]}
    assert sorted(mounts) == ["/m", "/v"]
    assert not mounts["/m"]["RW"]
    assert mounts["/v"]["Type"] == "volume"


def test_a_volume_that_is_not_absolute_begins_at_the_root(docker: Cli, api: Api) -> None:
    answer = create(api, {"Volumes": {"data": {}}, "Cmd": ["grep", "-c", " /data ", "/proc/mounts"]})
    docker("start", "-a", answer.body["Id"])
    docker("rm", "-v", answer.body["Id"])


def test_shared_memory_of_another_container(docker: Cli, other: str) -> None:
    docker("run", "--rm", "--ipc", f"container:{other}", "busybox", "sh", "-c", "echo here >/dev/shm/file")
    assert docker("exec", other, "cat", "/dev/shm/file") == "here"
    docker("run", "-d", "--name", "third", "--ipc", f"container:{other}", "busybox", "sleep", "600")
    docker("stop", "-t", "0", other)
    assert docker("exec", "third", "cat", "/dev/shm/file") == "here"
    docker("rm", "-f", "third")


def test_no_shared_memory_at_all(docker: Cli) -> None:
    docker.fails("run", "--rm", "--ipc", "none", "busybox", "touch", "/dev/shm/file", code=1)


def test_shared_memory_outlives_the_daemon(docker: Cli, other: str, daemon: Engine | RemoteEngine) -> None:
    if not isinstance(daemon, Engine):
        pytest.skip("another engine is not ours to kill")
    docker("exec", other, "touch", "/dev/shm/file")
    daemon.kill()
    daemon.start()
    docker("run", "--rm", "--ipc", f"container:{other}", "busybox", "ls", "/dev/shm/file")


def test_propagation_that_the_source_does_not_have_is_refused(docker: Cli, tmp_path: Path) -> None:
    if any(" / / " in row and " shared:" in row for row in Path("/proc/self/mountinfo").read_text().splitlines()):
        pytest.skip("mounts of this host are shared")
    for word, kind in (("rshared", "shared"), ("rslave", "shared or slave")):
        message = f"path {tmp_path} is mounted on .* but it is not a {kind} mount"
        docker.fails("run", "--rm", "-v", f"{tmp_path}:/x:{word}", "busybox", code=125, message=message)
