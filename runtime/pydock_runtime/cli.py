"""The command `pydock-runtime`: runc's verbs, each a file below `verbs` that is imported on use.

A verb's module has ARGUMENTS (what follows its name, for the help), FLAGS, SEALED (does it fork processes into
containers?), and `run(call) -> exit code`; where they are not 1 and 0, FAILURE (the exit code with an error) and LEAST
(how many words it needs at least). `supervisor` is the exception: it has a life of its own.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time

from pydock_runtime import __version__, arguments, reexec, rootless
from pydock_runtime import spec as specs
from pydock_runtime.arguments import SWITCH, TEXT, Flag
from pydock_runtime.errors import INVALID, RuntimeFailure, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from pydock_runtime.arguments import Call

NAME = "pydock-runtime"
DEFAULT_ROOT = "/run/pydock-runtime"
UNKNOWN_VERB = 3  # the exit code, as runc's
VERBS = {
    "checkpoint": "write the processes of a running container to files",
    "create": "make a container from a bundle, up to the gate before its program",
    "delete": "remove what is left of a container",
    "events": "print what a container uses, as JSON",
    "exec": "run a further process in a container",
    "features": "print what this runtime can do, as JSON",
    "kill": "send a signal to a container's init",
    "list": "list the containers",
    "pause": "freeze all processes of a container",
    "ps": "list the processes of a container",
    "restore": "run the processes of a checkpoint again",
    "resume": "undo pause",
    "run": "create, start and wait for a container",
    "spec": "write a config.json to start from",
    "start": "run the program of a created container",
    "state": "print the state of a container, as JSON",
    "supervisor": "be the parent of pydockd's containers",
    "update": "change the limits of a container",
}
FLAGS = (
    Flag("root", TEXT, f"folder of the containers' state (default {DEFAULT_ROOT}, or below $XDG_RUNTIME_DIR)"),
    Flag("log", TEXT, "file to which an error is written as well"),
    Flag("log-format", TEXT, "form of what is written there: text or json"),
    Flag("debug", SWITCH, "accepted for callers of runc; there is nothing more to tell"),
    Flag("criu", TEXT, "path of criu, for checkpoint and restore (default: the one in PATH)"),
    Flag("systemd-cgroup", SWITCH, "let systemd make the cgroup, as a scope; cgroupsPath is slice:prefix:name"),
    Flag(
        "rootless",
        TEXT,
        "true: a container whose cgroup may not be made goes without; auto (default): of who is not root",
    ),
    Flag("version", SWITCH, "show the version", "v"),
)


def main() -> int:
    """Run the verb of sys.argv; return the exit code."""
    argv = sys.argv[1:]
    call: Call | None = None
    try:
        call = arguments.parse(argv, FLAGS)
        return _dispatch(call, argv)
    except RuntimeFailure as error:
        message = error.message
    except OSError as error:
        message = text(error)
    except KeyboardInterrupt:
        return 130
    in_json = call is not None and call.text("log-format") == "json"
    if call is None or not in_json or call.text("log"):
        print(f"{NAME}: {message}", file=sys.stderr)
    if call is not None and (in_json or call.text("log")):
        _log(call, message)
    return call.failure if call is not None else 1


def _dispatch(call: Call, argv: list[str]) -> int:
    if call.has("version"):
        print(f"{NAME} version {__version__}\nspec: {specs.VERSION}")
        return 0
    if call.has("help") or not call.words or call.words[0] == "help":
        print(_help())
        return 0
    _check_global(call)
    verb, rest = call.words[0], call.words[1:]
    if verb not in VERBS:
        call.failure = UNKNOWN_VERB
        raise RuntimeFailure(f"No help topic for '{verb}'", INVALID)
    if verb == "supervisor":
        return _supervisor(rest)
    module = importlib.import_module(f"pydock_runtime.verbs.{verb}")
    inner = arguments.parse(rest, module.FLAGS)
    inner.verb, inner.criu = verb, call.text("criu")
    if inner.has("help"):
        print(_verb_help(verb, module))
        return 0
    if module.SEALED:
        reexec.into_sealed_copy(argv)
    inner.systemd, inner.rootless = call.has("systemd-cgroup"), call.text("rootless")
    inner.root = os.path.abspath(call.text("root") or rootless.default_root(DEFAULT_ROOT))
    inner.require(getattr(module, "LEAST", 0))
    call.failure = getattr(module, "FAILURE", 1)
    return module.run(inner)  # type: ignore[no-any-return]


def _supervisor(argv: list[str]) -> int:
    loop = importlib.import_module("pydock_runtime.supervisor.loop")
    if argv in (["--help"], ["-h"]):
        print(f"{loop.USAGE}\n\n{VERBS['supervisor']}")
        return 0
    return loop.main(argv)  # type: ignore[no-any-return]


def _check_global(call: Call) -> None:
    if call.text("rootless") not in ("", "true", "false", "auto"):
        raise RuntimeFailure(f"--rootless {call.text('rootless')!r} is not true, false or auto", INVALID)
    if call.text("log-format") not in ("", "text", "json"):
        raise RuntimeFailure(f"invalid log-format: {call.text('log-format')}", INVALID)


def _help() -> str:
    verbs = "\n".join(f"  {name:12}{summary}" for name, summary in VERBS.items())
    return f"usage: {NAME} [FLAGS] VERB ...\n\n{verbs}\n\n{arguments.usage(FLAGS)}"


def _verb_help(verb: str, module: ModuleType) -> str:
    return f"usage: {NAME} {verb} [FLAGS] {module.ARGUMENTS}\n\n{VERBS[verb]}\n\n{arguments.usage(module.FLAGS)}"


def _log(call: Call, message: str) -> None:
    """Write the error where the caller looks for it; containerd and podman read the form of logrus."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    line = f"time={json.dumps(now)} level=error msg={json.dumps(message)}"
    if call.text("log-format") == "json":
        line = json.dumps({"level": "error", "msg": message, "time": now})
    try:
        with open(call.text("log") or "/dev/stderr", "a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:
        print(f"{NAME}: --log {text(error)}", file=sys.stderr)
