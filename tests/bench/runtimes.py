"""The runtime beside runc and crun on one bundle, in one run: `python -m tests.bench.runtimes [ROUNDS]`.

Whole lives of a container of `true` and execs of `true`, in turn; medians in milliseconds and as a share of runc's. A
runtime that does not start a container on this host is left out, and says why.
"""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.runtime import box
from tests.runtime.supervisor.house import House

OURS = str(Path(sys.executable).parent / "pydock-runtime")
ROUNDS = 20


class Command:
    """A runtime by its command line."""

    def __init__(self, program: str, folder: Path, bundle: Path) -> None:
        self.name = Path(program).name
        self.command = [program, "--root", str(folder / self.name)]
        self.bundle = bundle

    def __call__(self, *words: str) -> None:
        subprocess.run([*self.command, *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)

    def life(self) -> None:
        self("run", "--bundle", str(self.bundle), f"bench-{self.name}")

    def why_not(self) -> str:
        """What keeps it from running a container here; empty when nothing does."""
        words = ["run", "--bundle", str(self.bundle), f"bench-{self.name}"]
        done = subprocess.run([*self.command, *words], capture_output=True, text=True, check=False)
        return done.stderr.strip() if done.returncode else ""


class Supervisor:
    """Our runtime as pydockd has it: a supervisor that is there already."""

    name = "supervisor"

    def __init__(self, house: House) -> None:
        self.house = house
        self.execs = 0

    def life(self) -> None:
        name = self.house.run("true", log=None)
        self.house.exit(name)
        self.house.client.request("delete", container=name, force=True)

    def exec_in(self, name: str) -> None:
        self.execs += 1
        exec = f"e{self.execs}"
        process = {"args": ["true"], "env": ["PATH=/bin"], "cwd": "/"}
        self.house.client.request("exec", container=name, exec=exec, process=process)
        self.house.client.event("exit", name, exec)


def timed(action: Callable[[], None]) -> float:
    begun = time.perf_counter()
    action()
    return (time.perf_counter() - begun) * 1000


def report(title: str, actions: dict[str, Callable[[], None]], rounds: int) -> None:
    """Measure in turn and print."""
    values: dict[str, list[float]] = {name: [] for name in actions}
    for number in range(rounds + 1):
        for name, action in actions.items():
            taken = timed(action)
            if number:  # the first round warms up
                values[name].append(taken)
    medians = {name: statistics.median(found) for name, found in values.items()}
    for name, median in medians.items():
        print(f"{title:12} {name:16} {median:8.1f} ms {median / medians['runc']:7.2f}")


def main() -> None:
    """Measure everything there is."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory(prefix="pydock-bench-") as name:
        folder = Path(name)
        root, bundle = box.make_root(folder / "root"), folder / "bundle"
        for place in ("dev", "proc", "sys"):
            (root / place).mkdir()
        bundle.mkdir()
        (bundle / "config.json").write_text(json.dumps({**box.spec("true", root=root), "ociVersion": "1.0.2"}))
        found = [shutil.which(program) for program in (OURS, "runc", "crun")]
        commands = [Command(program, folder, bundle) for program in found if program]
        for command in list(commands):
            if why := command.why_not():
                print(f"{command.name} is left out: {why.splitlines()[-1]}")
                commands.remove(command)
        house = House(folder, root)
        try:
            warm = Supervisor(house)
            report("whole life", {each.name: each.life for each in (*commands, warm)}, rounds)
            execs(commands, warm, rounds)
        finally:
            house.close()


def execs(commands: list[Command], warm: Supervisor, rounds: int) -> None:
    """Measure execs, each in a container of its runtime."""
    actions: dict[str, Callable[[], None]] = {}
    sleeper = json.loads((commands[0].bundle / "config.json").read_text())
    sleeper["process"]["args"] = ["sleep", "1000"]
    (commands[0].bundle / "config.json").write_text(json.dumps(sleeper))
    for command in commands:
        command("run", "--detach", "--bundle", str(command.bundle), f"bench-{command.name}")
        actions[command.name] = lambda command=command: command("exec", f"bench-{command.name}", "true")  # type: ignore[misc]
    name = warm.house.run("sleep", "1000", log=None)
    actions[warm.name] = lambda: warm.exec_in(name)
    try:
        report("exec", actions, rounds)
    finally:
        for command in commands:
            command("delete", "--force", f"bench-{command.name}")
        warm.house.client.request("delete", container=name, force=True)


if __name__ == "__main__":
    main()
