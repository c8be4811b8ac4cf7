"""Hooks of containers of the supervisor: run beside its loop, and after its own death as well."""

from typing import Any

import pytest
from tests.runtime.supervisor.house import BUSYBOX, OTHER_RUNTIME, House, Refused, wait_until

pytestmark = pytest.mark.root
ours = pytest.mark.skipif(bool(OTHER_RUNTIME), reason="another runtime runs its hooks itself")


def hook(script: str) -> dict[str, Any]:
    return {"path": BUSYBOX, "args": ["busybox", "sh", "-c", script]}


@ours
def test_hooks_are_run_beside_the_loop(house: House) -> None:
    order = house.folder / "order"
    kinds = ("prestart", "createRuntime", "createContainer", "poststart", "poststop")
    orders: dict[str, Any] = {kind: [hook(f"echo {kind} >> {order}")] for kind in kinds}
    orders["prestart"].append(hook("while ! test -e go; do sleep 0.01; done".replace("go", str(house.folder / "go"))))
    number = house.post_create("sleep", "100", hooks=orders)
    other = house.run("true")
    assert house.exit(other)["code"] == 0  # while a hook of the first one waits
    (house.folder / "go").touch()
    house.client.answer(number)
    assert order.read_text().split() == ["prestart", "createRuntime", "createContainer"]
    name = next(c["container"] for c in house.client.request("hello")["containers"] if c["status"] == "created")
    house.client.request("start", container=name, interfaces=[])
    assert order.read_text().split()[-1] == "poststart"
    house.client.request("delete", container=name, force=True)
    wait_until(lambda: order.read_text().split()[-1] == "poststop")


@ours
@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer", "startContainer", "poststart"])
def test_a_hook_that_fails_undoes_the_container(house: House, kind: str) -> None:
    orders = {kind: [hook("exit 3")], "poststop": [hook(f"touch {house.folder}/stopped")]}
    with pytest.raises(Refused, match=f"error running {kind} hook #0: exit status 3"):
        house.run("sleep", "100", hooks=orders)
    for container in house.client.request("hello")["containers"]:
        house.client.request("delete", container=container["container"], force=True)
    wait_until(lambda: not house.cgroups())
    wait_until((house.folder / "stopped").exists)


@ours
def test_poststop_hooks_outlive_the_supervisor_that_took_the_order(house: House) -> None:
    name = house.run("sleep", "100", hooks={"poststop": [hook(f"touch {house.folder}/stopped")]})
    wait_until((house.exec_root / "containers" / name / "state.json").exists)
    house.kill()
    house.boot()
    house.client.request("delete", container=name, force=True)
    wait_until((house.folder / "stopped").exists)
