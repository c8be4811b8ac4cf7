"""No field of a create request is accepted and forgotten: each is read by the code, refused, or is here with a reason.

`tests/shared` sees to it that the models have every field of Docker's API. Here each field of the models must be met in
what carries requests out: as an attribute, or by its name on the wire.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

import pydock_daemon
from pydock_daemon.containers import supported
from pydock_shared.wire.container import ContainerConfig, HostConfig, NetworkingConfig, UpdateContainer
from pydock_shared.wire.volume import VolumeCreate

ROOT = Path(pydock_daemon.__file__).parent
READERS = ("containers", "networks", "volumes", "api/containers.py", "api/volumes.py", "api/streams.py")
SHOWN_ONLY = ("inspect.py", "listing.py", "model.py")
"""Files that show what was asked: to show a field is not to carry it out."""
CLIENTS_OWN = "dockerd keeps and shows it as well, and only clients act on it"
ANSWERS = "part of an answer; dockerd does not read it in a request either"
NOTHING_TO_DO = {
    "ContainerConfig.attach_stdin": CLIENTS_OWN,
    "ContainerConfig.attach_stdout": CLIENTS_OWN,
    "ContainerConfig.attach_stderr": CLIENTS_OWN,
    "ContainerConfig.args_escaped": "of Windows; dockerd on Linux keeps and shows it as well",
    "ContainerConfig.on_build": "kept for the image that a commit makes",
    "HostConfig.container_id_file": "a path of the client's",
    "Mount.consistency": "of other systems' file sharing; dockerd on Linux does nothing with it either",
    "Mount.cluster_options": "of mounts of type cluster, which are refused",
    **{
        f"EndpointSettings.{name}": ANSWERS
        for name in ("network_id", "endpoint_id", "gateway", "ip_address", "ip_prefix_len", "ipv6_gateway")
    },
    **{f"EndpointSettings.{name}": ANSWERS for name in ("global_ipv6_address", "global_ipv6_prefix_len", "dns_names")},
}
REFUSED = {*supported.HOST_FIELDS, *supported.WORDS}


def models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield a model and those of its fields."""
    yield model
    for field in model.model_fields.values():
        for inner in _inner(field.annotation):
            yield from models(inner)


def _inner(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _inner(argument)


def _owner(model: type[BaseModel], name: str) -> str:
    """Return the model that declares a field, which others may inherit."""
    return next(base.__name__ for base in reversed(model.__mro__) if name in getattr(base, "__annotations__", ()))


def fields() -> dict[str, str]:
    """Return every field with its name on the wire."""
    tops = (ContainerConfig, HostConfig, NetworkingConfig, UpdateContainer, VolumeCreate)
    found = {}
    for model in {inner for top in tops for inner in models(top)}:
        for name, field in model.model_fields.items():
            found[f"{_owner(model, name)}.{name}"] = field.alias or name
    return found


def met() -> set[str]:
    """Return every attribute that is read, and every text, of the code that carries requests out."""
    found: set[str] = set()
    for reader in READERS:
        path = ROOT / reader
        for file in [path] if path.suffix else path.rglob("*.py"):
            if file.name in SHOWN_ONLY:
                continue
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                    found.add(node.attr)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.add(node.value)
    return found


def test_every_field_is_met():
    words = met()
    forgotten = {
        field
        for field, alias in fields().items()
        if field.partition(".")[2] not in words and alias not in words and alias not in REFUSED
    }
    assert forgotten - set(NOTHING_TO_DO) == set()


def test_what_has_a_reason_is_a_field():
    assert set(NOTHING_TO_DO) - set(fields()) == set()


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_refused_is_a_field(name: str):
    assert name in {alias for field, alias in fields().items() if field.startswith(("HostConfig", "Resources"))}
