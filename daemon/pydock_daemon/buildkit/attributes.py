"""The attributes of BuildKit's Dockerfile frontend, as options of a build. Used by `frontend`; pure.

Source: frontend/dockerui and frontend/dockerfile of BuildKit, docs/reference of the Dockerfile frontend. What is not
carried out is refused by name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydock_daemon.builder import platforms
from pydock_daemon.builder.options import Options
from pydock_shared.errors import InvalidArgument, NotSupported
from pydock_shared.reference import Reference

OURS = ("docker/dockerfile", "docker.io/docker/dockerfile", "docker/dockerfile-upstream",
        "docker.io/docker/dockerfile-upstream")  # fmt: skip
"""Frontends by image that are the language that is built here."""
IGNORED = ("cmdline", "source", "frontend.caps", "multi-platform", "contextkey", "dockerfilekey", "contextsubdir",
           "context", "cache-imports", "build-arg:BUILDKIT_INLINE_CACHE", "build-arg:BUILDKIT_CONTEXT_KEEP_GIT_DIR",
           "build-arg:BUILDKIT_SYNTAX")  # fmt: skip
ELSEWHERE = ("context:", "input-metadata:", "local-sessionid:", "vcs:")
"""What is read elsewhere, or says nothing about the result; by the whole names, and by how they begin."""
NETWORKS = {"default": "", "sandbox": "", "host": "host", "none": "none"}


@dataclass
class Asked:
    """What the attributes ask for, besides options."""

    filename: str = "Dockerfile"
    folder_of_file: str = "dockerfile"
    folder: str = "context"
    remote: str = ""
    contexts: dict[str, str] = field(default_factory=dict)
    sessions: dict[str, str] = field(default_factory=dict)
    """The sessions that give folders, by the names of these; the others are given by the build's own."""


def frontend(name: str, given: Mapping[str, str]) -> None:
    """Refuse a frontend that is not ours: NotSupported names it."""
    if name == "gateway.v0":
        check_syntax(given.get("source", ""))
    elif name != "dockerfile.v0":
        raise NotSupported(f"the frontend {name!r} is not supported")
    if given.get("build-arg:BUILDKIT_SYNTAX"):
        check_syntax(given["build-arg:BUILDKIT_SYNTAX"])


def check_syntax(image: str) -> None:
    """Refuse a frontend that is an image, unless it is Docker's own, which is built without it."""
    name = image.split()[0].partition("@")[0] if image.split() else ""
    if name.partition(":")[0] not in OURS:
        raise NotSupported(f"the frontend {image!r} is not supported: only docker/dockerfile is, and built in")


def asked(given: Mapping[str, str]) -> Asked:
    """Return where the files of the build are."""
    return Asked(
        filename=given.get("filename") or "Dockerfile",
        folder_of_file=given.get("dockerfilekey") or "dockerfile",
        folder=given.get("contextkey") or "context",
        remote=given.get("context", ""),
        contexts={name[8:]: value for name, value in given.items() if name.startswith("context:")},
        sessions={name[16:]: value for name, value in given.items() if name.startswith("local-sessionid:")},
    )


def options(given: Mapping[str, str], tags: list[Reference]) -> Options:
    """Return the options of a build. NotSupported, InvalidArgument: an attribute is not carried out, or is wrong."""
    found: dict[str, Any] = {"tags": tags}
    host: dict[str, Any] = {}
    arguments: dict[str, str] = {}
    labels: dict[str, str] = {}
    for name, value in given.items():
        if name in IGNORED or name.startswith(ELSEWHERE):
            continue
        if name.startswith("build-arg:"):
            arguments[name[10:]] = value
        elif name.startswith("label:"):
            labels[name[6:]] = value
        elif name in PLAIN:
            found |= PLAIN[name](value)
        elif name in HOST:
            host |= HOST[name](value)
        else:
            raise NotSupported(f"the build attribute {name} is not supported")
    return Options(**found, arguments=dict(arguments), labels=labels, host_config=host)


def _no_cache(value: str) -> dict[str, Any]:
    """Everything, or the stages that are named."""
    stages = frozenset(name.strip().lower() for name in value.split(",") if name.strip())
    return {"no_cache_stages": stages} if stages else {"no_cache": True}


def _mode(value: str) -> dict[str, Any]:
    if value not in ("", "default", "local", "pull"):
        raise InvalidArgument(f"invalid image-resolve-mode: {value}")
    return {"pull": value == "pull"}


def _hosts(value: str) -> dict[str, Any]:
    return {"ExtraHosts": [text.replace("=", ":", 1) for text in value.split(",") if text]}


def _network(value: str) -> dict[str, Any]:
    if value not in NETWORKS:
        raise NotSupported(f'network mode "{value}" not supported by buildkit')
    return {"NetworkMode": NETWORKS[value]} if NETWORKS[value] else {}


def _size(value: str) -> dict[str, Any]:
    try:
        return {"ShmSize": int(value)}
    except ValueError:
        raise InvalidArgument(f"invalid shm-size: {value}") from None


def _ulimits(value: str) -> dict[str, Any]:
    made = []
    for text in value.split(","):
        name, _, limits = text.partition("=")
        soft, _, hard = limits.partition(":")
        try:
            made.append({"Name": name, "Soft": int(soft), "Hard": int(hard or soft)})
        except ValueError:
            raise InvalidArgument(f"invalid ulimit: {text}") from None
    return {"Ulimits": made}


PLAIN: dict[str, Callable[[str], dict[str, Any]]] = {
    "filename": lambda value: {"dockerfile": value or "Dockerfile"},
    "target": lambda value: {"target": value},
    "no-cache": _no_cache,
    "image-resolve-mode": _mode,
    "platform": platforms.asked,
}
HOST: dict[str, Callable[[str], dict[str, Any]]] = {
    "add-hosts": _hosts,
    "force-network-mode": _network,
    "shm-size": _size,
    "ulimit": _ulimits,
    "cgroup-parent": lambda value: {"CgroupParent": value},
}
