"""Numbers of the kernel's interface: flags and system calls that the standard library does not name. Used by `linux`.

Source: include/uapi of Linux; the meaning is in the man page of the call.
"""

import os

# clone(2), unshare(2), setns(2)
CLONE_PIDFD = 0x00001000
CLONE_PARENT = 0x00008000
CLONE_NEWTIME = 0x00000080
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

# mount(2), umount2(2)
MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_SYNCHRONOUS = 16
MS_REMOUNT = 32
MS_MANDLOCK = 64
MS_DIRSYNC = 128
MS_NOSYMFOLLOW = 256
MS_NOATIME = 1024
MS_NODIRATIME = 2048
MS_BIND = 4096
MS_MOVE = 8192
MS_REC = 16384
MS_SILENT = 32768
MS_POSIXACL = 1 << 16
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MS_RELATIME = 1 << 21
MS_I_VERSION = 1 << 23
MS_STRICTATIME = 1 << 24
MS_LAZYTIME = 1 << 25
MNT_DETACH = 2

# open_tree(2), move_mount(2), mount_setattr(2)
OPEN_TREE_CLONE = 1
AT_RECURSIVE = 0x8000
AT_EMPTY_PATH = 0x1000
AT_FDCWD = -100
MOVE_MOUNT_F_EMPTY_PATH = 0x04
MOVE_MOUNT_T_EMPTY_PATH = 0x40
MOUNT_ATTR_RDONLY = 0x01
MOUNT_ATTR_NOSUID = 0x02
MOUNT_ATTR_NODEV = 0x04
MOUNT_ATTR_NOEXEC = 0x08
MOUNT_ATTR__ATIME = 0x70
MOUNT_ATTR_NOATIME = 0x10
MOUNT_ATTR_STRICTATIME = 0x20
MOUNT_ATTR_NODIRATIME = 0x80
MOUNT_ATTR_IDMAP = 0x100000
MOUNT_ATTR_NOSYMFOLLOW = 0x200000

# statfs(2)
PROC_SUPER_MAGIC = 0x9FA0

# openat2(2)
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

# prctl(2)
PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
PR_CAPBSET_DROP = 24
PR_SET_SECUREBITS = 28
SECBIT_NO_SETUID_FIXUP = 1 << 2
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
PR_CAP_AMBIENT_CLEAR_ALL = 4
# seccomp(2)
SECCOMP_SET_MODE_FILTER = 1
SECCOMP_FILTER_FLAG_NEW_LISTENER = 8

# keyctl(2)
KEYCTL_JOIN_SESSION_KEYRING = 1
KEYCTL_SETPERM = 5

# ioprio_set(2)
IOPRIO_WHO_PROCESS = 1

# waitid(2): any child, also one whose end is not told by SIGCHLD
WALL = 0x40000000

# capset(2)
CAPABILITY_VERSION_3 = 0x20080522

# close_range(2)
CLOSE_RANGE_CLOEXEC = 4

# bpf(2)
BPF_PROG_LOAD = 5
BPF_PROG_ATTACH = 8
BPF_PROG_TYPE_CGROUP_DEVICE = 15
BPF_CGROUP_DEVICE = 6
BPF_PROG_GET_FD_BY_ID = 13
BPF_PROG_QUERY = 16
BPF_F_ALLOW_MULTI = 2
BPF_F_REPLACE = 4

# Calls numbered alike on every architecture (since 5.1, asm-generic)
SYS_OPEN_TREE = 428
SYS_MOVE_MOUNT = 429
SYS_PIDFD_OPEN = 434
SYS_CLONE3 = 435
SYS_CLOSE_RANGE = 436
SYS_OPENAT2 = 437
SYS_MOUNT_SETATTR = 442

_MACHINE = os.uname().machine
_GENERIC = {
    "pivot_root": 41,
    "bpf": 280,
    "rt_sigaction": 134,
    "keyctl": 219,
    "sched_setattr": 274,
    "ioprio_set": 30,
    "seccomp": 277,
    "set_mempolicy": 237,
}
_BY_MACHINE = {
    "x86_64": {
        "pivot_root": 155,
        "bpf": 321,
        "rt_sigaction": 13,
        "keyctl": 250,
        "sched_setattr": 314,
        "ioprio_set": 251,
        "seccomp": 317,
        "set_mempolicy": 238,
    },
    "s390x": {
        "pivot_root": 217,
        "bpf": 351,
        "rt_sigaction": 174,
        "keyctl": 280,
        "sched_setattr": 345,
        "ioprio_set": 282,
        "seccomp": 348,
        "set_mempolicy": 270,
    },
    "ppc64le": {
        "pivot_root": 203,
        "bpf": 361,
        "rt_sigaction": 173,
        "keyctl": 271,
        "sched_setattr": 355,
        "ioprio_set": 273,
        "seccomp": 358,
        "set_mempolicy": 261,
    },
    "armv7l": {
        "pivot_root": 218,
        "bpf": 386,
        "rt_sigaction": 174,
        "keyctl": 311,
        "sched_setattr": 380,
        "ioprio_set": 314,
        "seccomp": 383,
        "set_mempolicy": 321,
    },
}
_NUMBERS = _BY_MACHINE.get(_MACHINE, _GENERIC)
SYS_PIVOT_ROOT = _NUMBERS["pivot_root"]
SYS_BPF = _NUMBERS["bpf"]
SYS_RT_SIGACTION = _NUMBERS["rt_sigaction"]
SYS_KEYCTL = _NUMBERS["keyctl"]
SYS_SCHED_SETATTR = _NUMBERS["sched_setattr"]
SYS_IOPRIO_SET = _NUMBERS["ioprio_set"]
SYS_SECCOMP = _NUMBERS["seccomp"]
SYS_SET_MEMPOLICY = _NUMBERS["set_mempolicy"]
