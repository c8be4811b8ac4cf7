"""What the host mounts, read from texts of /proc/self/mountinfo."""

from pydock_runtime.cgroup import layout

V1 = """\
24 18 0:21 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
25 24 0:22 / /sys/fs/cgroup/systemd rw,relatime shared:5 - cgroup cgroup rw,xattr,name=systemd
26 24 0:23 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:6 - cgroup cgroup rw,cpu,cpuacct
27 24 0:24 / /sys/fs/cgroup/odd rw,relatime shared:7 - cgroup none rw,memory,clone_children
28 24 0:24 / /elsewhere rw,relatime - cgroup cgroup rw,memory
"""
UNIFIED = "30 24 0:26 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n"


def test_v1_hierarchies_go_by_their_controllers_not_by_their_folder() -> None:
    found = layout.parse(V1)
    assert found.unified is None
    assert found.hierarchies == {
        "systemd": "/sys/fs/cgroup/systemd",
        "cpu,cpuacct": "/sys/fs/cgroup/cpu,cpuacct",
        "memory": "/sys/fs/cgroup/odd",
    }


def test_hybrid_and_v2_have_a_unified_hierarchy() -> None:
    assert layout.parse(V1 + UNIFIED).unified == "/sys/fs/cgroup/unified"
    found = layout.parse("30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
    assert (found.hierarchies, found.unified) == ({}, "/sys/fs/cgroup")
