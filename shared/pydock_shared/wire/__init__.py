"""Request bodies of the Docker API as pydantic models: Docker's names on the wire, Python's inside. Used by the daemon.

Absent is None. What Go's decoder takes is taken: null anywhere, keys of any case, unknown fields (kept, no effect);
what it refuses is refused: a text or a fraction for a number. Names are those of the Engine API reference.
"""

import re
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, ValidationError, model_validator

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
    "checkpoint_id": "CheckpointID",
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


def _empty_for_null(value: Any) -> Any:
    """Go reads null in a list or table of texts as the empty text."""
    if isinstance(value, list):
        return ["" if item is None else item for item in value]
    if isinstance(value, dict):
        return {key: "" if item is None else item for key, item in value.items()}
    return value


def _list_of_one(value: Any) -> Any:
    """A command may be given as one text, which is then its only word: no shell takes it apart."""
    return _empty_for_null([value] if isinstance(value, str) else value)


def _empty_values(value: Any) -> Any:
    return {key: {} if item is None else item for key, item in value.items()} if isinstance(value, dict) else value


def _pair(value: Any) -> Any:
    """Go's decoder fills an array of two, and drops what is too much."""
    return [*value, 0, 0][:2] if isinstance(value, list) else value


Bool = Annotated[bool, Strict()]
Int = Annotated[int, Strict(), Field(ge=-(2**63), lt=2**63)]
Unsigned = Annotated[int, Strict(), Field(ge=0, lt=2**64)]
Pair = Annotated[list[Unsigned], BeforeValidator(_pair)]
Texts = Annotated[list[str], BeforeValidator(_empty_for_null)]
Words = Annotated[list[str], BeforeValidator(_list_of_one)]
Table = Annotated[dict[str, str], BeforeValidator(_empty_for_null)]
Names = Annotated[dict[str, Any], BeforeValidator(_empty_values)]
"""A set as Docker writes it, `{"80/tcp": {}}`; the values say nothing."""


class Wire(BaseModel):
    """The base of all request models."""

    model_config = ConfigDict(alias_generator=wire_name, populate_by_name=True, extra="allow", defer_build=True)
    _known: ClassVar[dict[str, str]]

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        cls._known = {wire_name(name).lower(): wire_name(name) for name in cls.model_fields}

    @model_validator(mode="before")
    @classmethod
    def _any_case(cls, data: Any) -> Any:
        """Find fields by names in another case; the right one wins when both are given."""
        if not isinstance(data, dict):
            return data
        aliases = cls._known
        strange = {key: aliases[key.lower()] for key in data if key not in aliases.values() and key.lower() in aliases}
        return {strange.get(key, key): value for key, value in data.items() if strange.get(key) not in data}


def decode(model: type[M], data: Any) -> M:
    """Return data as a model; InvalidArgument names the first field that is wrong: `HostConfig.Memory`."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        what = first["msg"].partition(" or instance of")[0].replace("Input should be", "must be", 1)
        what = what[0].lower() + what[1:]
        raise InvalidArgument(f"invalid value for {where}: {what}" if where else f"invalid body: {what}") from error
