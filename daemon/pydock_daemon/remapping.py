"""`--userns-remap`: which ids of the host the users of containers are. Used by `app` at start.

Source: moby's daemon_unix.go and idtools, whose rules and words these are; user_namespaces(7), subuid(5).
"""

import grp
import logging
import os
import pwd
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydock_runtime import usermaps
from pydock_runtime.errors import RuntimeFailure
from pydock_shared.errors import InvalidArgument, PydockError

Map = list[dict[str, Any]]
DEFAULT, USER = "default", "dockremap"
"""The word for a user that the daemon may make, and that user."""
FILES = ("subuid", "subgid")
FIRST, SIZE = 100000, 65536
"""The range of a user that the daemon makes: the first that is free from here on."""
log = logging.getLogger("pydockd.remapping")


@dataclass(frozen=True)
class Remap:
    """The ids of containers: of users and of groups, in OCI form."""

    uids: Map
    gids: Map
    users: int
    """A descriptor of a user namespace with these ids, in which nobody is."""

    @property
    def owner(self) -> tuple[int, int]:
        """Return user and group of the host that are the root of a container."""
        return self.uids[0]["hostID"], self.gids[0]["hostID"]

    @property
    def count(self) -> int:
        """Return how many ids a container has, of users and of groups."""
        return min(sum(int(entry["size"]) for entry in ranges) for ranges in (self.uids, self.gids))

    def outside(self, uid: int, gid: int) -> tuple[int, int]:
        """Return what a user and a group of a container are on the host; InvalidArgument for what there is not."""
        return _outside(self.uids, uid), _outside(self.gids, gid)

    @property
    def back(self) -> dict[str, Map]:
        """Return the maps of a mount that shows the host's files as a container sees them."""
        return {"uids": _reversed(self.uids), "gids": _reversed(self.gids)}


def opened(setting: str | None, stack: ExitStack, folder: Path = Path("/etc")) -> Remap | None:
    """Return the ids that a setting names, None for those of the host; PydockError with Docker's words.

    The process has one thread yet. The descriptor is closed with the stack.
    """
    if not setting:
        return None
    name = _user(setting)
    if name == "root":
        log.warning("User namespaces: root cannot be remapped with itself; user namespaces are OFF")
        return None
    uids, gids = (_ranges(folder / file, name) for file in FILES)
    for file, found in zip(FILES, (uids, gids), strict=True):
        if not found:
            raise PydockError(f"Can't create ID mappings: no {file} ranges found for user {_quoted(name)}")
    log.info("User namespaces: ID ranges will be mapped to subuid/subgid ranges of: %s", name)
    try:
        usermaps.check(uids, gids, "userns-remap")
        users = usermaps.namespace(uids, gids)
    except (RuntimeFailure, OSError) as error:
        raise PydockError(f"Can't create ID mappings: {error}") from error
    stack.callback(os.close, users)
    return Remap(uids, gids, users)


def _user(setting: str) -> str:
    """Return the name of the user that `user[:group]`, either of them a number or not, means; both must exist."""
    user, *groups = setting.split(":")
    if len(groups) > 1:
        raise PydockError(f"Invalid user/group specification in --userns-remap: {_quoted(setting)}")
    name = USER if user == DEFAULT else user
    found = _passwd(name)
    if found is None and user == DEFAULT:
        _make_user()
        return USER
    if found is None and _is_number(user):
        raise PydockError(f"Uid {user} has no entry in /etc/passwd")
    if found is None:
        raise PydockError(f"Error during uid lookup for {_quoted(name)}: unable to find it in passwd database")
    _check_group(groups[0] if groups else name, own=not groups)
    return found.pw_name


def _check_group(group: str, *, own: bool) -> None:
    if _group(group) is not None:
        return
    if _is_number(group):
        raise PydockError(f"Gid {group} has no entry in /etc/group")
    word = "gid" if own else "groupname"
    raise PydockError(f"Error during {word} lookup for {_quoted(group)}: unable to find it in group database")


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit() and int(word) < 1 << 31


def _passwd(word: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(int(word)) if _is_number(word) else pwd.getpwnam(word)
    except (KeyError, ValueError):
        return None


def _group(word: str) -> grp.struct_group | None:
    try:
        return grp.getgrgid(int(word)) if _is_number(word) else grp.getgrnam(word)
    except (KeyError, ValueError):
        return None


def _ranges(file: Path, name: str) -> Map:
    """Return the ids of a user, whose line may have his name or his number, one after another from 0 on."""
    number = str(pwd.getpwnam(name).pw_uid)
    result: Map = []
    inside = 0
    for owner, first, size in _lines(file):
        if owner in (name, number):
            result.append({"containerID": inside, "hostID": first, "size": size})
            inside += size
    return result


def _lines(file: Path) -> list[tuple[str, int, int]]:
    """Return the lines of subuid(5); PydockError names one that is none."""
    try:
        text = file.read_text()
    except OSError as error:
        raise PydockError(f"Can't create ID mappings: open {file}: {(error.strerror or '').lower()}") from error
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("#"):
            continue
        try:
            owner, first, size = line.split(":")
            found.append((owner, int(first), int(size)))
        except ValueError as error:
            raise PydockError(f"Can't create ID mappings: {file} has the line {line!r}") from error
    return found


def _make_user() -> None:
    """Make the user of `default`, and lend it ids that nobody else has, as dockerd does."""
    free = FIRST
    for _, first, size in sorted((row for file in FILES for row in _lines(Path("/etc", file))), key=lambda row: row[1]):
        free = max(free, first + size) if first < free + SIZE else free
    lent = f"{free}-{free + SIZE - 1}"
    for command in (
        ("useradd", "--system", "--user-group", "--no-create-home", "--shell", "/bin/false", USER),
        ("usermod", "--add-subuids", lent, "--add-subgids", lent, USER),
    ):
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", "") or str(error)
            raise PydockError(f"Error during {_quoted(USER)} user creation: {said.strip()}") from error


def _outside(ranges: Map, id: int) -> int:
    for entry in ranges:
        if 0 <= id - entry["containerID"] < entry["size"]:
            return int(entry["hostID"] + id - entry["containerID"])
    raise InvalidArgument(f"Container ID {id} cannot be mapped to a host ID")


def _reversed(ranges: Map) -> Map:
    return [{"containerID": entry["hostID"], "hostID": entry["containerID"], "size": entry["size"]} for entry in ranges]


def _quoted(word: str) -> str:
    return f'"{word}"'
