"""`top`: the processes of a container."""

from __future__ import annotations

from pydock_client.command import Call, Command
from pydock_client.format import align


def _top(call: Call) -> None:
    container, *words = call.arguments
    answer = call.daemon.call("GET", f"/containers/{container}/top", {"ps_args": " ".join(words)})
    rows = [answer["Titles"], *(answer["Processes"] or [])]
    print(align(rows, minimum=20), end="")


TOP = Command(_top, "CONTAINER [ps OPTIONS]", arguments=(1, None), interspersed=False)
