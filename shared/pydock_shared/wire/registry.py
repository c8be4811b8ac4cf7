"""Request bodies of /auth. Used by the daemon."""

from . import Wire


class AuthConfig(Wire):
    """Credentials for a registry; their names on the wire are in lower case, which Go does not look at."""

    username: str | None = None
    password: str | None = None
    serveraddress: str | None = None
    auth: str | None = None
    identitytoken: str | None = None
    registrytoken: str | None = None
