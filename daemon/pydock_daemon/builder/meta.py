"""The instructions that change settings and no files: ENV, LABEL, CMD, USER and their like. Used by `steps`; pure."""

import json
import re
from collections.abc import Callable
from typing import Any

from pydock_daemon.images import changes
from pydock_shared.errors import InvalidArgument
from pydock_shared.units import format_duration

from .dockerfile import Instruction
from .expand import Words
from .state import State

RAW_WORD = re.compile(r"""(?:\\.|'[^']*'|"(?:\\.|[^"\\])*"|[^\s'"\\]|\\$)+""", re.DOTALL)
ARGUMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def pairs(text: str, name: str, words: Words) -> dict[str, str]:
    """Return `key=value ...` with the values replaced, or the old form of one key, a blank and its value."""
    raw = RAW_WORD.findall(text)
    if raw and "=" not in raw[0]:
        key, _, value = text.partition(" ")
        if not value.strip():
            raise InvalidArgument(f"{name} must have two arguments")
        return {words.one(key): words.one(value.strip())}
    found = {}
    for word in raw:
        key, equals, value = word.partition("=")
        if not equals:
            raise InvalidArgument(f"Syntax error - can't find = in {word!r}. Must be of the form: name=value")
        if not words.one(key):
            raise InvalidArgument(f"{name} names can not be blank")
        found[words.one(key)] = words.one(value)
    return found


def _told(name: str, found: dict[str, str]) -> str:
    return " ".join([name, *(f"{key}={value}" for key, value in found.items())])


def _quoted(words: list[str]) -> str:
    """Return a list of texts as Go's %q shows it."""
    return f"[{' '.join(json.dumps(word, ensure_ascii=False) for word in words)}]"


def _env(state: State, instruction: Instruction, words: Words) -> str:
    new = pairs(instruction.text, "ENV", words)
    known = dict(entry.partition("=")[::2] for entry in state.settings.get("Env") or ())
    state.settings["Env"] = [f"{key}={value}" for key, value in {**known, **new}.items()]
    return _told("ENV", new)


def _label(state: State, instruction: Instruction, words: Words) -> str:
    new = pairs(instruction.text, "LABEL", words)
    state.settings["Labels"] = {**(state.settings.get("Labels") or {}), **new}
    return _told("LABEL", new)


def _command(state: State, instruction: Instruction) -> list[str]:
    return list(instruction.words) if instruction.words is not None else [*state.shell, instruction.text]


def _cmd(state: State, instruction: Instruction, words: Words) -> str:
    state.settings["Cmd"] = _command(state, instruction) if instruction.text else []
    state.settings["ArgsEscaped"] = True  # as BuildKit; it means something on Windows alone
    state.command_given = True
    return f"CMD {_quoted(state.settings['Cmd'])}"


def _entrypoint(state: State, instruction: Instruction, words: Words) -> str:
    state.settings["Entrypoint"] = _command(state, instruction) if instruction.text else []
    if not state.command_given:
        state.settings.pop("Cmd", None)  # it was meant for the entrypoint before
    return f"ENTRYPOINT {_quoted(state.settings['Entrypoint'])}"


def _shell(state: State, instruction: Instruction, words: Words) -> str:
    if not instruction.words:
        raise InvalidArgument("SHELL requires the arguments to be in JSON form")
    state.shell = list(instruction.words)
    state.settings["Shell"] = state.shell
    return f"SHELL [{' '.join(state.shell)}]"


def _maintainer(state: State, instruction: Instruction, words: Words) -> str:
    state.author = instruction.text
    return f"MAINTAINER {instruction.text}"


def _changed(field: str, *, expand: bool) -> Callable[[State, Instruction, Words], str]:
    """Return an instruction that `import --change` has as well; `field` of the settings is what it changes."""

    def make(state: State, instruction: Instruction, words: Words) -> str:
        text = instruction.text
        if expand and not text.startswith("["):
            text = " ".join(words.one(word) for word in RAW_WORD.findall(text))
        elif expand:
            text = json.dumps([words.one(word) for word in instruction.words or ()]) if instruction.words else text
        alone: dict[str, Any] = {}
        changes.INSTRUCTIONS[instruction.name](alone, text)
        changes.INSTRUCTIONS[instruction.name](state.settings, text)
        return SHOWN[instruction.name](alone.get(field), text)

    return make


def _health(check: dict[str, Any]) -> str:
    """Return a health check as Go's %q shows it."""
    times = [check.get(name) or 0 for name in ("Interval", "Timeout", "StartPeriod", "StartInterval")]
    shown = " ".join(f'"{format_duration(nanoseconds)}"' for nanoseconds in times)
    number = check.get("Retries") or 0
    letter = ESCAPES.get(number) or (chr(number) if 32 <= number < 127 else f"\\x{number:02x}")
    return f"HEALTHCHECK &{{{_quoted(check.get('Test') or [])} {shown} '{letter}'}}"


ESCAPES = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r"}
SHOWN: dict[str, Callable[[Any, str], str]] = {
    "EXPOSE": lambda found, text: f"EXPOSE map[{' '.join(f'{port}:{{}}' for port in sorted(found))}]",
    "HEALTHCHECK": lambda found, text: _health(found),
    "ONBUILD": lambda found, text: "",
    "STOPSIGNAL": lambda found, text: f"STOPSIGNAL {text}",
    "USER": lambda found, text: f"USER {text}",
    "VOLUME": lambda found, text: f"VOLUME [{' '.join(found)}]",
}
"""What the history says of an instruction, by what it has set and its text; nothing for none."""


INSTRUCTIONS: dict[str, Callable[[State, Instruction, Words], str]] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _changed("ExposedPorts", expand=True),
    "HEALTHCHECK": _changed("Healthcheck", expand=False),
    "LABEL": _label,
    "MAINTAINER": _maintainer,
    "ONBUILD": _changed("OnBuild", expand=False),
    "SHELL": _shell,
    "STOPSIGNAL": _changed("StopSignal", expand=True),
    "USER": _changed("User", expand=True),
    "VOLUME": _changed("Volumes", expand=True),
}


def declare(state: State, instruction: Instruction, given: dict[str, str], before: dict[str, str], words: Words) -> str:
    """Carry out ARG: what the request gives wins, then the default here, then the ARG before the first FROM."""
    shown = ["ARG"]
    for word in RAW_WORD.findall(instruction.text):
        name, equals, default = word.partition("=")
        if not ARGUMENT.fullmatch(name):
            raise InvalidArgument(f"ARG names can not be blank or hold {name!r}")
        value = words.one(default)
        shown.append(f"{name}={value}" if equals else name)
        if name in given:
            state.arguments[name] = given[name]
        elif equals:
            state.arguments[name] = value
        elif name in before:
            state.arguments[name] = before[name]
        if name not in state.declared:
            state.declared.append(name)
    return " ".join(shown)
