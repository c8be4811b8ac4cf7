"""What settings may be: the kinds of values, and a parser for each that takes both of its forms, flag and JSON.

Used by `config`, whose table names them. A parser raises ValueError and the like for what is wrong.
"""

import ipaddress
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydock_shared.units import parse_duration_ns, parse_size

SIGNATURE_MODES = ("off", "warn", "require")
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


def text(value: Any) -> str:
    """Accept a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError("needs a text")
    return value


def path(value: Any) -> Path:
    """Accept a path and make it absolute."""
    return Path(os.path.abspath(text(value)))


def paths(value: Any) -> tuple[Path, ...]:
    """Accept one path or several."""
    return tuple(path(item) for item in ([value] if isinstance(value, str) else value))


def number(value: Any) -> int:
    """Accept a number that is not negative."""
    number = int(value)
    if number < 0:
        raise ValueError("must not be negative")
    return number


def choice(words: Sequence[str]) -> Callable[[Any], str]:
    """Return a parser that accepts some words."""

    def parse(value: Any) -> str:
        if value not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return str(value)

    return parse


def texts(value: Any) -> tuple[str, ...]:
    """Accept one text or several."""
    return tuple(text(item) for item in (value if isinstance(value, list) else [value]))


def hosts(value: Any) -> tuple[str, ...]:
    """Accept places to listen at."""
    hosts = texts(value)
    for host in hosts:
        if not re.match(r"(unix|fd|tcp)://", host):
            raise ValueError(f"{host!r}: needs unix://, fd:// or tcp://")
    return hosts


def link(value: Any) -> str:
    """Accept the name of a link."""
    name = text(value)
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,15}", name):
        raise ValueError(f"{name!r} is not a link name of at most 15 characters")
    return name


def subnet(value: Any) -> str:
    """Accept an address with its subnet."""
    return str(ipaddress.ip_interface(text(value)))


def subnet_6(value: Any) -> str:
    """Accept an IPv6 subnet with room for containers."""
    subnet = ipaddress.IPv6Network(text(value))
    if subnet.prefixlen > 126:
        raise ValueError("has no address for a container")
    return str(subnet)


def pools(value: Any) -> tuple[tuple[str, int], ...]:
    """Accept the file's list of {base, size} and the flag's `base=10.10.0.0/16,size=24`."""
    pools = []
    for item in value if isinstance(value, list) else [value]:
        pairs = dict(part.split("=", 1) for part in item.split(",")) if isinstance(item, str) else dict(item)
        base, size = ipaddress.ip_network(pairs.pop("base")), int(pairs.pop("size"))
        if pairs or not base.prefixlen <= size <= base.max_prefixlen:
            raise ValueError(f"{item!r} needs a base network and a size within it")
        pools.append((str(base), size))
    return tuple(pools)


def pairs(value: Any) -> dict[str, str]:
    """Accept the file's object and the flag's repeated `key=value`."""
    if isinstance(value, dict):
        return {str(key): str(text) for key, text in value.items()}
    return dict(item.split("=", 1) for item in value)


def runtimes(value: Any) -> dict[str, OciRuntime]:
    """Accept the file's object of {path, runtimeArgs} and the flag's repeated `name=path`."""
    entries = value if isinstance(value, dict) else {name: {"path": path} for name, path in pairs(value).items()}
    return {name: _runtime(name, entry) for name, entry in entries.items()}


def _runtime(name: str, entry: dict[str, Any]) -> OciRuntime:
    unknown = sorted(set(entry) - {"path", "runtimeArgs"})
    if unknown:
        raise ValueError(f"runtime option {unknown[0]!r} is not supported")
    if name == OWN_RUNTIME:
        raise ValueError(f"runtime name {name!r} is reserved")
    if not RUNTIME_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a runtime's name")
    return OciRuntime(text(entry["path"]), tuple(str(word) for word in entry.get("runtimeArgs") or ()))


def watermark(value: Any) -> Watermark:
    """Accept a percentage or a size."""
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


def duration(value: Any) -> int:
    """Accept a duration, as nanoseconds."""
    duration = parse_duration_ns(text(value))
    if duration < 0:
        raise ValueError("must not be negative")
    return duration


def signatures(value: Any) -> dict[str, SignatureRule]:
    """Accept the file's object of {mode, keys} and the flag's repeated `name=mode,key,key`."""
    if isinstance(value, dict):
        return {name: _signature_rule(name, dict(entry)) for name, entry in value.items()}
    words = {name: text.split(",") for name, text in pairs(value).items()}
    return {name: _signature_rule(name, {"mode": mode, "keys": keys}) for name, (mode, *keys) in words.items()}


def _signature_rule(name: str, entry: dict[str, Any]) -> SignatureRule:
    unknown = sorted(set(entry) - {"mode", "keys"})
    if unknown:
        raise ValueError(f"{name}: {unknown[0]!r} is not known")
    rule = SignatureRule(choice(SIGNATURE_MODES)(entry.get("mode")), paths(entry.get("keys") or ()))
    if (rule.mode == "off") == bool(rule.keys):
        raise ValueError(f"{name}: {rule.mode} {'takes no' if rule.keys else 'needs'} keys")
    return rule


def switch(value: Any) -> bool:
    """Accept true and false."""
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def yes(value: Any) -> bool:
    """Accept true."""
    if value is not True:
        raise ValueError("cannot be switched off")
    return True
