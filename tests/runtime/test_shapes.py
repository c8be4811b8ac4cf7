"""A config.json whose parts are of other types than they have to be."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.runtime import box

from pydock_runtime import shapes, spec
from pydock_runtime.errors import RuntimeFailure


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("process.args", 5, "process.args is not a list"),
        ("process.args", [5], "process.args[0] is not a text"),
        ("process.user", {"uid": "a"}, "process.user.uid is not a whole number"),
        ("process.user", {"uid": True}, "process.user.uid is not a whole number"),
        ("process.noNewPrivileges", 1, "process.noNewPrivileges is not true or false"),
        ("root", [], "root is not an object"),
        ("process.env", [None], "process.env[0] is not a text"),
        ("mounts", [{"destination": 5}], "mounts[0].destination is not a text"),
        ("hooks", {"prestart": [5]}, "hooks.prestart[0] is not an object"),
        ("linux.namespaces", [{"type": []}], "linux.namespaces[0].type is not a text"),
        ("linux.sysctl", {"net.x": 1}, "linux.sysctl.net.x is not a text"),
        ("linux.resources", {"memory": {"limit": 1.5}}, "linux.resources.memory.limit is not a whole number"),
        ("linux.netDevices", {"eth0": 1}, "linux.netDevices.eth0 is not an object"),
    ],
)
def test_a_part_of_another_type_is_named(tmp_path: Path, path: str, value: Any, message: str) -> None:
    wanted = box.spec("true", root=tmp_path)
    part, keys = wanted, path.split(".")
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = value
    (tmp_path / "config.json").write_text(json.dumps(wanted))
    with pytest.raises(RuntimeFailure) as caught:
        spec.load(str(tmp_path))
    assert caught.value.message == f"{tmp_path}/config.json: {message}"


def test_null_and_what_nobody_knows_are_let_through() -> None:
    shapes.check({"process": None, "mounts": None, "linux": {"seccomp": None, "later": 5}, "vm": 1}, shapes.CONFIG, "")
