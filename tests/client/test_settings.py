"""Global options, the environment, and config.json."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.client.conftest import Send
from tests.client.recorder import Answer

from pydock_client.contexts import Store
from pydock_client.flags import Options
from pydock_client.settings import DEFAULT_HOST, GLOBAL_FLAGS, Settings
from pydock_shared.errors import InvalidArgument, NotFound

NAMES = (
    "DOCKER_TLS_VERIFY",
    "DOCKER_CERT_PATH",
    "PYDOCK_HOST",
    "DOCKER_HOST",
    "PYDOCK_CONFIG",
    "DOCKER_CONFIG",
    "PYDOCK_CONTEXT",
    "DOCKER_CONTEXT",
)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of ours is set."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def made(**values: Any) -> Settings:
    """Settings of these global options."""
    options = Options(GLOBAL_FLAGS)
    options.update({name.replace("_", "-"): value for name, value in values.items()})
    return Settings(options)


def test_defaults():
    assert made().host == DEFAULT_HOST
    assert made().folder == str(Path("~/.docker").expanduser())


def test_the_host(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///docker")
    assert made().host == "unix:///docker"
    monkeypatch.setenv("PYDOCK_HOST", "unix:///pydock")
    assert made().host == "unix:///pydock"
    assert made(host=["unix:///given"]).host == "unix:///given"


def test_the_folder(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DOCKER_CONFIG", "/docker")
    assert made().path == "/docker/config.json"
    monkeypatch.setenv("PYDOCK_CONFIG", "/pydock")
    assert made().folder == "/pydock"
    assert made(config="/given").folder == "/given"


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"host": ["a", "b"]}, InvalidArgument),
        ({"log_level": "loud"}, InvalidArgument),
        ({"context": "default", "host": ["unix:///x"]}, InvalidArgument),
    ],
)
def test_what_contradicts(values: dict[str, Any], kind: type[Exception]):
    with pytest.raises(kind):
        made(**values)


def test_a_context_of_the_environment_holds_unless_a_host_is_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PYDOCK_CONTEXT", "other")
    with pytest.raises(NotFound, match='context "other": context not found'):
        made(config=str(tmp_path)).daemon()
    Store(str(tmp_path)).save("other", {"Endpoints": {"docker": {"Host": "tcp://far:1"}}}, {"ca": b"ca"})
    assert made(config=str(tmp_path)).host == "tcp://far:1"
    assert made(host=["unix:///x"]).host == "unix:///x"


def test_tls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "key.pem").touch()
    assert made(config=str(tmp_path)).tls is None
    tls = made(config=str(tmp_path), tls=True, tlscert="/given").tls
    assert tls
    assert (tls.authority, tls.certificate, tls.key, tls.verify) == (
        f"{tmp_path}/ca.pem",
        "/given",
        f"{tmp_path}/key.pem",
        False,
    )
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", "/certificates")
    tls = made(config=str(tmp_path)).tls
    assert tls
    assert (tls.authority, tls.certificate, tls.verify) == ("/certificates/ca.pem", "", True)


def test_a_config_that_is_no_json(tmp_path: Path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InvalidArgument, match=r"config\.json"):
        _ = made(config=str(tmp_path)).config


def test_formats_and_keys_of_the_config(send: Send, tmp_path: Path):
    settings = {"psFormat": "{{.ID}} from config", "detachKeys": "ctrl-x"}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    answers = {
        ("GET", "/containers/json"): Answer(body=[{"Id": "a" * 64}]),
        ("POST", "/containers/x/exec"): Answer(201, {"Id": "e"}),
        ("POST", "/exec/e/start"): Answer(raw=b""),
        ("GET", "/exec/e/json"): Answer(body={"ExitCode": 0}),
    }
    result, _ = send("pydock", "ps", answers=answers)
    assert result.stdout == "aaaaaaaaaaaa from config\n"
    _, requests = send("pydock", "exec", "x", "true", answers=answers)
    assert requests[0].body["DetachKeys"] == "ctrl-x"
