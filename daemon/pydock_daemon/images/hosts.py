"""Where a registry is reached: mirrors, plain HTTP, certificates. Used by `registry`.

Three sources, the first that speaks of a registry decides: `hosts.toml` below a folder of certificates (containerd's
"registry host namespace"), registries.conf (containers-registries.conf(5), version 2), the daemon's own settings.
Certificates are in Docker's places for all of them: CERTS/<host[:port]>/{*.crt, *.cert with *.key}. The files are read
anew for each pull and push: a change needs no restart.
"""

import ipaddress
import ssl
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from pydock_shared.errors import PydockError
from pydock_shared.reference import HUB

HUB_HOST = "registry-1.docker.io"
LOOPBACK = ("127.0.0.0/8", "::1/128")
EVERYTHING = frozenset({"pull", "resolve", "push"})
Tls = ssl.SSLContext | bool
"""What aiohttp takes: a context, True for the system's authorities, False to believe anybody."""


class Endpoint(NamedTuple):
    """One place that answers for a registry: `<api>/<prefix><repository>/manifests/...`."""

    api: str
    tls: Tls
    mirror: bool = False
    prefix: str = ""
    """Stands before the path of a repository."""
    actions: frozenset[str] = EVERYTHING
    headers: Mapping[str, str] = {}
    namespace: str = ""
    """The registry that is meant, for a mirror that serves several."""
    digests: bool = True
    tags: bool = True


class Hosts:
    """Finds the endpoints of registries by settings and files."""

    def __init__(
        self,
        insecure: Sequence[str],
        mirrors: Sequence[str],
        certificates: Sequence[Path] = (),
        registries_conf: Sequence[Path] = (),
    ) -> None:
        """`mirrors` are of the hub; of the files `registries_conf` the first that exists counts."""
        self._insecure = tuple(insecure)
        self._mirrors = tuple(mirror.rstrip("/") for mirror in mirrors)
        self._certificates = tuple(certificates)
        self._registries_conf = tuple(registries_conf)
        self._contexts: dict[tuple[Any, ...], ssl.SSLContext] = {}
        self._plain: set[str] = set()

    def endpoints(self, domain: str, path: str) -> list[Endpoint]:
        """Return where to try a repository, in order. PydockError: a file is wrong, or the registry is blocked."""
        return self._by_hosts_toml(domain) or self._by_registries_conf(domain, path) or self._by_settings(domain)

    def answered(self, endpoint: Endpoint, domain: str) -> None:
        """Remember that a registry speaks plain HTTP, so that TLS is not tried first for ever."""
        if endpoint.api.startswith("http:") and not endpoint.mirror:
            self._plain.add(domain)

    def is_insecure(self, domain: str) -> bool:
        """Say whether a registry may be reached without a good certificate: loopback, or named in the settings."""
        host = domain.rpartition(":")[0] if ":" in domain and not domain.endswith("]") else domain
        host = host.strip("[]")
        if host == "localhost" or domain in self._insecure or host in self._insecure:
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        networks = (network for network in (*LOOPBACK, *self._insecure) if "/" in network)
        return any(address in ipaddress.ip_network(network, strict=False) for network in networks)

    def _by_settings(self, domain: str) -> list[Endpoint]:
        if domain == HUB:
            mirrors = [self._mirror(url) for url in self._mirrors]
            return [*mirrors, Endpoint(f"https://{HUB_HOST}/v2", self._tls(HUB_HOST))]
        return self._direct(domain, insecure=self.is_insecure(domain))

    def _direct(self, host: str, *, insecure: bool, **more: Any) -> list[Endpoint]:
        """Return a host by TLS, and for one that may be insecure by plain HTTP as well."""
        if not insecure:
            return [Endpoint(f"https://{host}/v2", self._tls(host), **more)]
        plain = Endpoint(f"http://{host}/v2", tls=False, **more)
        return (
            [plain]
            if host in self._plain
            else [Endpoint(f"https://{host}/v2", self._tls(host, verify=False), **more), plain]
        )

    def _mirror(self, url: str) -> Endpoint:
        full = url if "://" in url else f"https://{url}"
        return Endpoint(f"{full}/v2", self._tls(urlsplit(full).netloc), mirror=True)

    # containerd: docs/hosts.md, "registry host namespace".

    def _by_hosts_toml(self, domain: str) -> list[Endpoint]:
        for name in (domain, "_default"):
            for folder in self._certificates:
                path = folder / name / "hosts.toml"
                if path.exists():
                    return list(self._of_hosts_toml(path, domain))
        return []

    def _of_hosts_toml(self, path: Path, domain: str) -> Iterator[Endpoint]:
        table = _toml(path)
        real = f"https://{HUB_HOST if domain == HUB else domain}"
        server = str(table.get("server") or real)
        hosts = [
            (url, entry, server.rstrip("/") != url.rstrip("/")) for url, entry in (table.get("host") or {}).items()
        ]
        if all(mirror for _, _, mirror in hosts):
            hosts.append((server, {key: value for key, value in table.items() if key != "host"}, False))
        for url, entry, mirror in hosts:
            try:
                yield self._host(url, entry, path.parent, domain, mirror=mirror)
            except (TypeError, ValueError, AttributeError) as error:
                raise PydockError(f"{path}: {url}: {error}") from error

    def _host(self, url: str, entry: Mapping[str, Any], folder: Path, domain: str, *, mirror: bool) -> Endpoint:
        unknown = sorted(
            set(entry) - {"capabilities", "ca", "client", "skip_verify", "header", "override_path", "server"}
        )
        if unknown:
            raise ValueError(f"{unknown[0]!r} is not supported")
        full = (url if "://" in url else f"https://{url}").rstrip("/")
        if not full.startswith(("https://", "http://")):
            raise ValueError("needs http:// or https://")
        pairs = entry.get("client") or []
        pairs = [pairs] if isinstance(pairs, str) else pairs
        clients = [(pair, None) if isinstance(pair, str) else (pair[0], pair[1] or None) for pair in pairs]
        tls = self._context(
            [folder / name for name in _texts(entry.get("ca"))],
            [(folder / cert, folder / key if key else None) for cert, key in clients],
            verify=not entry.get("skip_verify"),
        )
        actions = frozenset(entry.get("capabilities") or EVERYTHING)
        if actions - EVERYTHING:
            raise ValueError(f"capability {sorted(actions - EVERYTHING)[0]!r} is not known")
        headers = {name: ", ".join(_texts(value)) for name, value in (entry.get("header") or {}).items()}
        return Endpoint(
            api=full if entry.get("override_path") else f"{full}/v2",
            tls=self._tls(urlsplit(full).netloc) if tls is True else tls,
            mirror=mirror,
            actions=actions - {"push"} if mirror else actions,
            headers=headers,
            namespace=domain if mirror else "",
        )

    # containers-registries.conf(5), version 2.

    def _by_registries_conf(self, domain: str, path: str) -> list[Endpoint]:
        file = next((file for file in self._registries_conf if file.exists()), None)
        if file is None:
            return []
        name = f"{domain}/{path}"
        try:
            entries = [(_prefix(entry, name), entry) for entry in _toml(file).get("registry") or ()]
            matching = [(prefix, entry) for prefix, entry in entries if prefix]
            if not matching:
                return []
            prefix, entry = max(matching, key=lambda pair: len(pair[0]))
            return list(self._of_registry(entry, prefix, name))
        except (TypeError, ValueError, AttributeError, KeyError) as error:
            raise PydockError(f"{file}: {error}") from error

    def _of_registry(self, entry: Mapping[str, Any], prefix: str, name: str) -> Iterator[Endpoint]:
        rest = name.removeprefix(prefix)
        if entry.get("blocked"):
            raise PydockError(f"registry {prefix} is blocked in registries.conf")
        for mirror in entry.get("mirror") or ():
            kind = mirror.get("pull-from-mirror", "all")
            by_digest_only = bool(entry.get("mirror-by-digest-only")) or kind == "digest-only"
            yield from self._located(
                str(mirror["location"]), rest, name,
                insecure=bool(mirror.get("insecure")),
                mirror=True, tags=not by_digest_only, digests=kind != "tag-only",
            )  # fmt: skip
        location = str(entry.get("location") or prefix)
        yield from self._located(location, rest, name, insecure=bool(entry.get("insecure")))

    def _located(self, location: str, rest: str, name: str, *, insecure: bool, **more: Any) -> Iterator[Endpoint]:
        """Give the endpoints at which `<location><rest>` is the repository."""
        host, _, path = f"{location}{rest}".partition("/")
        repository = name.partition("/")[2]
        if not path.endswith(repository):
            # A location that is not a prefix of the name renames it: what is common at the end stays.
            raise ValueError(f"location {location!r} renames {name!r}: that is not supported")
        host = HUB_HOST if host == HUB else host
        yield from self._direct(
            host, insecure=insecure or self.is_insecure(host), prefix=path[: len(path) - len(repository)], **more
        )

    # Certificates.

    def _tls(self, host: str, verify: bool = True) -> Tls:
        """Return what the files of a host say; the system's authorities when there are none."""
        for folder in self._certificates:
            if (folder / host).is_dir():
                files = sorted((folder / host).iterdir())
                clients: list[tuple[Path, Path | None]] = [
                    (file, file.with_suffix(".key")) for file in files if file.suffix == ".cert"
                ]
                for file in files:
                    if file.suffix == ".key" and not file.with_suffix(".cert").exists():
                        raise PydockError(f"missing client certificate {file.stem}.cert for key {file.name}")
                return self._context([file for file in files if file.suffix == ".crt"], clients, verify=verify)
        return verify

    def _context(self, authorities: list[Path], clients: list[tuple[Path, Path | None]], *, verify: bool) -> Tls:
        if not clients and (not authorities or not verify):
            return verify
        files = [*authorities, *(file for pair in clients for file in pair if file)]
        try:
            key = (verify, *((str(file), file.stat().st_mtime_ns) for file in files))
            if key not in self._contexts:
                context = ssl.create_default_context()
                if not verify:
                    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                for file in authorities:
                    context.load_verify_locations(file)
                for cert, private in clients:
                    context.load_cert_chain(cert, private)
                self._contexts[key] = context
        except (OSError, ssl.SSLError) as error:
            names = ", ".join(str(file) for file in files)
            raise PydockError(f"certificates {names}: {error.strerror or error}") from error
        return self._contexts[key]


def _prefix(entry: Mapping[str, Any], name: str) -> str:
    """Return how much of a name a `[[registry]]` stands for, empty when it is about others."""
    prefix = str(entry.get("prefix") or entry["location"])
    domain = name.partition("/")[0]
    if prefix.startswith("*."):
        return domain if domain.endswith(prefix[1:]) else ""
    return prefix if name == prefix or name.startswith(f"{prefix}/") else ""


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(item) for item in value or ()]


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise PydockError(f"{path}: {error}") from error
