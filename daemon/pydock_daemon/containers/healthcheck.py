"""What a health check is: image and request merged, its fields checked and read, its defaults. Pure; used by `create`
and `health`.

Beside Docker's CMD, CMD-SHELL and NONE a check may be a URL that the daemon itself asks, see `probes`: it stands where
a command would, alone, so that every client and every Dockerfile can say it.
"""

import ipaddress
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from pydock_shared.errors import InvalidArgument
from pydock_shared.wire.container import ContainerConfig, HealthConfig

ACTION_LABEL = "io.pydock.health.action"
"""Label of a container: what is done when it becomes unhealthy."""
ACTIONS = ("none", "restart", "kill", "stop")
SCHEMES = ("http", "https", "tcp", "grpc")
LONGEST_SERVICE = 1000
DEFAULT_SHELL = ["/bin/sh", "-c"]
SECOND, MILLISECOND = 10**9, 10**6
# Docker's defaults, in nanoseconds.
INTERVAL, TIMEOUT, START_INTERVAL, RETRIES = 30 * SECOND, 30 * SECOND, 5 * SECOND, 3
TIMES = (
    ("Interval", "interval"),
    ("Timeout", "timeout"),
    ("StartPeriod", "start_period"),
    ("StartInterval", "start_interval"),
)


@dataclass(frozen=True)
class Check:
    """A check as it is carried out: a command, or a URL for the daemon; times in nanoseconds."""

    command: tuple[str, ...]
    url: SplitResult | None
    interval: int
    timeout: int
    start_period: int
    start_interval: int
    retries: int
    action: str


def merge(own: HealthConfig | None, image: HealthConfig | None) -> HealthConfig | None:
    """Return the check of a new container: the request's, and what that leaves open from the image's."""
    if own is None or image is None:
        return own or image
    fields = {name: getattr(own, name) or getattr(image, name) for name in HealthConfig.model_fields}
    return HealthConfig.model_validate(fields)


def validate(config: ContainerConfig) -> None:
    """Raise InvalidArgument, in Docker's words where it has some, for a check or an action that makes no sense."""
    action = (config.labels or {}).get(ACTION_LABEL, "none")
    if action not in ACTIONS:
        raise InvalidArgument(f"invalid label {ACTION_LABEL}={action}: must be one of {', '.join(ACTIONS)}")
    check = config.healthcheck
    if check is None:
        return
    for name, attribute in TIMES:
        value = getattr(check, attribute) or 0
        if value and value < MILLISECOND:
            raise InvalidArgument(f"{name} in Healthcheck cannot be less than 1ms")
    if (check.retries or 0) < 0:
        raise InvalidArgument("Retries in Healthcheck cannot be negative")
    kind, *words = check.test or ["NONE"]
    if kind not in ("NONE", "CMD", "CMD-SHELL"):
        raise InvalidArgument(f"unknown healthcheck type {kind!r} (expected 'CMD', 'CMD-SHELL' or 'NONE')")
    if kind != "NONE" and not words:
        raise InvalidArgument(f"Healthcheck of type {kind} needs a command")
    _url(words)


def read(config: ContainerConfig) -> Check | None:
    """Return the check of a container, None when it has none."""
    asked = config.healthcheck
    if asked is None or not asked.test or asked.test[0] not in ("CMD", "CMD-SHELL"):
        return None
    kind, *words = asked.test
    return Check(
        command=tuple([*(config.shell or DEFAULT_SHELL), *words] if kind == "CMD-SHELL" else words),
        url=_url(words),
        interval=asked.interval or INTERVAL,
        timeout=asked.timeout or TIMEOUT,
        start_period=asked.start_period or 0,
        start_interval=asked.start_interval or START_INTERVAL,
        retries=asked.retries or RETRIES,
        action=(config.labels or {}).get(ACTION_LABEL, "none"),
    )


def _url(words: list[str]) -> SplitResult | None:
    """Return the URL when that is all a check consists of; InvalidArgument when the daemon could not ask it."""
    text = words[0].strip() if len(words) == 1 else ""
    scheme = text.partition("://")[0]
    if "://" not in text or not scheme.isalnum() or len(text.split()) != 1:
        return None
    if scheme not in SCHEMES:
        raise InvalidArgument(f"health check {text}: the scheme must be one of {', '.join(SCHEMES)}")
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError as error:
        raise InvalidArgument(f"health check {text}: {error}") from error
    if scheme == "tcp" and (not port or url.path):
        raise InvalidArgument(f"health check {text}: must be tcp://HOST:PORT")
    if scheme == "grpc" and (not port or len(url.path) > LONGEST_SERVICE):
        raise InvalidArgument(f"health check {text}: must be grpc://HOST:PORT or grpc://HOST:PORT/SERVICE")
    if host not in (None, "localhost"):
        try:
            ipaddress.ip_address(host or "")
        except ValueError as error:
            raise InvalidArgument(f"health check {text}: the host must be an address or localhost") from error
    return url
