"""Mount options of the OCI spec as a table: their flags, and what is left for the file system. Used by `mounts`."""

from __future__ import annotations

import functools

from pydock_runtime import abi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Option -> (flag, does it clear instead of set); mount(8), runtime-spec "mount options"
FLAGS = {
    "acl": (abi.MS_POSIXACL, False),
    "async": (abi.MS_SYNCHRONOUS, True),
    "atime": (abi.MS_NOATIME, True),
    "bind": (abi.MS_BIND, False),
    "defaults": (0, False),
    "dev": (abi.MS_NODEV, True),
    "diratime": (abi.MS_NODIRATIME, True),
    "dirsync": (abi.MS_DIRSYNC, False),
    "exec": (abi.MS_NOEXEC, True),
    "iversion": (abi.MS_I_VERSION, False),
    "lazytime": (abi.MS_LAZYTIME, False),
    "loud": (abi.MS_SILENT, True),
    "mand": (abi.MS_MANDLOCK, False),
    "noacl": (abi.MS_POSIXACL, True),
    "noatime": (abi.MS_NOATIME, False),
    "nodev": (abi.MS_NODEV, False),
    "nodiratime": (abi.MS_NODIRATIME, False),
    "noexec": (abi.MS_NOEXEC, False),
    "noiversion": (abi.MS_I_VERSION, True),
    "nolazytime": (abi.MS_LAZYTIME, True),
    "nomand": (abi.MS_MANDLOCK, True),
    "norelatime": (abi.MS_RELATIME, True),
    "nostrictatime": (abi.MS_STRICTATIME, True),
    "nosuid": (abi.MS_NOSUID, False),
    "nosymfollow": (abi.MS_NOSYMFOLLOW, False),
    "rbind": (abi.MS_BIND | abi.MS_REC, False),
    "relatime": (abi.MS_RELATIME, False),
    "remount": (abi.MS_REMOUNT, False),
    "ro": (abi.MS_RDONLY, False),
    "rw": (abi.MS_RDONLY, True),
    "silent": (abi.MS_SILENT, False),
    "strictatime": (abi.MS_STRICTATIME, False),
    "suid": (abi.MS_NOSUID, True),
    "symfollow": (abi.MS_NOSYMFOLLOW, True),
    "sync": (abi.MS_SYNCHRONOUS, False),
}
PROPAGATION = {
    "private": (abi.MS_PRIVATE, False),
    "rprivate": (abi.MS_PRIVATE, True),
    "shared": (abi.MS_SHARED, False),
    "rshared": (abi.MS_SHARED, True),
    "slave": (abi.MS_SLAVE, False),
    "rslave": (abi.MS_SLAVE, True),
    "unbindable": (abi.MS_UNBINDABLE, False),
    "runbindable": (abi.MS_UNBINDABLE, True),
}
# Flag -> attribute of mount_setattr(2), for bind mounts
ATTRIBUTES = {
    abi.MS_RDONLY: abi.MOUNT_ATTR_RDONLY,
    abi.MS_NOSUID: abi.MOUNT_ATTR_NOSUID,
    abi.MS_NODEV: abi.MOUNT_ATTR_NODEV,
    abi.MS_NOEXEC: abi.MOUNT_ATTR_NOEXEC,
    abi.MS_NODIRATIME: abi.MOUNT_ATTR_NODIRATIME,
    abi.MS_NOSYMFOLLOW: abi.MOUNT_ATTR_NOSYMFOLLOW,
}
# Recursive forms set an attribute on everything below: `rro` and the like. Those of access times exclude each other.
RECURSIVE = {
    "ratime": (0, abi.MOUNT_ATTR__ATIME),
    "rnoatime": (abi.MOUNT_ATTR_NOATIME, abi.MOUNT_ATTR__ATIME),
    "rrelatime": (0, abi.MOUNT_ATTR__ATIME),
    "rnorelatime": (0, abi.MOUNT_ATTR__ATIME),
    "rstrictatime": (abi.MOUNT_ATTR_STRICTATIME, abi.MOUNT_ATTR__ATIME),
    "rnostrictatime": (0, abi.MOUNT_ATTR__ATIME),
    "rdiratime": (0, abi.MOUNT_ATTR_NODIRATIME),
    "rnodiratime": (abi.MOUNT_ATTR_NODIRATIME, 0),
    "rsymfollow": (0, abi.MOUNT_ATTR_NOSYMFOLLOW),
    "rnosymfollow": (abi.MOUNT_ATTR_NOSYMFOLLOW, 0),
    "rro": (abi.MOUNT_ATTR_RDONLY, 0),
    "rrw": (0, abi.MOUNT_ATTR_RDONLY),
    "rnosuid": (abi.MOUNT_ATTR_NOSUID, 0),
    "rsuid": (0, abi.MOUNT_ATTR_NOSUID),
    "rnodev": (abi.MOUNT_ATTR_NODEV, 0),
    "rdev": (0, abi.MOUNT_ATTR_NODEV),
    "rnoexec": (abi.MOUNT_ATTR_NOEXEC, 0),
    "rexec": (0, abi.MOUNT_ATTR_NOEXEC),
}
# What maps the owners of a mount, for it alone or for everything below
RECURSIVE_IDMAP = "ridmap"
IDMAPS = ("idmap", RECURSIVE_IDMAP)
COPY_UP = "tmpcopyup"


class Options:
    """The options of one mount, sorted by who carries them out; not changed once made."""

    __slots__ = (
        "clear",
        "data",
        "flags",
        "idmap",
        "propagation",
        "propagation_recursive",
        "recursive_clear",
        "recursive_set",
        "tmpcopyup",
    )

    def __init__(self, words: tuple[str, ...], *, bind: bool) -> None:
        """`bind`: its type says already that the source is a path."""
        self.flags = 0
        self.clear = 0
        self.propagation = 0
        self.propagation_recursive = False
        self.recursive_set = 0
        self.recursive_clear = 0
        self.tmpcopyup = False
        self.idmap = ""
        data = []
        for word in words:
            if word in FLAGS:
                flag, clears = FLAGS[word]
                self.flags = self.flags & ~flag if clears else self.flags | flag
                self.clear = self.clear | flag if clears else self.clear & ~flag
            elif word in PROPAGATION:
                self.propagation, self.propagation_recursive = PROPAGATION[word]
            elif word in RECURSIVE:
                self.recursive_set |= RECURSIVE[word][0]
                self.recursive_clear |= RECURSIVE[word][1]
            elif word in IDMAPS:
                self.idmap = word
            elif word == COPY_UP:
                self.tmpcopyup = True
            else:
                data.append(word)
        self.data = ",".join(data)
        if bind:
            self.flags |= abi.MS_BIND

    @property
    def is_bind(self) -> bool:
        """Say whether the source is a path to be shown elsewhere."""
        return bool(self.flags & abi.MS_BIND)

    @property
    def recursive(self) -> bool:
        """Say whether propagation and recursive attributes of a bind mount go for the mounts below it too."""
        return self.propagation_recursive or not self.propagation or bool(self.recursive_set | self.recursive_clear)

    def attributes(self) -> tuple[int, int]:
        """Return what mount_setattr(2) sets and clears on a bind mount."""
        set_ = clear = 0
        for flag, attribute in ATTRIBUTES.items():
            if self.flags & flag:
                set_ |= attribute
            if self.clear & flag:
                clear |= attribute
        for flag, attribute in (
            (abi.MS_NOATIME, abi.MOUNT_ATTR_NOATIME),
            (abi.MS_STRICTATIME, abi.MOUNT_ATTR_STRICTATIME),
        ):
            if self.flags & flag:
                clear |= abi.MOUNT_ATTR__ATIME
                set_ |= attribute
        return set_, clear


def of(mount: dict[str, Any]) -> Options:
    """Return the options of an entry of `mounts`; a mount of type `bind` need not say so again."""
    return _sorted(tuple(mount.get("options") or ()), mount.get("type") == "bind")


@functools.lru_cache(256)
def _sorted(words: tuple[str, ...], bind: bool) -> Options:
    """Sort them once for all containers that ask for the same, and before the fork for what is done after it."""
    return Options(words, bind=bind)
