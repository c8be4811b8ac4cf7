"""`port`: where the ports of a container are published."""

from __future__ import annotations

from pydock_client.command import Call, Command, Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _port(call: Call) -> None:
    container, *rest = call.arguments
    found = call.daemon.call("GET", f"/containers/{container}/json")
    bindings: dict[str, Any] = (found.get("NetworkSettings") or {}).get("Ports") or {}
    if rest:
        port, slash, proto = rest[0].partition("/")
        key = f"{port}/{proto if slash else 'tcp'}"
        if not port.isdigit():
            raise Failure(f'Error: invalid port ({port}): strconv.ParseUint: parsing "{port}": invalid syntax')
        if not bindings.get(key):
            raise Failure(f"Error: No public port '{rest[0]}' published for {container}")
        lines = [_joined(binding) for binding in bindings[key]]
    else:
        lines = [f"{key} -> {_joined(binding)}" for key, entries in bindings.items() for binding in entries or ()]
        lines.sort(key=_order)
    if lines:
        print("\n".join(lines))


def _joined(binding: dict[str, str]) -> str:
    address, port = binding["HostIp"], binding["HostPort"]
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _order(line: str) -> tuple[int, str]:
    number = line.partition("/")[0]
    return int(number), line


PORT = Command(_port, "CONTAINER [PRIVATE_PORT[/PROTO]]", arguments=(1, 2))
