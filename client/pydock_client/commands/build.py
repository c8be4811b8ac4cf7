"""`build`: sends a folder, an archive or an address to the daemon, which builds an image of it."""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import ExitStack

from pydock_client import auth, buildcontext, buildoutput, buildsession, buildsteps, progress
from pydock_client.command import Call, Command, Failure
from pydock_client.flags import BOOL, BYTES, INT, LIST, STRING, STRINGS, SWAP, Flag
from pydock_client.options import ADD_HOST, LABEL, ULIMIT
from pydock_client.pieces import pieces
from pydock_client.session import STDIN_FD
from pydock_client.values import pairs
from pydock_shared import ignore, reference
from pydock_shared.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, TextIO

    from pydock_client.buildoutput import Output
    from pydock_client.flags import Options

PROGRESS = ("auto", "plain", "quiet", "rawjson", "tty")
_URLS = ("http://", "https://", "git://", "github.com/", "git@")

_CANNOT = "unable to prepare context"
_STRANGER = ".dockerfile.from-elsewhere"
_HEAD = 262
_COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\x00", b"BZh")

# Flag, parameter of POST /build
_PARAMETERS = (
    ("cgroup-parent", "cgroupparent"),
    ("cpu-period", "cpuperiod"),
    ("cpu-quota", "cpuquota"),
    ("cpu-shares", "cpushares"),
    ("cpuset-cpus", "cpusetcpus"),
    ("cpuset-mems", "cpusetmems"),
    ("force-rm", "forcerm"),
    ("memory", "memory"),
    ("memory-swap", "memswap"),
    ("no-cache", "nocache"),
    ("pull", "pull"),
    ("shm-size", "shmsize"),
    ("squash", "squash"),
    ("target", "target"),
)


def _build(call: Call) -> None:
    """Read the whole command line before anything is sent."""
    options = call.options
    for tag in options["tag"]:
        reference.parse(tag)
    if options["progress"] not in PROGRESS:
        raise Failure(f"--progress={options['progress']} is not supported: one of {', '.join(PROGRESS)} is")
    known = dict(buildsession.secret(text) for text in options["secret"])
    agents = dict(buildsession.agent(text) for text in options["ssh"])
    named = [_context_option(text) for text in options["build-context"]]
    outputs = _outputs(options)
    sources = [buildoutput.cache(text, "cache-from") for text in options["cache-from"]]
    targets = [buildoutput.cache(text, "cache-to") for text in options["cache-to"]]
    kind = _kind(options)
    query = _query(call) | _result(options, outputs, targets) | {"lean": True, "trace": kind in ("tty", "rawjson")}
    query["contexts"] = json.dumps({name: _named(call, value) for name, value in named}) if named else ""
    with ExitStack() as stack:
        caches = [fields.get("ref") or buildoutput.send_cache(call, fields["src"]) for fields in sources]
        query["cachefrom"] = json.dumps(caches) if caches else ""
        if known or agents:
            query["session"] = stack.enter_context(buildsession.Session(call.daemon, known, agents)).name
        told = _send(call, query, kind)
    _finish(call, outputs, targets, told)


def _outputs(options: Options) -> list[Output]:
    """Return what is to become of the result: `--push` and `--load` are short for some."""
    texts = [*options["output"], *(["type=registry"] if options["push"] else ())]
    texts += ["type=docker"] if options["load"] else []
    made = [buildoutput.output(text) for text in texts] or [buildoutput.output("type=docker")]
    alone = [one.kind for one in made if not one.is_image]
    if alone and len(",".join(options["platform"]).split(",")) > 1:
        raise Failure(f"the output type {alone[0]!r} is not supported for several platforms")
    return made


def _result(options: Options, outputs: list[Output], targets: list[dict[str, str]]) -> dict[str, Any]:
    names = [name for made in outputs if made.is_image for name in made.names]
    kept = {"inline" if fields["type"] == "inline" else fields.get("mode", "min") for fields in targets}
    return {
        "t": [*options["tag"], *names] if any(made.is_image for made in outputs) else [],
        "exported": not any(made.is_image for made in outputs),
        "rewrite": any(made.rewrite for made in outputs),
        "cacheto": ",".join(sorted(kept)),
        "nocachefilter": json.dumps(options["no-cache-filter"]) if options["no-cache-filter"] else "",
    }


def _finish(call: Call, outputs: list[Output], targets: list[dict[str, str]], told: dict[str, Any]) -> None:
    """Bring the result where it is to be, and write down what it is."""
    options, identity = call.options, str(told.get("ID", ""))
    if any(made.kind not in ("image", "docker") or made.dest or made.push for made in outputs):
        for made in outputs:
            buildoutput.write(call, made, identity, options["tag"])
    for fields in targets:
        buildoutput.keep(call, fields, str(told.get("Cache", "")))
    if options["iidfile"]:
        with open(options["iidfile"], "w") as file:
            file.write(identity)
    if options["metadata-file"]:
        image = call.daemon.call("GET", f"/images/{identity}/json")
        facts = {"containerimage.config.digest": identity}
        facts |= {"containerimage.digest": image["Descriptor"]["digest"]} if image.get("Descriptor") else {}
        facts |= (
            {"image.name": ",".join(reference.parse(tag).canonical() for tag in options["tag"])}
            if options["tag"]
            else {}
        )
        with open(options["metadata-file"], "w") as file:
            json.dump(facts, file, indent=2)


def _context_option(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise Failure(f"invalid context value: {text}, expected key=value")
    return name, value


def _named(call: Call, value: str) -> str:
    """Return what the request says of a named context; a folder is sent."""
    if "://" in value or value.startswith(_URLS):
        return value
    if not os.path.isdir(value):
        raise Failure(f"failed to get build context {value}: stat {value}: no such file or directory")
    return f"context:{buildcontext.send(call.daemon, value, buildcontext.ignored(value, ''), (ignore.FILE,))}"


def _send(call: Call, query: dict[str, Any], kind: str) -> dict[str, Any]:
    """Send the build and show how it goes; return what is told of its result."""
    options, (source,) = call.options, call.arguments
    body: Iterator[bytes] | None = None
    if source == "-":
        body = _from_stdin(pieces(STDIN_FD))
        query["dockerfile"] = options["file"]
    elif source.startswith(_URLS):
        query["remote"] = source
    else:
        query["dockerfile"], more = _dockerfile(source, options["file"])
        kept = (query["dockerfile"], f"{query['dockerfile']}{ignore.FILE}", ignore.FILE)
        ignored = buildcontext.ignored(source, query["dockerfile"])
        try:
            query["context"] = buildcontext.send(call.daemon, source, ignored, kept)
            body = iter(more.values()) if more else None
        except NotFound:  # an engine of another kind
            from pydock_client.tarballs import pack_context  # it loads tarfile, which few builds need

            body = pack_context(source, ignored, kept, more)
    headers = {"Content_Type": "application/x-tar"}
    if call.settings.config.get("auths"):
        known = {server: auth.load(call.settings, server) for server in call.settings.config["auths"]}
        headers["X_Registry_Config"] = auth.encode(known)
    began = time.monotonic()
    return _shown(call, kind, call.daemon.request("POST", "/build", query, body, **headers).objects(), began)


def _query(call: Call) -> dict[str, Any]:
    options = call.options
    query: dict[str, Any] = {name: options[flag] or "" for flag, name in _PARAMETERS}
    query["platform"] = ",".join(options["platform"])
    arguments = {}
    for text in options["build-arg"]:
        name, equals, value = text.partition("=")
        arguments[name] = value if equals else os.environ.get(name)
    query |= {
        "rm": "1" if options["rm"] else "0",
        "networkmode": options["network"],
        "extrahosts": ",".join(options["add-host"]),
        "buildargs": json.dumps(arguments),
        "labels": json.dumps(pairs(options["label"])),
        **_annotations(options["annotation"]),
        "allow": options["allow"],
        "ulimits": json.dumps(options["ulimit"]) if options["ulimit"] else "",
        "securityopt": json.dumps(options["security-opt"]) if options["security-opt"] else "",
    }
    return query


def _annotations(texts: list[str]) -> dict[str, str]:
    """Return the parameters of `[manifest,index:]key=value`; those of which nothing is said are the manifest's."""
    found: dict[str, dict[str, str]] = {"manifest": {}, "index": {}}
    for text in texts:
        name, equals, value = text.partition("=")
        kinds, colon, key = name.rpartition(":")
        if not equals or not key:
            raise Failure(f'invalid annotation "{text}", expected key=value')
        for kind in kinds.split(",") if colon else ["manifest"]:
            if kind not in found:
                raise Failure(f"annotations of type {kind} are not supported")
            found[kind][key] = value
    return {"annotations": json.dumps(found["manifest"]), "indexannotations": json.dumps(found["index"])}


def _from_stdin(given: Iterator[bytes]) -> Iterator[bytes]:
    """Yield what standard input has: an archive as it is, a Dockerfile in one of its own."""
    head = b""
    for piece in given:
        head += piece
        if len(head) >= _HEAD:
            break
    if head.startswith(_COMPRESSED) or head[257:262] == b"ustar":
        yield head
        yield from given
    else:
        from pydock_client.tarballs import pack_text

        yield from pack_text("Dockerfile", head + b"".join(given))


def _dockerfile(source: str, path: str) -> tuple[str, dict[str, bytes]]:
    """Return the path of the Dockerfile inside the folder; one from elsewhere is a further file of the archive."""
    if not os.path.isdir(source):
        raise Failure(f'{_CANNOT}: path "{source}" not found')
    if path == "-":
        return _STRANGER, {_STRANGER: b"".join(pieces(STDIN_FD))}
    found = os.path.abspath(path or os.path.join(source, "Dockerfile"))
    if not os.path.exists(found):
        raise Failure(f"{_CANNOT}: lstat {found}: no such file or directory")
    inside = os.path.relpath(os.path.realpath(found), os.path.realpath(source))
    if not inside.startswith(".."):
        return inside, {}
    with open(found, "rb") as file:
        return _STRANGER, {_STRANGER: file.read()}


def _kind(options: Options) -> str:
    """Return how the build is shown: on a terminal it is drawn, elsewhere told."""
    kind = "quiet" if options["quiet"] and options["progress"] != "rawjson" else str(options["progress"])
    terminal = _out(options).isatty() and os.environ.get("TERM") != "dumb"
    if kind == "tty" and not terminal:
        raise Failure("failed to get console: provided file is not a console")
    return ("tty" if terminal else "plain") if kind == "auto" else kind


def _out(options: Options) -> TextIO:
    """Return where the build is shown: not where its result goes."""
    to_stdout = any(text == "-" or text.endswith("dest=-") for text in options["output"])
    return sys.stderr if to_stdout else sys.stdout


def _shown(call: Call, kind: str, objects: Iterator[dict[str, Any]], began: float) -> dict[str, Any]:
    told: dict[str, Any] = {}
    with ExitStack() as stack:
        out = _out(call.options)
        if kind == "tty":
            from pydock_client import buildscreen  # it draws with rich, which takes a while to import

            objects = stack.enter_context(buildscreen.drawn(objects, out, began))
        elif kind == "rawjson":
            objects = _echoed(objects)
        if kind in ("quiet", "rawjson"):
            out = stack.enter_context(open(os.devnull, "w"))
        progress.show(objects, out, told.update)
    if kind == "quiet":
        print(told.get("ID", ""))
    return told


def _echoed(objects: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Write what is told of steps as it came, a line of JSON each; yield the rest."""
    for entry in objects:
        if entry.get("id") != buildsteps.ID:
            yield entry
            continue
        print(json.dumps(entry["aux"]), file=sys.stderr, flush=True)


BUILD = Command(
    _build,
    "[OPTIONS] PATH | URL | -",
    arguments=(1, 1),
    flags=(
        Flag("--add-host", ADD_HOST, 'Add a mapping of a host name to an address ("host:ip")'),
        Flag("--allow", STRINGS, "Allow extra privileged entitlement (network.host, security.insecure)"),
        Flag("--annotation", LIST, 'Add annotation to the image ("a=b", "index:a=b")'),
        Flag("--build-arg", LIST, "Set build-time variables"),
        Flag("--build-context", LIST, "Additional build contexts (name=path, name=docker-image://image)"),
        Flag("--cache-from", LIST, 'External cache sources ("user/app:cache", "type=local,src=path/to/dir")'),
        Flag("--cache-to", LIST, 'Cache export destinations ("type=inline", "type=registry,ref=user/app:cache")'),
        Flag("--cgroup-parent", STRING, "Parent cgroup of the RUN instructions"),
        Flag("--compress", BOOL, "Compress the build context", unsupported=True),
        Flag("--cpu-period", INT, "Period of the CPU CFS quota, in microseconds"),
        Flag("--cpu-quota", INT, "CPU CFS quota, in microseconds per period"),
        Flag("-c --cpu-shares", INT, "CPU shares (relative weight)"),
        Flag("--cpuset-cpus", STRING, "CPUs in which to allow execution (0-3, 0,1)"),
        Flag("--cpuset-mems", STRING, "Memory nodes in which to allow execution (0-3, 0,1)"),
        Flag("--disable-content-trust", BOOL, "Skip verification of the image", default=True, hidden=True),
        Flag("-f --file", STRING, 'Name of the Dockerfile (default "PATH/Dockerfile")'),
        Flag("--force-rm", BOOL, "Always remove intermediate containers"),
        Flag("--iidfile", STRING, "Write the image ID to the file"),
        Flag("--isolation", STRING, "Isolation technology of the containers", unsupported=True),
        Flag("--label", LABEL, "Set metadata of the image"),
        Flag("--load", BOOL, 'Shorthand for "--output=type=docker"'),
        Flag("-m --memory", BYTES, "Memory limit"),
        Flag("--memory-swap", SWAP, "Limit of memory plus swap; -1 for unlimited swap"),
        Flag("--metadata-file", STRING, "Write build result metadata to a file"),
        Flag("--network", STRING, "Network of the RUN instructions", default="default"),
        Flag("--no-cache", BOOL, "Do not use the cache"),
        Flag("--no-cache-filter", STRINGS, "Do not cache specified stages"),
        Flag("-o --output", LIST, 'Output destination ("dest", "type=tar,dest=path")'),
        Flag("--platform", STRINGS, "Set target platform for build"),
        Flag("--progress", STRING, "Type of progress output (auto, plain, quiet, rawjson, tty)", default="auto"),
        Flag("--pull", BOOL, "Always pull a newer version of the base image"),
        Flag("--push", BOOL, 'Shorthand for "--output=type=registry"'),
        Flag("-q --quiet", BOOL, "Suppress the build output and print the image ID on success"),
        Flag("--rm", BOOL, "Remove intermediate containers after a successful build", default=True),
        Flag("--secret", LIST, 'Secret to expose to the build ("id=mysecret,src=/local/secret", "id=x,env=X")'),
        Flag("--security-opt", STRINGS, "Security options"),
        Flag("--shm-size", BYTES, "Size of /dev/shm"),
        Flag("--squash", BOOL, "Squash newly built layers into a single new layer"),
        Flag("--ssh", LIST, 'SSH agent socket to expose to the build ("default", "name=/path/to/socket|key")'),
        Flag("-t --tag", LIST, 'Name of the image, in the "name:tag" format'),
        Flag("--target", STRING, "Build stage to build"),
        Flag("--ulimit", ULIMIT, "Ulimit options"),
    ),
)
