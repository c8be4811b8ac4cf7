"""Names of images: `[domain/]path[:tag][@digest]`, and Docker's short forms of them. Used by daemon and client.

Grammar: the `reference` grammar of the OCI distribution project; short names as Docker reads them
(`busybox` is `docker.io/library/busybox:latest`).
"""

import re

from .errors import InvalidArgument

HUB = "docker.io"
_HUB_BEFORE = "index.docker.io"
_OFFICIAL = "library/"
_LONGEST_PATH = 255
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_WHOLE_TAG = re.compile(_TAG)
_REST = re.compile(
    rf"(?P<path>{_COMPONENT}(?:/{_COMPONENT})*)"
    rf"(?::(?P<tag>{_TAG}))?"
    r"(?:@(?P<digest>[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?"
)
_ID = re.compile(r"[0-9a-f]{64}")
_DIGEST_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}
_HEX = frozenset("0123456789abcdef")


class Reference:
    """A parsed name; equal to another of the same canonical form, and not to be changed."""

    __slots__ = ("digest", "domain", "path", "tag")

    def __init__(self, domain: str, path: str, tag: str | None = None, digest: str | None = None) -> None:
        self.domain = domain
        self.path = path
        self.tag = tag
        self.digest = digest

    @property
    def name(self) -> str:
        """The whole repository name: `docker.io/library/busybox`."""
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

    With `default_tag` a name without tag and digest gets `latest`. 64 hexadecimal digits are an id, not a name.
    """
    if _ID.fullmatch(text):
        raise InvalidArgument(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
    domain, rest = _split_domain(text)
    repository = rest.partition(":")[0]
    if repository != repository.lower():
        raise InvalidArgument(f"invalid reference format: repository name ({repository}) must be lowercase")
    found = _REST.fullmatch(rest)
    if not found or not _DOMAIN.fullmatch(domain):
        raise InvalidArgument("invalid reference format")
    path, tag, digest = found["path"], found["tag"], found["digest"]
    if len(path) > _LONGEST_PATH:
        raise InvalidArgument(f"repository name must not be more than {_LONGEST_PATH} characters")
    if digest:
        check_digest(digest)
    elif default_tag and tag is None:
        tag = "latest"
    return Reference(domain, path, tag, digest)


def check_tag(text: str) -> None:
    """Raise InvalidArgument for what cannot be a tag: letters, digits, `_`, `.` and `-`, at most 128 of them."""
    if not _WHOLE_TAG.fullmatch(text):
        raise InvalidArgument("invalid tag format")


def check_digest(text: str) -> None:
    """Raise InvalidArgument, in the words of Docker's digest library, for anything but `sha256:<64 digits>` and kin."""
    algorithm, _, digits = text.partition(":")
    length = _DIGEST_LENGTHS.get(algorithm)
    if length is None:
        raise InvalidArgument("unsupported digest algorithm")
    if len(digits) != length:
        raise InvalidArgument("invalid checksum digest length")
    if not _HEX.issuperset(digits):
        raise InvalidArgument("invalid checksum digest format")


def _split_domain(text: str) -> tuple[str, str]:
    """Take the domain off: a first component with a dot, a colon, an upper-case letter, or `localhost`."""
    first, slash, rest = text.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        domain, rest = HUB, text
    else:
        domain = HUB if first == _HUB_BEFORE else first
    if domain == HUB and "/" not in rest:
        rest = _OFFICIAL + rest
    return domain, rest
