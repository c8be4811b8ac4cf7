"""The table of all commands: names, where each one lives, one line about it. Used by main.py, app.py and the help.

A command's module is imported when the command is called. The first name is the command's own, the others are the same.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .command import Command


class Entry:
    """One row: `where` is `module:NAME` below pydock_client.commands."""

    __slots__ = ("names", "summary", "where")

    def __init__(self, names: str, where: str, summary: str) -> None:
        self.names = tuple(name.strip() for name in names.split(","))
        self.where = where
        self.summary = summary

    def load(self) -> Command:
        """Import the command's module and return the command."""
        from importlib import import_module

        module, _, name = self.where.partition(":")
        found: Command = getattr(import_module(f"{__package__}.commands.{module}"), name)
        return found


GROUPS: dict[str, str] = {
    "builder": "Manage builds",
    "checkpoint": "Manage checkpoints",
    "container": "Manage containers",
    "context": "Manage contexts",
    "image": "Manage images",
    "manifest": "Manage image manifests and manifest lists",
    "network": "Manage networks",
    "system": "Manage pydock",
    "volume": "Manage volumes",
}

COMMON = ("run", "exec", "ps", "build", "pull", "push", "images", "login", "logout", "search", "version", "info")
"""What the help shows first."""

ENTRIES: tuple[Entry, ...] = (
    Entry("container run, run", "run:RUN", "Create and run a new container from an image"),
    Entry("container exec, exec", "exec:EXEC", "Execute a command in a running container"),
    Entry("container ls, container list, container ps, ps", "ps:LS", "List containers"),
    Entry("image build, build, builder build", "build:BUILD", "Build an image from a Dockerfile"),
    Entry("image pull, pull", "transfer:PULL", "Download an image from a registry"),
    Entry("image push, push", "transfer:PUSH", "Upload an image to a registry"),
    Entry("image ls, image list, images", "images:LS", "List images"),
    Entry("login", "registry:LOGIN", "Authenticate to a registry"),
    Entry("logout", "registry:LOGOUT", "Log out from a registry"),
    Entry("search", "registry:SEARCH", "Search Docker Hub for images"),
    Entry("version", "system:VERSION", "Show the pydock version information"),
    Entry("system info, info", "info:INFO", "Display system-wide information"),
    Entry(
        "container attach, attach",
        "attach:ATTACH",
        "Attach local standard input, output, and error streams to a running container",
    ),
    Entry("container commit, commit", "files:COMMIT", "Create a new image from a container's changes"),
    Entry("container cp, cp", "copy:CP", "Copy files/folders between a container and the local filesystem"),
    Entry("container create, create", "run:CREATE", "Create a new container"),
    Entry("container diff, diff", "files:DIFF", "Inspect changes to files or directories on a container's filesystem"),
    Entry("system events, events", "events:EVENTS", "Get real time events from the server"),
    Entry("container export, export", "files:EXPORT", "Export a container's filesystem as a tar archive"),
    Entry("image history, history", "images:HISTORY", "Show the history of an image"),
    Entry("image import, import", "archives:IMPORT", "Import the contents from a tarball to create a filesystem image"),
    Entry("inspect", "inspect:INSPECT", "Return low-level information on pydock objects"),
    Entry("container kill, kill", "lifecycle:KILL", "Kill one or more running containers"),
    Entry("image load, load", "archives:LOAD", "Load an image from a tar archive or STDIN"),
    Entry("container logs, logs", "logs:LOGS", "Fetch the logs of a container"),
    Entry("container pause, pause", "lifecycle:PAUSE", "Pause all processes within one or more containers"),
    Entry("container port, port", "port:PORT", "List port mappings or a specific mapping for the container"),
    Entry("container rename, rename", "lifecycle:RENAME", "Rename a container"),
    Entry("container restart, restart", "lifecycle:RESTART", "Restart one or more containers"),
    Entry("container rm, container remove, rm", "lifecycle:RM", "Remove one or more containers"),
    Entry("image rm, image remove, rmi", "images:RM", "Remove one or more images"),
    Entry(
        "image save, save", "archives:SAVE", "Save one or more images to a tar archive (streamed to STDOUT by default)"
    ),
    Entry("container start, start", "start:START", "Start one or more stopped containers"),
    Entry("container stats, stats", "stats:STATS", "Display a live stream of container(s) resource usage statistics"),
    Entry("container stop, stop", "lifecycle:STOP", "Stop one or more running containers"),
    Entry("image tag, tag", "images:TAG", "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE"),
    Entry("container top, top", "top:TOP", "Display the running processes of a container"),
    Entry("container unpause, unpause", "lifecycle:UNPAUSE", "Unpause all processes within one or more containers"),
    Entry("container update, update", "lifecycle:UPDATE", "Update configuration of one or more containers"),
    Entry(
        "container wait, wait", "lifecycle:WAIT", "Block until one or more containers stop, then print their exit codes"
    ),
    Entry("container inspect", "inspect:CONTAINER", "Display detailed information on one or more containers"),
    Entry("container prune", "prune:CONTAINERS", "Remove all stopped containers"),
    Entry("image inspect", "inspect:IMAGE", "Display detailed information on one or more images"),
    Entry("image pin", "pins:PIN", "Keep images from automatic collection, or list what is kept"),
    Entry("image unpin", "pins:UNPIN", "Leave images to automatic collection again"),
    Entry("image prune", "prune:IMAGES", "Remove unused images"),
    Entry("network connect", "networks:CONNECT", "Connect a container to a network"),
    Entry("network create", "networks:CREATE", "Create a network"),
    Entry("network disconnect", "networks:DISCONNECT", "Disconnect a container from a network"),
    Entry("network inspect", "inspect:NETWORK", "Display detailed information on one or more networks"),
    Entry("network ls, network list", "networks:LS", "List networks"),
    Entry("network prune", "prune:NETWORKS", "Remove all unused networks"),
    Entry("network rm, network remove", "networks:RM", "Remove one or more networks"),
    Entry("system upgrade", "check:UPGRADE", "Replace the program of the supervisor while containers run"),
    Entry("system check", "check:CHECK", "Check the images, layers, containers and volumes on the disk"),
    Entry("system df", "df:DF", "Show pydock disk usage"),
    Entry("system prune", "prune:SYSTEM", "Remove unused data"),
    Entry("volume create", "volumes:CREATE", "Create a volume"),
    Entry("volume inspect", "inspect:VOLUME", "Display detailed information on one or more volumes"),
    Entry("volume ls, volume list", "volumes:LS", "List volumes"),
    Entry("volume prune", "prune:VOLUMES", "Remove unused local volumes"),
    Entry("volume rm, volume remove", "volumes:RM", "Remove one or more volumes"),
    Entry("volume update", "volumes:UPDATE", "Update a volume (cluster volumes only)"),
    Entry("builder cache", "buildcache:CACHE", "List, remove, export and import build cache"),
    Entry("builder prune", "prune:CACHE", "Remove build cache"),
    Entry("checkpoint create", "checkpoints:CREATE", "Create a checkpoint from a running container"),
    Entry("checkpoint ls, checkpoint list", "checkpoints:LS", "List checkpoints of a container"),
    Entry("checkpoint rm, checkpoint remove", "checkpoints:RM", "Remove a checkpoint"),
    Entry("context create", "contexts:CREATE", "Create a context"),
    Entry("context export", "contexts:EXPORT", "Export a context to a tar archive"),
    Entry("context import", "contexts:IMPORT", "Import a context from a tar archive"),
    Entry("context inspect", "contexts:INSPECT", "Display detailed information on one or more contexts"),
    Entry("context ls, context list", "contexts:LS", "List contexts"),
    Entry("context rm, context remove", "contexts:RM", "Remove one or more contexts"),
    Entry("context show", "contexts:SHOW", "Print the name of the current context"),
    Entry("context update", "contexts:UPDATE", "Update a context"),
    Entry("context use", "contexts:USE", "Set the current context"),
    Entry("manifest annotate", "manifests:ANNOTATE", "Add information to a local image manifest"),
    Entry("manifest create", "manifests:CREATE", "Create a local manifest list"),
    Entry("manifest inspect", "manifests:INSPECT", "Display an image manifest, or manifest list"),
    Entry("manifest push", "manifests:PUSH", "Push a manifest list to a repository"),
    Entry("manifest rm", "manifests:RM", "Delete one or more manifest lists from local storage"),
    Entry("system dial-stdio", "dial:DIAL", "Proxy the standard streams to the daemon"),
)

BY_NAME: dict[str, Entry] = {name: entry for entry in ENTRIES for name in entry.names}


def find(words: list[str]) -> tuple[str, int]:
    """Return the command or group that a command line begins with ("" for none), and how many of its words it takes."""
    if not words:
        return "", 0
    first = words[0]
    if first in GROUPS:
        both = " ".join(words[:2])
        return (both, 2) if both in BY_NAME else (first, 1)
    return (first, 1) if first in BY_NAME else ("", 0)


def members(group: str) -> list[tuple[str, str]]:
    """Return name and summary of the commands of a group, in alphabetical order; of no group with ""."""
    found = {}
    for entry in ENTRIES:
        for name in entry.names:
            head, space, tail = name.rpartition(" ")
            if head == group and (space or not group):
                found[tail] = entry.summary
                break
    return sorted(found.items())
