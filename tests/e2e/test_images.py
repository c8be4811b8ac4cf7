"""Images from and to everywhere: a real registry, archives, tar streams; their names, ids, history and removal."""

import json
import os
import stat
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import OTHER_HOST
from tests.fixtures.cli import Cli
from tests.fixtures.http import Api
from tests.fixtures.registry import Registry, serving, skopeo

BUSYBOX = "busybox:latest"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, base_archive: Path) -> Iterator[Registry]:
    with serving(tmp_path_factory.mktemp("registry")) as running:
        running.copy(f"docker-archive:{base_archive}", "tools/busybox:1")
        zstd = ("--dest-compress-format", "zstd", "--format", "oci")
        running.copy(f"docker-archive:{base_archive}", "tools/busybox:zstd", *zstd)
        running.copy(f"docker-archive:{base_archive}", "tools/busybox:v2s2", "--format", "v2s2")
        yield running


@pytest.fixture
def pulled(cli: Cli, registry: Registry) -> Iterator[str]:
    name = registry.name("tools/busybox:1")
    cli("pull", name)
    yield name
    for row in cli("images", "--format", "{{.Repository}}:{{.Tag}}").split():
        if row != BUSYBOX:
            cli.result("rmi", "-f", row)


def test_pull_run_and_list(cli: Cli, pulled: str):
    assert cli("run", "--rm", pulled, "echo", "hi") == "hi"
    assert pulled in cli("images", "--format", "{{.Repository}}:{{.Tag}}").split()
    assert cli("pull", "-q", pulled) == pulled


@pytest.mark.parametrize("tag", ["zstd", "v2s2"])
def test_other_kinds_of_images(cli: Cli, registry: Registry, pulled: str, tag: str):
    name = registry.name(f"tools/busybox:{tag}")
    assert f"Status: Downloaded newer image for {name}" in cli("pull", name)
    assert cli("run", "--rm", name, "echo", "hi") == "hi"


def test_pull_says_what_it_does(cli: Cli, registry: Registry, pulled: str):
    output = cli("pull", pulled)
    digest = registry.inspect("tools/busybox:1")["Digest"]
    assert f"Digest: {digest}" in output
    assert f"Status: Image is up to date for {pulled}" in output


def test_run_pulls_what_is_missing(cli: Cli, pulled: str):
    cli("rmi", pulled)
    result = cli.result("run", "--rm", pulled, "echo", "hi")
    assert result.stdout == "hi\n"
    assert f"Unable to find image '{pulled}' locally" in result.stderr
    cli("rmi", pulled)
    cli.fails("run", "--rm", "--pull", "never", pulled, "true", code=125, message="No such image")


def test_pull_by_digest(cli: Cli, registry: Registry, pulled: str):
    digest = registry.inspect("tools/busybox:1")["Digest"]
    name = f"{registry.name('tools/busybox')}@{digest}"
    cli("pull", name)
    assert cli("run", "--rm", name, "echo", "hi") == "hi"
    assert name in json.loads(cli("image", "inspect", "-f", "{{json .RepoDigests}}", name))


def test_pull_of_all_tags(cli: Cli, registry: Registry, pulled: str):
    cli("pull", "-a", registry.name("tools/busybox"))
    tags = cli("images", "--format", "{{.Tag}}", registry.name("tools/busybox")).split()
    assert {"1", "zstd", "v2s2"} <= set(tags)


def test_push_and_pull_again(cli: Cli, registry: Registry, pulled: str):
    name = registry.name(f"pushed/{cli.name}:2")
    cli("tag", BUSYBOX, name)
    assert "digest: sha256:" in cli("push", name)
    cli("rmi", name)
    cli("pull", name)
    assert cli("run", "--rm", name, "echo", "hi") == "hi"


def test_save_and_load(cli: Cli, tmp_path: Path, pulled: str):
    identifier = cli("image", "inspect", "-f", "{{.Id}}", pulled)
    cli("save", "-o", str(tmp_path / "image.tar"), pulled)
    with tarfile.open(tmp_path / "image.tar") as archive:
        manifest = archive.extractfile("manifest.json")
        assert manifest
        assert json.load(manifest)[0]["RepoTags"] == [pulled]
    assert json.loads(skopeo("inspect", f"docker-archive:{tmp_path}/image.tar"))["Os"] == "linux"
    cli("rmi", pulled)
    assert f"Loaded image: {pulled}" in cli("load", "-i", str(tmp_path / "image.tar"))
    assert cli("image", "inspect", "-f", "{{.Id}}", pulled) == identifier
    cli("rmi", pulled)
    cli("load", stdin=(tmp_path / "image.tar").read_bytes())
    assert cli("run", "--rm", pulled, "echo", "hi") == "hi"


def test_save_writes_to_files_and_to_nothing_else(pydock: Cli, tmp_path: Path):
    """A device would be replaced by a file, /dev/null for everybody on the host; the words are those of docker 28."""
    os.mknod(tmp_path / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "folder").mkdir()
    kinds = {
        "null": "a character device file",
        "pipe": r"a named pipe \(FIFO\)",
        "link": "a symbolic link directly",
        "folder": "a directory",
    }
    for name, words in kinds.items():
        message = f"failed to save image: cannot write to {words}"
        pydock.fails("save", "-o", str(tmp_path / name), BUSYBOX, code=1, message=message)
    assert (tmp_path / "null").is_char_device()


@pytest.mark.skipif(bool(OTHER_HOST), reason="dockerd takes its own archives only, unless containerd keeps its images")
def test_load_of_an_oci_layout(cli: Cli, tmp_path: Path, base_archive: Path, pulled: str):
    skopeo("copy", f"docker-archive:{base_archive}", f"oci-archive:{tmp_path}/oci.tar:from/oci:1")
    assert "Loaded image" in cli("load", "--input", str(tmp_path / "oci.tar"))


def test_import_of_a_file_system(cli: Cli, tmp_path: Path, pulled: str):
    (tmp_path / "root/bin").mkdir(parents=True)
    (tmp_path / "root/bin/busybox").write_bytes(Path("/bin/busybox").read_bytes())
    (tmp_path / "root/bin/busybox").chmod(0o755)
    with tarfile.open(tmp_path / "root.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "root", ".")
    changes = ("-c", 'ENTRYPOINT ["/bin/busybox"]', "-c", "ENV A=B")
    identifier = cli("import", *changes, "-m", "made by hand", str(tmp_path / "root.tar.gz"), "imported:1")
    assert identifier.startswith("sha256:")
    assert cli("run", "--rm", "imported:1", "sh", "-c", "echo $A") == "B"
    assert "made by hand" in cli("history", "--no-trunc", "imported:1")


def test_history(cli: Cli):
    header, *rows = cli("history", "busybox").splitlines()
    assert header.split() == ["IMAGE", "CREATED", "CREATED", "BY", "SIZE", "COMMENT"]
    assert 'CMD ["sh"]' in rows[0]


def test_tag_and_untag(cli: Cli, pulled: str):
    identifier = cli("image", "inspect", "-f", "{{.Id}}", BUSYBOX)
    cli("tag", "busybox", "mine/tool:v1")
    assert cli("images", "-q", "--no-trunc", "mine/tool") == identifier
    assert cli("rmi", "mine/tool:v1") == "Untagged: mine/tool:v1"
    assert cli("image", "inspect", "-f", "{{.Id}}", BUSYBOX) == identifier


def test_image_in_use(cli: Cli, tmp_path: Path, pulled: str):
    (tmp_path / "empty.tar").write_bytes(bytes(1024))
    cli("import", str(tmp_path / "empty.tar"), "in-use:1")
    cli("create", "--name", "user", "in-use:1", "nothing")
    cli.fails("rmi", "in-use:1", code=1, message="conflict: unable to (remove repository reference|delete)")
    cli("rm", "user")
    assert "Untagged: in-use:1" in cli("rmi", "in-use:1")


def test_images_table_and_formats(cli: Cli):
    header, *rows = cli("images").splitlines()
    words = header.split()
    assert words[0] in ("REPOSITORY", "IMAGE")
    assert any(row.startswith("busybox") for row in rows)
    identifier = cli("images", "-q", "busybox")
    assert len(identifier) == 12
    assert json.loads(cli("images", "--format", "json", "busybox"))["Tag"] == "latest"
    assert cli("images", "-q", "--filter", "reference=busy*") == identifier
    assert cli("images", "-q", "--filter", "reference=nosuch") == ""


def test_inspect(api: Api):
    found = api.ok("GET", "/images/busybox/json")
    assert found["Config"]["Cmd"] == ["sh"]
    assert found["Os"] == "linux"
    assert found["RootFS"]["Type"] == "layers"
    assert found["Size"] > 100_000


def test_layers_are_shared_and_removed_once(cli: Cli, registry: Registry, pulled: str):
    cli("pull", registry.name("tools/busybox:v2s2"))
    cli("rmi", registry.name("tools/busybox:v2s2"))
    assert cli("run", "--rm", pulled, "echo", "still here") == "still here"


def test_all_tags_are_told_of_once(docker: Cli, api: Api, registry: Registry):
    name = registry.name("tools/many")
    for tag in ("1", "2"):
        docker("tag", "busybox", f"{name}:{tag}")
    began = f"{time.time():.6f}"
    docker("push", "-a", name)
    docker("rmi", f"{name}:1", f"{name}:2")
    assert docker("pull", "-a", name).count("Status: ") == 1
    docker.fails("push", f"{name}:3", code=1, message=f"tag does not exist: {name}:3")
    lines = api.ok("GET", "/events", since=began, until=f"{time.time():.6f}", filters={"type": ["image"]}).splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["Action"] for event in events] == ["push", "untag", "untag", "pull"]
    assert {event["Actor"]["ID"] for event in events if event["Action"] != "untag"} == {name}
    docker("rmi", f"{name}:1", f"{name}:2")
