"""Names of images: `[domain/]path[:tag][@digest]`, and Docker's short forms of them. Used by daemon and client.

Grammar: the `reference` grammar of the OCI distribution project; short names as Docker reads them
(`busybox` is `docker.io/library/busybox:latest`).
"""

import re

from .errors import InvalidArgument

HUB = "docker.io"
_OFFICIAL = "library/"
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_DOMAIN = re.compile(
    r"(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*"
    r"|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")
_HEX = re.compile(r"[0-9a-f]{64}")


class Reference:
    """A parsed name; immutable by convention."""

    __slots__ = ("digest", "domain", "path", "tag")

    def __init__(self, domain: str, path: str, tag: str | None = None, digest: str | None = None) -> None:
        self.domain = domain
        self.path = path
        self.tag = tag
        self.digest = digest

    @property
    def name(self) -> str:
        """Return the whole repository name: `docker.io/library/busybox`."""
        return f"{self.domain}/{self.path}"

    def familiar_name(self) -> str:
        """Return the repository name as Docker shows it: `busybox`."""
        if self.domain != HUB:
            return self.name
        return self.path.removeprefix(_OFFICIAL) if self.path.count("/") == 1 else self.path

    def familiar(self) -> str:
        """Return the name as Docker shows it: `busybox:latest`."""
        return self.familiar_name() + self._suffix()

    def canonical(self) -> str:
        """Return the whole name: `docker.io/library/busybox:latest`."""
        return self.name + self._suffix()

    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and self.canonical() == other.canonical()

    def __hash__(self) -> int:
        return hash(self.canonical())

    def __repr__(self) -> str:
        return f"Reference({self.canonical()!r})"


def parse(text: str, *, default_tag: bool = True) -> Reference:
    """Return the reference a text stands for; InvalidArgument with Docker's words when it stands for none.

    With `default_tag` a name without tag and digest gets `latest`.
    """
    if _HEX.fullmatch(text):
        raise InvalidArgument(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
    rest, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise InvalidArgument("invalid reference format")
    name, tag = _split_tag(rest)
    domain, path = _split_domain(name)
    if path != path.lower():
        raise InvalidArgument(f"invalid reference format: repository name ({path}) must be lowercase")
    if not _PATH.fullmatch(path) or not _DOMAIN.fullmatch(domain) or (tag is not None and not _TAG.fullmatch(tag)):
        raise InvalidArgument("invalid reference format")
    if len(domain) + len(path) + 1 > 255:
        raise InvalidArgument("repository name must not be more than 255 characters")
    if default_tag and tag is None and not digest:
        tag = "latest"
    return Reference(domain, path, tag, digest or None)


def _split_tag(text: str) -> tuple[str, str | None]:
    head, colon, tail = text.rpartition(":")
    if colon and "/" not in tail:
        return head, tail
    return text, None


def _split_domain(name: str) -> tuple[str, str]:
    """Take the domain off: a first component with a dot, a colon, an upper-case letter, or `localhost`."""
    first, slash, rest = name.partition("/")
    if slash and (any(mark in first for mark in ".:") or first == "localhost" or first != first.lower()):
        domain, path = first, rest
    else:
        domain, path = HUB, name
    if domain == "index.docker.io":
        domain = HUB
    if domain == HUB and "/" not in path:
        path = _OFFICIAL + path
    return domain, path
