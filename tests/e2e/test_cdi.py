"""Devices that vendors describe in files: `--device vendor.com/class=name` and device requests of docker-py."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import docker as docker_py
import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine

HOOK = "#!/bin/sh\ncat >{told}\n"


@contextmanager
def cable(kept: str, given: str, address: str) -> Iterator[None]:
    """Two interfaces of the host; the second one has an address, and may be given away."""
    for command in (f"link add {kept} type veth peer name {given}", f"addr add {address} dev {given}"):
        subprocess.run(["ip", *command.split()], check=True)
    try:
        yield
    finally:
        # Gone already, when the second one's namespace is.
        subprocess.run(["ip", "link", "del", kept], check=False, capture_output=True)


def test_devices_by_name(fresh_daemon: Callable[..., Engine], tmp_path: Path):
    if not Path("/dev/fuse").is_char_device():
        pytest.skip("this host has no /dev/fuse")
    folder, told, hook = tmp_path / "cdi", tmp_path / "told", tmp_path / "hook"
    folder.mkdir()
    hook.write_text(HOOK.format(told=told))
    hook.chmod(0o755)
    (tmp_path / "library").write_text("content")
    given = {
        "env": ["VENDOR=yes"],
        "deviceNodes": [{"path": "/dev/vendor0", "hostPath": "/dev/fuse", "permissions": "r"}],
        "mounts": [{"hostPath": str(tmp_path / "library"), "containerPath": "/lib/vendor", "options": ["bind", "ro"]}],
        "hooks": [{"hookName": "createRuntime", "path": str(hook)}],
    }
    devices = [
        {"name": "0", "containerEdits": given},
        {"name": "net", "containerEdits": {"netDevices": [{"hostInterfaceName": "pdcdi1", "name": "vendor1"}]}},
    ]
    text = json.dumps({"cdiVersion": "1.1.0", "kind": "vendor.com/class", "devices": devices})
    (folder / "vendor.json").write_text(text)
    engine = fresh_daemon("--cdi-spec-dir", str(folder))
    script = "echo $VENDOR; cat /lib/vendor; echo; : </dev/vendor0 && echo read; : >/dev/vendor0"
    cli = Cli("pydock", engine.host, tmp_path)
    result = cli.result("run", "--rm", "--device", "vendor.com/class=0", "busybox", "sh", "-c", script)
    assert result.stdout.split() == ["yes", "content", "read"]
    assert "Operation not permitted" in result.stderr
    assert json.loads(told.read_text())["status"] == "creating"
    client = docker_py.DockerClient(base_url=engine.host)
    asked = [docker_py.types.DeviceRequest(driver="cdi", device_ids=["vendor.com/class=0"])]
    assert client.containers.run("busybox", "cat /lib/vendor", device_requests=asked, remove=True) == b"content"
    client.close()
    assert engine.api.ok("GET", "/info")["CDISpecDirs"] == [str(folder)]
    assert engine.api.ok("GET", "/info")["DiscoveredDevices"] == [
        {"Source": "cdi", "ID": "vendor.com/class=0"},
        {"Source": "cdi", "ID": "vendor.com/class=net"},
    ]
    with cable("pdcdi0", "pdcdi1", "198.18.77.9/24"):
        shown = cli("run", "--rm", "--device", "vendor.com/class=net", "busybox", "ip", "-o", "addr", "show", "vendor1")
        assert "198.18.77.9/24" in shown
    os.remove(folder / "vendor.json")
    message = "CDI device injection failed: unresolvable CDI devices vendor.com/class=0"
    cli.fails("run", "--device", "vendor.com/class=0", "busybox", code=125, message=message)
