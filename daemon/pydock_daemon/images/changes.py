"""The Dockerfile instructions that `import --change` and `commit --change` take, applied to an image's settings."""

import json
import re
import shlex
from collections.abc import Callable, Iterable
from typing import Any

from pydock_shared.errors import InvalidArgument

Settings = dict[str, Any]
_EXPOSED = re.compile(r"(\d+)(?:-(\d+))?(?:/(tcp|udp|sctp))?")


def apply(settings: Settings, changes: Iterable[str]) -> Settings:
    """Return the settings with the changes made; InvalidArgument names the instruction that cannot be."""
    result = dict(settings)
    for text in changes:
        for line in text.splitlines():
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            word, _, rest = line.strip().partition(" ")
            instruction = INSTRUCTIONS.get(word.upper())
            if instruction is None:
                raise InvalidArgument(f"{word.upper()} is not a valid change command")
            if not rest.strip():
                raise InvalidArgument(f"{word.upper()} requires at least one argument")
            instruction(result, rest.strip())
    return result


def _command(text: str) -> list[str]:
    """Return an exec form as it is, a shell form as words for the shell."""
    if text.startswith("["):
        try:
            words = json.loads(text)
        except ValueError:
            words = None
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            return words
    return ["/bin/sh", "-c", text]


def _words(text: str, instruction: str) -> list[str]:
    """Return the arguments of a list: JSON, or words with quotes."""
    if text.startswith("["):
        try:
            return [str(word) for word in json.loads(text)]
        except ValueError:
            pass
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InvalidArgument(f"{instruction}: {error}") from error


def _pairs(text: str, instruction: str) -> dict[str, str]:
    """Return `key=value ...`, or the old form of ENV and LABEL with one key, a space and its value."""
    words = _words(text, instruction)
    if "=" not in words[0]:
        key, _, value = text.partition(" ")
        if not value.strip():
            raise InvalidArgument(f"{instruction} must have two arguments")
        return {key: value.strip()}
    pairs = dict(word.partition("=")[::2] for word in words)
    if "" in pairs or not all("=" in word for word in words):
        raise InvalidArgument(f"Syntax error - can't find = in {text!r}. Must be of the form: name=value")
    return pairs


def _env(settings: Settings, text: str) -> None:
    new = _pairs(text, "ENV")
    kept = [entry for entry in settings.get("Env") or () if entry.partition("=")[0] not in new]
    settings["Env"] = kept + [f"{key}={value}" for key, value in new.items()]


def _label(settings: Settings, text: str) -> None:
    settings["Labels"] = {**(settings.get("Labels") or {}), **_pairs(text, "LABEL")}


def _expose(settings: Settings, text: str) -> None:
    ports = dict(settings.get("ExposedPorts") or {})
    for word in _words(text, "EXPOSE"):
        found = _EXPOSED.fullmatch(word)
        if not found or not 0 < int(found[1]) <= int(found[2] or found[1]) < 65536:
            raise InvalidArgument(f"invalid containerPort: {word}")
        for port in range(int(found[1]), int(found[2] or found[1]) + 1):
            ports[f"{port}/{found[3] or 'tcp'}"] = {}
    settings["ExposedPorts"] = ports


def _volume(settings: Settings, text: str) -> None:
    settings["Volumes"] = {**(settings.get("Volumes") or {}), **{word: {} for word in _words(text, "VOLUME")}}


def _onbuild(settings: Settings, text: str) -> None:
    settings["OnBuild"] = [*(settings.get("OnBuild") or ()), text]


def _workdir(settings: Settings, text: str) -> None:
    base = settings.get("WorkingDir") or "/"
    settings["WorkingDir"] = text if text.startswith("/") else f"{base.rstrip('/')}/{text}"


def _cmd(settings: Settings, text: str) -> None:
    settings["Cmd"] = _command(text)


def _entrypoint(settings: Settings, text: str) -> None:
    settings["Entrypoint"] = _command(text)


def _user(settings: Settings, text: str) -> None:
    settings["User"] = text


def _stop_signal(settings: Settings, text: str) -> None:
    settings["StopSignal"] = text


INSTRUCTIONS: dict[str, Callable[[Settings, str], None]] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "LABEL": _label,
    "ONBUILD": _onbuild,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
