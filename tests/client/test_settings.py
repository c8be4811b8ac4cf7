"""Global options, the environment, and config.json."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.client.conftest import Send
from tests.client.recorder import Answer

from pydock_client.flags import Options
from pydock_client.settings import DEFAULT_HOST, GLOBAL_FLAGS, Settings
from pydock_shared.errors import InvalidArgument, NotSupported

NAMES = ("PYDOCK_HOST", "DOCKER_HOST", "PYDOCK_CONFIG", "DOCKER_CONFIG", "PYDOCK_CONTEXT", "DOCKER_CONTEXT")


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
        ({"context": "other"}, NotSupported),
        ({"context": "default", "host": ["unix:///x"]}, InvalidArgument),
    ],
)
def test_what_contradicts(values: dict[str, Any], kind: type[Exception]):
    with pytest.raises(kind):
        made(**values)


def test_a_context_of_the_environment_is_refused_unless_a_host_is_given(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYDOCK_CONTEXT", "other")
    with pytest.raises(NotSupported):
        made()
    assert made(host=["unix:///x"]).host == "unix:///x"


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
