"""Which networks a new container asks for, and what of each: `NetworkingConfig` and older spellings. Used by `create`.

Before API 1.44 the address of the interface was a setting of the container (`MacAddress`), and none of an endpoint.
"""

from typing import Any

from pydock_shared.errors import InvalidArgument
from pydock_shared.wire.container import CreateContainer, EndpointSettings, HostConfig, NetworkingConfig

Endpoints = dict[str, dict[str, Any]]
DEFAULT = "default"
OF_NO_NETWORK = ("none", "host")
DEPRECATED = "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead."
MISMATCH = (
    "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty"
)


def asked(body: CreateContainer, host: HostConfig) -> tuple[Endpoints, list[str]]:
    """Return the settings by network, and Docker's warnings."""
    mode = host.network_mode or "bridge"
    warnings = [DEPRECATED] if body.mac_address else []
    if body.network_disabled or mode.startswith("container:"):
        return {}, warnings
    if mode in OF_NO_NETWORK:
        return {mode: {}}, warnings
    endpoints = _endpoints(body, mode)
    if body.mac_address and endpoints[mode].setdefault("MacAddress", body.mac_address) != body.mac_address:
        raise InvalidArgument(MISMATCH)
    return endpoints, warnings


def modernise(body: CreateContainer) -> None:
    """Make of a request in the form before API 1.44 one in today's: MacAddress becomes the main network's."""
    mode = (body.host_config.network_mode if body.host_config else None) or DEFAULT
    if body.mac_address and (mode in OF_NO_NETWORK or mode.startswith("container:")):
        raise InvalidArgument("conflicting options: mac-address and the network mode")
    body.networking_config = body.networking_config or NetworkingConfig()
    given = body.networking_config.endpoints_config = body.networking_config.endpoints_config or {}
    for endpoint in given.values():
        if endpoint:
            endpoint.mac_address = None
    if body.mac_address:
        name = "bridge" if mode == DEFAULT else mode
        main = given[name] = given.get(name) or EndpointSettings()
        main.mac_address, body.mac_address = body.mac_address, None


def _endpoints(body: CreateContainer, mode: str) -> Endpoints:
    given = body.networking_config.endpoints_config if body.networking_config else None
    endpoints = {
        name: endpoint.model_dump(by_alias=True, exclude_none=True) if endpoint else {}
        for name, endpoint in (given or {}).items()
    }
    if DEFAULT in endpoints:
        endpoints.setdefault(mode, endpoints.pop(DEFAULT))
    endpoints.setdefault(mode, {})
    return endpoints
