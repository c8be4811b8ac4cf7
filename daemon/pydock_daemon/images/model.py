"""What an image is: the values that the rest of the daemon gets. Used by images, containers and `api`."""

import platform as machine
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydock_shared.errors import InvalidArgument

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm", "i686": "386", "i386": "386"}
_ALIASES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "armel": "arm", "i386": "386"}
_VARIANTS = {("arm64", ""): "v8", ("arm", ""): "v7"}


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
        variant = self.variant.lower() or _VARIANTS.get((architecture, ""), "")
        return Platform(self.os.lower() or "linux", architecture, "" if architecture == "amd64" else variant)


def host_platform() -> Platform:
    """Return the platform of this machine."""
    name = machine.machine()
    return Platform("linux", _ARCHITECTURES.get(name, name), "v6" if name == "armv6l" else "").normalised()


def parse_platform(text: str) -> Platform:
    """Return the platform of `os[/architecture[/variant]]`, or of an architecture alone; InvalidArgument otherwise."""
    parts = text.strip().split("/")
    if not all(parts) or len(parts) > 3:
        raise InvalidArgument(f'"{text}": cannot parse platform specifier: needs os[/arch[/variant]]')
    if len(parts) == 1:
        host = host_platform()
        alone = parts[0].lower()
        return Platform(alone, host.architecture) if alone in ("linux", "windows") else Platform("linux", alone)
    return Platform(*parts)


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
