"""ADD of addresses: a file by http, a git repository by the git program; and contexts from either.

Used by `steps` and `api.build`.
"""

import asyncio
import email.utils
import hashlib
import posixpath
import re
import tarfile
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from pydock_daemon.images import web
from pydock_daemon.snapshots.compression import CompressionError
from pydock_shared.errors import InvalidArgument, PydockError

from .tree import Tree, one_file, spool

GIT = re.compile(r"^(git://|git@|https?://\S+\.git(#\S*)?$|github\.com/)")
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)
MOST = 8 << 30
GIT_SECONDS = 600


def is_remote(text: str) -> bool:
    """Say whether a source is an address."""
    return text.startswith(("http://", "https://")) or bool(GIT.match(text))


async def add(text: str, archive: Path, checksum: str | None, *, keep_git: bool) -> str:
    """Write an archive with what an address has; return the name of it there, or the root for a repository."""
    if GIT.match(text):
        if checksum:
            raise InvalidArgument("ADD --checksum of a git repository is not supported")
        await clone(text, archive, keep_git=keep_git)
        return "."
    return await _file(text, archive, checksum)


async def _file(url: str, archive: Path, checksum: str | None) -> str:
    name = posixpath.basename(urlsplit(url).path)
    if not name:
        raise InvalidArgument(f"cannot determine filename from url: {url}")
    with tempfile.TemporaryFile(dir=archive.parent) as file:
        hashed, size, mtime = hashlib.sha256(), 0, 0.0
        try:
            async with web.session(TIMEOUT) as session, session.get(url) as response:
                if response.status >= 400:
                    raise PydockError(f"failed to GET {url}: {response.status} {response.reason}")
                if stamp := response.headers.get("Last-Modified"):
                    mtime = email.utils.parsedate_to_datetime(stamp).timestamp()
                async for piece in response.content.iter_chunked(1 << 20):
                    size += len(piece)
                    if size > MOST:
                        raise PydockError(f"{url}: more than {MOST} bytes")
                    hashed.update(piece)
                    await asyncio.to_thread(file.write, piece)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise PydockError(f"failed to GET {url}: {error or 'timeout'}") from error
        except ValueError as error:
            raise PydockError(f"failed to GET {url}: {error}") from error
        if checksum and checksum != f"sha256:{hashed.hexdigest()}":
            raise InvalidArgument(f"digest mismatch sha256:{hashed.hexdigest()}: {checksum}")
        file.seek(0)
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = size, 0o600, mtime
        with tarfile.open(archive, "w") as made:
            await asyncio.to_thread(made.addfile, info, file)
    return name


async def clone(text: str, archive: Path, *, keep_git: bool = False) -> None:
    """Write an archive of a repository: `URL[#ref[:folder]]`, its newest state only."""
    address, _, fragment = text.partition("#")
    ref, _, folder = fragment.partition(":")
    if ref.startswith("-") or address.startswith("-"):
        raise InvalidArgument(f"invalid git address: {text}")
    address = f"https://{address}" if address.startswith("github.com/") else address
    with tempfile.TemporaryDirectory(dir=archive.parent) as place:
        await _git(place, "init", "--quiet", ".")
        await _git(place, "fetch", "--quiet", "--depth=1", "--", address, ref or "HEAD")
        await _git(place, "checkout", "--quiet", "FETCH_HEAD")
        root = Path(place)
        if folder:
            inside = (root / folder.strip("/")).resolve()
            if not inside.is_relative_to(root.resolve()) or not inside.is_dir():
                raise InvalidArgument(f"no folder {folder} in {address}")
            root = inside
        await asyncio.to_thread(_pack, root, archive, keep_git=keep_git)


async def _git(folder: str, *arguments: str) -> None:
    environment = {"GIT_TERMINAL_PROMPT": "0", "GIT_PROTOCOL_FROM_USER": "0", "PATH": "/usr/local/bin:/usr/bin:/bin",
                   "HOME": folder, "GIT_CONFIG_NOSYSTEM": "1", "GIT_ALLOW_PROTOCOL": "git:http:https:ssh"}  # fmt: skip
    try:
        process = await asyncio.create_subprocess_exec(
            "git", *arguments, cwd=folder, env=environment, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise PydockError("git repositories need the git program, which is not installed") from error
    try:
        async with asyncio.timeout(GIT_SECONDS):
            _, complaint = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise PydockError(f"git {arguments[0]}: {complaint.decode(errors='replace').strip()}")


def _pack(root: Path, archive: Path, *, keep_git: bool) -> None:
    def chosen(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if not keep_git and (info.name == ".git" or info.name.startswith(".git/")):
            return None
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        return info

    with tarfile.open(archive, "w") as made:
        for entry in sorted(root.iterdir()):
            made.add(entry, entry.name, filter=chosen)


async def context(text: str, archive: Path) -> str | None:
    """Write the context that an address is; return the name of the Dockerfile when it is a file and no archive."""
    if GIT.match(text):
        await clone(text, archive)
        return None
    file = archive.with_suffix(".remote")
    try:
        name = await _file(text, file, None)
        return await asyncio.to_thread(_unwrap, Tree(file), name, archive)
    finally:
        file.unlink(missing_ok=True)


def _unwrap(found: Tree, name: str, archive: Path) -> str | None:
    """Write the context that a file is: an archive as it is, any other file as the Dockerfile of an empty one."""
    node = found.get(name)
    try:
        spool(found.pieces(node) if node else (), archive)
        with tarfile.open(archive, "r:"):
            return None
    except (tarfile.TarError, CompressionError):
        archive.write_bytes(one_file("Dockerfile", (found.text(name) or "").encode()))
        return "Dockerfile"
