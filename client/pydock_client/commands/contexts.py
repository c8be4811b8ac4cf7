"""`context`: there is one, `default`, which is what -H and the environment say; making others is refused by name."""

from __future__ import annotations

from pydock_client.command import Call, Command, Failure
from pydock_client.commands.ps import FORMAT_HELP
from pydock_client.flags import BOOL, PAIRS, STRING, Flag
from pydock_client.format import Listing
from pydock_shared.errors import NotSupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "default"

LISTING = Listing(
    "clientContextContext",
    ("Shown", "Description", "DockerEndpoint", "Error"),
    {
        "Name": ("NAME", lambda item: NAME),
        "Shown": ("NAME", lambda item: f"{NAME} *"),
        "Current": ("CURRENT", lambda item: True),
        "Description": ("DESCRIPTION", lambda item: "What -H and the environment say"),
        "DockerEndpoint": ("DOCKER ENDPOINT", lambda item: item.data["host"]),
        "Error": ("ERROR", lambda item: ""),
    },
)


def _ls(call: Call) -> None:
    if call.options["quiet"]:
        print(NAME)
        return
    LISTING.show([{"host": call.settings.host}], call.options["format"])


def _show(call: Call) -> None:
    print(NAME)


def _use(call: Call) -> None:
    (name,) = call.arguments
    if name != NAME:
        raise NotSupported(f"context {name!r} is not supported: only `{NAME}` is; use --host")
    print(f"{NAME}\nCurrent context is now {NAME!r}".replace("'", '"'))


def _inspect(call: Call) -> None:
    from pydock_client.commands.inspect import render

    for name in call.arguments:
        if name != NAME:
            raise Failure(f'context "{name}": context not found')
    described = {
        "Name": NAME,
        "Metadata": {},
        "Endpoints": {"docker": {"Host": call.settings.host, "SkipTLSVerify": False}},
        "TLSMaterial": {},
        "Storage": {"MetadataPath": "<IN MEMORY>", "TLSPath": "<IN MEMORY>"},
    }
    render([described], call.options["format"])


def _refused(verb: str) -> Callable[[Call], None]:
    def run(call: Call) -> None:
        raise NotSupported(f"context {verb} is not supported: there is only `{NAME}`; use --host")

    return run


_DESCRIPTION = Flag("--description", STRING, "Description of the context")
_ENDPOINT = Flag("--docker", PAIRS, "Set the endpoint")

LS = Command(
    _ls,
    "[OPTIONS]",
    flags=(Flag("--format", STRING, FORMAT_HELP), Flag("-q --quiet", BOOL, "Only show context names")),
)
SHOW = Command(_show)
USE = Command(_use, "CONTEXT", arguments=(1, 1))
INSPECT = Command(
    _inspect,
    "[OPTIONS] [CONTEXT] [CONTEXT...]",
    arguments=(0, None),
    flags=(Flag("-f --format", STRING, "Format the output: 'json', or 'TEMPLATE', a Go template"),),
)
CREATE = Command(
    _refused("create"),
    "[OPTIONS] CONTEXT",
    arguments=(1, 1),
    flags=(_DESCRIPTION, _ENDPOINT, Flag("--from", STRING, "Create the context from another")),
)
UPDATE = Command(_refused("update"), "[OPTIONS] CONTEXT", arguments=(1, 1), flags=(_DESCRIPTION, _ENDPOINT))
RM = Command(
    _refused("rm"),
    "CONTEXT [CONTEXT...]",
    arguments=(1, None),
    flags=(Flag("-f --force", BOOL, "Force the removal of a context in use"),),
)
EXPORT = Command(_refused("export"), "[OPTIONS] CONTEXT [FILE|-]", arguments=(1, 2))
IMPORT = Command(_refused("import"), "CONTEXT FILE|-", arguments=(2, 2))
