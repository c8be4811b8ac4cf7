"""System calls that the standard library does not have: one function a call. Used by the runtime and by the daemon.

Each raises OSError(errno, text, path). `PyDLL` keeps the interpreter lock: the calls are short, and a clone that gave
the lock up could leave it held in the child.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from pydock_runtime import abi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Strings = ctypes.Array[ctypes.c_char_p]

_libc = ctypes.PyDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
_libc.prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)


class CloneArgs(ctypes.Structure):
    """What clone3(2) wants."""

    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in ("flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size", "tls")
    )


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


class _SockFprog(ctypes.Structure):
    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))


class Filter(ctypes.Array[_SockFprog]):
    """What seccomp(2) wants of a filter, an array of struct sock_filter, which stays where it is with this."""

    _type_ = _SockFprog
    _length_ = 1

    def __init__(self, program: bytes) -> None:
        start = ctypes.cast(ctypes.c_char_p(program), ctypes.c_void_p).value
        super().__init__(_SockFprog(len(program) // 8, start))
        self.program = program


def _check(result: int, path: str | None = None) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return result


def clone3(flags: int, *, exit_signal: int) -> tuple[int, int]:
    """Fork with new namespaces: (pid, pidfd) in the parent, (0, -1) in the child. The caller has one thread only."""
    pidfd = ctypes.c_int(-1)
    arguments = CloneArgs(flags=flags | abi.CLONE_PIDFD, pidfd=ctypes.addressof(pidfd), exit_signal=exit_signal)
    pid = _check(
        _libc.syscall(
            ctypes.c_long(abi.SYS_CLONE3), ctypes.byref(arguments), ctypes.c_size_t(ctypes.sizeof(arguments))
        ),
        "clone3",
    )
    return pid, pidfd.value if pid else -1


def unshare(flags: int) -> None:
    """Leave the namespaces of the given kinds for new ones."""
    _check(_libc.unshare(ctypes.c_int(flags)), "unshare")


def setns(fd: int, flags: int) -> None:
    """Enter the namespace of a file descriptor; of a pidfd the kinds in `flags`."""
    _check(_libc.setns(ctypes.c_int(fd), ctypes.c_int(flags)), "setns")


def pidfd_open(pid: int) -> int:
    """Return a descriptor of a process."""
    return _check(_libc.syscall(ctypes.c_long(abi.SYS_PIDFD_OPEN), ctypes.c_int(pid), ctypes.c_uint(0)), str(pid))


def mount(source: str | None, target: str, type_: str | None, flags: int, data: str | None = None) -> None:
    """Mount; a missing source or type is a null pointer."""
    encode = os.fsencode
    result = _libc.mount(
        None if source is None else encode(source),
        encode(target),
        None if type_ is None else encode(type_),
        flags,
        None if data is None else encode(data),
    )
    _check(result, target)


def umount2(target: str, flags: int) -> None:
    """Unmount."""
    _check(_libc.umount2(os.fsencode(target), ctypes.c_int(flags)), target)


def pivot_root(new: str, old: str) -> None:
    """Make another mount the root of this mount namespace."""
    _check(_libc.syscall(ctypes.c_long(abi.SYS_PIVOT_ROOT), os.fsencode(new), os.fsencode(old)), new)


def open_tree(directory: int, path: str, flags: int) -> int:
    """Return a descriptor of a mount; with OPEN_TREE_CLONE of a detached copy of it."""
    return _check(
        _libc.syscall(
            ctypes.c_long(abi.SYS_OPEN_TREE),
            ctypes.c_int(directory),
            os.fsencode(path),
            ctypes.c_uint(flags | os.O_CLOEXEC),
        ),
        path,
    )


def move_mount(source: int, target: int, *, path: str) -> None:
    """Attach the detached mount of one descriptor at the file of another; `path` is for the error."""
    flags = abi.MOVE_MOUNT_F_EMPTY_PATH | abi.MOVE_MOUNT_T_EMPTY_PATH
    _check(
        _libc.syscall(
            ctypes.c_long(abi.SYS_MOVE_MOUNT),
            ctypes.c_int(source),
            b"",
            ctypes.c_int(target),
            b"",
            ctypes.c_uint(flags),
        ),
        path,
    )


def mount_setattr(
    fd: int,
    *,
    set_: int = 0,
    clear: int = 0,
    propagation: int = 0,
    user_namespace: int = 0,
    recursive: bool = False,
    path: str,
) -> None:
    """Change the attributes of the mount of a descriptor; `path` is for the error."""
    arguments = _MountAttr(attr_set=set_, attr_clr=clear, propagation=propagation, userns_fd=user_namespace)
    flags = abi.AT_EMPTY_PATH | (abi.AT_RECURSIVE if recursive else 0)
    _check(
        _libc.syscall(
            ctypes.c_long(abi.SYS_MOUNT_SETATTR),
            ctypes.c_int(fd),
            b"",
            ctypes.c_uint(flags),
            ctypes.byref(arguments),
            ctypes.c_size_t(ctypes.sizeof(arguments)),
        ),
        path,
    )


def openat2(directory: int, path: str, flags: int, *, mode: int = 0, resolve: int = 0) -> int:
    """Open a file with rules for the resolution of its path."""
    how = _OpenHow(flags=flags | os.O_CLOEXEC, mode=mode, resolve=resolve)
    return _check(
        _libc.syscall(
            ctypes.c_long(abi.SYS_OPENAT2),
            ctypes.c_int(directory),
            os.fsencode(path),
            ctypes.byref(how),
            ctypes.c_size_t(ctypes.sizeof(how)),
        ),
        path,
    )


def is_proc(fd: int) -> bool:
    """Say whether a descriptor is of a proc file system; statfs(2)."""
    buffer = (ctypes.c_long * 32)()
    _check(_libc.fstatfs(ctypes.c_int(fd), buffer))
    return buffer[0] == abi.PROC_SUPER_MAGIC


def prctl(option: int, second: int = 0, third: int = 0) -> int:
    """Change or read a property of this thread."""
    return _check(_libc.prctl(option, second, third, 0, 0), "prctl")


def load_seccomp(program: bytes, flags: int = 0) -> int:
    """Install a seccomp filter (an array of struct sock_filter); return its listener where the flags ask for one."""
    return _check(
        _libc.syscall(
            ctypes.c_long(abi.SYS_SECCOMP),
            ctypes.c_uint(abi.SECCOMP_SET_MODE_FILTER),
            ctypes.c_uint(flags),
            Filter(program),
        ),
        "seccomp",
    )


def takes_seccomp_flags(flags: int) -> bool:
    """Say whether this kernel knows flags of a filter: it looks at them before it looks for the filter."""
    arguments = (ctypes.c_uint(abi.SECCOMP_SET_MODE_FILTER), ctypes.c_uint(flags), ctypes.c_void_p())
    _libc.syscall(ctypes.c_long(abi.SYS_SECCOMP), *arguments)
    return ctypes.get_errno() == errno.EFAULT


def sched_setattr(attributes: bytes) -> None:
    """Set the scheduler of this process from a struct sched_attr."""
    result = _libc.syscall(ctypes.c_long(abi.SYS_SCHED_SETATTR), ctypes.c_int(0), attributes, ctypes.c_uint(0))
    _check(result, "sched_setattr")


def ioprio_set(value: int) -> None:
    """Set the I/O priority of this process."""
    number = ctypes.c_long(abi.SYS_IOPRIO_SET)
    _check(_libc.syscall(number, ctypes.c_int(abi.IOPRIO_WHO_PROCESS), ctypes.c_int(0), ctypes.c_int(value)), "ioprio")


def set_mempolicy(mode: int, nodes: int) -> None:
    """Let this process's memory come from NUMA nodes, a bit mask."""
    size = nodes.bit_length() + 1  # the kernel leaves the last bit out
    words = (ctypes.c_ulong * (size // 64 + 1))(*(nodes >> shift & 0xFFFFFFFFFFFFFFFF for shift in range(0, size, 64)))
    arguments = (ctypes.c_long(mode), words if nodes else None, ctypes.c_ulong(size if nodes else 0))
    _check(_libc.syscall(ctypes.c_long(abi.SYS_SET_MEMPOLICY), *arguments), "set_mempolicy")


def personality(value: int) -> None:
    """Set the execution domain of this process."""
    _check(_libc.personality(ctypes.c_ulong(value)), "personality")


def capability_sets(effective: int, permitted: int, inheritable: int) -> tuple[bytes, bytes]:
    """Return what capset(2) wants of the capability sets of this thread, each a bit mask."""
    words = []
    for shift in (0, 32):
        words += [(value >> shift) & 0xFFFFFFFF for value in (effective, permitted, inheritable)]
    return struct.pack("=Ii", abi.CAPABILITY_VERSION_3, 0), struct.pack("=6I", *words)


def set_file_ids(uid: int, gid: int) -> None:
    """Make files as this user and group from now on, and have their rights; setfsuid(2) tells of no failure."""
    _libc.setfsgid(ctypes.c_uint(gid))
    _libc.setfsuid(ctypes.c_uint(uid))


def set_domain_name(name: str) -> None:
    """Set the NIS domain name of this UTS namespace."""
    raw = os.fsencode(name)
    _check(_libc.setdomainname(raw, ctypes.c_size_t(len(raw))), name)


def set_host_name(name: str) -> None:
    """Set the host name of this UTS namespace."""
    raw = os.fsencode(name)
    _check(_libc.sethostname(raw, ctypes.c_size_t(len(raw))), name)


def close_range(first: int, last: int, flags: int) -> None:
    """Close a range of descriptors, or mark it close-on-exec."""
    _check(
        _libc.syscall(
            ctypes.c_long(abi.SYS_CLOSE_RANGE), ctypes.c_uint(first), ctypes.c_uint(last), ctypes.c_uint(flags)
        ),
        "close_range",
    )


def close_all_but(kept: Sequence[int]) -> None:
    """Close every descriptor from 3 on that is not one of these."""
    first = 3
    for fd in sorted(fd for fd in kept if fd >= 3):
        if fd > first:
            close_range(first, fd - 1, 0)
        first = fd + 1
    close_range(first, 0xFFFFFFFF, 0)


def bpf(command: int, attributes: ctypes.Array[ctypes.c_char]) -> int:
    """Call bpf(2); the kernel reads the attribute union and may write to it."""
    return _check(
        _libc.syscall(ctypes.c_long(abi.SYS_BPF), ctypes.c_int(command), attributes, ctypes.c_uint(len(attributes))),
        "bpf",
    )


def inotify_init() -> int:
    """Return an inotify descriptor that does not block."""
    return _check(_libc.inotify_init1(ctypes.c_int(os.O_NONBLOCK | os.O_CLOEXEC)), "inotify")


def inotify_add_watch(fd: int, path: str, mask: int) -> int:
    """Watch a file or folder; return the watch, which is the same for each name of a folder."""
    return _check(_libc.inotify_add_watch(ctypes.c_int(fd), os.fsencode(path), ctypes.c_uint32(mask)), path)


def inotify_rm_watch(fd: int, watch: int) -> None:
    """Watch no more."""
    _check(_libc.inotify_rm_watch(ctypes.c_int(fd), ctypes.c_int(watch)), "inotify")


def strings(words: Sequence[bytes], *, room: int = 0) -> Strings:
    """Return what `exec_file` takes, with room for more words before the null pointer at the end."""
    return (ctypes.c_char_p * (len(words) + room + 1))(*words)


def exec_file(path: bytes, arguments: Strings, environment: Strings) -> OSError:
    """Replace this program; return the error when that fails, so that the next candidate can be tried."""
    _libc.execve(path, arguments, environment)
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), os.fsdecode(path))
