"""`list`: the containers of a root."""

from __future__ import annotations

import json
import os
import pwd

from pydock_runtime import state
from pydock_runtime.arguments import SWITCH, TEXT, Call, Flag
from pydock_runtime.errors import INVALID, RuntimeFailure
from pydock_runtime.verbs.state import describe

ARGUMENTS = ""
SEALED = False
FLAGS = (
    Flag("format", TEXT, "table (default) or json", "f"),
    Flag("quiet", SWITCH, "ids only", "q"),
)
COLUMNS = ("id", "pid", "status", "bundle", "created", "owner")


def run(call: Call) -> int:
    """Print the list."""
    call.require(0, 0)
    form = call.text("format") or "table"
    if form not in ("table", "json"):
        raise RuntimeFailure("invalid format option", INVALID)
    records = state.all_of(call.root)
    if call.has("quiet"):
        for record in records:
            print(record.id)
        return 0
    rows = [{**describe(record), "owner": _owner(record)} for record in records]
    if form == "json":
        print(json.dumps(rows))
        return 0
    table = [[name.upper() for name in COLUMNS], *([str(row[name]) for name in COLUMNS] for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(COLUMNS))]
    for line in table:
        print("   ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip())
    return 0


def _owner(record: state.Record) -> str:
    """Return who has made a container; empty where the host has no name for him."""
    try:
        return pwd.getpwuid(os.stat(record.folder).st_uid).pw_name
    except (KeyError, FileNotFoundError):
        return ""
