"""Request bodies: what is taken, what is refused and in which words, and that no field of Docker's API is missing."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydock_shared.errors import InvalidArgument
from pydock_shared.wire import Wire, container, decode, exec, network, volume, wire_name
from pydock_shared.wire.container import ContainerConfig, CreateContainer, HostConfig

MODELS: dict[str, type[Wire]] = {
    "BindOptions": container.BindOptions,
    "ContainerConfig": container.ContainerConfig,
    "ContainerUpdate": container.UpdateContainer,
    "DeviceMapping": container.DeviceMapping,
    "DeviceRequest": container.DeviceRequest,
    "DriverConfig": container.DriverConfig,
    "EndpointIPAMConfig": container.EndpointIPAMConfig,
    "EndpointSettings": container.EndpointSettings,
    "ExecConfig": exec.ExecCreate,
    "ExecStartConfig": exec.ExecStart,
    "HealthConfig": container.HealthConfig,
    "HostConfig": container.HostConfig,
    "IPAM": network.IPAM,
    "IPAMConfig": network.IPAMConfig,
    "ImageOptions": container.ImageOptions,
    "LogConfig": container.LogConfig,
    "Mount": container.Mount,
    "NetworkConnectRequest": network.NetworkConnect,
    "NetworkCreateRequest": network.NetworkCreate,
    "NetworkDisconnectRequest": network.NetworkDisconnect,
    "NetworkingConfig": container.NetworkingConfig,
    "PortBinding": container.PortBinding,
    "Resources": container.Resources,
    "RestartPolicy": container.RestartPolicy,
    "TmpfsOptions": container.TmpfsOptions,
    "Ulimit": container.Ulimit,
    "VolumeCreateRequest": volume.VolumeCreate,
    "VolumeOptions": container.VolumeOptions,
}
FIELDS: dict[str, list[str]] = json.loads(Path(__file__).with_name("request_fields.json").read_text())
CORE = {"Name": "core", "Soft": 0, "Hard": 0}
BEFORE = {"MacAddress", "KernelMemory", "KernelMemoryTCP", "CheckDuplicate", "ClusterOptions"}
"""Fields that older clients still send, or swarm ones, and that the reference of today leaves out."""
EXTENSIONS = {"ContainerUpdate": {"Env"}, "ExecStartConfig": {"KillOnDisconnect"}}
"""Fields that are ours (docs/configuration.md)."""


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_field_of_the_reference_is_declared(name: str) -> None:
    declared = {field.alias for field in MODELS[name].model_fields.values()}
    assert declared - BEFORE - EXTENSIONS.get(name, set()) == set(FIELDS[name]) - BEFORE


def test_every_request_of_the_reference_has_a_model() -> None:
    assert set(MODELS) == set(FIELDS)


def test_names() -> None:
    assert wire_name("cpu_shares") == "CpuShares"
    assert wire_name("uts_mode") == "UTSMode"
    assert wire_name("cgroupns_mode") == "CgroupnsMode"


def test_a_body_is_read_by_its_wire_names() -> None:
    body = decode(
        CreateContainer,
        {
            "Image": "busybox",
            "Tty": True,
            "HostConfig": {"Memory": 64 << 20, "PortBindings": {"80/tcp": [{"HostPort": "8080"}], "81/tcp": None}},
            "NetworkingConfig": {"EndpointsConfig": {"net": {"IPAMConfig": {"IPv4Address": "10.0.0.2"}}, "b": None}},
        },
    )
    assert (body.image, body.tty, body.open_stdin) == ("busybox", True, None)
    assert body.host_config
    assert body.host_config.memory == 64 << 20
    assert body.host_config.port_bindings
    assert body.host_config.port_bindings["80/tcp"][0].host_port == "8080"  # type: ignore[index]
    assert body.networking_config
    assert body.networking_config.endpoints_config
    assert body.networking_config.endpoints_config["net"].ipam_config.ipv4_address == "10.0.0.2"  # type: ignore[union-attr]
    assert body.config() == ContainerConfig(image="busybox", tty=True)


@pytest.mark.parametrize(
    ("given_", "dumped"),
    [
        ({"Cmd": "echo hi"}, {"Cmd": ["echo hi"]}),
        ({"Cmd": ["a"], "Entrypoint": "b", "Shell": "c"}, {"Cmd": ["a"], "Entrypoint": ["b"], "Shell": ["c"]}),
        ({"Cmd": None, "Env": None, "Labels": None, "HostConfig": None}, {}),
        ({"Env": ["A", None], "Labels": {"a": None}}, {"Env": ["A", ""], "Labels": {"a": ""}}),
        ({"env": ["A"], "HOSTCONFIG": {"memory": 1}}, {"Env": ["A"], "HostConfig": {"Memory": 1}}),
        ({"Env": ["A"], "env": ["B"]}, {"Env": ["A"]}),
        ({"ExposedPorts": {"80/tcp": None, "81/tcp": {}}}, {"ExposedPorts": {"80/tcp": {}, "81/tcp": {}}}),
        ({"Volumes": {"/v": {}}}, {"Volumes": {"/v": {}}}),
        ({"HostConfig": {"CapAdd": "ALL"}}, {"HostConfig": {"CapAdd": ["ALL"]}}),
        ({"HostConfig": {"Ulimits": [{"Name": "core"}]}}, {"HostConfig": {"Ulimits": [CORE]}}),
        ({"NewerThanUs": {"a": 1}}, {"NewerThanUs": {"a": 1}}),
        ({}, {}),
    ],
)  # fmt: skip
def test_what_docker_is_lenient_with(given_: dict[str, Any], dumped: dict[str, Any]) -> None:
    found = decode(CreateContainer, given_).model_dump(by_alias=True, exclude_none=True)
    assert found == {key: value for key, value in dumped.items() if value is not None}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([], "invalid body: must be a valid dictionary"),
        ("x", "invalid body: must be a valid dictionary"),
        ({"HostConfig": {"Memory": "64m"}}, "invalid value for HostConfig.Memory: must be a valid integer"),
        ({"HostConfig": {"Memory": 1.5}}, "invalid value for HostConfig.Memory: must be a valid integer"),
        ({"HostConfig": {"Memory": True}}, "invalid value for HostConfig.Memory: must be a valid integer"),
        ({"HostConfig": {"Memory": 2**63}}, f"invalid value for HostConfig.Memory: must be less than {2**63}"),
        ({"HostConfig": []}, "invalid value for HostConfig: must be a valid dictionary"),
        ({"Tty": 1}, "invalid value for Tty: must be a valid boolean"),
        ({"Tty": "true"}, "invalid value for Tty: must be a valid boolean"),
        ({"Cmd": [1]}, "invalid value for Cmd.0: must be a valid string"),
        ({"Env": "A=b"}, "invalid value for Env: must be a valid list"),
        ({"HostConfig": {"Ulimits": [{"Soft": 1}]}}, "invalid value for HostConfig.Ulimits.0.Name: field required"),
        (
            {"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": 80}]}}},
            "invalid value for HostConfig.PortBindings.80/tcp.0.HostPort: must be a valid string",
        ),
    ],
)
def test_what_is_refused(body: Any, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        decode(CreateContainer, body)
    assert caught.value.message == message


def test_a_stored_config_reads_back() -> None:
    host = decode(HostConfig, {"Binds": ["/a:/b"], "Mounts": [{"Type": "tmpfs", "TmpfsOptions": {"SizeBytes": 1}}]})
    assert HostConfig.model_validate(json.loads(json.dumps(host.model_dump(by_alias=True, exclude_none=True)))) == host


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
BODIES = st.dictionaries(st.sampled_from(FIELDS["ContainerConfig"] + ["hostconfig"]), VALUES, max_size=4)
HOSTS = st.dictionaries(st.sampled_from(FIELDS["HostConfig"]), VALUES, max_size=4)


@given(BODIES, HOSTS)
def test_any_body_is_read_or_refused(body: dict[str, Any], host: dict[str, Any]) -> None:
    with contextlib.suppress(InvalidArgument):
        decode(CreateContainer, {**body, "HostConfig": host})
