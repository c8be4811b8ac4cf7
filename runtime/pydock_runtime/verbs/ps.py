"""`ps`: the processes of a container, as the host sees them."""

from __future__ import annotations

import json

from pydock_runtime import container, state
from pydock_runtime.arguments import TEXT, Call, Flag
from pydock_runtime.errors import INVALID, RuntimeFailure

ARGUMENTS = "ID"
SEALED = False
FLAGS = (Flag("format", TEXT, "table (default) or json: the pids only", "f"),)


def run(call: Call) -> int:
    """Print the list."""
    form = call.text("format") or "table"
    if form not in ("table", "json"):
        raise RuntimeFailure(f"unknown format {form}", INVALID)
    if len(call.words) > 1:
        raise RuntimeFailure("options for ps are not supported", INVALID)
    pids = sorted(set(container.group(state.load(call.root, call.id())).pids()))
    if form == "json":
        print(json.dumps(pids))
        return 0
    print(f"{'UID':>8} {'PID':>8} {'PPID':>8} CMD")
    for pid in pids:
        try:
            print(_line(pid))
        except FileNotFoundError:
            # Gone since the listing.
            continue
    return 0


def _line(pid: int) -> str:
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        fields = dict(line.split(":", 1) for line in file if ":" in line)
    with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
        command = file.read().rstrip("\0").replace("\0", " ")
    uid, parent = fields["Uid"].split()[0], fields["PPid"].strip()
    return f"{uid:>8} {pid:>8} {parent:>8} {command or '[' + fields['Name'].strip() + ']'}"
