"""The flags of `run`, `create` and `update` as one table, each with its field on the wire. Used by create.py.

A row with a path is copied to that field of the request when it was given; the others are read by the steps of
create.py. What the daemon does not carry out it refuses by name; flags that only make sense on Windows are refused
here.
"""

from __future__ import annotations

from pydock_shared.mounts import parse_mount

from . import limits, values
from .endpoints import parse_network
from .flags import BOOL, BYTES, CPUS, DURATION, INT, LIST, MAP, STRING, SWAP, UINT16, UINT64, Flag, Kind, many

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


ADD_HOST = many(values.parse_add_host, "list")
DEVICE = many(limits.parse_device, "list")
DEVICE_RULE = many(values.check_device_rule, "list")
DOMAIN = many(values.check_domain, "list")
ENV = many(values.parse_env, "list")
GPUS = many(limits.parse_gpus, "gpu-request")
LABEL = many(values.check_label, "list")
LINK = many(values.check_link, "list")
MOUNT = many(parse_mount, "mount")
NAMESERVER = many(values.check_nameserver, "list")
NETWORK = many(parse_network, "network")
OPERATIONS = many(limits.parse_throttle_operations, "list")
RATE = many(limits.parse_throttle_bytes, "list")
STREAM = many(values.check_stream, "list")
SYSCTL = many(values.check_sysctl, "map")
ULIMIT = many(limits.parse_ulimit, "ulimit")
WEIGHT = many(limits.parse_weight, "list")


class Field(Flag):
    """A flag that is one field of the request: `HostConfig.Memory`."""

    __slots__ = ("path",)

    def __init__(
        self, names: str, kind: Kind, path: str, text: str, default: Any = None, *, unsupported: bool = False
    ) -> None:
        super().__init__(names, kind, text, default, unsupported=unsupported)
        self.path = path


RESOURCES: tuple[Field, ...] = (
    Field("--blkio-weight", UINT16, "BlkioWeight", "Relative weight of block IO, 10 to 1000, or 0 for none"),
    Field("--cpu-period", INT, "CpuPeriod", "Period of the CPU CFS quota, in microseconds"),
    Field("--cpu-quota", INT, "CpuQuota", "CPU CFS quota, in microseconds per period"),
    Field("--cpu-rt-period", INT, "CpuRealtimePeriod", "Period of real-time CPU, in microseconds"),
    Field("--cpu-rt-runtime", INT, "CpuRealtimeRuntime", "Real-time CPU per period, in microseconds"),
    Field("-c --cpu-shares", INT, "CpuShares", "CPU shares (relative weight)"),
    Field("--cpus", CPUS, "NanoCpus", "Number of CPUs"),
    Field("--cpuset-cpus", STRING, "CpusetCpus", "CPUs in which to allow execution (0-3, 0,1)"),
    Field("--cpuset-mems", STRING, "CpusetMems", "Memory nodes in which to allow execution (0-3, 0,1)"),
    Field("-m --memory", BYTES, "Memory", "Memory limit"),
    Field("--memory-reservation", BYTES, "MemoryReservation", "Memory soft limit"),
    Field("--memory-swap", SWAP, "MemorySwap", "Limit of memory plus swap; -1 for unlimited swap"),
    Field("--pids-limit", INT, "PidsLimit", "Limit of processes (-1 for unlimited)"),
)
"""Limits that `update` can change as well; the paths are below HostConfig."""

_WINDOWS = "(Windows only)"

CREATE: tuple[Flag, ...] = (
    *(
        Field(f"-{f.short} --{f.long}" if f.short else f"--{f.long}", f.kind, f"HostConfig.{f.path}", f.help)
        for f in RESOURCES
    ),
    Flag("--add-host", ADD_HOST, "Add a mapping of a host name to an address (host:ip)"),
    Flag("--annotation", MAP, "Add an annotation, passed on to the OCI runtime"),
    Flag("-a --attach", STREAM, "Attach to STDIN, STDOUT or STDERR"),
    Field("--blkio-weight-device", WEIGHT, "HostConfig.BlkioWeightDevice", "Relative weight of block IO of a device"),
    Flag("--cap-add", LIST, "Add Linux capabilities"),
    Flag("--cap-drop", LIST, "Drop Linux capabilities"),
    Field("--cgroup-parent", STRING, "HostConfig.CgroupParent", "Parent cgroup of the container"),
    Flag("--cgroupns", STRING, "Cgroup namespace to use (host|private)"),
    Flag("--cidfile", STRING, "Write the container ID to the file"),
    Flag("--cpu-count", INT, f"Number of CPUs {_WINDOWS}", unsupported=True),
    Flag("--cpu-percent", INT, f"Percent of the CPUs {_WINDOWS}", unsupported=True),
    Flag("--device", DEVICE, "Add a host device to the container"),
    Field(
        "--device-cgroup-rule",
        DEVICE_RULE,
        "HostConfig.DeviceCgroupRules",
        "Add a rule to the cgroup's allowed devices",
    ),
    Field("--device-read-bps", RATE, "HostConfig.BlkioDeviceReadBps", "Limit of bytes per second read from a device"),
    Field(
        "--device-read-iops", OPERATIONS, "HostConfig.BlkioDeviceReadIOps", "Limit of reads per second from a device"
    ),
    Field(
        "--device-write-bps", RATE, "HostConfig.BlkioDeviceWriteBps", "Limit of bytes per second written to a device"
    ),
    Field(
        "--device-write-iops", OPERATIONS, "HostConfig.BlkioDeviceWriteIOps", "Limit of writes per second to a device"
    ),
    Flag("--disable-content-trust", BOOL, "Skip verification of the image", default=True, hidden=True),
    Field("--dns", NAMESERVER, "HostConfig.Dns", "Set custom DNS servers"),
    Field("--dns-option", LIST, "HostConfig.DnsOptions", "Set DNS options"),
    Field("--dns-opt", LIST, "HostConfig.DnsOptions", "Set DNS options"),
    Field("--dns-search", DOMAIN, "HostConfig.DnsSearch", "Set custom DNS search domains"),
    Field("--domainname", STRING, "Domainname", "NIS domain name of the container"),
    Flag("--entrypoint", STRING, "Use this in place of the image's ENTRYPOINT"),
    Flag("-e --env", ENV, "Set environment variables"),
    Flag("--env-file", LIST, "Read environment variables from a file"),
    Flag("--expose", LIST, "Expose a port or a range of ports"),
    Flag("--gpus", GPUS, "GPU devices to add to the container ('all' for all of them)"),
    Field("--group-add", LIST, "HostConfig.GroupAdd", "Add additional groups to join"),
    Flag("--health-cmd", STRING, "Command to run to check health"),
    Flag("--health-interval", DURATION, "Time between checks (ms|s|m|h)"),
    Flag("--health-retries", INT, "Failures in a row after which the container is unhealthy"),
    Flag("--health-start-interval", DURATION, "Time between checks in the start period (ms|s|m|h)"),
    Flag("--health-start-period", DURATION, "Time for the container to get going before failures count (ms|s|m|h)"),
    Flag("--health-timeout", DURATION, "Longest time a check may take (ms|s|m|h)"),
    Flag("--help", BOOL, "Print usage"),
    Field("-h --hostname", STRING, "Hostname", "Host name of the container"),
    Flag("--init", BOOL, "Run an init inside the container that forwards signals and reaps processes"),
    Flag("-i --interactive", BOOL, "Keep STDIN open even if not attached"),
    Flag("--io-maxbandwidth", BYTES, f"Limit of IO bandwidth {_WINDOWS}", unsupported=True),
    Flag("--io-maxiops", UINT64, f"Limit of IO operations {_WINDOWS}", unsupported=True),
    Flag("--ip", STRING, "IPv4 address (e.g., 172.30.100.104)"),
    Flag("--ip6", STRING, "IPv6 address (e.g., 2001:db8::33)"),
    Field("--ipc", STRING, "HostConfig.IpcMode", "IPC mode to use"),
    Field("--isolation", STRING, "HostConfig.Isolation", "Isolation technology of the container"),
    Flag("-l --label", LABEL, "Set metadata of the container"),
    Flag("--label-file", LIST, "Read labels from a file"),
    Field("--link", LINK, "HostConfig.Links", "Add a link to another container"),
    Flag("--link-local-ip", LIST, "Link-local IPv4/IPv6 addresses of the container"),
    Flag("--log-driver", STRING, "Logging driver of the container"),
    Flag("--log-opt", LIST, "Options of the logging driver"),
    Flag("--mac-address", STRING, "MAC address of the container (e.g., 92:d0:c6:0a:29:33)"),
    Field("--memory-swappiness", INT, "HostConfig.MemorySwappiness", "Swappiness of the memory (0 to 100)", default=-1),
    Flag("--mount", MOUNT, "Attach a filesystem mount to the container"),
    Flag("--name", STRING, "Assign a name to the container"),
    Flag("--network", NETWORK, "Connect the container to a network"),
    Flag("--net", NETWORK, "Connect the container to a network", hidden=True),
    Flag("--network-alias", LIST, "Add an alias in the container's network"),
    Flag("--net-alias", LIST, "Add an alias in the container's network", hidden=True),
    Flag("--no-healthcheck", BOOL, "Run no HEALTHCHECK"),
    Field("--oom-kill-disable", BOOL, "HostConfig.OomKillDisable", "Disable the OOM killer"),
    Field("--oom-score-adj", INT, "HostConfig.OomScoreAdj", "Tune the host's OOM preferences (-1000 to 1000)"),
    Flag("--pid", STRING, "PID namespace to use"),
    Flag("--platform", STRING, "Platform of the image, if it is there for several"),
    Field("--privileged", BOOL, "HostConfig.Privileged", "Give extended privileges to this container"),
    Flag("-p --publish", LIST, "Publish the container's ports to the host"),
    Field("-P --publish-all", BOOL, "HostConfig.PublishAllPorts", "Publish all exposed ports to random ports"),
    Flag("--pull", STRING, 'Pull the image before ("always", "missing", "never")', default="missing"),
    Flag("-q --quiet", BOOL, "Suppress the output of the pull"),
    Field("--read-only", BOOL, "HostConfig.ReadonlyRootfs", "Mount the container's root filesystem as read only"),
    Flag("--restart", STRING, "Restart policy to apply when the container exits", default="no"),
    Field("--rm", BOOL, "HostConfig.AutoRemove", "Remove the container and its anonymous volumes when it exits"),
    Field("--runtime", STRING, "HostConfig.Runtime", "OCI runtime to use for this container"),
    Flag("--security-opt", LIST, "Security options"),
    Field("--shm-size", BYTES, "HostConfig.ShmSize", "Size of /dev/shm"),
    Field("--stop-signal", STRING, "StopSignal", "Signal to stop the container"),
    Field("--stop-timeout", INT, "StopTimeout", "Seconds to wait for the container to stop"),
    Flag("--storage-opt", LIST, "Options of the storage driver"),
    Flag("--sysctl", SYSCTL, "Sysctl options"),
    Flag("--tmpfs", LIST, "Mount a tmpfs directory"),
    Field("-t --tty", BOOL, "Tty", "Allocate a pseudo-TTY"),
    Field("--ulimit", ULIMIT, "HostConfig.Ulimits", "Ulimit options"),
    Flag("--use-api-socket", BOOL, "Bind mount the API socket and the credentials it needs", unsupported=True),
    Field("-u --user", STRING, "User", "User name or UID (format: <name|uid>[:<group|gid>])"),
    Flag("--userns", STRING, "User namespace to use"),
    Flag("--uts", STRING, "UTS namespace to use"),
    Flag("-v --volume", LIST, "Bind mount a volume"),
    Field("--volume-driver", STRING, "HostConfig.VolumeDriver", "Volume driver of the container's named volumes"),
    Field("--volumes-from", LIST, "HostConfig.VolumesFrom", "Mount the volumes of the given containers"),
    Field("-w --workdir", STRING, "WorkingDir", "Working directory inside the container"),
)

DETACH_KEYS = Flag("--detach-keys", STRING, "Key sequence that detaches from the container")
SIG_PROXY = Flag("--sig-proxy", BOOL, "Pass received signals on to the process", default=True)

RUN: tuple[Flag, ...] = (
    *CREATE,
    Flag("-d --detach", BOOL, "Run the container in the background and print its ID"),
    DETACH_KEYS,
    SIG_PROXY,
)
UPDATE: tuple[Flag, ...] = (*RESOURCES, Flag("--restart", STRING, "Restart policy to apply when the container exits"))
