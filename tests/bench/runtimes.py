"""The runtime beside runc and crun on one bundle, in one run: `python -m tests.bench.runtimes [ROUNDS [IDLE]]`.

Whole lives of a container of `true` and execs of `true`, in turn: medians of the time they take, and what each needs of
the processors, kernel and container included; both in milliseconds and as a share of runc's. The second is the steadier
one where other work runs. A runtime that does not start a container on this host is left out, and says why. At last the
memory of the supervisor (proportional set size) for each of IDLE containers that wait, and what they use themselves.
"""

import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.bench.engines import pss, seconds_of_process
from tests.runtime import box
from tests.runtime.supervisor.house import House

OURS = str(Path(sys.executable).parent / "pydock-runtime")
ROUNDS, IDLE = 20, 500


class Command:
    """A runtime by its command line."""

    def __init__(self, program: str, notes: Path, bundle: Path) -> None:
        self.name = Path(program).name
        self.command = [program, "--root", str(notes / self.name)]
        self.bundle = bundle

    def used(self) -> float:
        """Milliseconds of the processors so far."""
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (spent.ru_utime + spent.ru_stime) * 1000

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

    def __init__(self, house: House, bundle: Path) -> None:
        self.house = house
        self.bundle = bundle
        self.made = 0

    def used(self) -> float:
        """Milliseconds of the processors so far."""
        return seconds_of_process(self.house.pid, ended=True) * 1000

    def run(self) -> str:
        """Start the bundle's container, and return its name."""
        self.made += 1
        name = f"bench-{self.made}"
        spec = json.loads((self.bundle / "config.json").read_text())
        cgroup = {"path": f"{self.house.cgroup_root}/{name}"}
        self.house.client.request("create", container=name, spec=spec, overlay=None, cgroup=cgroup)
        self.house.client.request("start", container=name, interfaces=[])
        return name

    def life(self) -> None:
        name = self.run()
        self.house.exit(name)
        self.house.client.request("delete", container=name, force=True)

    def exec_in(self, name: str) -> None:
        self.made += 1
        exec = f"e{self.made}"
        process = {"args": ["true"], "env": ["PATH=/bin"], "cwd": "/"}
        self.house.client.request("exec", container=name, exec=exec, process=process)
        self.house.client.event("exit", name, exec)


Action = Callable[[], None]
Side = Command | Supervisor


def timed(side: Side, action: Action) -> tuple[float, float]:
    """Return what an action takes, and what it uses of the processors."""
    used, begun = side.used(), time.perf_counter()
    action()
    taken = (time.perf_counter() - begun) * 1000
    return taken, side.used() - used


def report(title: str, actions: list[tuple[Side, Action]], rounds: int) -> None:
    """Measure in turn and print."""
    values: dict[str, list[tuple[float, float]]] = {side.name: [] for side, _ in actions}
    for number in range(rounds + 1):
        for side, action in actions:
            measured = timed(side, action)
            if number:  # the first round warms up
                values[side.name].append(measured)
    # Of a supervisor the kernel tells the use in steps of 10 ms: a mean, where the other is a median.
    found = {
        name: (statistics.median(taken for taken, _ in rows), statistics.fmean(used for _, used in rows))
        for name, rows in values.items()
    }
    for name, (taken, used) in found.items():
        shares = taken / found["runc"][0], used / found["runc"][1]
        print(f"{title:12} {name:16} {taken:8.1f} ms {shares[0]:6.2f}    CPU {used:8.1f} ms {shares[1]:6.2f}")


def main() -> None:
    """Measure everything there is."""
    rounds, idle = (int(word) for word in (*sys.argv[1:], *map(str, (ROUNDS, IDLE)[len(sys.argv) - 1 :])))
    with (
        tempfile.TemporaryDirectory(prefix="pydock-bench-") as name,
        # What a runtime notes of its containers is in memory, as below /run.
        tempfile.TemporaryDirectory(prefix="pydock-bench-", dir="/dev/shm") as notes,
    ):
        folder = Path(name)
        root, bundle = box.make_root(folder / "root"), folder / "bundle"
        for place in ("dev", "proc", "sys"):
            (root / place).mkdir()
        bundle.mkdir()
        (bundle / "config.json").write_text(json.dumps({**box.spec("true", root=root), "ociVersion": "1.0.2"}))
        found = [shutil.which(program) for program in (OURS, "runc", "crun")]
        commands = [Command(program, Path(notes), bundle) for program in found if program]
        for command in list(commands):
            if why := command.why_not():
                print(f"{command.name} is left out: {why.splitlines()[-1]}")
                commands.remove(command)
        house = House(Path(notes), root)
        try:
            warm = Supervisor(house, bundle)
            report("whole life", [(each, each.life) for each in (*commands, warm)], rounds)
            execs(commands, warm, rounds)
            memory(warm, idle)
        finally:
            house.close()


def execs(commands: list[Command], warm: Supervisor, rounds: int) -> None:
    """Measure execs, each in a container of its runtime."""
    actions: list[tuple[Side, Action]] = []
    sleeper = json.loads((commands[0].bundle / "config.json").read_text())
    sleeper["process"]["args"] = ["sleep", "1000"]
    (commands[0].bundle / "config.json").write_text(json.dumps(sleeper))
    for command in commands:
        command("run", "--detach", "--bundle", str(command.bundle), f"bench-{command.name}")
        actions.append((command, partial(command, "exec", f"bench-{command.name}", "true")))
    name = warm.run()
    actions.append((warm, partial(warm.exec_in, name)))
    try:
        report("exec", actions, rounds)
    finally:
        for command in commands:
            command("delete", "--force", f"bench-{command.name}")
        warm.house.client.request("delete", container=name, force=True)


def memory(warm: Supervisor, count: int) -> None:
    """Tell what so many containers that wait cost; their bundle is the one of `execs`."""
    before = pss([warm.house.pid])
    names = [warm.run() for _ in range(count)]
    time.sleep(1)  # their records are written
    lines = warm.house.client.request("hello")["containers"]
    pids = [line["pid"] for line in lines if line["container"] in names]
    ours, theirs = ((pss([warm.house.pid]) - before) / count, pss(pids) / count)
    print(f"{count} idle: of the supervisor {ours * 1024:.0f} KB each, of its own {theirs * 1024:.0f} KB")
    for name in names:
        warm.house.client.request("delete", container=name, force=True)
    warm.house.client.held.close()


if __name__ == "__main__":
    main()
