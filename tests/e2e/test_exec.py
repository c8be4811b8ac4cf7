"""`exec`: another process in a running container, with its own user, environment, streams and exit code."""

import time
from collections.abc import Callable

import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, RemoteEngine, eventually
from tests.fixtures.http import Api


@pytest.fixture
def web(cli: Cli) -> Callable[..., str]:
    """`web("exec options and command")` in a container that runs."""
    cli("run", "-d", "--name", "web", "-e", "FROM_RUN=1", "busybox", "sh", "-c", "sleep 300; :")
    return lambda *arguments, **options: cli("exec", *arguments, **options)


def test_output_streams_and_exit_code(cli: Cli, web: object):
    result = cli.result("exec", "web", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (result.returncode, result.stdout, result.stderr) == (7, "out\n", "err\n")


def test_it_is_inside(web: Callable[..., str]):
    assert "sleep 300" in web("web", "ps")
    assert web("web", "cat", "/proc/1/comm") == "sh"


def test_environment_directory_and_user(web: Callable[..., str]):
    script = "echo $FROM_RUN $ADDED $(pwd) $(id -u):$(id -g)"
    output = web("-e", "ADDED=2", "-w", "/tmp", "-u", "1000:1001", "web", "sh", "-c", script)
    assert output == "1 2 /tmp 1000:1001"


def test_input_is_half_closed(web: Callable[..., str]):
    assert web("-i", "web", "sh", "-c", "cat; sleep 0.2; echo end", stdin="in\n") == "in\nend"


def test_a_megabyte_goes_through_unharmed(cli: Cli, web: object):
    data = "".join(f"{number:07d}\n" for number in range(131072))
    assert cli.result("exec", "-i", "web", "cat", stdin=data).stdout == data


def test_terminal(cli: Cli, web: object):
    with cli.terminal("exec", "-it", "web", "sh") as screen:
        screen.until(b"# ")
        screen.type(b"tty; exit 5\r")
        assert b"/dev/pts/" in screen.until(b"/dev/pts/")
        assert screen.wait() == 5


def test_detached(cli: Cli, web: Callable[..., str]):
    assert web("-d", "web", "sh", "-c", "echo done >/tmp/mark") == ""
    eventually(lambda: cli.result("exec", "web", "cat", "/tmp/mark").stdout == "done\n")


def test_missing_command_is_127_and_file_without_right_126(cli: Cli, web: object):
    result = cli.result("exec", "web", "nosuch")
    assert result.returncode in (126, 127)  # 126 of older engines
    assert 'exec: "nosuch": executable file not found in $PATH' in result.stdout + result.stderr
    result = cli.result("exec", "web", "/etc/passwd")
    assert result.returncode == 126
    assert "permission denied" in result.stdout + result.stderr


def test_walls_hold_for_it_too(web: Callable[..., str]):
    output = web("web", "grep", "-E", "CapEff|Seccomp:", "/proc/self/status").split()
    assert output == ["CapEff:", "00000000a80425fb", "Seccomp:", "2"]


def test_privileged(web: Callable[..., str]):
    capabilities = web("--privileged", "web", "grep", "CapEff", "/proc/self/status").split()[1]
    assert int(capabilities, 16) > 0xA80425FB


def test_in_a_stopped_container(cli: Cli):
    identifier = cli("create", "--name", "off", "busybox")
    message = f"[Cc]ontainer ({identifier}|off) is not running"
    cli.fails("exec", "off", "true", code=1, message=message)
    cli.fails("exec", "nosuch", "true", code=1, message="No such container: nosuch")


def test_it_ends_with_the_container(cli: Cli, web: object):
    with cli.begin("exec", "web", "sleep", "60") as running:
        time.sleep(0.3)
        cli("kill", "web")
        assert running.wait() == 137


def test_api_of_an_exec(api: Api):
    body = {"Image": "busybox", "Cmd": ["sleep", "60"]}
    container = api.ok("POST", "/containers/create", body)["Id"]
    api.ok("POST", f"/containers/{container}/start")
    command = {"Cmd": ["sh", "-c", "echo hi; exit 4"], "AttachStdout": True}
    identifier = api.ok("POST", f"/containers/{container}/exec", command)["Id"]
    found = api.ok("GET", f"/exec/{identifier}/json")
    assert (found["Running"], found["ExitCode"], found["ContainerID"]) == (False, None, container)
    with api.hijack(f"/exec/{identifier}/start", {"Detach": False, "Tty": False}) as stream:
        data = b""
        while piece := stream.recv(100):
            data += piece
    assert data == b"\x01\0\0\0\0\0\0\x03hi\n"
    found = api.ok("GET", f"/exec/{identifier}/json")
    assert (found["Running"], found["ExitCode"]) == (False, 4)
    again = api("POST", f"/exec/{identifier}/start", {})
    assert again.status in (409, 200)  # dockerd says it on the stream
    assert f"Error: Exec command {identifier} has already run" in str(again.body)
    assert api("GET", "/exec/nosuch/json").status == 404
    assert api("POST", f"/containers/{container}/exec", {"Cmd": []}).status == 400


@pytest.fixture
def running(api: Api) -> str:
    body = {"Image": "busybox", "Cmd": ["sh", "-c", "echo begun; sleep 60"]}
    container: str = api.ok("POST", "/containers/create", body)["Id"]
    api.ok("POST", f"/containers/{container}/start")
    eventually(lambda: "begun" in api.ok("GET", f"/containers/{container}/logs", stdout="1"))
    return container


def test_frames_go_by_what_the_start_says_of_a_terminal(api: Api, running: str):
    def output(*, made: bool, started: bool) -> bytes:
        wanted = {"Cmd": ["echo", "hi"], "AttachStdout": True, "Tty": made}
        identifier = api.ok("POST", f"/containers/{running}/exec", wanted)["Id"]
        with api.hijack(f"/exec/{identifier}/start", {"Tty": started}) as stream:
            return b"".join(iter(lambda: stream.recv(100), b""))

    assert output(made=True, started=False) == b"\x01\0\0\0\0\0\0\x04hi\r\n"
    assert output(made=False, started=True) == b"hi\n"
    assert output(made=True, started=True) == b"hi\r\n"


@pytest.mark.parametrize("command", [["echo", "hi"], ["nosuch"], None])
def test_nothing_comes_along_with_the_answer(api: Api, daemon: Engine | RemoteEngine, running: str, command: object):
    """docker-py reads the answer through a buffer that it throws away."""
    if isinstance(daemon, RemoteEngine):
        pytest.skip("dockerd sends output whether the answer was read or not, and docker-py loses some now and then")
    path, body = f"/containers/{running}/attach?logs=1&stdout=1", None
    if command:
        identifier = api.ok("POST", f"/containers/{running}/exec", {"Cmd": command, "AttachStdout": True})["Id"]
        path, body = f"/exec/{identifier}/start", {"Tty": False}
    with api.upgrade(path, body) as stream:
        time.sleep(0.1)
        answer = stream.recv(65536)
        assert answer.startswith(b"HTTP/1.1 101 UPGRADED\r\n")
        assert answer.endswith(b"\r\n\r\n")
        assert len(stream.recv(65536)) > 8


RUNTIME = "OCI runtime exec failed: exec failed: unable to start container process: "


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"Cmd": ["nosuch"]}, f'{RUNTIME}exec: "nosuch": executable file not found in $PATH'),
        ({"Cmd": ["/etc/passwd"]}, f'{RUNTIME}exec: "/etc/passwd": permission denied'),
        (
            {"Cmd": ["id"], "WorkingDir": "/nosuch"},
            f'{RUNTIME}chdir to cwd ("/nosuch") set in config.json failed: no such',
        ),
        ({"Cmd": ["id"], "User": "nosuch"}, "unable to find user nosuch: no matching entries in passwd file"),
        ({"Cmd": ["id"], "User": "-1"}, "uids and gids must be in range 0-2147483647"),
    ],
    ids=str,
)
def test_why_it_does_not_run(api: Api, running: str, asked: dict[str, object], message: str):
    """On the stream of who waits for output, and else as the answer."""
    one, other = (api.ok("POST", f"/containers/{running}/exec", {"AttachStdout": True, **asked})["Id"] for _ in "12")
    with api.hijack(f"/exec/{one}/start", {"Tty": True}) as stream, stream.makefile("rb") as said:
        assert said.read().decode().startswith(message)
    answer = api("POST", f"/exec/{other}/start", {"Detach": True})
    assert answer.status in (400, 500)  # 500 of dockerd, where the user is nobody
    assert answer.body["message"].startswith(message)
    assert api.ok("GET", f"/exec/{one}/json")["ExitCode"] in (126, 127)


def test_variables_have_their_place(api: Api, running: str):
    """What is given stands where its like stood, as Docker has it; a bare name unsets one."""
    asked = {"AttachStdout": True, "Cmd": ["env"], "Env": ["PATH=/bin", "B=2", "C=3", "B=4", "HOSTNAME"], "Tty": True}
    made = api.ok("POST", f"/containers/{running}/exec", asked | {"DetachKeys": "ctrl-a,x"})["Id"]
    assert api.ok("GET", f"/exec/{made}/json")["DetachKeys"] == "AXg="
    with api.hijack(f"/exec/{made}/start", {"Tty": True}) as stream, stream.makefile("rb") as said:
        names = [line.partition("=")[0] for line in said.read().decode().splitlines()]
    assert names == ["PATH", "TERM", "B", "C", "HOME"]
