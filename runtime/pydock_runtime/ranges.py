"""A seccomp program made shorter: system calls in ranges instead of one by one, with the same answer for each.

libseccomp compares with every number that a profile names; the kernel checks, translates and compiles that for each
process that loads it. Docker's profile has 1,258 steps so, and a quarter of that here. Used by `seccomp`.

What a program answers depends on the architecture, the number and, for a few calls, the arguments. All numbers are
followed through its steps together and part where they are compared, up to the answer or to the step that looks at an
argument. Those steps, and what they lead to, are kept as they are.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Step = tuple[int, int, int, int]
    """Of struct sock_filter: code, the two jumps, the value."""

# Classic BPF, and struct seccomp_data {nr, arch, instruction pointer, arguments}
LOAD, RETURN, JUMP, EQUAL, GREATER, AT_LEAST = 0x20, 0x06, 0x05, 0x15, 0x25, 0x35
AT_NUMBER, AT_ARCHITECTURE = 0, 4
HIGHEST = 0xFFFFFFFF
FARTHEST = 255  # of a jump that depends
STEP = struct.Struct("=HBBI")


def shorten(program: bytes) -> bytes:
    """Return a program with the same answers, the same one where nothing is won or a step is of another kind."""
    steps: list[Step] = [STEP.unpack_from(program, at) for at in range(0, len(program), STEP.size)]
    architectures = _architectures(steps)
    other = next(value for value in range(len(architectures) + 1) if value not in architectures)
    try:
        answers = {name: _ranges(steps, name) for name in (*architectures, other)}
    except ValueError:
        return program
    made = _assemble(steps, answers, other)
    return b"".join(STEP.pack(*step) for step in made) if len(made) < len(steps) else program


def _architectures(steps: Sequence[Step]) -> list[int]:
    """Return the architectures that are compared with, in the order of the steps."""
    found: dict[int, int] = {}
    ways, seen = [(0, -1)], set()
    while ways:
        way = at, loaded = ways.pop()
        code, yes, no, operand = steps[at]
        if way in seen or code == RETURN:
            continue
        seen.add(way)
        if code == JUMP:
            ways.append((at + 1 + operand, loaded))
        elif code & 7 == JUMP:  # the class of all jumps
            ways += [(at + 1 + yes, loaded), (at + 1 + no, loaded)]
            if code == EQUAL and loaded == AT_ARCHITECTURE:
                found[at] = operand
        else:
            ways.append((at + 1, operand if code == LOAD else loaded))
    return list(dict.fromkeys(found[at] for at in sorted(found)))


def _ranges(steps: Sequence[Step], architecture: int) -> list[tuple[int, int]]:
    """Return (first number, step that answers) of each stretch of numbers, in their order."""
    found: list[tuple[int, int]] = []
    for low, end in _follow(steps, 0, AT_NUMBER, 0, HIGHEST, architecture):
        if not found or not _same(steps, found[-1][1], end):
            found.append((low, end))
    return found


def _same(steps: Sequence[Step], one: int, two: int) -> bool:
    return one == two or (steps[one][0] == RETURN and steps[one] == steps[two])


def _follow(
    steps: Sequence[Step], at: int, loaded: int, low: int, high: int, architecture: int
) -> Iterator[tuple[int, int]]:
    """Yield where the calls of these numbers end up: at a step that returns or that loads an argument.

    `loaded` is what the last step that loads has loaded. ValueError for other steps.
    """
    while True:
        code, yes, no, operand = steps[at]
        if code == RETURN or (code == LOAD and operand not in (AT_NUMBER, AT_ARCHITECTURE)):
            yield low, at
            return
        at += 1
        if code == LOAD:
            loaded = operand
        elif code == JUMP:
            at += operand
        elif loaded == AT_ARCHITECTURE:
            first, last = _holding(code, operand)
            at += yes if first <= architecture <= last else no
        else:
            first, last = _holding(code, operand)
            for begin, end, jump in ((low, first - 1, no), (first, last, yes), (last + 1, high, no)):
                if max(begin, low) <= min(end, high):
                    yield from _follow(steps, at + jump, loaded, max(begin, low), min(end, high), architecture)
            return


def _holding(code: int, operand: int) -> tuple[int, int]:
    """Return the first and the last number of which a comparison is true."""
    if code == EQUAL:
        return operand, operand
    if code == GREATER:
        return operand + 1, HIGHEST
    if code == AT_LEAST:
        return operand, HIGHEST
    raise ValueError(f"a step of code {code:#x}")


def _assemble(steps: Sequence[Step], answers: dict[int, list[tuple[int, int]]], other: int) -> list[Step]:
    """Return the new program: architecture, tree of ranges, and behind them the steps that look at arguments."""
    asking = {end for found in answers.values() for _, end in found if steps[end][0] != RETURN}
    kept = _reachable(steps, asking)
    trees = {name: _tree(steps, found) for name, found in answers.items()}
    front: list[Step | int] = [(LOAD, 0, 0, AT_ARCHITECTURE)]
    for name, tree in trees.items():
        if name != other:
            front += [(EQUAL, 1, 0, name), (JUMP, 0, 0, len(tree) + 1), (LOAD, 0, 0, AT_NUMBER), *tree]
    front += [(LOAD, 0, 0, AT_NUMBER), *trees[other]]
    place = {old: len(front) + new for new, old in enumerate(kept)}
    begun = [(JUMP, 0, 0, place[step] - at - 1) if isinstance(step, int) else step for at, step in enumerate(front)]
    return begun + [_moved(steps[old], old, place) for old in kept]


def _reachable(steps: Sequence[Step], begin: set[int]) -> list[int]:
    """Return the steps that these lead to, themselves among them, in their order: jumps only go forward."""
    found = set(begin)
    for at in range(len(steps)):
        if at in found:
            code, yes, no, operand = steps[at]
            if code == JUMP:
                found.add(at + 1 + operand)
            elif code & 7 == JUMP:  # the class of all jumps
                found |= {at + 1 + yes, at + 1 + no}
            elif code != RETURN:
                found.add(at + 1)
    return sorted(found)


def _moved(step: Step, old: int, place: dict[int, int]) -> Step:
    code, yes, no, operand = step
    here = place[old]
    if code == JUMP:
        return code, yes, no, place[old + 1 + operand] - here - 1
    if code & 7 == JUMP:
        return code, place[old + 1 + yes] - here - 1, place[old + 1 + no] - here - 1, operand
    return step


def _tree(steps: Sequence[Step], found: Sequence[tuple[int, int]]) -> list[Step | int]:
    """Return the steps that choose among ranges, with each answer once behind them.

    A number stands for a jump to the old step of that place.
    """
    if len(found) > FARTHEST // 2:  # too far from the answers
        middle = len(found) // 2
        below, above = _tree(steps, found[:middle]), _tree(steps, found[middle:])
        return [(AT_LEAST, 0, 1, found[middle][0]), (JUMP, 0, 0, len(below)), *below, *above]
    answers: list[Step | int] = [steps[end] if steps[end][0] == RETURN else end for _, end in found]
    behind = list(dict.fromkeys(answers))
    places = [len(found) - 1 + behind.index(answer) for answer in answers]
    return [*_comparisons(found, places, 0), *behind]


def _comparisons(found: Sequence[tuple[int, int]], places: Sequence[int], at: int) -> list[Step]:
    """Return the comparisons, the first of which is at this place, that lead to the place of each range's answer."""
    if len(found) == 1:
        return []
    middle = len(found) // 2
    below = _comparisons(found[:middle], places[:middle], at + 1)
    above = _comparisons(found[middle:], places[middle:], at + 1 + len(below))
    no = 0 if below else places[0] - at - 1
    yes = len(below) if above else places[middle] - at - 1
    return [(AT_LEAST, yes, no, found[middle][0]), *below, *above]
