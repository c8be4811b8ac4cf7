"""Credentials: where they are kept, found and forgotten, with config.json and with a real helper program."""

import base64
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from tests.client.conftest import Send
from tests.client.recorder import Answer, Answers

from pydock_client import auth
from pydock_client.flags import Options
from pydock_client.settings import GLOBAL_FLAGS, Settings
from pydock_shared.errors import PydockError

HELPER = """#!/bin/sh
store={store}
case $1 in
  store) cat > "$store" ;;
  get) [ -e "$store" ] && cat "$store" || {{ echo "credentials not found in native keychain"; exit 1; }} ;;
  erase) rm -f "$store" ;;
esac
"""


def settings(folder: Path) -> Settings:
    """Settings with a folder of their own."""
    options = Options(GLOBAL_FLAGS)
    options["config"] = str(folder)
    return Settings(options)


def decoded(header: str) -> dict[str, Any]:
    """What an X-Registry-Auth header says."""
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(header))
    return found


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A credential helper named `test`, and the file it keeps its secret in."""
    program = tmp_path / "bin/docker-credential-test"
    program.parent.mkdir()
    program.write_text(HELPER.format(store=tmp_path / "secret"))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return tmp_path / "secret"


def test_nothing_is_known(tmp_path: Path):
    assert decoded(auth.header(settings(tmp_path), "docker.io")) == {}


def test_what_is_stored_is_found_and_forgotten(tmp_path: Path):
    assert auth.store(settings(tmp_path), "localhost:5000", "me", "se:cret", "") == ""
    assert stat.S_IMODE((tmp_path / "config.json").stat().st_mode) == 0o600
    assert decoded(auth.header(settings(tmp_path), "localhost:5000")) == {
        "serveraddress": "localhost:5000",
        "username": "me",
        "password": "se:cret",
    }
    assert decoded(auth.header(settings(tmp_path), "other")) == {}
    auth.erase(settings(tmp_path), "localhost:5000")
    assert auth.load(settings(tmp_path), "localhost:5000") == {}


def test_an_identity_token_takes_the_place_of_the_password(tmp_path: Path):
    auth.store(settings(tmp_path), auth.HUB, "me", "secret", "token")
    found = auth.load(settings(tmp_path), auth.HUB)
    assert found["identitytoken"] == "token"
    assert "password" not in found
    assert (
        "secret"
        not in base64.b64decode(json.loads((tmp_path / "config.json").read_text())["auths"][auth.HUB]["auth"]).decode()
    )


@pytest.mark.parametrize("name", ["registry.example", "https://registry.example", "https://registry.example/v2/"])
def test_a_server_is_known_by_its_other_names(tmp_path: Path, name: str):
    entry = {"auth": base64.b64encode(b"me:secret").decode()}
    (tmp_path / "config.json").write_text(json.dumps({"auths": {name: entry}}))
    assert auth.load(settings(tmp_path), "registry.example")["username"] == "me"


def test_what_else_stands_in_the_file_stays(tmp_path: Path):
    (tmp_path / "config.json").write_text(json.dumps({"psFormat": "table {{.ID}}", "auths": {"a": {"auth": ""}}}))
    auth.store(settings(tmp_path), "b", "me", "secret", "")
    found = json.loads((tmp_path / "config.json").read_text())
    assert found["psFormat"] == "table {{.ID}}"
    assert set(found["auths"]) == {"a", "b"}


@pytest.mark.parametrize("config", [{"credsStore": "test"}, {"credHelpers": {"r.example": "test"}}])
def test_a_helper_keeps_the_secret(tmp_path: Path, helper: Path, config: dict[str, Any]):
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert auth.load(settings(tmp_path), "r.example") == {}
    assert auth.store(settings(tmp_path), "r.example", "me", "secret", "") == "test"
    assert "secret" in helper.read_text()
    assert "secret" not in (tmp_path / "config.json").read_text()
    found = auth.load(settings(tmp_path), "r.example")
    assert (found["username"], found["password"]) == ("me", "secret")
    auth.erase(settings(tmp_path), "r.example")
    assert not helper.exists()


def test_a_token_in_a_helper(tmp_path: Path, helper: Path):
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": "test"}))
    auth.store(settings(tmp_path), "r.example", "me", "secret", "token")
    assert auth.load(settings(tmp_path), "r.example") == {"serveraddress": "r.example", "identitytoken": "token"}


def test_a_helper_that_is_not_there(tmp_path: Path):
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": "nowhere"}))
    with pytest.raises(PydockError, match="docker-credential-nowhere"):
        auth.header(settings(tmp_path), "docker.io")


def test_login_asks_the_daemon_and_pull_uses_what_it_said(send: Send):
    answers: Answers = {
        ("POST", "/auth"): Answer(body={"Status": "Login Succeeded", "IdentityToken": ""}),
        ("POST", "/images/create"): Answer(body=b'{"status":"done"}\n'),
    }
    result, requests = send(
        "pydock", "login", "-u", "me", "--password-stdin", "r.example", answers=answers, stdin="secret\n"
    )
    assert result.returncode == 0
    assert result.stdout == "Login Succeeded\n"
    assert requests[0].body == {"username": "me", "password": "secret", "serveraddress": "r.example"}
    _, requests = send("pydock", "pull", "r.example/x", answers=answers)
    assert decoded(requests[0].headers["x-registry-auth"])["password"] == "secret"
    send("pydock", "logout", "r.example")
    _, requests = send("pydock", "pull", "r.example/x", answers=answers)
    assert decoded(requests[0].headers["x-registry-auth"]) == {}


def test_a_login_that_fails_keeps_nothing(send: Send, tmp_path: Path):
    answers: Answers = {("POST", "/auth"): Answer(401, {"message": "unauthorized"})}
    result, _ = send("pydock", "login", "-u", "me", "-p", "x", "r.example", answers=answers)
    assert result.returncode == 1
    assert "Error response from daemon: unauthorized" in result.stderr
    assert not (tmp_path / "config.json").exists()
