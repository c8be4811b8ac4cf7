"""The runtime runs on a bare interpreter: no site-packages, and nothing on its start path that is slow to import."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pydock_runtime.cli import VERBS

RUNTIME = Path(__file__).parents[2] / "runtime"
SLOW = ("asyncio", "dataclasses", "typing", "logging", "inspect", "argparse", "subprocess", "pathlib")
START_PATH = ("launch", "init", "join", "seccomp", "reexec", "supervisor.loop", "supervisor.protocol")
MODULES = sorted(
    ".".join(path.relative_to(RUNTIME).with_suffix("").parts).removesuffix(".__init__")
    for path in (RUNTIME / "pydock_runtime").rglob("*.py")
)


def imported(statement: str) -> dict[str, str]:
    """Modules, with their files, of a bare interpreter after a statement."""
    script = (
        f"import sys; sys.path.insert(0, {str(RUNTIME)!r})\n{statement}\nimport json\n"
        "print(json.dumps({n: getattr(m, '__file__', None) or '' for n, m in list(sys.modules.items())}))"
    )
    done = subprocess.run(
        [sys.executable, "-IS", "-c", script], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_every_module_runs_on_the_standard_library_alone() -> None:
    statement = "\n".join(f"import {name}" for name in MODULES if not name.endswith("__main__"))
    found = imported(statement)
    assert [name for name in found if name.startswith("pydock_") and not name.startswith("pydock_runtime")] == []
    assert [path for path in found.values() if "site-packages" in path] == []


@pytest.mark.parametrize("name", START_PATH)
def test_nothing_on_the_start_path_is_slow_to_import(name: str) -> None:
    found = imported(f"import pydock_runtime.{name}")
    assert [slow for slow in SLOW if slow in found] == []


@pytest.mark.parametrize("verb", [verb for verb in sorted(VERBS) if verb != "supervisor"])
def test_every_verb_answers_on_a_bare_interpreter(verb: str) -> None:
    command = [sys.executable, "-IS", RUNTIME / "pydock_runtime", verb, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: pydock-runtime {verb} ")
    found = imported(f"import pydock_runtime.cli, pydock_runtime.verbs.{verb}")
    assert [slow for slow in SLOW if slow in found] == []
