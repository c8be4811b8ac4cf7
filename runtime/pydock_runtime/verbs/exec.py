"""`exec`: a further process in a running container."""

from __future__ import annotations

import json

from pydock_runtime import cgroup, console, container, hooks, join, launch, rules, shapes, state
from pydock_runtime import spec as specs
from pydock_runtime.arguments import LIST, NUMBER, SWITCH, TEXT, Call, Flag
from pydock_runtime.errors import INVALID, RuntimeFailure, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ARGUMENTS = "ID [COMMAND [ARGUMENT ...]]"
SEALED = True
FAILURE = 255
LEAST = 1
FLAGS = (
    Flag("process", TEXT, "file with the `process` of a spec, instead of a command", "p"),
    Flag("detach", SWITCH, "do not wait for its end", "d"),
    Flag("tty", SWITCH, "give it a terminal", "t"),
    Flag("console-socket", TEXT, "socket that is sent the terminal's master"),
    Flag("pid-file", TEXT, "file to which its pid is written"),
    Flag("cwd", TEXT, "working directory"),
    Flag("env", LIST, "variable to set, as NAME=VALUE", "e"),
    Flag("user", TEXT, "uid, or uid:gid", "u"),
    Flag("additional-gids", LIST, "further group", "g"),
    Flag("cap", LIST, "capability to add", "c"),
    Flag("no-new-privs", SWITCH, "never gain privileges"),
    Flag("preserve-fds", NUMBER, "descriptors from 3 on that the program gets"),
    Flag("ignore-paused", SWITCH, "begin it in a paused container as well: it waits for the end of the pause"),
    Flag("cgroup", TEXT, "cgroup below the container's own to run it in"),
    Flag("apparmor", TEXT, "AppArmor profile"),
    Flag("process-label", TEXT, "SELinux label"),
)
LABELS = (("apparmor", "apparmorProfile"), ("process-label", "selinuxLabel"))
INHERITED = ("capabilities", "apparmorProfile", "selinuxLabel")
"""What a process of a file has of the container's own, unless the file says something else."""
CAPABILITY_SETS = ("bounding", "effective", "permitted")


def run(call: Call) -> int:
    """Run the process; without --detach the result is its exit code."""
    record = state.load(call.root, call.words[0])
    allowed = [state.CREATED, state.RUNNING, state.PAUSED]
    container.require(record, *allowed, otherwise="cannot exec in a stopped container")
    if not call.has("ignore-paused"):
        container.require(
            record, *allowed[:2], otherwise="cannot exec in a paused container (use --ignore-paused to override)"
        )
    process = container.granted(_process(call, record))
    specs.check_process(process)
    rules.check_process(process)
    tty = bool(process.get("terminal"))
    console.check(call)
    child = join.spawn_exec(
        record.pid,
        process,
        stdio=None if tty else (0, 1, 2),
        cgroup=_group(call, record),
        program=container.program_of(record.spec),
        preserve=call.number("preserve-fds") or 0,
        state=hooks.state(record.spec, id=record.id, bundle=record.bundle),
        part=record.spec.get("linux"),
    )
    try:
        if tty:
            container.await_ready(child)
            console.hand_over(call, child, waits=not call.has("detach"))
        container.raise_error(launch.receive(child))
        container.write_pid_file(call.text("pid-file"), child.pid)
    except BaseException:
        # A zombie left in its pid namespace would keep the container from ending.
        container.kill(child)
        raise
    if call.has("detach"):
        return 0
    with console.attended(child):
        return console.relay(child)


def _group(call: Call, record: state.Record) -> cgroup.Cgroup:
    """Return the cgroup the process is to be in: the container's, or one below it."""
    below = call.text("cgroup").strip("/")
    if ":" in below or ".." in below.split("/"):
        raise RuntimeFailure(f"--cgroup {call.text('cgroup')!r} is not a path below the container's cgroup", INVALID)
    return cgroup.open_existing(f"{record.cgroup}/{below}") if below else container.group(record)


def _process(call: Call, record: state.Record) -> dict[str, Any]:
    """Return the process of the command line: a file, or the container's own with another command."""
    if call.has("process"):
        own = record.spec["process"]
        return {**{key: own[key] for key in INHERITED if own.get(key)}, **_read(call.text("process"))}
    if len(call.words) < 2:
        raise RuntimeFailure("process args cannot be empty", INVALID)
    process: dict[str, Any] = json.loads(json.dumps(record.spec["process"]))
    process["args"] = call.words[1:]
    process["terminal"] = call.has("tty")
    process["env"] = [*(process.get("env") or []), *call.list("env")]
    process["cwd"] = call.text("cwd") or process.get("cwd")
    process["noNewPrivileges"] = call.has("no-new-privs") or process.get("noNewPrivileges")
    for flag, key in LABELS:
        if call.has(flag):
            process[key] = call.text(flag)
    if call.has("user"):
        process["user"] = _user(call.text("user"))
    if call.has("additional-gids"):
        process.setdefault("user", {})["additionalGids"] = [_number(word) for word in call.list("additional-gids")]
    for name in CAPABILITY_SETS if call.has("cap") else ():
        sets = process.setdefault("capabilities", {})
        sets[name] = sorted({*(sets.get(name) or ()), *call.list("cap")})
    return process


def _user(text: str) -> dict[str, Any]:
    uid, _, gid = text.partition(":")
    return {"uid": _number(uid), "gid": _number(gid) if gid else 0}


def _number(text: str) -> int:
    if not text.isdigit():
        raise RuntimeFailure(f"not a number: {text!r}", INVALID)
    return int(text)


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            process = json.load(file)
    except OSError as error:
        raise RuntimeFailure(f"{path}: {reason(error)}", INVALID) from error
    except ValueError as error:
        raise RuntimeFailure(f"{path}: {error}", INVALID) from error
    if not isinstance(process, dict):
        raise RuntimeFailure(f"{path}: not an object", INVALID)
    shapes.check(process, shapes.PROCESS, "process")
    return {key: part for key, part in process.items() if part or key not in INHERITED}
