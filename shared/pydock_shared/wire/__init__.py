"""Request bodies of the Docker API as pydantic models: Docker's names on the wire, Python's inside. Used by the daemon.

Absent is None. Unknown fields are kept apart and do no harm, as in Docker. Names are those of the Engine API reference.
"""

import re
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from pydock_shared.errors import InvalidArgument

M = TypeVar("M", bound=BaseModel)
_SPECIAL = {
    "uts_mode": "UTSMode",
    "dns_names": "DNSNames",
    "ip_range": "IPRange",
    "ipam": "IPAM",
    "ipam_config": "IPAMConfig",
    "ipv4_address": "IPv4Address",
    "ipv6_address": "IPv6Address",
    "link_local_ips": "LinkLocalIPs",
    "enable_ipv4": "EnableIPv4",
    "enable_ipv6": "EnableIPv6",
    "container_id_file": "ContainerIDFile",
    "device_ids": "DeviceIDs",
    "blkio_device_read_iops": "BlkioDeviceReadIOps",
    "blkio_device_write_iops": "BlkioDeviceWriteIOps",
    "io_maximum_iops": "IOMaximumIOps",
    "io_maximum_bandwidth": "IOMaximumBandwidth",
    "kernel_memory_tcp": "KernelMemoryTCP",
    "network_id": "NetworkID",
    "endpoint_id": "EndpointID",
    "ip_address": "IPAddress",
    "ip_prefix_len": "IPPrefixLen",
    "ipv6_gateway": "IPv6Gateway",
    "global_ipv6_address": "GlobalIPv6Address",
    "global_ipv6_prefix_len": "GlobalIPv6PrefixLen",
}


def wire_name(name: str) -> str:
    """Return Docker's name of an attribute: `cpu_shares` is `CpuShares`."""
    return _SPECIAL.get(name) or re.sub(r"(?:^|_)([a-z0-9])", lambda found: found[1].upper(), name)


class Wire(BaseModel):
    """The base of all request models."""

    model_config = ConfigDict(alias_generator=wire_name, populate_by_name=True, extra="allow", defer_build=True)


def decode(model: type[M], data: Any) -> M:
    """Return data as a model; InvalidArgument names the first field that is wrong."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise InvalidArgument(f"invalid value for {where}: {first['msg'].lower()}") from error
