"""Where a file system puts what is unpacked. Used by `overlay`, for the folder in which layers are made."""

import fcntl
import os
import struct
from contextlib import suppress
from pathlib import Path

# ioctl_iflags(2). The numbers are those of 64-bit kernels, whose `long` they name.
FS_IOC_GETFLAGS, FS_IOC_SETFLAGS = 0x80086601, 0x40086602
FS_TOPDIR_FL = 0x00020000


def spread(folder: Path) -> None:
    """Let folders made in this one lie apart on the disk, as unrelated things, where the file system has that.

    ext4 puts the inodes of a folder beside those of its parent, and looks there at each inode freed within the last
    half minute one by one before it takes one (fs/ext4/ialloc.c, recently_deleted): unpacking after an image was
    removed then takes 500 us for each file instead of 10.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # a hint, and other file systems do not know it
            (flags,) = struct.unpack("l", fcntl.ioctl(descriptor, FS_IOC_GETFLAGS, bytes(8)))
            fcntl.ioctl(descriptor, FS_IOC_SETFLAGS, struct.pack("l", flags | FS_TOPDIR_FL))
    finally:
        os.close(descriptor)
