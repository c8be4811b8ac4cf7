"""Names of containers on networks of one's own: found by each other, as long as they are there, whatever happens."""

import subprocess

from tests.fixtures.cli import Cli
from tests.fixtures.engine import eventually

LOOK_UP = ("nslookup", "-type=a")


def addresses(cli: Cli, container: str, name: str) -> list[str]:
    """Return what a container learns about a name."""
    lines = cli.result("exec", container, *LOOK_UP, name).stdout.splitlines()
    return sorted(line.split()[1] for line in lines[2:] if line.startswith("Address"))


def address_of(cli: Cli, name: str, network: str) -> str:
    return cli("inspect", "-f", f'{{{{(index .NetworkSettings.Networks "{network}").IPAddress}}}}', name)


def test_names_come_and_go_with_containers(cli: Cli):
    cli("network", "create", "pets")
    for name in ("cat", "dog"):
        cli("run", "-d", "--name", name, "--network", "pets", "--network-alias", "pet", "busybox", "sleep", "1000")
    cat, dog = address_of(cli, "cat", "pets"), address_of(cli, "dog", "pets")
    assert cli("exec", "cat", "cat", "/etc/resolv.conf").count("127.0.0.11") >= 1
    assert addresses(cli, "cat", "dog") == addresses(cli, "cat", "dog.pets") == [dog]
    assert addresses(cli, "dog", "pet") == sorted([cat, dog])
    cli("rename", "dog", "wolf")
    assert addresses(cli, "cat", "wolf") == [dog]
    assert addresses(cli, "cat", "dog") == []
    cli("stop", "-t", "0", "wolf")
    assert addresses(cli, "cat", "pet") == [cat]
    cli("start", "wolf")
    assert addresses(cli, "cat", "wolf") == [address_of(cli, "wolf", "pets")]


def test_a_container_that_comes_into_a_network_later(cli: Cli):
    cli("network", "create", "pets")
    cli("run", "-d", "--name", "dog", "--network", "pets", "busybox", "sleep", "1000")
    cli("run", "-d", "--name", "cat", "busybox", "sleep", "1000")
    assert addresses(cli, "cat", "dog") == []
    cli("network", "connect", "--alias", "kitty", "--link", "dog:enemy", "pets", "cat")
    assert addresses(cli, "dog", "kitty") == [address_of(cli, "cat", "pets")]
    assert addresses(cli, "cat", "dog") == addresses(cli, "cat", "enemy") == [address_of(cli, "dog", "pets")]
    cli("network", "disconnect", "pets", "cat")
    assert addresses(cli, "dog", "kitty") == []
    assert addresses(cli, "cat", "dog") == []


def test_a_container_in_the_same_namespace_has_the_same_names(docker: Cli):
    docker("network", "create", "pets")
    docker("run", "-d", "--name", "cat", "--network", "pets", "busybox", "sleep", "1000")
    docker("run", "-d", "--name", "flea", "--network", "container:cat", "busybox", "sleep", "1000")
    assert addresses(docker, "flea", "cat") == [address_of(docker, "cat", "pets")]


def test_names_outlive_a_daemon_and_questions_wait_for_the_next(fresh_daemon, tmp_path):
    engine = fresh_daemon()
    cli = Cli("docker", engine.host, tmp_path)
    cli("network", "create", "pets")
    for name in ("cat", "dog"):
        cli("run", "-d", "--name", name, "--network", "pets", "busybox", "sleep", "1000")
    pid, dog = cli("inspect", "-f", "{{.State.Pid}}", "cat"), address_of(cli, "dog", "pets")
    engine.kill()
    look_up = ["nsenter", "-t", pid, "-n", "busybox", *LOOK_UP, "dog", "127.0.0.11"]
    with subprocess.Popen(look_up, stdout=subprocess.PIPE, text=True) as waiting:
        engine.start()
        output, _ = waiting.communicate(timeout=20)
    assert dog in output
    cli("run", "-d", "--name", "cow", "--network", "pets", "busybox", "sleep", "1000")
    eventually(lambda: addresses(cli, "cat", "cow") == [address_of(cli, "cow", "pets")])


def test_links_on_a_network_of_ones_own(cli: Cli):
    cli("network", "create", "pets")
    cli("run", "-d", "--name", "dog", "--network", "pets", "busybox", "sleep", "1000")
    cli("run", "-d", "--name", "cat", "--network", "pets", "--link", "dog:enemy", "busybox", "sleep", "1000")
    assert addresses(cli, "cat", "enemy") == [address_of(cli, "dog", "pets")]
    assert addresses(cli, "dog", "enemy") == []
