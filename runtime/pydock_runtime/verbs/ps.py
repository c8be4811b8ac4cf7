"""`ps`: the processes of a container, as the host sees them."""

from __future__ import annotations

import json

from pydock_runtime import container, state
from pydock_runtime.arguments import TEXT, Call, Flag
from pydock_runtime.errors import INVALID, RuntimeFailure

ARGUMENTS = "ID [OPTION OF PS(1) ...]"
SEALED = False
FLAGS = (Flag("format", TEXT, "table (default) or json: the pids only", "f"),)


def run(call: Call) -> int:
    """Print the list."""
    form = call.text("format") or "table"
    if form not in ("table", "json"):
        raise RuntimeFailure("invalid format option", INVALID)
    call.require(1)
    pids = sorted(set(container.group(state.load(call.root, call.words[0])).pids()))
    if form == "json":
        print(json.dumps(pids))
        return 0
    options = call.words[1:] or ["-ef"]
    try:
        for line in filtered(_called(options), pids):
            print(line)
        return 0
    except FileNotFoundError:
        if call.words[1:]:
            raise RuntimeFailure("options for ps need ps(1), which is not installed", INVALID) from None
    print(f"{'UID':>8} {'PID':>8} {'PPID':>8} CMD")
    for pid in pids:
        try:
            print(_line(pid))
        except FileNotFoundError:
            # Gone since the listing.
            continue
    return 0


def _called(options: list[str]) -> str:
    """Return what ps(1) of the host prints."""
    import subprocess  # nobody else has a use for it, and it is slow to load

    done = subprocess.run(["ps", *options], capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        raise RuntimeFailure(f"ps: {done.stderr.strip() or f'exit status {done.returncode}'}", INVALID)
    return done.stdout


def filtered(text: str, pids: list[int]) -> list[str]:
    """Return the header of a table of ps(1) and the rows of these processes."""
    header, *rows = text.splitlines()
    if "PID" not in header.split():
        raise RuntimeFailure("couldn't find PID field in ps output", INVALID)
    at, wanted = header.split().index("PID"), set(map(str, pids))
    return [header, *(row for row in rows if len(row.split()) > at and row.split()[at] in wanted)]


def _line(pid: int) -> str:
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        fields = dict(line.split(":", 1) for line in file if ":" in line)
    with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
        command = file.read().rstrip("\0").replace("\0", " ")
    uid, parent = fields["Uid"].split()[0], fields["PPid"].strip()
    return f"{uid:>8} {pid:>8} {parent:>8} {command or '[' + fields['Name'].strip() + ']'}"
