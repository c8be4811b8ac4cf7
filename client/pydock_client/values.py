"""The syntax of values that flags of `run` and `exec` take, one function each. Used by options.py.

Each returns the value as it travels, or raises ValueError in the words of the docker command line.
"""

from __future__ import annotations

import os
import re

_LINK = re.compile(r"[^:]+(:[^:]+)?")
_DEVICE_RULE = re.compile(r"[acb] ([0-9]+|\*):([0-9]+|\*) [rwm]{1,3}")
_DOMAIN = re.compile(
    r"[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?(\.[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?)*\.?"
)
_SYSCTLS = frozenset(
    f"kernel.{name}" for name in "msgmax msgmnb msgmni sem shmall shmmax shmmni shm_rmid_forced".split()
)
_SYSCTL_PREFIXES = ("net.", "fs.mqueue.")
_STREAMS = ("stdin", "stdout", "stderr")


def parse_env(text: str) -> str:
    """Return `NAME=value`; a bare name takes its value from our own environment, and stays bare when it has none."""
    name, equals, _ = text.partition("=")
    if not name:
        raise ValueError(f"invalid environment variable: {text}")
    return text if equals or name not in os.environ else f"{name}={os.environ[name]}"


def check_label(text: str) -> str:
    """Return a label `name[=value]`, which must have a name."""
    if not text or text.startswith("="):
        raise ValueError(f"invalid label '{text}': empty name")
    return text


def check_stream(text: str) -> str:
    """Return one of stdin, stdout, stderr."""
    if text.lower() not in _STREAMS:
        raise ValueError("valid streams are STDIN, STDOUT and STDERR")
    return text.lower()


def check_link(text: str) -> str:
    """Return `container[:alias]`."""
    if not text or not _LINK.fullmatch(text):
        raise ValueError(f"bad format for links: {text}" if text else "empty string specified for links")
    return text


def check_device_rule(text: str) -> str:
    """Return a rule of the devices cgroup: `c 1:3 rwm`."""
    if not _DEVICE_RULE.fullmatch(text):
        raise ValueError(f"invalid device cgroup format '{text}'")
    return text


def check_domain(text: str) -> str:
    """Return a search domain; a single dot means none at all."""
    text = text.strip()
    if text != "." and (not _DOMAIN.fullmatch(text) or len(text) > 255):
        raise ValueError(f"{text} is not a valid domain")
    return text


def check_nameserver(text: str) -> str:
    """Return the address of a name server."""
    from ipaddress import ip_address

    try:
        return str(ip_address(text.strip()))
    except ValueError:
        raise ValueError(f"IP address is not correctly formatted: {text}") from None


def check_sysctl(text: str) -> str:
    """Return `name=value` of a kernel setting that belongs to a namespace."""
    name, equals, _ = text.partition("=")
    if equals and (name in _SYSCTLS or name.startswith(_SYSCTL_PREFIXES)):
        return text
    raise ValueError(f"sysctl '{text}' is not allowed")


def parse_add_host(text: str) -> str:
    """Return `name:address`; an equals sign may stand for the colon, and `host-gateway` for the address."""
    from ipaddress import ip_address

    mark = "=" if "=" in text else ":"
    name, found, address = text.partition(mark)
    if not found or not name:
        raise ValueError(f'bad format for add-host: "{text}"')
    if address == "host-gateway":
        return f"{name}:{address}"
    plain = address[1:-1] if address.startswith("[") and address.endswith("]") else address
    try:
        ip_address(plain)
    except ValueError:
        raise ValueError(f'invalid IP address in add-host: "{address}"') from None
    return f"{name}:{plain}"


def read_lines(path: str) -> list[str]:
    """Return the lines of an environment or label file: no comments, no empty lines, no white space before a name.

    A byte order mark is dropped; a name with white space in it is an error (docker's `opts.ParseEnvFile`).
    """
    with open(path, "rb") as file:
        data = file.read()
    try:
        text = data.removeprefix(b"\xef\xbb\xbf").decode()
    except UnicodeDecodeError:
        raise ValueError(f"invalid env file ({path}): not UTF-8") from None
    found = []
    for line in text.splitlines():
        line = line.lstrip()
        if not line or line.startswith("#"):
            continue
        name = line.partition("=")[0]
        if any(mark.isspace() for mark in name):
            raise ValueError(f"invalid env file ({path}): variable '{name}' contains whitespaces")
        if not name:
            raise ValueError(f"invalid env file ({path}): no variable name on line '{line}'")
        found.append(line)
    return found


def pairs(rows: list[str]) -> dict[str, str]:
    """Return `name=value` texts as a mapping; a bare name has an empty value."""
    return {name: value for name, _, value in (row.partition("=") for row in rows)}
