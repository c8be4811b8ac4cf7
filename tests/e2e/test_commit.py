"""diff, export and commit by both command lines: what has changed, and images made of it."""

import json
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker as docker_py
import pytest
from tests.conftest import OTHER_HOST
from tests.fixtures.cli import Cli
from tests.fixtures.http import Api
from tests.fixtures.registry import serving

SCRIPT = "echo new >/new; mkdir /d; echo x >/d/x; rm /etc/group; chmod 711 /root; exec sleep 1000"


@pytest.fixture
def web(cli: Cli) -> str:
    """A running container that has changed a few things."""
    cli("run", "-d", "--name", "web", "-e", "A=1", "-l", "k=v", "busybox", "sh", "-c", f"{SCRIPT} # ready")
    while cli.result("exec", "web", "test", "-e", "/d/x", "-a", "!", "-e", "/etc/group").returncode:
        time.sleep(0.05)
    return "web"


@pytest.fixture
def made(api: Api, cli: Cli) -> Iterator[str]:
    """The name of an image to be made, which goes after the test with all that have no name."""
    yield "made:1"
    cli.result("rmi", "-f", "made:1", "made:2")
    api.ok("POST", "/images/prune")


def test_diff(cli: Cli, web: str):
    expected = ["A /d", "A /d/x", "A /new", "C /etc", "C /root", "D /etc/group"]
    assert sorted(cli("diff", web).splitlines()) == expected
    cli("kill", web)
    assert sorted(cli("diff", web).splitlines()) == expected
    cli.fails("diff", "nope", code=1, message="No such container: nope")


def test_nothing_has_changed(cli: Cli):
    cli("run", "--name", "web", "-v", "data:/etc", "busybox", "touch", "/etc/in-a-volume")
    assert cli("diff", "web") == ""


def test_commit(cli: Cli, web: str, made: str):
    id_ = cli("commit", "-m", "said", "-a", "me", "-c", "ENV B=2", "-c", 'CMD ["cat", "/new"]', web, made)
    assert id_.startswith("sha256:")
    assert cli("run", "--rm", made) == "new"
    assert (
        cli("run", "--rm", made, "sh", "-c", "echo $A $B; cat /d/x; ls /etc/group; stat -c %a /root") == "1 2\nx\n711"
    )
    shown = json.loads(cli("image", "inspect", made))[0]
    assert (shown["Id"], shown["Comment"], shown["Author"]) == (id_, "said", "me")
    assert shown["Config"]["Labels"]["k"] == "v"
    assert len(shown["RootFS"]["Layers"]) == 2
    newest = cli("history", "--no-trunc", "--format", "{{.CreatedBy}}|{{.Size}}|{{.Comment}}", made).splitlines()[0]
    assert newest == f"sh -c {SCRIPT} # ready|6B|said"
    assert cli("inspect", "-f", "{{.State.Status}}", web) == "running"


def test_a_stopped_container_and_no_name(cli: Cli, web: str, made: str):
    cli("kill", web)
    id_ = cli("commit", web)
    assert cli("run", "--rm", id_, "cat", "/new") == "new"


def test_no_changes_make_no_layer(cli: Cli, made: str):
    cli("create", "--name", "web", "busybox")
    cli("commit", "-c", "USER 7", "web", made)
    assert len(json.loads(cli("image", "inspect", made))[0]["RootFS"]["Layers"]) == 1
    assert cli("run", "--rm", made, "id", "-u") == "7"


def test_images_upon_images(cli: Cli, web: str, made: str):
    cli("commit", web, made)
    cli("run", "--name", "next", made, "sh", "-c", "rm -r /d; mkdir /d; echo y >/d/y; ln /new /same")
    assert sorted(cli("diff", "next").splitlines()) == ["A /d/y", "A /same", "C /d", "D /d/x"]
    cli("commit", "next", "made:2")
    assert cli("run", "--rm", "made:2", "sh", "-c", "ls /d; cat /same; stat -c %h /new") == "y\nnew\n2"


def test_saved_and_loaded(cli: Cli, web: str, made: str, tmp_path: Path):
    id_ = cli("commit", web, made)
    cli("save", "-o", f"{tmp_path}/saved.tar", made)
    cli("rm", "-f", web)
    cli("rmi", made)
    cli("load", "-i", f"{tmp_path}/saved.tar")
    assert cli("image", "inspect", "-f", "{{.Id}}", made) == id_
    assert cli("run", "--rm", made, "cat", "/new") == "new"


def test_pushed_and_pulled(cli: Cli, web: str, made: str, tmp_path: Path):
    with serving(tmp_path) as registry:
        name = registry.name("tools/made:1")
        id_ = cli("commit", web, name)
        cli("push", "-q", name)
        assert len(registry.inspect("tools/made:1")["Layers"]) == 2
        cli("rm", "-f", web)
        cli("rmi", name)
        cli("pull", "-q", name)
        assert cli("run", "--rm", name, "cat", "/new") == "new"
        assert cli("image", "inspect", "-f", "{{.Id}}", name) == id_
        cli("rmi", name)


@pytest.mark.parametrize(("option", "actions"), [((), ["pause", "commit", "unpause"]), (("-p=false",), ["commit"])])
def test_pause(cli: Cli, web: str, made: str, option: tuple[str, ...], actions: list[str]):
    id_ = cli("commit", *option, "-m", "said", web, made)
    about = ("--filter", f"container={cli('inspect', '-f', '{{.Id}}', web)}", "--format", "{{json .}}")
    lines = cli("events", "--since", "60s", "--until", f"{time.time():.6f}", *about).splitlines()
    events = [event for event in map(json.loads, lines) if event["Action"] in ("pause", "commit", "unpause")]
    assert sorted(event["Action"] for event in events) == sorted(actions)
    commit = next(event["Actor"]["Attributes"] for event in events if event["Action"] == "commit")
    assert (commit["imageID"], commit["imageRef"], commit["comment"]) == (id_, made, "said")


def test_a_paused_container_stays_paused(cli: Cli, web: str, made: str):
    cli("pause", web)
    cli("commit", web, made)
    assert cli("inspect", "-f", "{{.State.Status}}", web) == "paused"


REFUSED = [
    (["nope"], "No such container: nope"),
    (["web", "Bad:x"], "must be lowercase"),
    (["-c", "RUN x", "web"], "RUN is not a valid change command"),
    (["-c", "HEALTHCHECK FOO", "web"], "Unknown type"),
]


def test_refused(cli: Cli, web: str, api: Api):
    def images() -> list[Any]:
        found = api.ok("GET", "/images/json", all="1")
        return [image for image in found if image["RepoTags"] or not OTHER_HOST]  # dockerd names what it has made last

    before = images()
    for words, message in REFUSED:
        cli.fails("commit", *words, code=1, message=message)
    assert images() == before
    assert api("POST", "/commit", container="web", repo="made@sha256:" + "0" * 64).status == 400
    assert cli("inspect", "-f", "{{.State.Status}}", web) == "running"


def test_export_and_import(cli: Cli, web: str, made: str, tmp_path: Path):
    cli("export", "-o", f"{tmp_path}/root.tar", web)
    with tarfile.open(tmp_path / "root.tar") as archive:
        assert {"new", "d/x", "bin/busybox"} <= set(archive.getnames())
    cli("import", "-c", 'CMD ["cat", "/new"]', f"{tmp_path}/root.tar", made)
    assert cli("run", "--rm", made) == "new"
    cli.fails("export", "nope", code=1, message="No such container: nope")


def test_docker_py(client: docker_py.DockerClient, docker: Cli):
    container = client.containers.run("busybox", ["sh", "-c", "echo hi >/f"], name="web", detach=True)
    container.wait()
    image = container.commit("made", "1", message="m", author="a", changes="ENV A=1", conf={"Cmd": ["cat", "/f"]})
    try:
        assert image.tags == ["made:1"]
        assert client.containers.run("made:1", remove=True) == b"hi\n"
        assert b"".join(container.export())[257:262] == b"ustar"
    finally:
        client.images.remove("made:1", force=True)
