"""Settings of pydockd: dockerd's flags and the same keys in daemon.json, from one table. Used by `app` at start.

A setting given both as a flag and in the file is refused, as dockerd does, and so is a key that nobody knows.
"""

import argparse
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from pydock_shared.errors import InvalidArgument

from .values import (
    OWN_RUNTIME,
    OciRuntime,
    SignatureRule,
    Watermark,
    choice,
    duration,
    hosts,
    link,
    number,
    pairs,
    path,
    paths,
    pools,
    runtimes,
    signatures,
    subnet,
    subnet_6,
    switch,
    text,
    texts,
    watermark,
    yes,
)

LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")
LOG_DRIVERS = ("fluentd", "gelf", "journald", "json-file", "local", "syslog", "none")
STORAGE_DRIVERS = ("overlay2", "vfs")
LOOPBACK_REGISTRIES = ["127.0.0.0/8", "::1/128"]


@dataclass(frozen=True)
class Config:
    """What this daemon was asked to be; paths are absolute. Nothing changes but by `take`, see `upkeep.reload`."""

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
    storage_driver: str | None = None
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
    userns_remap: str | None = None
    experimental: bool = False

    def take(self, other: "Config", names: Iterable[str]) -> None:
        """Have some attributes of another one."""
        for name in names:
            object.__setattr__(self, name, getattr(other, name))


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
    Setting("hosts", ("-H", "--host"), "hosts", hosts, "where to listen: unix://, fd://, tcp://", many=True),
    Setting("data-root", ("--data-root",), "data_root", path, "images, containers, volumes, database"),
    Setting("exec-root", ("--exec-root",), "exec_root", path, "state that ends with the host's uptime"),
    Setting("pidfile", ("-p", "--pidfile"), "pidfile", path, "where to write the process id"),
    Setting("log-level", ("-l", "--log-level"), "log_level", choice(LOG_LEVELS), "least level that is logged"),
    Setting("bridge", ("-b", "--bridge"), "bridge", link, "link of the default network"),
    Setting("bip", ("--bip",), "bip", subnet, "address and subnet of the bridge, as 172.17.0.1/16"),
    Setting("ipv6", ("--ipv6",), "ipv6", switch, "IPv6 on the default network", switch=True),
    Setting("fixed-cidr-v6", ("--fixed-cidr-v6",), "fixed_cidr_v6", subnet_6, "IPv6 subnet of the default network"),
    Setting(
        "default-address-pools",
        ("--default-address-pool",),
        "default_address_pools",
        pools,
        "subnets for new networks, as base=10.10.0.0/16,size=24",
        many=True,
    ),
    Setting("mtu", ("--mtu",), "mtu", number, "MTU of the default network"),
    Setting("dns", ("--dns",), "dns", texts, "name servers of containers", many=True),
    Setting("dns-search", ("--dns-search",), "dns_search", texts, "search domains of containers", many=True),
    Setting("dns-opts", ("--dns-opt",), "dns_options", texts, "resolver options of containers", many=True),
    Setting(
        "default-network-names",
        ("--default-network-names",),
        "default_network_names",
        switch,
        "containers of the default network find each other by name as well",
        switch=True,
    ),
    Setting(
        "insecure-registries",
        ("--insecure-registry",),
        "insecure_registries",
        texts,
        "registries reached by plain HTTP",
        many=True,
    ),
    Setting(
        "registry-certs",
        ("--registry-certs",),
        "certificates",
        paths,
        "folder of certificates and hosts.toml",
        many=True,
    ),
    Setting("registries-conf", ("--registries-conf",), "registries_conf", paths, "registries.conf to read", many=True),
    Setting("registry-mirrors", ("--registry-mirror",), "registry_mirrors", texts, "mirrors of the hub", many=True),
    Setting(
        "storage-driver",
        ("-s", "--storage-driver"),
        "storage_driver",
        choice(STORAGE_DRIVERS),
        "how layers are kept: overlay2, or whole trees (vfs)",
    ),
    Setting(
        "signatures",
        ("--signatures",),
        "signatures",
        signatures,
        "signatures that images of a registry or repository need, as name=require,key.pub",
        many=True,
    ),
    Setting("default-runtime", ("--default-runtime",), "default_runtime", text, "runtime of containers"),
    Setting("runtimes", ("--add-runtime",), "runtimes", runtimes, "further OCI runtime, as name=path", many=True),
    Setting("log-driver", ("--log-driver",), "log_driver", choice(LOG_DRIVERS), "log driver of containers"),
    Setting("log-opts", ("--log-opt",), "log_options", pairs, "option of the log driver", many=True),
    Setting("labels", ("--label",), "labels", texts, "label of this daemon", many=True),
    Setting("group", ("-G", "--group"), "group", text, "group that owns the unix socket"),
    Setting("shutdown-timeout", ("--shutdown-timeout",), "shutdown_timeout", number, "seconds to end requests"),
    Setting("init", ("--init",), "init", switch, "run an init in containers that do not say", switch=True),
    Setting(
        "build-insecure",
        ("--build-insecure",),
        "build_insecure",
        switch,
        "builds may ask for the entitlement security.insecure",
        switch=True,
    ),
    Setting(
        "userns-remap",
        ("--userns-remap",),
        "userns_remap",
        text,
        "user whose subordinate ids (subuid, subgid) the users of containers have, as user[:group], or default",
    ),
    Setting("init-path", ("--init-path",), "init_path", text, "the program of --init"),
    Setting("cdi-spec-dirs", ("--cdi-spec-dir",), "cdi_folders", paths, "folder of files on CDI devices", many=True),
    Setting("experimental", ("--experimental",), "experimental", switch, "serve checkpoints", switch=True),
    Setting("tls", ("--tls",), "tls", switch, "TLS on tcp hosts", switch=True),
    Setting("tlsverify", ("--tlsverify",), "tls_verify", switch, "TLS, for clients of the authority", switch=True),
    Setting("tlscacert", ("--tlscacert",), "tls_authority", path, "the authority (~/.docker/ca.pem)"),
    Setting("tlscert", ("--tlscert",), "tls_certificate", path, "the daemon's certificate (~/.docker/cert.pem)"),
    Setting("tlskey", ("--tlskey",), "tls_key", path, "its key (~/.docker/key.pem)"),
    Setting("image-gc-high", ("--image-gc-high",), "image_gc_high", watermark, "collect above this, as 85%% or 50GB"),
    Setting("image-gc-low", ("--image-gc-low",), "image_gc_low", watermark, "collect down to this, as 75%% or 45GB"),
    Setting("image-gc-min-age", ("--image-gc-min-age",), "image_gc_min_age", duration, "never collect younger uses"),
)
BY_KEY = {setting.key: setting for setting in SETTINGS}
FILE_ONLY: dict[str, Callable[[Any], Any]] = {"live-restore": yes, "debug": bool}
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
