"""Limits and walls as seen from inside: cgroup values, capabilities, seccomp, masked paths, namespaces, rlimits."""

import os
import time

import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.http import Api

FILES_OF_V1_AND_V2 = {
    "memory": ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max"),
    "cpu": ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu.max"),
    "cpus": ("/sys/fs/cgroup/cpuset/cpuset.cpus", "/sys/fs/cgroup/cpuset.cpus"),
    "pids": ("/sys/fs/cgroup/pids/pids.max", "/sys/fs/cgroup/pids.max"),
}
DEFAULT_CAPABILITIES = "00000000a80425fb"


@pytest.mark.parametrize(
    ("option", "what", "expected"),
    [
        ("--memory=64m", "memory", ["67108864"]),
        ("--cpus=0.5", "cpu", ["50000", "50000 100000"]),
        ("--cpuset-cpus=0", "cpus", ["0"]),
        ("--pids-limit=64", "pids", ["64"]),
    ],
)
def test_limits_are_visible_inside(cli: Cli, option: str, what: str, expected: list[str]):
    v1, v2 = FILES_OF_V1_AND_V2[what]
    assert cli("run", "--rm", option, "busybox", "sh", "-c", f"cat {v1} 2>/dev/null || cat {v2}") in expected


def test_too_many_processes(docker: Cli):
    script = "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done"
    result = docker.result("run", "--rm", "--pids-limit", "5", "busybox", "sh", "-c", script)
    assert "can't fork" in result.stderr


def test_too_much_memory_is_killed_and_said(docker: Cli):
    docker.fails("run", "--name", "hungry", "--memory", "16m", "busybox", "tail", "/dev/zero", code=137)
    assert docker("inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}", "hungry") == "true 137"


def status(cli: Cli, field: str, *options: str) -> str:
    return cli("run", "--rm", *options, "busybox", "grep", field, "/proc/self/status").split()[1]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), DEFAULT_CAPABILITIES),
        (("--cap-drop", "ALL"), "0" * 16),
        (("--cap-drop", "ALL", "--cap-add", "CHOWN"), "0000000000000001"),
        (("--cap-add", "NET_ADMIN"), "00000000a80435fb"),
        (("--user", "1000"), "0" * 16),
    ],
)
def test_effective_capabilities(cli: Cli, options: tuple[str, ...], expected: str):
    assert status(cli, "CapEff", *options) == expected


def test_bounding_set_of_an_unprivileged_user_stays(docker: Cli):
    assert status(docker, "CapBnd", "--user", "1000") == DEFAULT_CAPABILITIES


def test_privileged(cli: Cli):
    output = cli("run", "--rm", "--privileged", "busybox", "sh", "-c", "grep CapEff /proc/self/status; ls /dev; mount")
    with open("/proc/self/status") as own:
        bounding = next(line.split()[1] for line in own if line.startswith("CapBnd"))
    assert bounding in output
    assert "kmsg" in output
    assert "sysfs on /sys type sysfs (rw" in output


def test_no_new_privileges(cli: Cli):
    assert status(cli, "NoNewPrivs") == "0"
    assert status(cli, "NoNewPrivs", "--security-opt", "no-new-privileges") == "1"


def test_seccomp_filter(cli: Cli):
    assert status(cli, "Seccomp:") == "2"
    assert status(cli, "Seccomp:", "--security-opt", "seccomp=unconfined") == "0"
    result = cli.result("run", "--rm", "busybox", "unshare", "-U", "true")
    assert result.returncode != 0
    assert "Operation not permitted" in result.stderr


@pytest.mark.parametrize("path", ["/proc/kcore", "/proc/keys", "/proc/timer_list"])
def test_masked_file_reads_as_nothing(docker: Cli, path: str):
    assert (
        docker("run", "--rm", "busybox", "sh", "-c", f"if [ -e {path} ]; then cat {path} | wc -c; else echo 0; fi")
        == "0"
    )


@pytest.mark.parametrize("path", ["/proc/sys/kernel/domainname", "/proc/sysrq-trigger", "/sys/kernel/profiling"])
def test_kernel_files_cannot_be_written(docker: Cli, path: str):
    script = f"[ -e {path} ] || exit 0; echo x >{path} && echo written"
    assert "written" not in docker.result("run", "--rm", "busybox", "sh", "-c", script).stdout


def test_namespaces_are_own(docker: Cli):
    kinds = ("pid", "mnt", "net", "ipc", "uts")
    inside = docker("run", "--rm", "busybox", "sh", "-c", "; ".join(f"readlink /proc/self/ns/{kind}" for kind in kinds))
    own = [os.readlink(f"/proc/self/ns/{kind}") for kind in kinds]
    assert not set(inside.split()) & set(own)


def test_host_namespaces_when_asked(docker: Cli):
    options = ("--pid=host", "--ipc=host", "--uts=host", "--network=host")
    script = "for kind in pid ipc uts net; do readlink /proc/self/ns/$kind; done"
    inside = docker("run", "--rm", *options, "busybox", "sh", "-c", script)
    assert inside.split() == [os.readlink(f"/proc/self/ns/{kind}") for kind in ("pid", "ipc", "uts", "net")]


def test_processes_of_others_are_not_seen(docker: Cli):
    assert docker("run", "--rm", "busybox", "sh", "-c", "ls /proc | grep -c '^[0-9]'; true").split()[-1] < "5"


def test_no_descriptor_of_the_engine_is_left_open(docker: Cli):
    listing = docker("run", "--rm", "busybox", "sh", "-c", "exec ls -l /proc/self/fd")
    assert sorted(line.split()[-3] for line in listing.splitlines() if "->" in line) == ["0", "1", "2"]


def test_rlimits(cli: Cli):
    assert cli(
        "run", "--rm", "--ulimit", "nofile=1024:2048", "busybox", "sh", "-c", "ulimit -Sn; ulimit -Hn"
    ).split() == [
        "1024",
        "2048",
    ]


def test_rlimits_are_those_of_further_processes_too(docker: Cli):
    docker("run", "-d", "--name", "limited", "--ulimit", "nofile=1024:2048", "busybox", "sleep", "60")
    assert docker("exec", "limited", "sh", "-c", "ulimit -Sn; ulimit -Hn").split() == ["1024", "2048"]


def test_sysctl(cli: Cli):
    output = cli(
        "run", "--rm", "--sysctl", "net.ipv4.ip_default_ttl=77", "busybox", "cat", "/proc/sys/net/ipv4/ip_default_ttl"
    )
    assert output == "77"


def test_shared_memory_size(cli: Cli):
    assert "size=8192k" in cli("run", "--rm", "--shm-size", "8m", "busybox", "grep", "/dev/shm", "/proc/mounts")


def test_shared_memory_of_another_container(docker: Cli):
    docker("run", "-d", "--name", "giver", "--ipc", "shareable", "busybox", "sh", "-c", "echo x >/dev/shm/f; sleep 60")
    script = "cat /dev/shm/f; echo y >/dev/shm/g; grep /dev/shm /proc/mounts"
    lines = docker("run", "--rm", "--ipc", "container:giver", "busybox", "sh", "-c", script).splitlines()
    assert lines[0] == "x"
    assert "nosuid,nodev,noexec" in lines[1]
    assert docker("exec", "giver", "cat", "/dev/shm/g") == "y"


def test_device(cli: Cli):
    assert (
        cli("run", "--rm", "--device", "/dev/zero:/dev/nought:r", "busybox", "head", "-c", "3", "/dev/nought")
        == "\0\0\0"
    )
    result = cli.result("run", "--rm", "busybox", "sh", "-c", "mknod /tmp/vda b 254 0 && cat /tmp/vda")
    assert "Operation not permitted" in result.stderr


def test_read_only_cgroups(docker: Cli):
    result = docker.result("run", "--rm", "busybox", "sh", "-c", "mkdir /sys/fs/cgroup/x /sys/fs/cgroup/memory/x")
    assert "Read-only file system" in result.stderr


def test_oom_score_and_clock(docker: Cli):
    output = docker(
        "run", "--rm", "--oom-score-adj", "321", "busybox", "sh", "-c", "cat /proc/self/oom_score_adj; date +%s"
    )
    score, now = output.split()
    assert score == "321"
    assert abs(int(now) - time.time()) < 60


@pytest.mark.parametrize(
    ("field", "running", "status", "words"),
    [
        ("PidMode", False, 500, "failed to join PID namespace: container <id> is not running"),
        ("IpcMode", False, 409, "failed to join IPC namespace: container <id> is not running"),
        ("NetworkMode", False, 409, "cannot join network of a non running container: <id>"),
        (
            "IpcMode",
            True,
            400,
            "failed to join IPC namespace: container <id>: non-shareable IPC "
            "(hint: use IpcMode:shareable for the donor container)",
        ),
    ],
)
def test_a_namespace_that_cannot_be_joined(api: Api, field: str, running: bool, status: int, words: str):
    other = api.ok("POST", "/containers/create", {"Image": "busybox", "Cmd": ["sleep", "60"]}, name="other")["Id"]
    if running:
        api.ok("POST", f"/containers/{other}/start")
    wanted = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {field: "container:other"}}
    made = api.ok("POST", "/containers/create", wanted)["Id"]
    answer = api("POST", f"/containers/{made}/start")
    assert (answer.status, answer.body["message"]) == (status, words.replace("<id>", other))


@pytest.mark.parametrize(("field", "status"), [("PidMode", 400), ("IpcMode", 400), ("NetworkMode", 201)])
def test_a_namespace_of_nobody(api: Api, field: str, status: int):
    answer = api("POST", "/containers/create", {"Image": "busybox", "HostConfig": {field: "container:nobody"}})
    assert answer.status == status
