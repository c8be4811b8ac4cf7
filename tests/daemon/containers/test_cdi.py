"""Devices that vendors describe in files (CDI)."""

import json
from pathlib import Path
from typing import Any

import pytest

from pydock_daemon.containers.cdi import edits, files
from pydock_shared.errors import InvalidArgument, PydockError

YAML = """
cdiVersion: "0.6.0"
kind: vendor.com/disk
containerEdits:
  env: [ALL=1]
devices:
  - name: one
    containerEdits:
      env: [PATH=/own, ONE=1]
      deviceNodes: [{path: /dev/one, hostPath: /dev/null, permissions: r}]
      mounts: [{hostPath: /etc, containerPath: /vendor, options: [bind, ro]}]
      hooks: [{hookName: createContainer, path: /bin/hook, args: [hook, x]}]
      additionalGids: [0, 5]
  - name: two
    containerEdits: {env: [TWO=2]}
"""


def described(**device: Any) -> dict[str, Any]:
    return {
        "cdiVersion": "0.6.0",
        "kind": "vendor.com/net",
        "devices": [{"name": "0", "containerEdits": device}],
    }


def spec() -> dict[str, Any]:
    process = {"env": ["PATH=/bin", "A=1"], "user": {"username": "1000:50"}}
    return {"process": process, "mounts": [{"destination": "/vendor"}], "linux": {"devices": [], "resources": {}}}


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    made = [tmp_path / "etc", tmp_path / "run"]
    for folder in made:
        folder.mkdir()
    (made[0] / "disk.yaml").write_text(YAML)
    return [*made, tmp_path / "missing"]


def test_what_a_device_changes(folders: list[Path]):
    made = spec()
    edits.apply(made, ["vendor.com/disk=two", "vendor.com/disk=one", "vendor.com/disk=two"], folders)
    assert made["process"]["env"] == ["A=1", "ALL=1", "TWO=2", "PATH=/own", "ONE=1"]
    assert made["process"]["user"]["groups"] == ["5"]
    assert made["mounts"] == [
        {"destination": "/vendor", "source": "/etc", "type": "bind", "options": ["bind", "ro"]},
    ]
    device = {"path": "/dev/one", "type": "c", "major": 1, "minor": 3, "uid": 1000, "gid": 50, "source": "/dev/null"}
    assert made["linux"]["devices"] == [device]
    rule = {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "r"}
    assert made["linux"]["resources"]["devices"] == [rule]
    assert made["hooks"] == {"createContainer": [{"path": "/bin/hook", "args": ["hook", "x"]}]}


def test_caches_and_interfaces_of_the_host_are_the_runtime_s_to_give(folders: list[Path]):
    rdt = {"closID": "gold", "schemata": ["L3:0=f"], "enableMonitoring": True}
    network = [{"hostInterfaceName": "ib0", "name": "net1"}]
    (folders[0] / "net.json").write_text(json.dumps(described(intelRdt=rdt, netDevices=network)))
    made = spec()
    edits.apply(made, ["vendor.com/net=0"], folders)
    assert made["linux"]["intelRdt"] == rdt
    assert made["linux"]["netDevices"] == {"ib0": {"name": "net1"}}


def test_a_later_folder_goes_first_and_two_files_of_one_are_none(folders: list[Path]):
    for folder, word in ((folders[0], "first"), (folders[1], "second")):
        (folder / "net.json").write_text(json.dumps(described(env=[f"FROM={word}"])))
    made = spec()
    edits.apply(made, ["vendor.com/net=0"], folders)
    assert "FROM=second" in made["process"]["env"]
    (folders[1] / "again.json").write_text(json.dumps(described(env=["FROM=third"])))
    with pytest.raises(InvalidArgument):
        edits.apply(spec(), ["vendor.com/net=0"], folders)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "null",
        "[" * 100000,
        json.dumps(described(bogus=1)),
        json.dumps(described(env="A=1")),
        json.dumps(described(deviceNodes=[{"path": "relative"}])),
        json.dumps(described(hooks=[{"hookName": "never", "path": "/x"}])),
        json.dumps(described(intelRdt={"closID": ".."})),
        json.dumps(described(intelRdt={"closID": "a/b"})),
        json.dumps(described(netDevices=[{"hostInterfaceName": "eth1"}])),
        json.dumps(described() | {"kind": "vendor"}),
        json.dumps(described() | {"cdiVersion": "9.0.0"}),
    ],
)
def test_a_file_that_is_wrong_is_left_out(folders: list[Path], text: str):
    (folders[0] / "net.json").write_text(text)
    (folders[0] / "bad.yaml").write_text("a: [")
    assert set(files.load(folders)) == {"vendor.com/disk=one", "vendor.com/disk=two"}
    with pytest.raises(InvalidArgument) as caught:
        edits.apply(spec(), ["vendor.com/net=0", "vendor.com/disk=one", "x"], folders)
    assert caught.value.message == "CDI device injection failed: unresolvable CDI devices vendor.com/net=0, x"


@pytest.mark.parametrize(
    ("device", "kind", "message"),
    [
        ({"deviceNodes": [{"path": "/none"}]}, PydockError, 'failed to stat CDI host device "/none": no such file'),
        ({"deviceNodes": [{"path": "/etc"}]}, PydockError, 'failed to stat CDI host device "/etc": not a device node'),
        ({"deviceNodes": [{"path": "/dev/null", "type": "b"}]}, PydockError, r"host type mismatch \(b, c\)"),
    ],
)
def test_what_cannot_be_given(folders: list[Path], device: dict[str, Any], kind: type[Exception], message: str):
    (folders[0] / "net.json").write_text(json.dumps(described(**device)))
    with pytest.raises(kind, match=message):
        edits.apply(spec(), ["vendor.com/net=0"], folders)
