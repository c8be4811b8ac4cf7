"""Settings of pydockd: dockerd's flags and the same keys in daemon.json, from one table. Used by `app` at start.

A setting given both as a flag and in the file is refused, as dockerd does, and so is a key that nobody knows.
"""

import argparse
import ipaddress
import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from pydock_shared.errors import InvalidArgument
from pydock_shared.units import parse_duration_ns, parse_size

LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")
LOG_DRIVERS = ("fluentd", "gelf", "journald", "json-file", "local", "syslog", "none")
SIGNATURE_MODES = ("off", "warn", "require")
LOOPBACK_REGISTRIES = ["127.0.0.0/8", "::1/128"]
OWN_RUNTIME = "pydock"
RUNTIME_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class OciRuntime:
    """Another OCI runtime: its program, by path or to be found in PATH, and what stands before its own arguments."""

    path: str
    arguments: tuple[str, ...] = ()


class Watermark(NamedTuple):
    """How full is too full: a percentage of the data root's file system, or the bytes of images and build cache."""

    percent: float = 0
    size: int = 0

    def __str__(self) -> str:
        return f"{self.percent:g}%" if self.percent else f"{self.size} bytes"

    def below(self) -> "Watermark":
        """Return the low watermark that goes with this one when none is given."""
        return Watermark(max(self.percent - 10, self.percent / 2), self.size * 9 // 10)


@dataclass(frozen=True)
class SignatureRule:
    """What is asked of images of a registry or repository: `off`, `warn` or `require`, and files of public keys."""

    mode: str = "off"
    keys: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Config:
    """What this daemon was asked to be; paths are absolute."""

    hosts: tuple[str, ...] = ("unix:///var/run/pydock.sock",)
    data_root: Path = Path("/var/lib/pydock")
    exec_root: Path = Path("/var/run/pydock")
    pidfile: Path = Path("/var/run/pydock.pid")
    log_level: str = "info"
    bridge: str = "pydock0"
    bip: str | None = None
    ipv6: bool = False
    fixed_cidr_v6: str | None = None
    default_address_pools: tuple[tuple[str, int], ...] = ()
    mtu: int = 1500
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    default_network_names: bool = False
    insecure_registries: tuple[str, ...] = ()
    registry_mirrors: tuple[str, ...] = ()
    certificates: tuple[Path, ...] = tuple(Path("/etc", name, "certs.d") for name in ("pydock", "docker", "containers"))
    registries_conf: tuple[Path, ...] = (Path("/etc/pydock/registries.conf"), Path("/etc/containers/registries.conf"))
    signatures: dict[str, SignatureRule] = field(default_factory=dict)
    default_runtime: str = OWN_RUNTIME
    runtimes: dict[str, OciRuntime] = field(default_factory=dict)
    log_driver: str = "json-file"  # as Docker's: docker-py's run() returns the output of no other
    log_options: dict[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    group: str = "docker"
    shutdown_timeout: int = 15
    init: bool = False
    init_path: str = ""
    cdi_folders: tuple[Path, ...] = (Path("/etc/cdi"), Path("/var/run/cdi"))
    tls: bool = False
    tls_verify: bool = False
    tls_authority: Path | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    image_gc_high: Watermark | None = None
    image_gc_low: Watermark | None = None
    image_gc_min_age: int = 120 * 10**9
    build_insecure: bool = False


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("needs a text")
    return value


def _path(value: Any) -> Path:
    return Path(os.path.abspath(_text(value)))


def _paths(value: Any) -> tuple[Path, ...]:
    return tuple(_path(item) for item in ([value] if isinstance(value, str) else value))


def _number(value: Any) -> int:
    number = int(value)
    if number < 0:
        raise ValueError("must not be negative")
    return number


def _choice(words: Sequence[str]) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if value not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return str(value)

    return parse


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(_text(item) for item in (value if isinstance(value, list) else [value]))


def _hosts(value: Any) -> tuple[str, ...]:
    hosts = _texts(value)
    for host in hosts:
        if not re.match(r"(unix|fd|tcp)://", host):
            raise ValueError(f"{host!r}: needs unix://, fd:// or tcp://")
    return hosts


def _link(value: Any) -> str:
    name = _text(value)
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,15}", name):
        raise ValueError(f"{name!r} is not a link name of at most 15 characters")
    return name


def _subnet(value: Any) -> str:
    return str(ipaddress.ip_interface(_text(value)))


def _subnet_6(value: Any) -> str:
    subnet = ipaddress.IPv6Network(_text(value))
    if subnet.prefixlen > 126:
        raise ValueError("has no address for a container")
    return str(subnet)


def _pools(value: Any) -> tuple[tuple[str, int], ...]:
    """Accept the file's list of {base, size} and the flag's `base=10.10.0.0/16,size=24`."""
    pools = []
    for item in value if isinstance(value, list) else [value]:
        pairs = dict(part.split("=", 1) for part in item.split(",")) if isinstance(item, str) else dict(item)
        base, size = ipaddress.ip_network(pairs.pop("base")), int(pairs.pop("size"))
        if pairs or not base.prefixlen <= size <= base.max_prefixlen:
            raise ValueError(f"{item!r} needs a base network and a size within it")
        pools.append((str(base), size))
    return tuple(pools)


def _pairs(value: Any) -> dict[str, str]:
    """Accept the file's object and the flag's repeated `key=value`."""
    if isinstance(value, dict):
        return {str(key): str(text) for key, text in value.items()}
    return dict(item.split("=", 1) for item in value)


def _runtimes(value: Any) -> dict[str, OciRuntime]:
    """Accept the file's object of {path, runtimeArgs} and the flag's repeated `name=path`."""
    entries = value if isinstance(value, dict) else {name: {"path": path} for name, path in _pairs(value).items()}
    return {name: _runtime(name, entry) for name, entry in entries.items()}


def _runtime(name: str, entry: dict[str, Any]) -> OciRuntime:
    unknown = sorted(set(entry) - {"path", "runtimeArgs"})
    if unknown:
        raise ValueError(f"runtime option {unknown[0]!r} is not supported")
    if name == OWN_RUNTIME:
        raise ValueError(f"runtime name {name!r} is reserved")
    if not RUNTIME_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a runtime's name")
    return OciRuntime(_text(entry["path"]), tuple(str(word) for word in entry.get("runtimeArgs") or ()))


def _watermark(value: Any) -> Watermark:
    text = str(value).strip()
    if not text.endswith("%"):
        size = parse_size(text)
        if size <= 0:
            raise ValueError("must be more than nothing")
        return Watermark(size=size)
    percent = float(text[:-1])
    if not 0 < percent <= 100:
        raise ValueError("must be a percentage")
    return Watermark(percent=percent)


def _duration(value: Any) -> int:
    duration = parse_duration_ns(_text(value))
    if duration < 0:
        raise ValueError("must not be negative")
    return duration


def _signatures(value: Any) -> dict[str, SignatureRule]:
    """Accept the file's object of {mode, keys} and the flag's repeated `name=mode,key,key`."""
    if isinstance(value, dict):
        return {name: _signature_rule(name, dict(entry)) for name, entry in value.items()}
    words = {name: text.split(",") for name, text in _pairs(value).items()}
    return {name: _signature_rule(name, {"mode": mode, "keys": keys}) for name, (mode, *keys) in words.items()}


def _signature_rule(name: str, entry: dict[str, Any]) -> SignatureRule:
    unknown = sorted(set(entry) - {"mode", "keys"})
    if unknown:
        raise ValueError(f"{name}: {unknown[0]!r} is not known")
    rule = SignatureRule(_choice(SIGNATURE_MODES)(entry.get("mode")), _paths(entry.get("keys") or ()))
    if (rule.mode == "off") == bool(rule.keys):
        raise ValueError(f"{name}: {rule.mode} {'takes no' if rule.keys else 'needs'} keys")
    return rule


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _yes(value: Any) -> bool:
    if value is not True:
        raise ValueError("cannot be switched off")
    return True


@dataclass(frozen=True)
class Setting:
    """A row: the key in daemon.json, the flag, the attribute of Config, the parser of both forms."""

    key: str
    flags: tuple[str, ...]
    attribute: str
    parse: Callable[[Any], Any]
    help: str
    many: bool = False
    switch: bool = False
    """A flag that takes no value."""


SETTINGS = (
    Setting("hosts", ("-H", "--host"), "hosts", _hosts, "where to listen: unix://, fd://, tcp://", many=True),
    Setting("data-root", ("--data-root",), "data_root", _path, "images, containers, volumes, database"),
    Setting("exec-root", ("--exec-root",), "exec_root", _path, "state that ends with the host's uptime"),
    Setting("pidfile", ("-p", "--pidfile"), "pidfile", _path, "where to write the process id"),
    Setting("log-level", ("-l", "--log-level"), "log_level", _choice(LOG_LEVELS), "least level that is logged"),
    Setting("bridge", ("-b", "--bridge"), "bridge", _link, "link of the default network"),
    Setting("bip", ("--bip",), "bip", _subnet, "address and subnet of the bridge, as 172.17.0.1/16"),
    Setting("ipv6", ("--ipv6",), "ipv6", _switch, "IPv6 on the default network", switch=True),
    Setting("fixed-cidr-v6", ("--fixed-cidr-v6",), "fixed_cidr_v6", _subnet_6, "IPv6 subnet of the default network"),
    Setting(
        "default-address-pools",
        ("--default-address-pool",),
        "default_address_pools",
        _pools,
        "subnets for new networks, as base=10.10.0.0/16,size=24",
        many=True,
    ),
    Setting("mtu", ("--mtu",), "mtu", _number, "MTU of the default network"),
    Setting("dns", ("--dns",), "dns", _texts, "name servers of containers", many=True),
    Setting("dns-search", ("--dns-search",), "dns_search", _texts, "search domains of containers", many=True),
    Setting("dns-opts", ("--dns-opt",), "dns_options", _texts, "resolver options of containers", many=True),
    Setting(
        "default-network-names",
        ("--default-network-names",),
        "default_network_names",
        _switch,
        "containers of the default network find each other by name as well",
        switch=True,
    ),
    Setting(
        "insecure-registries",
        ("--insecure-registry",),
        "insecure_registries",
        _texts,
        "registries reached by plain HTTP",
        many=True,
    ),
    Setting(
        "registry-certs",
        ("--registry-certs",),
        "certificates",
        _paths,
        "folder of certificates and hosts.toml",
        many=True,
    ),
    Setting("registries-conf", ("--registries-conf",), "registries_conf", _paths, "registries.conf to read", many=True),
    Setting("registry-mirrors", ("--registry-mirror",), "registry_mirrors", _texts, "mirrors of the hub", many=True),
    Setting(
        "signatures",
        ("--signatures",),
        "signatures",
        _signatures,
        "signatures that images of a registry or repository need, as name=require,key.pub",
        many=True,
    ),
    Setting("default-runtime", ("--default-runtime",), "default_runtime", _text, "runtime of containers"),
    Setting("runtimes", ("--add-runtime",), "runtimes", _runtimes, "further OCI runtime, as name=path", many=True),
    Setting("log-driver", ("--log-driver",), "log_driver", _choice(LOG_DRIVERS), "log driver of containers"),
    Setting("log-opts", ("--log-opt",), "log_options", _pairs, "option of the log driver", many=True),
    Setting("labels", ("--label",), "labels", _texts, "label of this daemon", many=True),
    Setting("group", ("-G", "--group"), "group", _text, "group that owns the unix socket"),
    Setting("shutdown-timeout", ("--shutdown-timeout",), "shutdown_timeout", _number, "seconds to end requests"),
    Setting("init", ("--init",), "init", _switch, "run an init in containers that do not say", switch=True),
    Setting(
        "build-insecure",
        ("--build-insecure",),
        "build_insecure",
        _switch,
        "builds may ask for the entitlement security.insecure",
        switch=True,
    ),
    Setting("init-path", ("--init-path",), "init_path", _text, "the program of --init"),
    Setting("cdi-spec-dirs", ("--cdi-spec-dir",), "cdi_folders", _paths, "folder of files on CDI devices", many=True),
    Setting("tls", ("--tls",), "tls", _switch, "TLS on tcp hosts", switch=True),
    Setting("tlsverify", ("--tlsverify",), "tls_verify", _switch, "TLS, for clients of the authority", switch=True),
    Setting("tlscacert", ("--tlscacert",), "tls_authority", _path, "the authority (~/.docker/ca.pem)"),
    Setting("tlscert", ("--tlscert",), "tls_certificate", _path, "the daemon's certificate (~/.docker/cert.pem)"),
    Setting("tlskey", ("--tlskey",), "tls_key", _path, "its key (~/.docker/key.pem)"),
    Setting("image-gc-high", ("--image-gc-high",), "image_gc_high", _watermark, "collect above this, as 85%% or 50GB"),
    Setting("image-gc-low", ("--image-gc-low",), "image_gc_low", _watermark, "collect down to this, as 75%% or 45GB"),
    Setting("image-gc-min-age", ("--image-gc-min-age",), "image_gc_min_age", _duration, "never collect younger uses"),
)
BY_KEY = {setting.key: setting for setting in SETTINGS}
FILE_ONLY: dict[str, Callable[[Any], Any]] = {"live-restore": _yes, "debug": bool}
DEFAULT_FILE = Path("/etc/pydock/daemon.json")


@dataclass(frozen=True)
class Invocation:
    """The command line as a whole: the settings and what to do with them."""

    config: Config
    validate: bool
    file: Path


def parser() -> argparse.ArgumentParser:
    """Return the parser of pydockd's command line, built from the table."""
    result = argparse.ArgumentParser(prog="pydockd", description="A container engine that serves the Docker API.")
    for setting in SETTINGS:
        action = "append" if setting.many else "store_true" if setting.switch else "store"
        result.add_argument(*setting.flags, dest=setting.key, default=None, action=action, help=setting.help)
    result.add_argument("--config-file", default=None, help=f"settings as JSON (default {DEFAULT_FILE})")
    result.add_argument("-D", "--debug", action="store_true", default=None, help="as --log-level debug")
    result.add_argument("--validate", action="store_true", help="check the settings and exit")
    result.add_argument("-v", "--version", action="store_true", help="print the version and exit")
    return result


def load(arguments: argparse.Namespace) -> Invocation:
    """Join flags and file; InvalidArgument names the setting that is wrong."""
    given = vars(arguments)
    file = Path(given["config_file"] or DEFAULT_FILE)
    stored = _read(file, required=given["config_file"] is not None)
    flags = {key: value for key, value in given.items() if key in BY_KEY and value is not None}
    twice = sorted(set(flags) & set(stored))
    if twice:
        raise InvalidArgument(f"specified both as a flag and in the configuration file: {', '.join(twice)}")
    values: dict[str, Any] = {}
    for key, value in (flags | stored).items():
        if key in BY_KEY:
            values[BY_KEY[key].attribute] = _parsed(key, BY_KEY[key].parse, value)
        else:
            _parsed(key, FILE_ONLY[key], value)
    if given["debug"] or stored.get("debug"):
        values["log_level"] = "debug"
    config = Config(**values)
    if config.default_runtime != OWN_RUNTIME and config.default_runtime not in config.runtimes:
        raise InvalidArgument(f"specified default runtime '{config.default_runtime}' does not exist")
    _check_watermarks(config)
    return Invocation(config, bool(given["validate"]), file)


def _check_watermarks(config: Config) -> None:
    high, low = config.image_gc_high, config.image_gc_low
    if low and not high:
        raise InvalidArgument("image-gc-low needs image-gc-high")
    if low and high and (bool(low.percent) != bool(high.percent) or low >= high):
        raise InvalidArgument(f"image-gc-low ({low}) needs to be below image-gc-high ({high}), and of its kind")


def _parsed(key: str, parse: Callable[[Any], Any], value: Any) -> Any:
    try:
        return parse(value)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidArgument(f"invalid value for {key}: {error}") from error


def _read(file: Path, *, required: bool) -> dict[str, Any]:
    try:
        stored = json.loads(file.read_text())
    except FileNotFoundError as error:
        if required:
            raise InvalidArgument(f"unable to configure the daemon with file {file}: no such file") from error
        return {}
    except ValueError as error:
        raise InvalidArgument(f"unable to configure the daemon with file {file}: {error}") from error
    if not isinstance(stored, dict):
        raise InvalidArgument(f"unable to configure the daemon with file {file}: needs a JSON object")
    unknown = sorted(set(stored) - set(BY_KEY) - set(FILE_ONLY))
    if unknown:
        raise InvalidArgument(f"the following directives don't match any configuration option: {', '.join(unknown)}")
    return stored


assert {setting.attribute for setting in SETTINGS} <= {item.name for item in fields(Config)}
