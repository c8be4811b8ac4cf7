"""Who may import whom: the contracts of pyproject.toml, checked by import-linter."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_import_goes_downwards() -> None:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_shared_pays_for_pydantic_in_its_wire_models_only() -> None:
    """The command line reads names, ports and sizes with these modules, and starts in milliseconds."""
    names = [path.stem for path in (ROOT / "shared/pydock_shared").glob("[!_]*.py")]
    names.remove("tls")  # for those alone whose daemon is far away
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'shared')!r})\n"
        f"for name in {names!r}: __import__('pydock_shared.' + name)\n"
        "print(*sorted({'pydantic', 'typing', 'dataclasses', 'inspect', 'socket', 'csv'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-IS", "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.split() == []
