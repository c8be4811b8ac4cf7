"""`context`, compared with the docker command line: the same words, the same files."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.client.conftest import needs_docker
from tests.fixtures.certificates import Authority
from tests.fixtures.cli import Cli

Outcome = tuple[int, str, str]
Run = Callable[..., Outcome]


class Plain(Cli):
    """A command line that is not told of a daemon."""

    @property
    def program(self) -> list[str]:
        return super().program[:1]


@pytest.fixture(params=["docker", "pydock"])
def name(request: pytest.FixtureRequest) -> str:
    if request.param == "docker":
        needs_docker(20)
    return str(request.param)


@pytest.fixture
def run(name: str, tmp_path: Path) -> Run:
    cli = Plain(name, "", tmp_path)

    def call(*arguments: str) -> Outcome:
        result: subprocess.CompletedProcess[str] = cli.result("context", *arguments)
        stderr = result.stderr.replace("pydock: ", "").strip()
        return result.returncode, result.stdout.strip(), stderr

    return call


def test_their_life(run: Run, tmp_path: Path):
    authority = Authority()
    authority.issue("client").write(tmp_path / "cert", tmp_path / "key")
    (tmp_path / "ca").write_bytes(authority.certificate)
    files = ",".join(f"{file}={tmp_path / file}" for file in ("ca", "cert", "key"))
    assert run("create", "far", "--description", "words", "--docker", f"host=tcp://far:1,{files}") == (
        0,
        "far",
        'Successfully created context "far"',
    )
    assert run("create", "copy", "--from", "far")[0] == 0
    assert sorted(run("ls", "-q")[1].split()) == ["copy", "default", "far"]
    code, shown, _ = run("inspect", "far", "copy")
    first, second = json.loads(shown)
    assert (code, first["Name"], first["Metadata"]) == (0, "far", {"Description": "words"})
    assert first["Endpoints"] == second["Endpoints"] == {"docker": {"Host": "tcp://far:1", "SkipTLSVerify": False}}
    assert first["TLSMaterial"] == second["TLSMaterial"] == {"docker": ["ca.pem", "cert.pem", "key.pem"]}
    assert (Path(second["Storage"]["TLSPath"]) / "docker/key.pem").read_text() == (tmp_path / "key").read_text()
    assert run("use", "far") == (0, "far", 'Current context is now "far"')
    assert run("show") == (0, "far", "")
    assert "far *" in run("ls")[1]
    assert run("rm", "far") == (1, "", 'context "far" is in use, set -f flag to force remove')
    assert run("update", "far", "--docker", "host=tcp://far:2") == (0, "far", 'Successfully updated context "far"')
    assert json.loads(run("inspect")[1])[0]["Endpoints"]["docker"]["Host"] == "tcp://far:2"
    assert run("rm", "-f", "far", "copy", "none") == (0, "far\ncopy\nnone", "")
    assert run("show") == (0, "default", "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("create", "default"), '"default" is a reserved context name'),
        (("create", "a b"), 'context name "a b" is invalid, names are validated against regexp'),
        (
            ("create", "ab", "--docker", "foo=1"),
            "unrecognized config key",
        ),
        (("create", "ab", "--docker", "host=tcp://x:1,ca=/none"), "config: open /none: no such file or directory"),
        (
            ("create", "ab", "--docker", "host=tcp://x:1,skip-tls-verify=maybe"),
            'parsing "maybe": invalid syntax',
        ),
        (("use", "none"), 'context "none": context not found'),
        (("update", "none"), 'context "none": context not found'),
        (("inspect", "none"), 'context "none": context not found'),
        (("rm", "none"), 'context "none" does not exist'),
        (("rm", "default"), 'context "default" cannot be removed'),
    ],
)
def test_refusals(run: Run, words: tuple[str, ...], message: str):
    code, _, stderr = run(*words)
    assert code == 1
    assert message in stderr


def test_both_know_the_same(tmp_path: Path):
    needs_docker(20)
    docker, pydock = Plain("docker", "", tmp_path), Plain("pydock", "", tmp_path)
    docker("context", "create", "one", "--docker", "host=tcp://x:1")
    pydock("context", "create", "two", "--docker", "host=tcp://x:2")
    assert set(docker("context", "ls", "-q").split()) == set(pydock("context", "ls", "-q").split())
    assert json.loads(docker("context", "inspect", "two")) == json.loads(pydock("context", "inspect", "two"))
    docker("context", "use", "one")
    assert pydock("context", "show") == "default"  # whose daemon is another


def test_one_that_there_is_not(tmp_path: Path):
    pydock = Plain("pydock", "", tmp_path)
    message = 'unable to resolve docker endpoint: context "none": context not found'
    assert message in pydock.fails("-c", "none", "ps", code=1)
