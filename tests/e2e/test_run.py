"""`run` in the foreground and detached, as a person types it: output, exit codes, streams, names, environment."""

import re
from pathlib import Path

import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.engine import eventually

ID = re.compile("[0-9a-f]{64}")


def test_output_and_success(cli: Cli):
    result = cli.result("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2")
    assert (result.returncode, result.stdout, result.stderr) == (0, "out\n", "err\n")


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_exit_code_of_the_program(cli: Cli, code: int):
    assert cli.result("run", "--rm", "busybox", "sh", "-c", f"exit {code}").returncode == code


def test_exit_code_after_a_signal(cli: Cli):
    with cli.begin("run", "--rm", "--name", "shot", "busybox", "sh", "-c", "echo ready; exec sleep 60") as running:
        running.until(b"ready")
        cli("kill", "shot")
        assert running.wait() == 137


def test_unknown_command_is_127(cli: Cli):
    cli.fails("run", "--rm", "busybox", "no-such-program", code=127, message="no-such-program.*not found")


def test_file_that_cannot_be_executed_is_126(cli: Cli):
    cli.fails("run", "--rm", "busybox", "/etc/passwd", code=126, message="/etc/passwd.*permission denied")


def test_process_1_with_a_hostname_of_its_own(cli: Cli):
    assert cli("run", "--rm", "busybox", "sh", "-c", "echo $$").split() == ["1"]
    assert cli("run", "--rm", "--hostname", "web", "busybox", "hostname") == "web"
    name = cli("run", "--rm", "--cidfile", str(Path(cli.environment["HOME"]) / "id"), "busybox", "hostname")
    assert name == (Path(cli.environment["HOME"]) / "id").read_text()[:12]


def test_domain_name(cli: Cli):
    assert cli("run", "--rm", "--hostname", "web.example.org", "busybox", "hostname") == "web.example.org"


def test_environment(cli: Cli, tmp_path: Path):
    (tmp_path / "env").write_text("# a comment\nFROM_FILE=two words\n")
    result = cli.result(
        *("run", "--rm", "-e", "ONE=1", "-e", "INHERITED", "--env-file", str(tmp_path / "env"), "busybox", "env"),
        env={"INHERITED": "yes"},
    )
    lines = result.stdout.splitlines()
    assert {"ONE=1", "INHERITED=yes", "FROM_FILE=two words", "HOME=/root"} <= set(lines)
    assert any(line.startswith("PATH=/usr/local/sbin:") for line in lines)
    assert any(re.fullmatch("HOSTNAME=[0-9a-f]{12}", line) for line in lines)


def test_working_directory_is_made_when_missing(cli: Cli):
    assert cli("run", "--rm", "-w", "/a/new/one", "busybox", "pwd") == "/a/new/one"


@pytest.mark.parametrize(
    ("user", "expected"), [("1000:1001", "1000 1001 1001"), ("nobody", "65534 65534 65534"), ("1234", "1234 0 0")]
)
def test_user(cli: Cli, user: str, expected: str):
    assert cli("run", "--rm", "-u", user, "busybox", "sh", "-c", "echo $(id -u) $(id -g) $(id -G)") == expected


def test_unknown_user_is_refused(cli: Cli):
    cli.fails("run", "--rm", "-u", "nosuchuser", "busybox", "true", code=125, message="nosuchuser")


def test_additional_group(cli: Cli):
    assert "4321" in cli("run", "--rm", "--group-add", "4321", "busybox", "id", "-G").split()


def test_entrypoint(cli: Cli):
    assert cli("run", "--rm", "--entrypoint", "echo", "busybox", "a", "b") == "a b"


def test_default_command_of_the_image(cli: Cli):
    assert cli("run", "--rm", "-i", "busybox", stdin="echo from a shell\n") == "from a shell"


def test_half_closed_input_still_gets_all_output(cli: Cli):
    assert cli("run", "--rm", "-i", "busybox", "cat", stdin="hi\n") == "hi"
    script = "cat >/dev/null; sleep 0.3; echo after the end"
    assert cli("run", "--rm", "-i", "busybox", "sh", "-c", script, stdin="x") == "after the end"


def test_a_megabyte_goes_through_unharmed(cli: Cli):
    data = "".join(f"{number:07d}\n" for number in range(131072))
    result = cli.result("run", "--rm", "-i", "busybox", "cat", stdin=data)
    assert result.stdout == data


def test_no_input_without_i(cli: Cli):
    assert cli("run", "--rm", "busybox", "cat", stdin="not for you\n") == ""


def test_terminal(cli: Cli):
    with cli.terminal("run", "--rm", "-it", "busybox", "sh") as screen:
        screen.until(b"# ")
        screen.type(b"tty; echo $((6*7))\r")
        assert b"/dev/pts/0" in screen.until(b"\r\n42\r\n")
        screen.type(b"exit 3\r")
        assert screen.wait() == 3


def test_terminal_needs_a_terminal(cli: Cli):
    cli.fails("run", "--rm", "-it", "busybox", "true", code=1, message="the input device is not a TTY")


def test_interrupt_key_reaches_the_program(cli: Cli):
    script = "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.1; done"
    with cli.terminal("run", "--rm", "-it", "busybox", "sh", "-c", script) as screen:
        screen.until(b"ready")
        screen.type(b"\x03")
        screen.until(b"caught")
        assert screen.wait() == 9


def test_detach_keys_leave_it_running(cli: Cli):
    with cli.terminal("run", "-it", "--name", "left", "busybox", "sh") as screen:
        screen.until(b"# ")
        screen.type(b"\x10\x11")
        assert screen.wait() == 0
    assert cli("inspect", "-f", "{{.State.Running}}", "left") == "true"


def test_signals_are_passed_on(cli: Cli):
    script = "trap 'echo got it; exit 5' TERM; echo ready; while :; do sleep 0.1; done"
    with cli.begin("run", "--rm", "busybox", "sh", "-c", script) as running:
        running.until(b"ready")
        running.process.terminate()
        running.until(b"got it")
        assert running.wait() == 5


def test_detached_prints_the_id(cli: Cli):
    identifier = cli("run", "-d", "busybox", "sleep", "60")
    assert ID.fullmatch(identifier)
    assert cli("inspect", "-f", "{{.State.Status}} {{.Id}}", identifier[:12]) == f"running {identifier}"


def test_rm_removes_container_and_anonymous_volume(cli: Cli):
    cli("run", "--rm", "-v", "/data", "--name", "gone", "busybox", "true")
    eventually(lambda: cli("ps", "-aq") == "" and cli("volume", "ls", "-q") == "")
    cli("run", "-d", "--rm", "--name", "gone", "busybox", "true")
    eventually(lambda: cli("ps", "-aq") == "")


def test_name_in_use(cli: Cli):
    identifier = cli("create", "--name", "web", "busybox")
    message = f'The container name "/web" is already in use by container "{identifier}"'
    cli.fails("run", "--name", "web", "busybox", code=125, message=message)
    assert cli("ps", "-aq", "--no-trunc") == identifier


def test_labels(cli: Cli):
    identifier = cli("run", "-d", "-l", "a=1", "--label", "b", "busybox", "sleep", "60")
    assert cli("inspect", "-f", "{{json .Config.Labels}}", identifier) == '{"a":"1","b":""}'


def test_odd_arguments_arrive_unchanged(cli: Cli):
    words = ["", "two words", "quo'te", 'dou"ble', "back\\slash", "$HOME", "new\nline", "-x", "--rm"]
    script = 'for word; do printf "<%s>" "$word"; done'
    assert cli("run", "--rm", "busybox", "sh", "-c", script, "sh", *words) == "".join(f"<{word}>" for word in words)


def test_several_attached_at_once_each_see_their_own(cli: Cli):
    with (
        cli.begin("run", "--rm", "-i", "busybox", "cat") as one,
        cli.begin("run", "--rm", "-i", "busybox", "cat") as two,
    ):
        for running, word in ((one, b"one\n"), (two, b"two\n")):
            running.stdin.write(word)
            running.stdin.close()
        assert (one.wait(), two.wait()) == (0, 0)
        assert (one.output, two.output) == (b"one\n", b"two\n")
