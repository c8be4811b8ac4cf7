"""A container's /etc/hosts: its text at start, and lines that come and go with its networks and links.

Used by `service` and by containers. Names of others on user-defined networks are the name server's business.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import TextIO

from pydock_shared.errors import InvalidArgument

FIXED = (
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "fe00::0\tip6-localnet",
    "ff00::0\tip6-mcastprefix",
    "ff02::1\tip6-allnodes",
    "ff02::2\tip6-allrouters",
)
GATEWAY = "host-gateway"
HOST_FILE = Path("/etc/hosts")


def text(lines: Iterable[str]) -> str:
    """Return the text of a file of these lines."""
    return "".join(f"{line}\n" for line in lines)


def own_lines(addresses: Iterable[str], hostname: str, domain: str) -> list[str]:
    """Return the lines of the container itself, one an address; a domain puts the full name first, as Docker does."""
    full, dot, _ = hostname.partition(".")
    names = f"{hostname}.{domain} {hostname}" if domain else f"{hostname} {full}" if dot else hostname
    return [f"{address}\t{names}" for address in addresses]


def extra_lines(entries: Sequence[str], gateway: str) -> list[str]:
    """Return the lines of `--add-host name:address`; `host-gateway` is the host as the default network sees it."""
    lines = []
    for entry in entries:
        name, _, address = entry.partition(":" if ":" in entry.partition("=")[0] else "=")
        address = address.removeprefix("[").removesuffix("]")
        if not name or not address:
            raise InvalidArgument(f'bad format for add-host: "{entry}"')
        if address == GATEWAY:
            if not gateway:
                raise InvalidArgument("unable to derive the IP value for host-gateway")
            address = gateway
        lines.append(f"{address}\t{name}")
    return lines


def edit(file: Path, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
    """Change lines of a container's file in place, since it is bound into the container; no file, no change."""
    with _opened(file) as stream:
        lines = [line for line in stream.read().splitlines() if line not in remove]
        _rewrite(stream, text([*lines, *(line for line in add if line not in lines)]))


def replace(file: Path, before: str, after: str) -> None:
    """Change the whole of such a file, if it is still as it was."""
    with _opened(file) as stream:
        if stream.read() == before:
            _rewrite(stream, after)


def move(file: Path, names: str, address: str) -> None:
    """Give the names of a line in such a file another address."""
    with _opened(file) as stream:
        lines = [line for line in stream.read().splitlines() if line.partition("\t")[2] != names]
        _rewrite(stream, text([*lines, f"{address}\t{names}"]))


@contextmanager
def _opened(file: Path) -> Iterator[TextIO]:
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        yield StringIO()
        return
    with open(descriptor, "r+", errors="surrogateescape") as stream:
        yield stream


def _rewrite(stream: TextIO, content: str) -> None:
    stream.seek(0)
    stream.write(content)
    stream.truncate()
