"""House rules that no linter knows: docs/style.md says why each is there."""

import ast
import importlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("shared", "runtime", "daemon", "client")
LONGEST_FILE = 400
LONGEST_FUNCTION = 60
STORIES: dict[str, str] = {}
"""Functions that may be longer, `folder/file.py:name`, each with the reason: they only call named steps in order."""

UNWANTED = re.compile(
    r"\b(TODO|FIXME|XXX|HACK)\b|\bplaceholder\b|\bdummy\b|\bfor now\b|\bnot implemented yet\b",
    re.IGNORECASE,
)
VAGUE = re.compile(r"(Manager|Helper|Utils?)$")


def sources(*folders: str) -> list[Path]:
    """Python files below folders that have anything in them."""
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path for path in found if path.stat().st_size]


def short(path: Path) -> str:
    return str(path.relative_to(ROOT))


def trees() -> Iterator[tuple[Path, ast.Module]]:
    """Each source of the product, parsed."""
    for path in sources(*PACKAGES):
        yield path, ast.parse(path.read_text(), path)


def test_every_module_begins_by_saying_what_it_is() -> None:
    mute = [
        short(path)
        for path in sources(*PACKAGES, "tests")
        if not (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0].strip()
    ]
    assert mute == []


def test_files_are_short() -> None:
    lengths = {short(path): len(path.read_text().splitlines()) for path in sources(*PACKAGES, "tests")}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_functions_are_short() -> None:
    long = {}
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > LONGEST_FUNCTION:
                    long[f"{short(path)}:{node.name}"] = lines
    assert {name: lines for name, lines in long.items() if name not in STORIES} == {}


def test_nothing_is_put_off_and_nothing_points_outside() -> None:
    found = [
        f"{short(path)}:{number}: {line.strip()}"
        for path in [*sources(*PACKAGES, "tests"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*.md"), ROOT / "Makefile"]
        if path != Path(__file__)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if UNWANTED.search(line)
    ]
    assert found == []


def test_classes_are_named_for_what_they_are() -> None:
    vague = [
        f"{short(path)}:{node.name}"
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and VAGUE.search(node.name)
    ]
    assert vague == []


def test_no_error_is_swallowed_whatever_it_is() -> None:
    """Who catches everything raises it again, or tells it to somebody."""
    assert [
        f"{short(path)}:{node.lineno}"
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and _catches_all(node) and not _passes_on(node)
    ] == []


def _catches_all(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or getattr(handler.type, "id", None) in ("Exception", "BaseException")


def _passes_on(handler: ast.ExceptHandler) -> bool:
    inside = [node for statement in handler.body for node in ast.walk(statement)]
    return any(
        isinstance(node, ast.Raise)
        or getattr(node, "id", handler) == handler.name
        or getattr(node, "attr", "") in ("format_exc", "exception")
        for node in inside
    )


def test_resources_are_freed_by_with_and_not_by_the_collector() -> None:
    assert [
        short(path)
        for path, tree in trees()
        if any(isinstance(node, ast.FunctionDef) and node.name == "__del__" for node in ast.walk(tree))
    ] == []


SCRIPTS: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]


@pytest.mark.parametrize("command", sorted(SCRIPTS))
def test_every_command_has_its_function(command: str) -> None:
    module, _, name = SCRIPTS[command].partition(":")
    assert callable(getattr(importlib.import_module(module), name))
