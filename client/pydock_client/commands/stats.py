"""`stats`: what containers use, refreshed every second on a terminal."""

from __future__ import annotations

import sys
import time

from pydock_client.command import Call, Command
from pydock_client.commands.ps import FORMAT_HELP
from pydock_client.flags import BOOL, STRING, Flag
from pydock_client.format import Item, Listing, short
from pydock_shared import units
from pydock_shared.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CLEAR = "\x1b[H\x1b[J"


def _percent(value: float | None) -> str:
    return "--" if value is None else f"{value:.2f}%"


def _memory(item: Item) -> str:
    used, limit = item.data["memory"]
    if used is None:
        return "-- / --"
    return f"{units.format_size_binary(used)} / {units.format_size_binary(limit)}"


def _pair(name: str) -> Any:
    def make(item: Item) -> str:
        first, second = item.data[name]
        return "--" if first is None else f"{units.format_size(first)} / {units.format_size(second)}"

    return make


LISTING = Listing(
    "statsContext",
    ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"),
    {
        "Container": ("CONTAINER", lambda item: item.data["asked"]),
        "ID": ("CONTAINER ID", lambda item: short(item.data["id"], truncate=item.truncate) or "--"),
        "Name": ("NAME", lambda item: item.data["name"] or "--"),
        "CPUPerc": ("CPU %", lambda item: _percent(item.data["cpu"])),
        "MemUsage": ("MEM USAGE / LIMIT", _memory),
        "MemPerc": ("MEM %", lambda item: _percent(item.data["memory_percent"])),
        "NetIO": ("NET I/O", _pair("network")),
        "BlockIO": ("BLOCK I/O", _pair("block")),
        "PIDs": ("PIDS", lambda item: "--" if item.data["pids"] is None else str(item.data["pids"])),
    },
)


def _stats(call: Call) -> None:
    options = call.options
    form = options["format"] or call.settings.config.get("statsFormat", "")
    if options["no-stream"]:
        LISTING.show(_rows(call), form, truncate=not options["no-trunc"])
        return
    while True:
        rows = _rows(call)
        if sys.stdout.isatty():
            sys.stdout.write(_CLEAR)
        LISTING.show(rows, form, truncate=not options["no-trunc"])
        sys.stdout.flush()
        if call.arguments and not rows:
            return
        time.sleep(1)


def _rows(call: Call) -> list[dict[str, Any]]:
    """Ask for all in one request; a daemon that has none for that is asked for each."""
    names = call.arguments
    query = {"containers": ",".join(names), "all": call.options["all"]}
    try:
        found = call.daemon.call("GET", "/containers/stats", query)
    except NotFound as error:
        if "page not found" not in error.message:
            raise
        return _one_by_one(call)
    asked = names or [stats["id"][:12] for stats in found]
    return [_row(name, stats) for name, stats in zip(asked, found, strict=True)]


def _one_by_one(call: Call) -> list[dict[str, Any]]:
    """Ask for all at the same time; one that has gone meanwhile is left out, unless it was asked for by name."""
    names = call.arguments
    if not names:
        listed = call.daemon.call("GET", "/containers/json", {"all": call.options["all"]})
        names = [container["Id"] for container in listed]
    requests = [(name, call.daemon.begin("GET", f"/containers/{name}/stats", {"stream": "0"})) for name in names]
    rows = []
    for name, request in requests:
        try:
            stats = request.response().json()
        except NotFound:
            if call.arguments:
                raise
            continue
        rows.append(_row(name if call.arguments else stats["id"][:12], stats))
    return rows


def _row(name: str, stats: dict[str, Any]) -> dict[str, Any]:
    memory = _used(stats.get("memory_stats") or {})
    return {
        "asked": name,
        "id": stats["id"],
        "name": stats["name"].removeprefix("/"),
        "cpu": _cpu(stats),
        "memory": memory,
        "memory_percent": memory[0] / memory[1] * 100 if memory[0] is not None and memory[1] else 0.0,
        "network": _network(stats.get("networks") or {}),
        "block": _block(stats.get("blkio_stats") or {}),
        "pids": (stats.get("pids_stats") or {}).get("current", 0),
    }


def _cpu(stats: dict[str, Any]) -> float:
    """The share of one CPU that was used between the two measurements."""
    now, before = stats["cpu_stats"], stats.get("precpu_stats") or {}
    used = now["cpu_usage"]["total_usage"] - (before.get("cpu_usage") or {}).get("total_usage", 0)
    whole = now.get("system_cpu_usage", 0) - before.get("system_cpu_usage", 0)
    count = now.get("online_cpus") or len(now["cpu_usage"].get("percpu_usage") or ()) or 1
    return used / whole * count * 100 if whole > 0 and used > 0 else 0.0


def _used(memory: dict[str, Any]) -> tuple[int, int]:
    """Usage without the page cache that could be given up, as docker counts it (v1 and v2 name it differently)."""
    usage, stats = memory.get("usage", 0), memory.get("stats") or {}
    cache = next((stats[name] for name in ("total_inactive_file", "inactive_file") if name in stats), 0)
    return usage - cache if cache < usage else usage, memory.get("limit", 0)


def _network(networks: dict[str, dict[str, int]]) -> tuple[int, int]:
    return sum(n["rx_bytes"] for n in networks.values()), sum(n["tx_bytes"] for n in networks.values())


def _block(block: dict[str, Any]) -> tuple[int, int]:
    read = written = 0
    for entry in block.get("io_service_bytes_recursive") or ():
        if entry["op"][:1].lower() == "r":
            read += entry["value"]
        elif entry["op"][:1].lower() == "w":
            written += entry["value"]
    return read, written


STATS = Command(
    _stats,
    "[OPTIONS] [CONTAINER...]",
    arguments=(0, None),
    flags=(
        Flag("-a --all", BOOL, "Show all containers (default shows just running)"),
        Flag("--format", STRING, FORMAT_HELP),
        Flag("--no-stream", BOOL, "Disable streaming stats and only pull the first result"),
        Flag("--no-trunc", BOOL, "Do not truncate output"),
    ),
)
