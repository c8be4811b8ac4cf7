"""What a build was asked for: the parameters of `POST /build`. Made by `api.build`, used by `solve` and `steps`."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydock_daemon.images.auth import Credentials
from pydock_daemon.images.model import Image, Platform
from pydock_shared.reference import Reference

from .session import Session
from .tree import Tree

EPOCH = "SOURCE_DATE_EPOCH"
NAMING = "BUILDKIT_SANDBOX_HOSTNAME"
SANDBOX = "buildkitsandbox"
"""The name of the host in which BuildKit runs everything, unless that argument gives another."""


@dataclass(frozen=True)
class Options:
    """The settings of one build."""

    tags: list[Reference] = field(default_factory=list)
    dockerfile: str = "Dockerfile"
    target: str = ""
    arguments: dict[str, str | None] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    index_annotations: dict[str, str] = field(default_factory=dict)
    """Those of manifests, and of the index of several platforms."""
    platform: Platform | None = None
    platforms: Sequence[Platform] = ()
    """Those of a build for several; each has a `platform` of its own (`platforms`)."""
    classic: bool = False
    """The ways of Docker's classic builder: images of all steps are made and told, labels are steps of their own, and
    where caches are named a step is taken from these alone."""
    no_cache: bool = False
    pull: bool = False
    remove: bool = True
    remove_failed: bool = False
    """Whether to tell that the container of a RUN that failed is gone, as it always is."""
    quiet: bool = False
    only_exported: bool = False
    """The result goes elsewhere: what stays of it is a part of the cache and no image to be seen."""
    host_config: dict[str, Any] = field(default_factory=dict)
    """Limits, network and extra hosts of the containers in which RUN runs."""
    no_cache_stages: frozenset[str] = frozenset()
    """The stages that are built without the cache, by name."""
    squash: bool = False
    rewrite: bool = False
    """Whether files of the new layers get no time after SOURCE_DATE_EPOCH."""
    cache_from: list[str] = field(default_factory=list)
    """Caches of registries, and images whose steps come into the cache first."""
    cache_files: Sequence[Tree] = ()
    """Caches in folders of the client: OCI layouts."""
    cache_inline: bool = False
    """Whether the image tells of its steps."""
    cache_export: str = ""
    """Which steps are told for others to begin with: `min`, those of the result, or `max`, those of all stages."""
    made: dict[str, Image] = field(default_factory=dict)
    """What this build has made already, by the keys of the steps: another stage or platform does not make it again."""
    allowed: frozenset[str] = frozenset()
    """The entitlements of the build: `network.host`, `security.insecure`."""
    contexts: dict[str, Tree | str] = field(default_factory=dict)
    """Named contexts: files, or the name of an image or of a stage to take in place of the name."""
    credentials: dict[str, Credentials] = field(default_factory=dict)
    session: Session | None = None
    """Whom to ask for secrets, an ssh agent and logins; the classic protocol has nobody."""

    @property
    def given(self) -> dict[str, str]:
        """Return the build arguments that have a value."""
        return {name: value for name, value in self.arguments.items() if value is not None}

    @property
    def epoch(self) -> int | None:
        """Return the SOURCE_DATE_EPOCH of the build in seconds, None when there is none."""
        text = self.given.get(EPOCH, "")
        return int(text) if text.isdigit() else None

    @property
    def moment(self) -> int:
        """Return the time that the image bears, in nanoseconds."""
        return time.time_ns() if self.epoch is None else self.epoch * 10**9

    @property
    def hostname(self) -> str:
        """Return the name that the host has for every RUN: the same one, lest it make results others."""
        return self.given.get(NAMING) or SANDBOX

    def container(self) -> dict[str, Any]:
        """Return the part of a container's settings that is the same for every RUN."""
        return {"Hostname": self.hostname, "HostConfig": dict(self.host_config)}
