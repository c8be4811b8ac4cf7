"""What an image is: the values that the rest of the daemon gets. Used by images, containers and `api`."""

import platform as machine
import re
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from pydock_shared.errors import InvalidArgument

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm", "i686": "386", "i386": "386"}
_SYSTEMS = set(
    "aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris windows"
    " zos".split()
)
_KNOWN = set(
    "386 amd64 amd64p32 arm armbe arm64 arm64be loong64 mips mipsle mips64 mips64le mips64p32 mips64p32le ppc ppc64"
    " ppc64le riscv riscv64 s390 s390x sparc sparc64 wasm".split()
)
"""What Go's compiler has names for, which containerd's platforms go by."""
_ALIASES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "armel": "arm", "i386": "386"}
_VARIANTS = {("arm64", ""): "v8", ("arm", ""): "v7", ("amd64", "v1"): ""}
_ARMS = ("v8", "v7", "v6", "v5")
_LEVELS = {
    2: {"cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"},
    3: {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"},
    4: {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
}
"""What a processor must have for each level of x86-64, as /proc/cpuinfo calls it (System V ABI, AMD64 supplement)."""


class Platform(NamedTuple):
    """An operating system and an architecture, as in `linux/arm/v7`."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in self if part)

    def runs(self, other: "Platform") -> bool:
        """Say whether an image for `other` is what was asked for by this one."""
        mine, its = self.normalised(), other.normalised()
        return mine == its

    def normalised(self) -> "Platform":
        """Return the platform with the usual names and the variant that a missing one stands for."""
        architecture = _ALIASES.get(self.architecture.lower(), self.architecture.lower())
        variant = self.variant.lower()
        variant = f"v{variant}" if variant.isdigit() else variant
        return Platform(self.os.lower() or "linux", architecture, _VARIANTS.get((architecture, variant), variant))

    def accepted(self) -> list["Platform"]:
        """Return the platforms whose programs run on this one, the best first: containerd's order (platforms.Only)."""
        me = self.normalised()
        others: list[tuple[str, str]] = []
        if me.architecture == "amd64":
            level = int(me.variant[1:] or 1) if re.fullmatch(r"(v\d)?", me.variant) else 1
            others = [("amd64", f"v{n}" if n > 1 else "") for n in range(level - 1, 0, -1)] + [("386", "")]
        elif me.architecture == "arm" and me.variant in _ARMS:
            others = [("arm", variant) for variant in _ARMS[_ARMS.index(me.variant) + 1 :]]
        elif me.architecture == "arm64":
            others = [("arm", variant) for variant in _ARMS]
        return [me, *(Platform(me.os, *other) for other in others)]


def host_platform() -> Platform:
    """Return the platform of this machine."""
    name = machine.machine()
    return Platform("linux", _ARCHITECTURES.get(name, name), "v6" if name == "armv6l" else "").normalised()


@cache
def whole_host_platform() -> Platform:
    """Return the platform of this machine with all that its processor can do, as in `linux/amd64/v3`."""
    host = host_platform()
    if host.architecture != "amd64":
        return host
    with Path("/proc/cpuinfo").open() as lines:
        flags = set(next((line for line in lines if line.startswith("flags")), "").split())
    level = 1
    while level + 1 in _LEVELS and _LEVELS[level + 1] <= flags:
        level += 1
    return host._replace(variant=f"v{level}" if level > 1 else "")


def host_rank(platform: Platform) -> int:
    """Return how well a platform suits this machine, 0 the best; what does not run here comes last."""
    order = whole_host_platform().accepted()
    return next((rank for rank, accepted in enumerate(order) if accepted.runs(platform)), len(order))


@lru_cache(maxsize=64)
def runs_here(platform: Platform) -> bool:
    """Say whether programs for a platform run on this machine."""
    return any(accepted.runs(platform) for accepted in whole_host_platform().accepted())


def parse_platform(text: str) -> Platform:
    """Return the platform of `os[/architecture[/variant]]`, or of one of the first two alone.

    InvalidArgument, in the words of containerd's platforms, for what is neither; alone only what Go knows means any.
    """
    parts = text.strip().split("/")
    for part in parts:
        if not re.fullmatch("[A-Za-z0-9_-]+", part):
            raise InvalidArgument(
                f'"{part}" is an invalid component of "{text}": '
                'platform specifier component must match "^[A-Za-z0-9_-]+$"'
            )
    if len(parts) > 3:
        raise InvalidArgument(f'"{text}": cannot parse platform specifier')
    if len(parts) > 1:
        return Platform(*parts)
    alone = parts[0].lower()
    if alone in _SYSTEMS:
        return Platform(alone, host_platform().architecture)
    if _ALIASES.get(alone, alone) not in _KNOWN:
        raise InvalidArgument(f'"{text}": unknown operating system or architecture')
    return Platform("linux", alone)


@dataclass(frozen=True)
class Image:
    """An image of the store. Treat `config` (the OCI image configuration, as it stands) as read-only.

    `id` is the digest of the configuration, `chain` the chain ids of the layers and `blobs` the digests of their
    compressed form, bottom first, `size` the bytes of the files of all layers, `created` nanoseconds since the epoch
    (0: not said), `tagged` when a tag was last set here.
    """

    id: str
    config: dict[str, Any]
    chain: list[str]
    manifest: str
    blobs: list[str]
    size: int
    created: int
    repo_tags: list[str] = field(default_factory=list)
    repo_digests: list[str] = field(default_factory=list)
    tagged: int = 0

    @property
    def short(self) -> str:
        """Return the first twelve digits of the id, as shown to people."""
        return self.id.removeprefix("sha256:")[:12]

    @property
    def platform(self) -> Platform:
        """Return what the image runs on."""
        return Platform(
            self.config.get("os") or "linux", self.config.get("architecture") or "", self.config.get("variant") or ""
        )

    @property
    def architecture(self) -> str:
        """Return the architecture as the image says it."""
        return self.platform.architecture

    @property
    def settings(self) -> dict[str, Any]:
        """Return what the image says about containers: Cmd, Env and so on."""
        return self.config.get("config") or {}

    @property
    def labels(self) -> dict[str, str]:
        """Return the labels."""
        return self.settings.get("Labels") or {}

    @property
    def diff_ids(self) -> list[str]:
        """Return the diff ids of the layers, bottom first."""
        return list(self.config["rootfs"].get("diff_ids") or ())
