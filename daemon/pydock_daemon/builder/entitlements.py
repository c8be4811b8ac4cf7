"""What a build may do besides the usual: the entitlements of BuildKit, which a client asks for. Used by the fronts."""

from collections.abc import Iterable

from pydock_daemon.config import Config
from pydock_shared.errors import Forbidden, InvalidArgument

NETWORK, INSECURE = "network.host", "security.insecure"


def allowed(config: Config, asked: Iterable[str]) -> frozenset[str]:
    """Return the entitlements that a build has. InvalidArgument: there is none of the name; Forbidden by settings."""
    names = frozenset(asked)
    for name in sorted(names - {NETWORK, INSECURE}):
        raise InvalidArgument(f"invalid entitlement {name}")
    if INSECURE in names and not config.build_insecure:
        raise Forbidden(f"{INSECURE} is not allowed by the settings of this engine (build-insecure)")
    return names
