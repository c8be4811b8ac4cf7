"""`logs`: what a container has written, standard output and standard error apart."""

from __future__ import annotations

from pydock_client.command import Call, Command
from pydock_client.flags import BOOL, STRING, Flag
from pydock_client.session import STDERR_FD, STDOUT_FD, write
from pydock_shared.framing import STDERR, Demuxer
from pydock_shared.times import parse_moment, unix


def _logs(call: Call) -> None:
    options, (container,) = call.options, call.arguments
    query = {
        "stdout": True,
        "stderr": True,
        "follow": options["follow"],
        "timestamps": options["timestamps"],
        "details": options["details"],
        "tail": options["tail"],
        "since": moment(options["since"]),
        "until": moment(options["until"]),
    }
    answer = call.daemon.request("GET", f"/containers/{container}/logs", query)
    if answer.headers.get("content-type") == "application/vnd.docker.raw-stream" and _tty(call, container):
        for piece in answer.pieces():
            write(STDOUT_FD, piece)
        return
    demuxer = Demuxer()
    for data in answer.pieces():
        for stream, piece in demuxer.feed(data):
            write(STDERR_FD if stream == STDERR else STDOUT_FD, piece)


def _tty(call: Call, container: str) -> bool:
    """Engines before API 1.42 say raw-stream for both: only the container's own record tells them apart."""
    return bool(call.daemon.call("GET", f"/containers/{container}/json")["Config"].get("Tty"))


def moment(text: str) -> str:
    """Return a `--since` or `--until` value as it travels: seconds and nanoseconds since the epoch."""
    return unix(parse_moment(text)) if text else ""


LOGS = Command(
    _logs,
    "[OPTIONS] CONTAINER",
    arguments=(1, 1),
    flags=(
        Flag("--details", BOOL, "Show extra details provided to logs"),
        Flag("-f --follow", BOOL, "Follow log output"),
        Flag(
            "--since",
            STRING,
            'Show logs since a time (e.g. "2013-01-02T13:23:37Z") or a while ago (e.g. "42m" for 42 minutes)',
        ),
        Flag("-n --tail", STRING, "Number of lines to show from the end of the logs", default="all"),
        Flag("-t --timestamps", BOOL, "Show timestamps"),
        Flag(
            "--until",
            STRING,
            'Show logs before a time (e.g. "2013-01-02T13:23:37Z") or a while ago (e.g. "42m" for 42 minutes)',
        ),
    ),
)
