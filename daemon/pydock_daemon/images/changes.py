"""The Dockerfile instructions that `import --change` and `commit --change` take, applied to an image's settings."""

import re
import shlex
import signal
from collections.abc import Callable, Iterable
from itertools import takewhile
from typing import Any

from pydock_shared import jsontext
from pydock_shared.errors import InvalidArgument
from pydock_shared.units import parse_duration_ns

Settings = dict[str, Any]
_SHELL = ["/bin/sh", "-c"]
_LEAST = 1_000_000
_HEALTH_TIMES = {
    "interval": "Interval",
    "timeout": "Timeout",
    "start-period": "StartPeriod",
    "start-interval": "StartInterval",
}
_EXPOSED = re.compile(r"(\d+)(?:-(\d+))?(?:/(tcp|udp|sctp))?")


def apply(settings: Settings, changes: Iterable[str]) -> Settings:
    """Return the settings with the changes made; InvalidArgument names the instruction that cannot be."""
    result, done = dict(settings), set[str]()
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
            done.add(word.upper())
            if word.upper() == "ENTRYPOINT" and "CMD" not in done:
                result.pop("Cmd", None)  # it was meant for the entrypoint before
    return result


def _command(text: str) -> list[str]:
    """Return an exec form as it is, a shell form as words for the shell."""
    if text.startswith("["):
        try:
            words = jsontext.parsed(text)
        except ValueError:
            words = None
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            return words
    return [*_SHELL, text]


def _words(text: str, instruction: str) -> list[str]:
    """Return the arguments of a list: JSON, or words with quotes."""
    if text.startswith("["):
        try:
            return [str(word) for word in jsontext.parsed(text)]
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
    words = _words(text, "VOLUME")
    if not words:
        raise InvalidArgument("VOLUME requires at least one argument")
    settings["Volumes"] = {**(settings.get("Volumes") or {}), **{word: {} for word in words}}


def _onbuild(settings: Settings, text: str) -> None:
    trigger = text.split()[0].upper()
    if trigger == "ONBUILD":
        raise InvalidArgument("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if trigger in ("MAINTAINER", "FROM"):
        raise InvalidArgument(f"{trigger} isn't allowed as an ONBUILD trigger")
    settings["OnBuild"] = [*(settings.get("OnBuild") or ()), text]


def _workdir(settings: Settings, text: str) -> None:
    base = settings.get("WorkingDir") or "/"
    settings["WorkingDir"] = text if text.startswith("/") else f"{base.rstrip('/')}/{text}"


def _cmd(settings: Settings, text: str) -> None:
    settings["Cmd"] = _command(text)


def _entrypoint(settings: Settings, text: str) -> None:
    settings["Entrypoint"] = _command(text)


def _healthcheck(settings: Settings, text: str) -> None:
    words = text.split()
    options = list(takewhile(lambda word: word.startswith("--"), words))
    rest = text
    for option in options:
        rest = rest.removeprefix(option).lstrip()
    kind, _, command = rest.partition(" ")
    if kind.upper() not in ("CMD", "NONE"):
        raise InvalidArgument(f'Unknown type "{kind.upper()}" in HEALTHCHECK (try CMD)')
    if kind.upper() == "NONE":
        if command.strip() or options:
            raise InvalidArgument("HEALTHCHECK NONE takes no arguments")
        settings["Healthcheck"] = {"Test": ["NONE"]}
        return
    if not command.strip():
        raise InvalidArgument("Missing command after HEALTHCHECK CMD")
    shell = _command(command.strip())
    test = (
        ["CMD", *shell] if command.lstrip().startswith("[") and shell[:2] != _SHELL else ["CMD-SHELL", command.strip()]
    )
    settings["Healthcheck"] = {"Test": test, **dict(_health_option(option) for option in options)}


def _health_option(option: str) -> tuple[str, int]:
    """Return `--interval=5s` as the field it sets; zero leaves a duration to the engine."""
    name, _, value = option.removeprefix("--").partition("=")
    if name == "retries":
        if not value.isdigit():
            raise InvalidArgument(
                f"--retries cannot be negative ({value})" if value[:1] == "-" else f"invalid --retries: {value}"
            )
        return "Retries", int(value)
    if name not in _HEALTH_TIMES:
        raise InvalidArgument(f"unknown flag: {name}")
    duration = parse_duration_ns(value)
    if duration and duration < _LEAST:
        raise InvalidArgument(f'Interval "{name}" cannot be less than 1ms')
    return _HEALTH_TIMES[name], duration


def _user(settings: Settings, text: str) -> None:
    settings["User"] = text


def _stop_signal(settings: Settings, text: str) -> None:
    if not text.isdigit() and f"SIG{text.upper().removeprefix('SIG')}" not in signal.Signals.__members__:
        raise InvalidArgument(f"invalid signal: {text}")
    settings["StopSignal"] = text


INSTRUCTIONS: dict[str, Callable[[Settings, str], None]] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "ONBUILD": _onbuild,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
