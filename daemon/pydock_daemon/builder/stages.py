"""From instructions to stages: what each is built from, and which of them are needed. Used by `solve`; pure."""

import graphlib
import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field

from pydock_shared.errors import InvalidArgument

from .dockerfile import Dockerfile, Instruction
from .expand import Words

STAGE_NAME = re.compile(r"[a-z][a-z0-9._-]*")
SCRATCH = "scratch"


@dataclass
class Stage:
    """One FROM and what follows it. `parent` is the stage it stands on, `base` the image where it is none."""

    index: int
    name: str
    base: str
    platform: str
    line: int
    original: str
    parent: "Stage | None" = None
    instructions: list[Instruction] = field(default_factory=list)


def stages(file: Dockerfile, arguments: dict[str, str]) -> tuple[list[Stage], dict[str, str]]:
    """Return the stages, and the ARGs before the first FROM with their values.

    `arguments` are those of the request and the predefined ones. InvalidArgument: the order is wrong, or a FROM.
    """
    made: list[Stage] = []
    before: dict[str, str] = {}
    for instruction in file.instructions:
        if instruction.name == "FROM":
            made.append(_stage(instruction, made, {**arguments, **before}, file.escape))
        elif made:
            made[-1].instructions.append(instruction)
        elif instruction.name == "ARG":
            words = Words({**arguments, **before}, file.escape)
            for text in instruction.text.split():
                name, equals, value = text.partition("=")
                if name in arguments:
                    before[name] = arguments[name]
                elif equals:
                    before[name] = words.one(value)
        else:
            raise InvalidArgument("no build stage in current context")
    if not made:
        raise InvalidArgument("no build stage in current context")
    return made, before


def _stage(instruction: Instruction, before: list[Stage], variables: dict[str, str], escape: str) -> Stage:
    words = instruction.text.split()
    if not (len(words) == 1 or (len(words) == 3 and words[1].lower() == "as")):
        raise _wrong(instruction, "FROM requires either one or three arguments")
    expand = Words(variables, escape)
    base, name = expand.one(words[0]), words[2].lower() if len(words) == 3 else ""
    if not base:
        raise _wrong(instruction, f"base name ({words[0]}) should not be blank")
    if name and not STAGE_NAME.fullmatch(name):
        message = f'invalid name for build stage: "{words[2]}", name can\'t start with a number or contain symbols'
        raise _wrong(instruction, message, words[2])
    parent = next((stage for stage in reversed(before) if stage.name and stage.name == base.lower()), None)
    platform = expand.one(instruction.flag("platform") or "")
    return Stage(len(before), name, base, platform, instruction.line, instruction.original, parent)


def _wrong(instruction: Instruction, message: str, word: str = "") -> InvalidArgument:
    """Return the error of an instruction, with a caret below a word of it or where its words begin."""
    shown = instruction.original.splitlines()[0]
    place = shown.find(word) if word else len(instruction.name) + 1
    return InvalidArgument(
        f"dockerfile parse error on line {instruction.line}: {message}\n{shown}\n{' ' * max(place, 0)}^"
    )


def find(made: list[Stage], name: str) -> Stage | None:
    """Return a stage by its name or number, wherever it stands; of several of a name the last."""
    for stage in reversed(made):
        if stage.name and stage.name == name.lower():
            return stage
    return made[int(name)] if name.isdigit() and int(name) < len(made) else None


def target(made: list[Stage], name: str) -> Stage:
    """Return the stage that is to be built, the last one when none is named."""
    if not name:
        return made[-1]
    found = find(made, name)
    if found is None:
        raise InvalidArgument(f'target stage "{name}" could not be found')
    return found


def sources(instructions: Iterable[Instruction]) -> list[str]:
    """Return what instructions copy or mount from: names of stages and images."""
    found = []
    for instruction in instructions:
        if instruction.name in ("COPY", "ADD") and instruction.flag("from"):
            found.append(instruction.flag("from") or "")
        for mount in instruction.all("mount"):
            found += [part[5:] for part in mount.split(",") if part.startswith("from=")]
    return found


def needed(made: list[Stage], wanted: Stage) -> list[Stage]:
    """Return the stages without which the wanted one cannot be, in their order."""
    found: set[int] = set()
    pending = [wanted]
    while pending:
        stage = pending.pop()
        if stage.index in found:
            continue
        found.add(stage.index)
        if stage.parent:
            pending.append(stage.parent)
        pending += [source for name in sources(stage.instructions) if (source := find(made, name))]
    return [stage for stage in made if stage.index in found]


def check(made: list[Stage], needed: list[Stage], named: Container[str]) -> None:
    """Refuse stages that need each other, or later ones, in BuildKit's words; what is `named` is a context."""
    names = {stage.index: [name for name in sources(stage.instructions) if name.lower() not in named] for stage in made}
    _check_cycles(made, names)
    for stage in needed:
        for name in names[stage.index]:
            found = find(made, name)
            if found is None and name.isdigit():
                raise InvalidArgument(f"invalid stage index {name}")
            if found and found.index > stage.index:
                raise InvalidArgument(f'cannot copy from stage "{name}", it needs to be defined before current stage '
                                      f'"{stage.name or f"stage-{stage.index}"}"')  # fmt: skip


def _check_cycles(made: list[Stage], names: Mapping[int, list[str]]) -> None:
    graph = {
        stage.index: {need.index for need in (stage.parent, *(find(made, name) for name in names[stage.index])) if need}
        for stage in made
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        stage = made[min(error.args[1])]
        message = f"circular dependency detected on stage: {stage.name or f'stage-{stage.index}'}"
        raise InvalidArgument(message) from error
