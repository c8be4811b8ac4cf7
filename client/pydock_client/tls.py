"""TLS to a daemon on a tcp host: which certificates, and a connection by them. Used by http.py and the SDK.

What the rest of the client gets is a plain socket, whose other end a thread moves to and fro: the streams of a program
end one by one, and the loop that moves them asks the kernel what has come. `ssl` takes 15 ms to import, which only who
needs it pays.
"""

from __future__ import annotations

import os

from pydock_shared.errors import InvalidArgument, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    import ssl


class Tls:
    """The files of a client; an empty path is none. `verify` is whether the daemon must show who it is."""

    __slots__ = ("_context", "authority", "certificate", "key", "verify")

    def __init__(self, authority: str, certificate: str, key: str, *, verify: bool) -> None:
        self.authority, self.certificate, self.key, self.verify = authority, certificate, key, verify
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """Return what handshakes are made with; InvalidArgument names a file that is missing or no such thing."""
        import ssl

        if self._context is None:
            made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            made.minimum_version = ssl.TLSVersion.TLSv1_2
            if not self.verify:
                made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
            self._load(made)
            self._context = made
        return self._context

    def _load(self, made: ssl.SSLContext) -> None:
        if self.verify:
            try:
                made.load_verify_locations(self.authority) if self.authority else made.load_default_certs()
            except OSError as error:
                raise InvalidArgument(f'could not read CA certificate "{self.authority}": {error}') from error
        if self.certificate or self.key:
            try:
                made.load_cert_chain(self.certificate, self.key, password=lambda: b"")
            except (OSError, ValueError) as error:
                pair = f'cert: "{self.certificate}", key: "{self.key}"'
                raise InvalidArgument(f"could not load X509 key pair ({pair}): {error}") from error

    def wrapped(self, connected: socket.socket, name: str, host: str) -> socket.socket:
        """Return a plain socket to the other side of a connected one; Unavailable when it is not who it should be."""
        import socket
        import ssl
        import threading

        from pydock_shared.tls import Encrypted, relay

        outer = Encrypted(connected, self.context(), name)
        try:
            outer.handshake()
        except ssl.SSLCertVerificationError as error:
            raise Unavailable(f"cannot trust the daemon at {host}: {error.verify_message}") from error
        except OSError as error:
            raise Unavailable(f"cannot speak TLS with the daemon at {host}: {error}") from error
        ours, theirs = socket.socketpair()
        threading.Thread(target=relay, args=(outer, theirs), daemon=True).start()
        return ours


def wanted(folder: str, *, verify: bool, authority: str = "", certificate: str = "", key: str = "") -> Tls:
    """Return the files that are said, those that are not from DOCKER_CERT_PATH or the folder of the config files.

    As for docker, a certificate of one's own that was not asked for need not be there.
    """
    above = os.environ.get("DOCKER_CERT_PATH") or folder

    def own(path: str, name: str) -> str:
        found = os.path.join(above, name)
        return path or (found if os.path.exists(found) else "")

    return Tls(
        authority or os.path.join(above, "ca.pem"), own(certificate, "cert.pem"), own(key, "key.pem"), verify=verify
    )
