"""From the options of `run` and `create` to the body of POST /containers/create. Used by commands/run.py.

Only what was asked for is sent: defaults are the daemon's. The words of errors are those of the docker command line.
"""

from __future__ import annotations

import os
import re

from pydock_shared import mounts, ports
from pydock_shared.errors import InvalidArgument

from .endpoints import endpoints
from .options import CREATE, Field
from .values import pairs, read_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .flags import Options

Body = dict[str, "Any"]

_MAC = re.compile(r"([0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}|([0-9a-fA-F]{4}\.){2}[0-9a-fA-F]{4}")
_FIELDS = tuple(flag for flag in CREATE if isinstance(flag, Field))

# Flag, what it may be besides empty and `container:NAME` (where that is meant), the words of the error
_MODES = (
    ("pid", "PidMode", ("host",), True, "--pid: invalid PID mode"),
    ("uts", "UTSMode", ("host",), False, "--uts: invalid UTS mode"),
    ("userns", "UsernsMode", ("host",), False, "--userns: invalid USER mode"),
    ("cgroupns", "CgroupnsMode", ("host", "private"), False, "--cgroupns: invalid CGROUP mode"),
)


def build(options: Options, image: str, command: list[str], *, detach: bool = False) -> Body:
    """Return the body that creates a container; InvalidArgument or OSError when the options cannot be followed."""
    host: Body = {}
    body: Body = {"Image": image, "HostConfig": host}
    options["network"] = options["network"] + options["net"]
    options["network-alias"] = options["network-alias"] + options["net-alias"]
    for flag in _FIELDS:
        if flag.long in options.given:
            _put(body, flag.path, options[flag.long])
    if command:
        body["Cmd"] = command
    for step in _STEPS:
        step(options, body, host)
    _streams(options, body, detach=detach)
    return body


def _put(body: Body, path: str, value: Any) -> None:
    *groups, name = path.split(".")
    for group in groups:
        body = body.setdefault(group, {})
    if isinstance(value, list):
        value = body.get(name, []) + value
    body[name] = value


def _streams(options: Options, body: Body, *, detach: bool) -> None:
    """What is attached: what -a names, else both outputs; and standard input when it is interactive."""
    wanted = set(options["attach"] or ("stdout", "stderr"))
    if options["interactive"]:
        wanted.add("stdin")
        body["OpenStdin"] = True
    if detach:
        if options["attach"]:
            raise InvalidArgument("conflicting options: cannot specify both --attach and --detach")
        wanted.clear()
    for stream in ("stdin", "stdout", "stderr"):
        body[f"Attach{stream.capitalize()}"] = stream in wanted
    if options["interactive"] and "stdin" in wanted:
        body["StdinOnce"] = True


def _environment(options: Options, body: Body, host: Body) -> None:
    found = environment(options)
    if found:
        body["Env"] = found


def environment(options: Options) -> list[str]:
    """Return the variables of --env-file and --env; of those with the same name the last one counts."""
    found: dict[str, str] = {}
    for path in options["env-file"]:
        for line in read_lines(path):
            name, equals, _ = line.partition("=")
            if equals or name in os.environ:
                found[name] = line if equals else f"{name}={os.environ[name]}"
    found.update((text.partition("=")[0], text) for text in options["env"])
    return list(found.values())


def _labels(options: Options, body: Body, host: Body) -> None:
    rows = [line for path in options["label-file"] for line in read_lines(path)] + options["label"]
    if rows:
        body["Labels"] = pairs(rows)


def _entrypoint(options: Options, body: Body, host: Body) -> None:
    if "entrypoint" in options.given:
        body["Entrypoint"] = [options["entrypoint"]]


def _volumes(options: Options, body: Body, host: Body) -> None:
    for text in options["volume"]:
        kind, spec = mounts.parse_volume(text)
        if kind == "bind":
            host.setdefault("Binds", []).append(spec)
        else:
            body.setdefault("Volumes", {})[spec] = {}
    if options["tmpfs"]:
        host["Tmpfs"] = dict(mounts.parse_tmpfs(text) for text in options["tmpfs"])
    if options["mount"]:
        host["Mounts"] = options["mount"]


def _ports(options: Options, body: Body, host: Body) -> None:
    bindings: dict[str, list[dict[str, str]]] = {}
    exposed: dict[str, Body] = {}
    for text in options["publish"]:
        for mapping in ports.parse_publish(text):
            exposed[mapping.key] = {}
            bindings.setdefault(mapping.key, []).append({"HostIp": mapping.host_ip, "HostPort": mapping.host_port})
    for text in options["expose"]:
        exposed.update((key, {}) for key in ports.parse_expose(text))
    if bindings:
        host["PortBindings"] = bindings
    if exposed:
        body["ExposedPorts"] = exposed


def _networks(options: Options, body: Body, host: Body) -> None:
    mode = options["network"][0]["target"] if options["network"] else "default"
    if not mode or mode == "container:":
        raise InvalidArgument("no name set for network" if not mode else "invalid network mode: container:")
    if options["mac-address"] and not _MAC.fullmatch(options["mac-address"]):
        raise InvalidArgument(f"{options['mac-address']} is not a valid mac address")
    host["NetworkMode"] = mode
    made = endpoints(options, mode)
    if made:
        body["NetworkingConfig"] = {"EndpointsConfig": made}
    if options["add-host"]:
        host["ExtraHosts"] = options["add-host"]


def _modes(options: Options, body: Body, host: Body) -> None:
    for flag, field, words, of_container, message in _MODES:
        value = options[flag]
        shared = of_container and value.startswith("container:") and value != "container:"
        if value and value not in words and not shared:
            raise InvalidArgument(message)
        if value:
            host[field] = value


def _restart(options: Options, body: Body, host: Body) -> None:
    policy = restart_policy(options["restart"])
    if options["rm"] and policy["Name"] not in ("", "no"):
        raise InvalidArgument("conflicting options: cannot specify both --restart and --rm")
    if "restart" in options.given:
        host["RestartPolicy"] = policy


def restart_policy(text: str) -> Body:
    """Return the wire form of `on-failure[:3]`; whether there is such a policy is for the daemon to say."""
    name, colon, count = text.partition(":")
    if colon and not name:
        raise InvalidArgument("invalid restart policy format: no policy provided before colon")
    try:
        return {"Name": name, "MaximumRetryCount": int(count) if count else 0}
    except ValueError:
        raise InvalidArgument("invalid restart policy format: maximum retry count must be an integer") from None


def _logging(options: Options, body: Body, host: Body) -> None:
    driver, rows = options["log-driver"], options["log-opt"]
    if driver == "none" and rows:
        raise InvalidArgument(f"invalid logging opts for driver {driver}")
    if driver or rows:
        host["LogConfig"] = {"Type": driver, "Config": pairs(rows)}


def _maps(options: Options, body: Body, host: Body) -> None:
    if options["sysctl"]:
        host["Sysctls"] = pairs(options["sysctl"])
    if options["annotation"]:
        host["Annotations"] = pairs(options["annotation"])
    if options["storage-opt"]:
        if not all("=" in row for row in options["storage-opt"]):
            raise InvalidArgument("invalid storage option")
        host["StorageOpt"] = pairs(options["storage-opt"])
    if "init" in options.given:
        host["Init"] = options["init"]


def _capabilities(options: Options, body: Body, host: Body) -> None:
    dropped = {capability(name) for name in options["cap-drop"]}
    added = {capability(name) for name in options["cap-add"]}
    if added:
        host["CapAdd"] = sorted(added)
    if dropped:
        host["CapDrop"] = sorted(dropped)


def capability(name: str) -> str:
    """Return the name of a capability as it travels: `ALL`, `CAP_SYS_ADMIN`."""
    upper = name.upper()
    return upper if upper == "ALL" or upper.startswith("CAP_") else f"CAP_{upper}"


def _limits(options: Options, body: Body, host: Body) -> None:
    swappiness = options["memory-swappiness"]
    if swappiness != -1 and not 0 <= swappiness <= 100:
        raise InvalidArgument(f"invalid value: {swappiness}. Valid memory swappiness range is 0-100")


def _devices(options: Options, body: Body, host: Body) -> None:
    """Devices by path, and those by the name of a CDI kind (`vendor.com/class=name`), which are requests."""
    requests: list[Body] = list(options["gpus"])
    names = [device["PathOnHost"] for device in options["device"] if _is_cdi(device["PathOnHost"])]
    if names:
        requests.append({"Driver": "cdi", "DeviceIDs": names})
    paths = [device for device in options["device"] if not _is_cdi(device["PathOnHost"])]
    if paths:
        host["Devices"] = paths
    if requests:
        host["DeviceRequests"] = requests


def _is_cdi(text: str) -> bool:
    kind, equals, name = text.partition("=")
    return bool(equals and name and kind.count("/") == 1 and not kind.startswith("/"))


def _security(options: Options, body: Body, host: Body) -> None:
    """Security options; a seccomp profile is read here, since the daemon may not see our files."""
    found = []
    for text in options["security-opt"]:
        key, equals, value = text.partition("=")
        if not equals:
            key, _, value = text.partition(":")
        if text == "systempaths=unconfined":
            host["MaskedPaths"] = host["ReadonlyPaths"] = []
            continue
        if not value and text != "no-new-privileges":
            raise InvalidArgument(f'Invalid --security-opt: "{text}"')
        found.append(f"seccomp={_profile(value)}" if key == "seccomp" else text)
    if found:
        host["SecurityOpt"] = found


def _profile(value: str) -> str:
    if value in ("unconfined", "builtin"):
        return value
    import json

    try:
        with open(value, "rb") as file:
            return json.dumps(json.load(file), separators=(",", ":"))
    except OSError as error:
        words = (error.strerror or "").lower()
        raise InvalidArgument(f"opening seccomp profile ({value}) failed: open {value}: {words}") from error
    except ValueError as error:
        raise InvalidArgument(f"compacting json for seccomp profile ({value}) failed: {error}") from error


_HEALTH = (
    ("health-interval", "Interval"),
    ("health-timeout", "Timeout"),
    ("health-start-period", "StartPeriod"),
    ("health-start-interval", "StartInterval"),
    ("health-retries", "Retries"),
)


def _health(options: Options, body: Body, host: Body) -> None:
    found: Body = {}
    if options["health-cmd"]:
        found["Test"] = ["CMD-SHELL", options["health-cmd"]]
    for flag, field in _HEALTH:
        if options[flag] < 0:
            raise InvalidArgument(f"--{flag} cannot be negative")
        if options[flag]:
            found[field] = options[flag]
    if options["no-healthcheck"]:
        if found:
            raise InvalidArgument("--no-healthcheck conflicts with --health-* options")
        found["Test"] = ["NONE"]
    if found:
        body["Healthcheck"] = found


def _id_file(options: Options, body: Body, host: Body) -> None:
    if options["cidfile"]:
        host["ContainerIDFile"] = options["cidfile"]


_STEPS = (
    _environment,
    _labels,
    _entrypoint,
    _volumes,
    _ports,
    _networks,
    _modes,
    _restart,
    _logging,
    _maps,
    _capabilities,
    _limits,
    _devices,
    _security,
    _health,
    _id_file,
)
