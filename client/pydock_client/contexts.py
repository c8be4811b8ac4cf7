"""Contexts: daemons by name, with their certificates, in docker's own files below its folder. Used by settings.py.

    contexts/meta/SHA256-OF-NAME/meta.json         name, description, host
    contexts/tls/SHA256-OF-NAME/docker/ca.pem ...  certificates

Both command lines know them all; which one is in use each knows for itself (pydock in `pydock.json`), since docker's
daemon is another.
"""

from __future__ import annotations

import json
import os

from pydock_shared.errors import InvalidArgument, NotFound

from .tls import Tls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEFAULT = "default"
RULE = "^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$"
FILES = {"ca": "ca.pem", "cert": "cert.pem", "key": "key.pem"}


class Store:
    """The contexts below a folder of config files."""

    __slots__ = ("_folder",)

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def meta(self, name: str) -> str:
        """Return the folder of a context's own file."""
        return os.path.join(self._folder, "contexts", "meta", _identity(name))

    def tls(self, name: str) -> str:
        """Return the folder above a context's certificates."""
        return os.path.join(self._folder, "contexts", "tls", _identity(name))

    def names(self) -> list[str]:
        """Return the names of all, in order."""
        above, found = os.path.join(self._folder, "contexts", "meta"), []
        for folder in os.listdir(above) if os.path.isdir(above) else ():
            try:
                with open(os.path.join(above, folder, "meta.json"), "rb") as file:
                    found.append(json.load(file)["Name"])
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return sorted(found)

    def load(self, name: str) -> Context:
        """Return a context; NotFound with docker's words."""
        path = os.path.join(self.meta(name), "meta.json")
        try:
            with open(path, "rb") as file:
                return Context(name, json.load(file), self.material(name))
        except FileNotFoundError as error:
            message = f'context "{name}": context not found: open {path}: no such file or directory'
            raise NotFound(message) from error
        except (ValueError, OSError) as error:
            raise InvalidArgument(f'context "{name}": {path}: {error}') from error

    def material(self, name: str) -> dict[str, str]:
        """Return the paths of the certificates that a context has, by `ca`, `cert` and `key`."""
        paths = {key: os.path.join(self.tls(name), "docker", file) for key, file in FILES.items()}
        return {key: path for key, path in paths.items() if os.path.exists(path)}

    def save(self, name: str, described: dict[str, Any], material: dict[str, bytes] | None) -> None:
        """Write a context; its certificates as well, unless they are None and stay what they are."""
        import re
        import shutil

        if not re.match(RULE, name):
            raise InvalidArgument(f'context name "{name}" is invalid, names are validated against regexp "{RULE}"')
        if material is not None:
            shutil.rmtree(self.tls(name), ignore_errors=True)
            for key, data in material.items():
                _write(os.path.join(self.tls(name), "docker", FILES[key]), data)
        _write(os.path.join(self.meta(name), "meta.json"), json.dumps({"Name": name, **described}).encode())

    def remove(self, name: str) -> None:
        """Remove a context and its certificates."""
        import shutil

        for folder in (self.meta(name), self.tls(name)):
            shutil.rmtree(folder, ignore_errors=True)

    def current(self) -> str:
        """Return the name of the one in use, nothing when none was chosen."""
        try:
            with open(os.path.join(self._folder, "pydock.json"), "rb") as file:
                return str(json.load(file).get("currentContext") or "")
        except (OSError, ValueError, AttributeError):
            return ""

    def use(self, name: str) -> None:
        """Use a context from now on."""
        chosen = {} if name == DEFAULT else {"currentContext": name}
        _write(os.path.join(self._folder, "pydock.json"), json.dumps(chosen).encode())


class Context:
    """A daemon by name: `described` is what its file says."""

    __slots__ = ("described", "files", "name")

    def __init__(self, name: str, described: dict[str, Any], files: dict[str, str]) -> None:
        self.name, self.described, self.files = name, described, files

    @property
    def description(self) -> str:
        """What somebody wrote about it."""
        return str((self.described.get("Metadata") or {}).get("Description") or "")

    @property
    def endpoint(self) -> dict[str, Any]:
        """Where the daemon is."""
        found: dict[str, Any] = (self.described.get("Endpoints") or {}).get("docker") or {}
        return found

    @property
    def certificates(self) -> Tls | None:
        """The certificates of connections to it, None when it has none and does not speak of TLS."""
        skipped = bool(self.endpoint.get("SkipTLSVerify"))
        if not self.files and not skipped:
            return None
        return Tls(*(self.files.get(key, "") for key in FILES), verify=not skipped)


def _identity(name: str) -> str:
    from hashlib import sha256

    return sha256(name.encode()).hexdigest()


def _write(path: str, data: bytes) -> None:
    """Write a file for its owner alone, in one step."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    partial = f"{path}.{os.getpid()}"
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
    os.replace(partial, path)
