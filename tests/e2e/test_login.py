"""`login`: whether a registry takes credentials is asked of the registry; real registries, basic and by token."""

import json
from collections.abc import Iterator
from pathlib import Path

import docker as docker_py
import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.http import Api
from tests.fixtures.registry import Registry, free_port, serving
from tests.fixtures.tokens import token_server

HASH = "me:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"
PASSWORD = "secret"


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry for one user."""
    root = tmp_path_factory.mktemp("closed")
    (root / "htpasswd").write_text(HASH)
    with serving(root / "r", f"auth: {{htpasswd: {{realm: here, path: {root}/htpasswd}}}}") as made:
        yield made


def test_login_pull_and_logout(cli: Cli, closed: Registry, tmp_path: Path):
    done = cli.result("login", "-u", "me", "--password-stdin", closed.host, stdin=PASSWORD)
    assert (done.returncode, done.stdout) == (0, "Login Succeeded\n")
    assert list(json.loads((tmp_path / "config.json").read_text())["auths"]) == [closed.host]
    name = closed.name("a/b:1")
    cli("tag", "busybox", name)
    cli("push", "-q", name)
    cli("logout", closed.host)
    cli.fails("push", "-q", name, code=1, message="no basic auth credentials")
    cli("rmi", name)


def test_wrong_password(cli: Cli, closed: Registry, tmp_path: Path):
    done = cli.result("login", "-u", "me", "--password-stdin", closed.host, stdin="wrong")
    assert done.returncode == 1
    assert f"login attempt to http://{closed.host}/v2/ failed with status: 401 Unauthorized" in done.stderr
    config = tmp_path / "config.json"
    assert not config.exists() or closed.host not in config.read_text()


@pytest.mark.parametrize("form", ["{}", "http://{}/v1/", "https://{}/v2/"])
def test_a_server_may_be_named_as_a_page(api: Api, closed: Registry, form: str):
    body = {"username": "me", "password": PASSWORD, "serveraddress": form.format(closed.host)}
    assert api.ok("POST", "/auth", body) == {"IdentityToken": "", "Status": "Login Succeeded"}


def test_docker_py(client: docker_py.DockerClient, closed: Registry):
    answer = client.login("me", PASSWORD, registry=closed.host)
    assert answer["Status"] == "Login Succeeded"


def test_a_token_that_lasts(api: Api):
    with token_server({"me": PASSWORD}) as server:
        answer = api.ok("POST", "/auth", {"username": "me", "password": PASSWORD, "serveraddress": server.host})
        assert answer == {"IdentityToken": "lasting", "Status": "Login Succeeded"}
        again = api.ok("POST", "/auth", {"identitytoken": "lasting", "username": "me", "serveraddress": server.host})
        assert again["Status"] == "Login Succeeded"
        refused = api("POST", "/auth", {"username": "me", "password": "x", "serveraddress": server.host})
        assert refused.status in (401, 500)
        assert "unauthorized: " in refused.body["message"]


def test_nobody_answers(api: Api):
    where = f"127.0.0.1:{free_port()}"
    answer = api("POST", "/auth", {"username": "me", "password": "x", "serveraddress": where})
    assert answer.status == 500
    assert "connection refused" in answer.body["message"]
