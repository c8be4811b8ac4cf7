"""From Docker's resource settings to `linux.resources` of the OCI spec. Used by `spec` and `update`; pure."""

from typing import Any

from pydock_shared.wire.container import HostConfig

CPU_PERIOD = 100_000

# What every container may do with device nodes, as Docker allows: make any, use the harmless ones.
DEVICE_RULES: tuple[tuple[str, int | None, int | None, str], ...] = (
    ("c", None, None, "m"),
    ("b", None, None, "m"),
    ("c", 1, 3, "rwm"),
    ("c", 1, 5, "rwm"),
    ("c", 1, 7, "rwm"),
    ("c", 1, 8, "rwm"),
    ("c", 1, 9, "rwm"),
    ("c", 5, 0, "rwm"),
    ("c", 5, 1, "rwm"),
    ("c", 5, 2, "rwm"),
    ("c", 136, None, "rwm"),
)


def resources(
    host: HostConfig,
    *,
    extra_rules: list[dict[str, Any]],
    devices: list[dict[str, Any]],
    block_limits: dict[str, list[dict[str, int]]] | None = None,
) -> dict[str, Any]:
    """Return the OCI resources of a container; sections without a setting are left out."""
    result: dict[str, Any] = {
        "devices": device_rules(host, extra_rules, devices),
        "memory": _memory(host),
        "cpu": _cpu(host),
        "pids": {} if host.pids_limit is None else {"limit": host.pids_limit or -1},
        "blockIO": (block_limits or {}) | ({"weight": host.blkio_weight} if host.blkio_weight else {}),
    }
    return {name: section for name, section in result.items() if section}


def device_rules(
    host: HostConfig, extra_rules: list[dict[str, Any]], devices: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the device rules in their order: deny all, then what is allowed."""
    if host.privileged:
        return [{"allow": True, "access": "rwm"}]
    rules: list[dict[str, Any]] = [{"allow": False, "access": "rwm"}]
    for type_, major, minor, access in DEVICE_RULES:
        rule: dict[str, Any] = {"allow": True, "type": type_, "access": access}
        rule |= {key: number for key, number in (("major", major), ("minor", minor)) if number is not None}
        rules.append(rule)
    for device in devices:
        rules.append(
            {"allow": True, "access": device["access"], **{key: device[key] for key in ("type", "major", "minor")}}
        )
    return rules + extra_rules


def _memory(host: HostConfig) -> dict[str, Any]:
    memory: dict[str, Any] = {}
    if host.memory:
        memory["limit"] = host.memory
        # Docker's default: as much swap again as memory.
        memory["swap"] = host.memory_swap or host.memory * 2
    if host.memory_reservation:
        memory["reservation"] = host.memory_reservation
    if host.memory_swappiness is not None and host.memory_swappiness >= 0:
        memory["swappiness"] = host.memory_swappiness
    if host.kernel_memory_tcp:
        memory["kernelTCP"] = host.kernel_memory_tcp
    if host.oom_kill_disable:
        memory["disableOOMKiller"] = True
    return memory


def _cpu(host: HostConfig) -> dict[str, Any]:
    cpu: dict[str, Any] = {}
    if host.nano_cpus:
        cpu |= {"period": CPU_PERIOD, "quota": host.nano_cpus * CPU_PERIOD // 1_000_000_000}
    for key, value in (
        ("shares", host.cpu_shares),
        ("quota", host.cpu_quota),
        ("period", host.cpu_period),
        ("realtimePeriod", host.cpu_realtime_period),
        ("realtimeRuntime", host.cpu_realtime_runtime),
        ("cpus", host.cpuset_cpus),
        ("mems", host.cpuset_mems),
    ):
        if value:
            cpu[key] = value
    return cpu
