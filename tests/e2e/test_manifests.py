"""`manifest` by both command lines: the same words, the same files on this side, the same lists in the registry."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fixtures.archives import entry, tar
from tests.fixtures.certificates import Authority
from tests.fixtures.cli import Cli
from tests.fixtures.platforms import Json, Layout
from tests.fixtures.registry import Registry, serving, skopeo

HASH = "me:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Json]]:
    """A layout of two images and of their index."""
    layout = Layout()
    images = {"amd": layout.image("linux/amd64"), "arm": layout.image("linux/arm64/v8", [tar([entry("x", b"1")])])}
    images["list"] = layout.index(images["arm"], images["amd"], layout.attestation(images["amd"]))
    return layout.write(tmp_path_factory.mktemp("layout") / "l", **images), images


def fill(registry: Registry, folder: Path, *options: str) -> None:
    for tag in ("amd", "arm", "list"):
        registry.copy(f"oci:{folder}:{tag}", f"multi:{tag}", "--all", "--preserve-digests", *options)
    registry.copy(f"oci:{folder}:amd", "other:v2s2", "--format", "v2s2", *options)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, folder: tuple[Path, dict[str, Json]]) -> Iterator[Registry]:
    with serving(tmp_path_factory.mktemp("registry")) as running:
        fill(running, folder[0])
        yield running


@pytest.mark.parametrize("name", ["multi:list", "multi:arm", "other:v2s2"])
@pytest.mark.parametrize("options", [(), ("-v",)])
def test_inspect(docker: Cli, pydock: Cli, registry: Registry, name: str, options: tuple[str, ...]):
    arguments = ("manifest", "inspect", "--insecure", *options, registry.name(name))
    assert pydock(*arguments) == docker(*arguments)


def test_inspect_by_digest(docker: Cli, pydock: Cli, registry: Registry, folder: tuple[Path, dict[str, Json]]):
    name = f"{registry.name('multi')}@{folder[1]['list']['digest']}"
    arguments = ("manifest", "inspect", "--insecure", "-v", name)
    assert json.loads(pydock(*arguments)) == json.loads(docker(*arguments))


def words(cli: Cli, *arguments: str) -> tuple[int, list[str]]:
    """The exit code and what was said, on whichever stream."""
    done = cli.result("manifest", *arguments)
    return done.returncode, sorted((done.stdout + done.stderr).strip().splitlines())


def test_a_list_from_its_making_to_its_end(docker: Cli, pydock: Cli, registry: Registry, tmp_path: Path):
    target, amd, arm = registry.name("made:1"), registry.name("multi:amd"), registry.name("multi:arm")
    steps = (
        ("create", "--insecure", target, amd),
        ("create", "--insecure", target, arm),
        ("create", "--insecure", "--amend", target, arm),
        ("annotate", target, arm, "--variant", "v9", "--os-features", "a,b", "--os-version", "1"),
        ("annotate", target, arm, "--arch", "nonsense"),
        ("annotate", target, registry.name("multi:none")),
        ("inspect", target),
        ("inspect", "-v", target),
        ("inspect", target, arm),
        ("push", "--insecure", target),
        ("push", "--insecure", "--purge", target),
        ("push", "--insecure", target),
        ("rm", target, "a:b"),
        ("create", "--insecure", target, registry.name("multi:list")),
        ("create", "--insecure", target, registry.name("none:1")),
        ("inspect", registry.name("multi:amd")),
    )
    raw = []
    for cli in (docker, pydock):
        said = [words(cli, *step) for step in steps]
        raw.append((said, skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{target}")))
        assert not list((tmp_path / "manifests").iterdir())
    for step, theirs, ours in zip(steps, raw[0][0], raw[1][0], strict=True):
        assert ours == theirs, step
    assert raw[0][1] == raw[1][1]


def test_what_one_begins_the_other_ends(docker: Cli, pydock: Cli, registry: Registry):
    for number, (first, second) in enumerate(((docker, pydock), (pydock, docker))):
        target, source = registry.name(f"both:{number}"), registry.name("other:v2s2")
        first("manifest", "create", "--insecure", target, source)
        second("manifest", "annotate", target, source, "--arch", "arm64")
        first("manifest", "push", "--insecure", "-p", target)
        found = json.loads(skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{target}"))
        assert [one["platform"]["architecture"] for one in found["manifests"]] == ["arm64"]


def test_tls_and_a_password(cli: Cli, folder: tuple[Path, dict[str, Json]], tmp_path: Path):
    Authority().issue("here").write(tmp_path / "cert", tmp_path / "key")
    (tmp_path / "htpasswd").write_text(HASH)
    more = f"auth: {{htpasswd: {{realm: here, path: {tmp_path}/htpasswd}}}}"
    http = f', "tls": {{certificate: {tmp_path}/cert, key: {tmp_path}/key}}'
    with serving(tmp_path / "registry", more, http) as closed:
        fill(closed, folder[0], "--dest-creds", "me:secret")
        assert cli.result("manifest", "inspect", "--insecure", closed.name("multi:list")).returncode == 1
        cli("login", "-u", "me", "--password-stdin", closed.host, stdin="secret")
        found = json.loads(cli("manifest", "inspect", "--insecure", closed.name("multi:list")))
        assert [one["digest"] for one in found["manifests"]][:2] == [folder[1][tag]["digest"] for tag in ("arm", "amd")]
        cli("manifest", "create", "--insecure", closed.name("multi:made"), closed.name("multi:arm"))
        if cli.name == "pydock":  # docker 28 reads from such a registry, but pushes to it by plain HTTP
            cli("manifest", "push", "--insecure", "-p", closed.name("multi:made"))
            assert cli("manifest", "inspect", "--insecure", closed.name("multi:made"))
        cli("logout", closed.host)
