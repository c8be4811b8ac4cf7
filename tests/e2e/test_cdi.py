"""Devices that vendors describe in files: `--device vendor.com/class=name` and device requests of docker-py."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import docker as docker_py
import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine

HOOK = "#!/bin/sh\ncat >{told}\n"


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
    text = json.dumps(
        {"cdiVersion": "0.6.0", "kind": "vendor.com/class", "devices": [{"name": "0", "containerEdits": given}]}
    )
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
    assert engine.api.ok("GET", "/info")["DiscoveredDevices"] == [{"Source": "cdi", "ID": "vendor.com/class=0"}]
    os.remove(folder / "vendor.json")
    message = "CDI device injection failed: unresolvable CDI devices vendor.com/class=0"
    cli.fails("run", "--device", "vendor.com/class=0", "busybox", code=125, message=message)
