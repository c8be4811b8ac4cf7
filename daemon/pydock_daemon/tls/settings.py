"""The certificates of tcp sockets: `--tls`, `--tlsverify`, `--tlscacert`, `--tlscert`, `--tlskey`. Used by `relay`."""

import os
import ssl
from pathlib import Path
from typing import NamedTuple

from pydock_daemon.config import Config
from pydock_shared.errors import InvalidArgument


class Certificates(NamedTuple):
    """Paths of what the daemon shows, and of the authority that clients must be of, empty where anybody may come."""

    certificate: str
    key: str
    authority: str


def certificates(config: Config) -> Certificates | None:
    """Return the certificates that the settings name, None without TLS; InvalidArgument when they are no such thing.

    As in Docker: `tlsverify` implies TLS, and the files are in DOCKER_CERT_PATH or ~/.docker where they are not said.
    """
    if not (config.tls or config.tls_verify):
        return None
    folder = Path(os.environ.get("DOCKER_CERT_PATH") or Path("~/.docker").expanduser())
    named = Certificates(
        str(config.tls_certificate or folder / "cert.pem"),
        str(config.tls_key or folder / "key.pem"),
        str(config.tls_authority or folder / "ca.pem") if config.tls_verify else "",
    )
    context(named)
    return named


def context(files: Certificates) -> ssl.SSLContext:
    """Return what handshakes are made with; InvalidArgument names the file that is missing or no such thing."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_alpn_protocols(["http/1.1"])
    try:
        # A key with a passphrase must not make the daemon ask for it.
        made.load_cert_chain(files.certificate, files.key, password=lambda: b"")
    except (OSError, ValueError) as error:
        pair = f'cert: "{files.certificate}", key: "{files.key}"'
        raise InvalidArgument(f"invalid TLS configuration: could not load X509 key pair ({pair}): {error}") from error
    if files.authority:
        made.verify_mode = ssl.CERT_REQUIRED
        try:
            made.load_verify_locations(files.authority)
        except OSError as error:
            raise InvalidArgument(
                f'invalid TLS configuration: could not read CA certificate "{files.authority}": {error}'
            ) from error
    return made
