"""The instructions that change settings and no files: ENV, LABEL, CMD, USER and their like. Used by `steps`; pure."""

import json
import re
from collections.abc import Callable

from pydock_daemon.images import changes
from pydock_shared.errors import InvalidArgument

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


def _env(state: State, instruction: Instruction, words: Words) -> None:
    new = pairs(instruction.text, "ENV", words)
    kept = [entry for entry in state.settings.get("Env") or () if entry.partition("=")[0] not in new]
    state.settings["Env"] = kept + [f"{key}={value}" for key, value in new.items()]


def _label(state: State, instruction: Instruction, words: Words) -> None:
    state.settings["Labels"] = {**(state.settings.get("Labels") or {}), **pairs(instruction.text, "LABEL", words)}


def _command(state: State, instruction: Instruction) -> list[str]:
    return list(instruction.words) if instruction.words is not None else [*state.shell, instruction.text]


def _cmd(state: State, instruction: Instruction, words: Words) -> None:
    state.settings["Cmd"] = _command(state, instruction) if instruction.text else []
    state.command_given = True


def _entrypoint(state: State, instruction: Instruction, words: Words) -> None:
    state.settings["Entrypoint"] = _command(state, instruction) if instruction.text else []
    if not state.command_given:
        state.settings.pop("Cmd", None)  # it was meant for the entrypoint before


def _shell(state: State, instruction: Instruction, words: Words) -> None:
    if not instruction.words:
        raise InvalidArgument("SHELL requires the arguments to be in JSON form")
    state.shell = list(instruction.words)
    state.settings["Shell"] = state.shell


def _maintainer(state: State, instruction: Instruction, words: Words) -> None:
    state.author = instruction.text


def _changed(*, expand: bool) -> Callable[[State, Instruction, Words], None]:
    """Return an instruction that `import --change` has as well."""

    def make(state: State, instruction: Instruction, words: Words) -> None:
        text = instruction.text
        if expand and not text.startswith("["):
            text = " ".join(words.one(word) for word in RAW_WORD.findall(text))
        elif expand:
            text = json.dumps([words.one(word) for word in instruction.words or ()]) if instruction.words else text
        changes.INSTRUCTIONS[instruction.name](state.settings, text)

    return make


INSTRUCTIONS: dict[str, Callable[[State, Instruction, Words], None]] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _changed(expand=True),
    "HEALTHCHECK": _changed(expand=False),
    "LABEL": _label,
    "MAINTAINER": _maintainer,
    "ONBUILD": _changed(expand=False),
    "SHELL": _shell,
    "STOPSIGNAL": _changed(expand=True),
    "USER": _changed(expand=True),
    "VOLUME": _changed(expand=True),
}


def declare(
    state: State, instruction: Instruction, given: dict[str, str], before: dict[str, str], words: Words
) -> None:
    """Carry out ARG: what the request gives wins, then the default here, then the ARG before the first FROM."""
    for word in RAW_WORD.findall(instruction.text):
        name, equals, default = word.partition("=")
        if not ARGUMENT.fullmatch(name):
            raise InvalidArgument(f"ARG names can not be blank or hold {name!r}")
        if name in given:
            state.arguments[name] = given[name]
        elif equals:
            state.arguments[name] = words.one(default)
        elif name in before:
            state.arguments[name] = before[name]
