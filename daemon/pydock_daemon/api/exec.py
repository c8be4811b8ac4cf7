"""/containers/{id}/exec and /exec: further processes in a container."""

import base64
import socket

from aiohttp import web

from pydock_daemon.containers.exec import Exec
from pydock_daemon.containers.model import Attachment
from pydock_daemon.containers.signals import number
from pydock_shared.errors import InvalidArgument, PydockError
from pydock_shared.framing import STDOUT, frame
from pydock_shared.wire.exec import ExecCreate, ExecStart

from .hijack import hijack
from .routing import Call, empty, json_response, terminal_size
from .streams import content_type, detach_keys


async def create_exec(call: Call) -> web.StreamResponse:
    """POST /containers/{name}/exec."""
    container = call.engine.containers.get(call.params["name"])
    body = await call.body(ExecCreate)
    item = call.engine.execs.create(container, body, detach_keys(body.detach_keys))
    return json_response({"Id": item.id}, 201)


async def start_exec(call: Call) -> web.StreamResponse:
    """POST /exec/{id}/start."""
    item = call.engine.execs.get(call.params["id"])
    body = await call.body(ExecStart)
    call.engine.execs.check_start(item)
    if body.console_size and not (body.tty or item.tty):
        raise InvalidArgument("console size is only supported when TTY is enabled")
    chosen = body.console_size or item.asked.console_size
    size = (chosen[0], chosen[1]) if chosen and len(chosen) == 2 else None
    if body.detach and body.kill_on_disconnect:
        raise InvalidArgument("conflicting options: Detach and KillOnDisconnect: there is no connection to watch")
    if body.detach:
        await call.engine.execs.start(item, None, size)
        return empty(200)
    return await _start_attached(call, item, body, size)


async def _start_attached(call: Call, item: Exec, body: ExecStart, size: tuple[int, int] | None) -> web.StreamResponse:
    """Hand the client's connection to the new process. That it cannot be run is said on the stream, as Docker does.

    Whether the stream has frames goes by what is said here of a terminal, as with Docker, not by what was said before.
    """
    raw = bool(body.tty)
    hijacked = hijack(call.request, content_type=content_type(call, tty=raw))
    attachment = Attachment(
        socket=hijacked.socket,
        stdin=bool(item.asked.attach_stdin),
        stdout=bool(item.asked.attach_stdout),
        stderr=bool(item.asked.attach_stderr),
        multiplexed=not raw,
        detach_keys=item.detach_keys,
    )
    with hijacked.socket:
        try:
            await call.engine.execs.start(item, attachment, size, leash=bool(body.kill_on_disconnect))
        except PydockError as error:
            text = f"{error.message}\r\n".encode()
            await hijacked.taken()
            hijacked.socket.setblocking(True)
            hijacked.socket.sendall(text if raw else frame(STDOUT, text))
            # Closing is not enough: on its way to a supervisor that does not look, the connection is open.
            hijacked.socket.shutdown(socket.SHUT_RDWR)
    return hijacked


async def inspect_exec(call: Call) -> web.StreamResponse:
    """GET /exec/{id}/json."""
    item = call.engine.execs.get(call.params["id"])
    asked = item.asked
    command = list(asked.cmd or ())
    return json_response(
        {
            "ID": item.id,
            "Running": item.running,
            "ExitCode": item.exit_code,
            "ProcessConfig": {
                "tty": item.tty,
                "entrypoint": command[0],
                "arguments": command[1:],
                "privileged": bool(asked.privileged),
                **({"user": asked.user} if asked.user else {}),
            },
            "OpenStdin": bool(asked.attach_stdin),
            "OpenStderr": bool(asked.attach_stderr),
            "OpenStdout": bool(asked.attach_stdout),
            "CanRemove": False,
            "ContainerID": item.container.id,
            "DetachKeys": base64.b64encode(bytes(item.detach_keys)).decode() if asked.detach_keys else "",
            "Pid": item.pid,
        }
    )


async def kill_exec(call: Call) -> web.StreamResponse:
    """POST /exec/{id}/kill: an extension, a signal to a process that exec started."""
    item = call.engine.execs.get(call.params["id"])
    await call.engine.execs.signal(item, number(call.query.get("signal") or "KILL"))
    return empty()


async def resize_exec(call: Call) -> web.StreamResponse:
    """POST /exec/{id}/resize: of one that does not run or has no terminal there is nothing to do."""
    item = call.engine.execs.get(call.params["id"])
    width, height = terminal_size(call)
    if item.running and item.tty:
        await call.engine.supervisor.request(
            "resize", container=item.container.id, exec=item.id, width=width, height=height
        )
    return empty(200)


ROUTES = (
    ("POST", "/containers/{name}/exec", create_exec),
    ("POST", "/exec/{id}/start", start_exec),
    ("POST", "/exec/{id}/resize", resize_exec),
    ("POST", "/exec/{id}/kill", kill_exec),
    ("GET", "/exec/{id}/json", inspect_exec),
)
