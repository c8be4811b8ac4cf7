"""What clients of older and newer versions of the API find in answers, as Docker's version history has it."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, RemoteEngine
from tests.fixtures.http import Api

pytestmark = pytest.mark.root


@pytest.fixture
def web(docker: Cli, daemon: Engine | RemoteEngine) -> None:
    """A container in a network of its own."""
    if isinstance(daemon, RemoteEngine):
        pytest.skip("this engine does not have all versions")
    docker("network", "create", "back")
    docker("run", "-d", "--name", "web", "--network", "back", "busybox", "sleep", "300")


def fields(value: Any, path: str = "") -> Iterator[str]:
    """The paths of all fields; elements of lists have no name."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield f"{path}.{key}".lstrip(".")
            yield from fields(inner, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for inner in value:
            yield from fields(inner, path)


ENDPOINT = "NetworkSettings.Networks.back"


@pytest.mark.parametrize(
    ("path", "field", "before", "since"),
    [
        ("/containers/web/json", f"{ENDPOINT}.DNSNames", "1.43", "1.44"),
        ("/containers/web/json", f"{ENDPOINT}.GwPriority", "1.47", "1.48"),
        ("/containers/json", f"{ENDPOINT}.GwPriority", "1.47", "1.48"),
        ("/containers/json", "Health", "1.51", "1.52"),
        ("/networks/back", "EnableIPv4", "1.47", "1.48"),
        ("/networks", "EnableIPv4", "1.47", "1.48"),
        ("/info", "CDISpecDirs", "1.43", "1.44"),
        ("/info", "FirewallBackend", "1.48", "1.49"),
        ("/system/df", "Images.Descriptor", "1.47", "1.48"),
        ("/system/df", "Containers.Health", "1.51", "1.52"),
    ],
)
def test_what_came(web: None, api: Api, path: str, field: str, before: str, since: str) -> None:
    assert field not in set(fields(api.ok("GET", f"/v{before}{path}")))
    assert field in set(fields(api.ok("GET", f"/v{since}{path}")))


@pytest.mark.parametrize(
    ("path", "field", "until", "gone"),
    [
        ("/containers/web/json", "NetworkSettings.IPAddress", "1.51", "1.52"),
        ("/containers/web/json", "NetworkSettings.Bridge", "1.51", "1.52"),
        ("/containers/web/json", "Config.OnBuild", "1.51", "1.52"),
        ("/info", "BridgeNfIptables", "1.49", "1.50"),
        ("/info", "ContainerdCommit.Expected", "1.48", "1.49"),
        ("/info", "RegistryConfig.AllowNondistributableArtifactsCIDRs", "1.48", "1.49"),
        ("/info", "KernelMemory", "1.41", "1.42"),
        ("/info", "ExecutionDriver", "1.24", "1.25"),
        ("/images/json", "VirtualSize", "1.43", "1.44"),
        ("/system/df", "Images.VirtualSize", "1.43", "1.44"),
        ("/images/busybox/json", "ContainerConfig", "1.44", "1.45"),
        ("/images/busybox/json", "Config.AttachStdin", "1.49", "1.50"),
    ],
)
def test_what_went(web: None, api: Api, path: str, field: str, until: str, gone: str) -> None:
    assert field not in set(fields(api.ok("GET", f"/v{gone}{path}")))
    assert field in set(fields(api.ok("GET", f"/v{until}{path}")))


def test_what_means_something_else(web: None, api: Api) -> None:
    def aliases(version: str) -> list[str]:
        found = api.ok("GET", f"/v{version}/containers/web/json")
        return found["NetworkSettings"]["Networks"]["back"]["Aliases"] or []

    identifier = api.ok("GET", "/containers/web/json")["Id"]
    assert aliases("1.44") == [identifier[:12]]
    assert aliases("1.45") == []

    def containers(version: str) -> list[int]:
        found = api.ok("GET", f"/v{version}/images/json", filters='{"reference": ["busybox"]}')
        return [image["Containers"] for image in found]

    assert (containers("1.50"), containers("1.51")) == ([-1], [1])


def test_registries_of_which_something_is_set(api: Api) -> None:
    found = api.ok("GET", "/info")["RegistryConfig"]["IndexConfigs"]
    assert found["docker.io"] == {"Name": "docker.io", "Mirrors": [], "Secure": True, "Official": True}
