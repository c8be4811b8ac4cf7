"""`RUN --mount`: which mounts an instruction asks for. Used by `steps`, carried out by `given`; pure.

Source: the Dockerfile reference and BuildKit's instructions/commands_runmount.go, whose words the errors have.
"""

import difflib
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydock_shared.errors import InvalidArgument
from pydock_shared.units import parse_size

from .expand import Words

AGENT = "/run/buildkit/ssh_agent"
OPTIONS = {
    "bind": ("from", "source", "target", "readonly", "rw"),
    "cache": ("id", "target", "sharing", "readonly", "rw", "from", "source", "mode", "uid", "gid"),
    "tmpfs": ("target", "size"),
    "secret": ("id", "target", "required", "mode", "uid", "gid", "env"),
    "ssh": ("id", "target", "required", "mode", "uid", "gid"),
}
ALIASES = {"dst": "target", "destination": "target", "src": "source", "ro": "readonly", "readwrite": "rw"}
SHARING = ("shared", "private", "locked")


@dataclass(frozen=True)
class RunMount:
    """One mount of a RUN; `origin` is a stage, image or context, the empty text the context of the build."""

    kind: str
    target: str
    name: str = ""
    sharing: str = "shared"
    read_only: bool = False
    size: int = 0
    origin: str = ""
    source: str = "/"
    mode: int | None = None
    uid: int = 0
    gid: int = 0
    required: bool = False
    variable: str = ""

    @property
    def has_origin(self) -> bool:
        """Say whether files of a stage, an image or a context are needed for it."""
        return self.kind == "bind" or (self.kind == "cache" and bool(self.origin))


def parse(given: Sequence[str], words: Words, folder: str) -> list[RunMount]:
    """Return the mounts of an instruction; InvalidArgument names what cannot be."""
    agents = iter(range(1 << 30))
    return [_one(words.one(text), folder, agents) for text in given]


def _one(text: str, folder: str, agents: Iterator[int]) -> RunMount:
    pairs = [part.strip().partition("=") for part in text.split(",")]
    options = {ALIASES.get(name.lower(), name.lower()): value if equals else "true" for name, equals, value in pairs}
    kind = options.pop("type", "bind").lower()
    if kind not in OPTIONS:
        raise InvalidArgument(f'unsupported mount type "{kind}"')
    for name in options:
        if name not in OPTIONS[kind]:
            near = difflib.get_close_matches(name, OPTIONS[kind], 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise InvalidArgument(f"unexpected key '{name}' of a mount of type {kind}{hint}")
    return KINDS[kind](options, folder, agents)


def _place(options: dict[str, str], folder: str, kind: str) -> str:
    if not options.get("target"):
        raise InvalidArgument(f"invalid {kind} mount: target is required")
    place = posixpath.normpath(posixpath.join("/", folder, options["target"]))
    if place.lstrip("/") == "":
        raise InvalidArgument(f"invalid {kind} mount: target cannot be the root")
    return "/" + place.lstrip("/")


def _flag(options: dict[str, str], name: str) -> bool:
    value = options.get(name, "false").lower()
    if value not in ("true", "false", "1", "0"):
        raise InvalidArgument(f"invalid value for {name}: {options[name]}")
    return value in ("true", "1")


def _number(options: dict[str, str], name: str, base: int = 10) -> int | None:
    text = options.get(name)
    if text is None:
        return None
    try:
        number = int(text, base)
    except ValueError:
        number = -1
    if not 0 <= number < 2**32 - 1 or (name == "mode" and number > 0o7777):
        raise InvalidArgument(f"invalid value {text} for {name}")
    return number


def _owner(options: dict[str, str]) -> tuple[int, int]:
    return _number(options, "uid") or 0, _number(options, "gid") or 0


def _bind(options: dict[str, str], folder: str, agents: Iterator[int]) -> RunMount:
    read_only = not _flag(options, "rw") if "rw" in options else _flag({"readonly": "true", **options}, "readonly")
    return RunMount("bind", _place(options, folder, "bind"), read_only=read_only, origin=options.get("from", ""),
                    source=posixpath.normpath(posixpath.join("/", options.get("source", ""))))  # fmt: skip


def _cache(options: dict[str, str], folder: str, agents: Iterator[int]) -> RunMount:
    sharing = options.get("sharing", "shared").lower()
    if sharing not in SHARING:
        raise InvalidArgument(f'unsupported sharing value "{sharing}"')
    place, (uid, gid) = _place(options, folder, "cache"), _owner(options)
    return RunMount("cache", place, options.get("id") or place, sharing, _flag(options, "readonly"),
                    origin=options.get("from", ""), mode=_number(options, "mode", 8), uid=uid, gid=gid,
                    source=posixpath.normpath(posixpath.join("/", options.get("source", ""))))  # fmt: skip


def _tmpfs(options: dict[str, str], folder: str, agents: Iterator[int]) -> RunMount:
    size = parse_size(options["size"]) if options.get("size") else 0
    return RunMount("tmpfs", _place(options, folder, "tmpfs"), size=size)


def _secret(options: dict[str, str], folder: str, agents: Iterator[int]) -> RunMount:
    name = options.get("id") or posixpath.basename(options.get("target", ""))
    variable = options.get("env", "")
    if not name:
        raise InvalidArgument("invalid secret mount: one of id, target is required")
    given = {"target": "" if variable else f"/run/secrets/{name}", **options}
    place = _place(given, folder, "secret") if given["target"] else ""
    mode, (uid, gid) = _number(options, "mode", 8), _owner(options)
    return RunMount("secret", place, name, read_only=True, mode=0o400 if mode is None else mode, uid=uid, gid=gid,
                    required=_flag(options, "required"), variable=variable)  # fmt: skip


def _ssh(options: dict[str, str], folder: str, agents: Iterator[int]) -> RunMount:
    place = _place({"target": f"{AGENT}.{next(agents)}", **options}, folder, "ssh")
    mode, (uid, gid) = _number(options, "mode", 8), _owner(options)
    return RunMount("ssh", place, options.get("id") or "default", mode=0o600 if mode is None else mode, uid=uid,
                    gid=gid, required=_flag(options, "required"))  # fmt: skip


KINDS = {"bind": _bind, "cache": _cache, "tmpfs": _tmpfs, "secret": _secret, "ssh": _ssh}
