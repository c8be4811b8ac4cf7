"""pydockd's end of the supervisor's connection, against a real supervisor."""

import asyncio
import os
import select
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.runtime.supervisor.house import BUSYBOX, MOUNTS, NAMESPACES, make_rootfs, process, wait_until

from pydock_daemon.containers.seccomp import Profile
from pydock_daemon.containers.supervisor import StartError, Supervisor
from pydock_shared.errors import Conflict, InvalidArgument, NotFound, PydockError, Unavailable

pytestmark = pytest.mark.root

PROFILE = Profile(
    {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64"] if os.uname().machine == "x86_64" else [],
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}],
    }
)


@pytest.fixture(scope="module")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if os.geteuid() != 0 or not os.path.exists(BUSYBOX):
        pytest.skip("needs root and busybox-static")
    return make_rootfs(tmp_path_factory.mktemp("rootfs"))


@pytest.fixture
async def supervisor(tmp_path: Path) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(tmp_path / "exec")
    await supervisor.connect()
    yield supervisor
    for line in (await supervisor.request("hello"))["containers"]:
        await supervisor.request("delete", container=line["container"], force=True)
    with_end = os.pidfd_open(supervisor.pid)
    supervisor.on_lost = lambda: None
    await supervisor.request("shutdown")
    await supervisor.close()
    assert await asyncio.to_thread(select.select, [with_end], [], [], 5) != ([], [], [])
    os.close(with_end)
    _remove_cgroups(tmp_path)


def _cgroup(tmp_path: Path) -> str:
    return f"/pydock-test-{os.getpid()}-{tmp_path.name}"


def _remove_cgroups(tmp_path: Path) -> None:
    with open("/proc/self/mountinfo") as file:
        points = [line.split()[4] for line in file if " - cgroup" in line]
    for point in points:
        path = Path(point + _cgroup(tmp_path))
        if path.exists():
            path.rmdir()


def container(tmp_path: Path, rootfs: Path, *args: str, name: str = "c", **fields: Any) -> dict[str, Any]:
    return {
        "container": name,
        "spec": {
            "process": process(args),
            "root": {"path": str(rootfs)},
            "mounts": MOUNTS,
            "linux": {"namespaces": [{"type": kind} for kind in NAMESPACES]},
        },
        "overlay": None,
        "log": {"driver": "none"},
        "cgroup": {"path": f"{_cgroup(tmp_path)}/{name}"},
        **fields,
    }


async def exit_of(supervisor: Supervisor) -> dict[str, Any]:
    """Return the next exit; set up before the start."""
    future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    supervisor.on_exit = lambda event: None if future.done() else future.set_result(event)
    return await asyncio.wait_for(future, 5)


async def run(supervisor: Supervisor, fields: dict[str, Any], profile: Profile | None = None) -> asyncio.Task[Any]:
    await supervisor.create(fields, profile)
    ended = asyncio.create_task(exit_of(supervisor))
    await asyncio.sleep(0)
    await supervisor.request("start", container=fields["container"], interfaces=[])
    return ended


async def test_a_container_is_run_under_a_profile(supervisor: Supervisor, tmp_path: Path, rootfs: Path) -> None:
    script = "mkdir /tmp/x 2>/dev/null && exit 1; exit 5"
    for name in ("first", "second"):  # the second time only the digest goes over
        ended = await run(supervisor, container(tmp_path, rootfs, "sh", "-c", script, name=name), PROFILE)
        assert (await ended)["code"] == 5


async def test_descriptors_go_along(supervisor: Supervisor, tmp_path: Path, rootfs: Path) -> None:
    fields = container(tmp_path, rootfs, "cat", stdin=True, stdin_once=True)
    await supervisor.create(fields, None)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    options = {"stdin": True, "stdout": True, "stderr": True, "multiplexed": False, "detach_keys": []}
    with theirs:
        await supervisor.request("attach", fds=[theirs.fileno()], container="c", **options)
    await supervisor.request("start", container="c", interfaces=[])
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    writer.write(b"hello")
    writer.write_eof()
    assert await reader.read() == b"hello"
    writer.close()
    await writer.wait_closed()


async def test_errors_are_told_apart(supervisor: Supervisor, tmp_path: Path, rootfs: Path) -> None:
    with pytest.raises(NotFound, match="no such container: none"):
        await supervisor.request("pause", container="none")
    with pytest.raises(InvalidArgument, match="dance"):
        await supervisor.request("dance")
    for command, code in (("nothing", 127), ("/bin/plain", 126)):
        await supervisor.create(container(tmp_path, rootfs, command), None)
        with pytest.raises(StartError, match=command) as caught:
            await supervisor.request("start", container="c", interfaces=[])
        assert (caught.value.exit_code, caught.value.status) == (code, 400)
    await (await run(supervisor, container(tmp_path, rootfs, "true")))
    with pytest.raises(Conflict):
        await supervisor.create(container(tmp_path, rootfs, "true"), None)
    with pytest.raises(PydockError, match="seccomp action NONSENSE is not supported"):
        await supervisor.create(container(tmp_path, rootfs, "true", name="d"), Profile({"defaultAction": "NONSENSE"}))
    await (await run(supervisor, container(tmp_path, rootfs, "true", name="d"), PROFILE))


async def test_many_requests_at_once(supervisor: Supervisor) -> None:
    # More than the socket takes at once, so that the rest waits for the supervisor to read.
    big = {"filler": "x" * 100_000}
    answers = await asyncio.gather(*(supervisor.request("hello", **big) for _ in range(50)))
    assert {answer["pid"] for answer in answers} == {supervisor.pid}


async def test_containers_outlive_their_pydockd(supervisor: Supervisor, tmp_path: Path, rootfs: Path) -> None:
    ended = await run(supervisor, container(tmp_path, rootfs, "sleep", "100"))
    ended.cancel()
    await supervisor.close()
    pid = supervisor.pid
    hello = await supervisor.connect()
    assert supervisor.pid == pid
    assert [line["status"] for line in hello["containers"]] == ["running"]


async def test_a_lost_supervisor_is_replaced(supervisor: Supervisor, tmp_path: Path, rootfs: Path) -> None:
    ended = await run(supervisor, container(tmp_path, rootfs, "sleep", "100"))
    ended.cancel()
    state = tmp_path / "exec" / "containers" / "c" / "state.json"
    await asyncio.to_thread(wait_until, state.exists)
    lost = 0
    hello: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    def on_lost() -> None:
        nonlocal lost
        lost += 1

    supervisor.on_lost, supervisor.on_hello = on_lost, hello.set_result
    old = supervisor.pid
    os.kill(old, signal.SIGSTOP)
    waiting = asyncio.create_task(supervisor.request("hello"))
    await asyncio.sleep(0.01)
    os.kill(old, signal.SIGKILL)
    with pytest.raises(Unavailable, match="lost"):
        await waiting
    assert (await supervisor.request("hello"))["pid"] != old  # waits for the new connection
    assert [line["status"] for line in (await hello)["containers"]] == ["running"]
    assert lost == 1


async def test_a_supervisor_that_cannot_start_is_said_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pydock_daemon.containers.supervisor.PATIENCE", 0.05)
    monkeypatch.setattr("pydock_daemon.containers.supervisor.command", lambda root: ["/bin/false"])
    with pytest.raises(Unavailable, match=r"the supervisor does not start, see .*supervisor\.log"):
        await Supervisor(tmp_path / "exec").connect()
