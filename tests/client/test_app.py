"""The typer application: help and completion of every command, from the same tables as the calls."""

import io
import json
import os
import re
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from tests.client.conftest import needs_docker

from pydock_client import catalog
from pydock_client.app import application, call
from pydock_client.command import Command
from pydock_client.main import run

NAMES = sorted(catalog.BY_NAME)


def said(*words: str) -> str:
    """Standard output of a command line that must go well."""
    with redirect_stdout(io.StringIO()) as out:
        assert run(words) == 0
    return out.getvalue()


@pytest.mark.parametrize("name", NAMES)
def test_help_of_a_command_names_every_flag(name: str):
    text = said(*name.split(), "--help")
    assert text.startswith(f"Usage:  pydock {name}")
    for flag in catalog.BY_NAME[name].load().flags:
        assert flag.hidden or re.search(rf"--{flag.long}\b", text)
        assert flag.help


@pytest.mark.parametrize("name", NAMES)
def test_a_command_is_whole(name: str):
    command = catalog.BY_NAME[name].load()
    assert isinstance(command, Command)
    longs = [flag.long for flag in command.flags]
    shorts = [flag.short for flag in command.flags if flag.short]
    assert len(longs) == len(set(longs))
    assert len(shorts) == len(set(shorts))


def test_help_of_the_program_names_every_command():
    text = said("--help")
    for name in catalog.BY_NAME:
        if " " not in name:
            assert re.search(rf"^  {name} ", text, re.MULTILINE), name
    assert said("help") == text == said()


@pytest.mark.parametrize("group", catalog.GROUPS)
def test_help_of_a_group(group: str):
    text = said(group, "--help")
    assert said(group) == text == said("help", group)
    for name, summary in catalog.members(group):
        assert re.search(rf"^  {name} +{re.escape(summary)}$", text, re.MULTILINE)


def test_help_of_a_command_by_help():
    assert said("help", "ps") == said("ps", "--help")


@pytest.mark.parametrize("words", [["ps"], ["container", "ls"], ["run"], ["rm"]])
def test_usage_is_dockers(words: list[str]):
    needs_docker(26)
    text = subprocess.run(["docker", *words, "--help"], capture_output=True, text=True, check=True).stdout
    ours, theirs = (found.strip().splitlines()[0] for found in (said(*words, "--help"), text))
    assert ours == theirs.replace("docker", "pydock")


def complete(*words: str) -> list[str]:
    """What bash is told may follow."""
    environment = {
        **os.environ,
        "_PYDOCK_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(["pydock", *words]),
        "COMP_CWORD": str(len(words)),
    }
    command = [sys.executable, "-m", "pydock_client.main"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=30)
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ru"], {"run"}),
        (["container", "st"], {"start", "stats", "stop"}),
        (["ps", "--no"], {"--no-trunc"}),
        (["run", "--cpuset"], {"--cpuset-cpus", "--cpuset-mems"}),
        (["network", "create", "--ipam"], {"--ipam-driver", "--ipam-opt"}),
    ],
)
def test_completion(words: list[str], expected: set[str]):
    assert set(complete(*words)) == expected


def test_the_script_of_completion():
    # typer looks for the shell among the processes above it.
    program = "from pydock_client.app import call; call(['--show-completion'])"
    line = f'"{sys.executable}" -c "{program}"; true'
    shown = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True, timeout=30)
    assert "_PYDOCK_COMPLETE=complete_bash" in shown.stdout, shown.stderr


def test_the_application_runs_commands_too(capfd: pytest.CaptureFixture[str]):
    assert call(["context", "show"]) == 0
    assert capfd.readouterr().out == "default\n"
    assert call(["rm"]) == 1
    assert "requires at least 1 argument" in capfd.readouterr().err


def test_the_application_is_typers_own_kind_of_command():
    from typer.core import TyperGroup

    assert isinstance(application(), TyperGroup)


def test_the_reference_of_names_is_stable(tmp_path: Path):
    """Every alias leads to the same command."""
    for entry in catalog.ENTRIES:
        assert {id(catalog.BY_NAME[name]) for name in entry.names} == {id(entry)}
    assert json.dumps(sorted(catalog.COMMON)) == json.dumps(sorted(set(catalog.COMMON) & set(catalog.BY_NAME)))
