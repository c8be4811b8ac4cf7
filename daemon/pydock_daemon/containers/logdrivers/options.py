"""The log drivers and their options: what `create` and daemon.json may ask for, in Docker's words. Used by create, app.

What a value means is looked at when a container starts (see settings and shipping), except where Docker looks at it
here, too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydock_shared.errors import InvalidArgument
from pydock_shared.units import parse_size

from . import addresses
from .values import FALSE, TRUE, boolean, duration, natural

Options = Mapping[str, str]

ATTRIBUTES = frozenset(("labels", "labels-regex", "env", "env-regex", "tag"))
"""Options by which a driver adds something of the container to each line; see info."""
FILES = frozenset(("max-size", "max-file", "compress"))
ALWAYS = {"mode", "max-buffer-size", "cache-disabled", *(f"cache-{name}" for name in FILES)}
"""Options that every driver has."""
MODES = ("", "blocking", "non-blocking")
FACILITIES = (
    "kern user mail daemon auth syslog lpr news uucp cron authpriv ftp - - - - "
    "local0 local1 local2 local3 local4 local5 local6 local7"
).split()
SYSLOG_FORMATS = ("", "rfc3164", "rfc5424", "rfc5424micro")


def facility(text: str) -> int:
    """Return the number of a syslog facility; InvalidArgument for none."""
    if text in FACILITIES and text != "-":
        return FACILITIES.index(text)
    if text.isdigit() and int(text) <= 23:
        return int(text)
    if not text:
        return FACILITIES.index("daemon")
    raise InvalidArgument("invalid syslog facility")


def _syslog(options: Options) -> None:
    addresses.syslog(options.get("syslog-address", ""))
    facility(options.get("syslog-facility", ""))
    if options.get("syslog-format", "") not in SYSLOG_FORMATS:
        raise InvalidArgument("Invalid syslog format")


def _gelf(options: Options) -> None:
    scheme = addresses.gelf(options.get("gelf-address", "")).scheme
    for name, least, most in (
        ("gelf-compression-level", -1, 9),
        ("gelf-tcp-max-reconnect", 0, 1 << 31),
        ("gelf-tcp-reconnect-delay", 0, 1 << 31),
    ):
        text, of_tcp = options.get(name), "tcp" in name
        if text is None:
            continue
        if of_tcp and scheme == "udp":
            raise InvalidArgument(f'"{name}" is only valid for TCP')
        if not of_tcp and scheme == "tcp":
            raise InvalidArgument("compression is only supported on UDP")
        if not (text.removeprefix("-").isdigit() and text.isascii() and least <= int(text) <= most):
            unknown = f'unknown value "{text}" for log opt "{name}" for gelf log driver'
            raise InvalidArgument(f'"{name}" must be a positive integer' if of_tcp else unknown)
    kind = options.get("gelf-compression-type")
    if kind is not None and scheme == "tcp":
        raise InvalidArgument("compression is only supported on UDP")
    if kind not in (None, "gzip", "zlib", "none"):
        raise InvalidArgument(f'unknown value "{kind}" for log opt "gelf-compression-type" for gelf log driver')


def _fluentd(options: Options) -> None:
    addresses.fluentd(options.get("fluentd-address", ""))
    if options.get("fluentd-async") and options.get("fluentd-async-connect"):
        # The missing quotation mark is Docker's.
        raise InvalidArgument("conflicting options: cannot specify both 'fluentd-async' and 'fluentd-async-connect")
    if interval := options.get("fluentd-async-reconnect-interval"):
        _reconnect_interval(interval)
    for name, parse in FLUENTD_VALUES.items():
        if options.get(name):
            parse(options[name])


def _reconnect_interval(text: str) -> None:
    try:
        seconds = duration(text)
    except InvalidArgument as error:
        raise InvalidArgument(f"invalid value for fluentd-async-reconnect-interval: {error.message}") from error
    if seconds and not 0.1 <= seconds <= 10:
        raise InvalidArgument(
            f'invalid value for fluentd-async-reconnect-interval: value ("{text}") must be between 100ms and 10s'
        )


FLUENTD_VALUES: dict[str, Callable[[str], object]] = {
    "fluentd-buffer-limit": parse_size,
    "fluentd-retry-wait": duration,
    "fluentd-max-retries": natural,
    "fluentd-async": boolean,
    "fluentd-async-connect": boolean,
    "fluentd-async-reconnect-interval": duration,
    "fluentd-request-ack": boolean,
    "fluentd-sub-second-precision": boolean,
}


@dataclass(frozen=True)
class Driver:
    """A row: the options of a driver, how it says that it does not know one, and what it looks at in a request."""

    options: frozenset[str]
    unknown: str = "unknown log opt '{0}' for {1} log driver"
    check: Callable[[Options], None] = lambda options: None
    check_first: Callable[[Options], object] = lambda options: None
    """What it looks at even before it says that it does not know an option."""


DRIVERS: dict[str, Driver] = {
    "json-file": Driver(FILES | ATTRIBUTES),
    "local": Driver(FILES | ATTRIBUTES, "unknown log opt '{0}' for log driver {1}"),
    "syslog": Driver(
        ATTRIBUTES
        | {"syslog-address", "syslog-facility", "syslog-format", "syslog-tls-ca-cert", "syslog-tls-cert"}
        | {"syslog-tls-key", "syslog-tls-skip-verify"},
        check=_syslog,
    ),
    "gelf": Driver(
        ATTRIBUTES
        | {"gelf-address", "gelf-compression-level", "gelf-compression-type"}
        | {"gelf-tcp-max-reconnect", "gelf-tcp-reconnect-delay"},
        'unknown log opt "{0}" for {1} log driver',
        _gelf,
        lambda options: addresses.gelf(options.get("gelf-address", "")),
    ),
    "fluentd": Driver(ATTRIBUTES | {"fluentd-address", *FLUENTD_VALUES}, check=_fluentd),
    "journald": Driver(ATTRIBUTES),
}
REMOTE = frozenset(DRIVERS) - {"json-file", "local"}
"""The drivers that send lines on; what they have sent is kept in a file, too, from which `logs` reads."""


def check(name: str, options: Options) -> None:
    """Raise InvalidArgument in Docker's words for a driver that there is not, or options it does not take."""
    if name == "none":
        return
    _always(options)
    driver = DRIVERS.get(name)
    if driver is None:
        raise InvalidArgument(f'error looking up logging plugin {name}: plugin "{name}" not found')
    driver.check_first(options)
    for option in sorted(options):
        if option not in ALWAYS and option not in driver.options:
            raise InvalidArgument(driver.unknown.format(option, name))
    driver.check(options)


def _always(options: Options) -> None:
    mode = options.get("mode", "")
    if mode not in MODES:
        raise InvalidArgument(f"logger: logging mode not supported: {mode}")
    if "max-buffer-size" in options:
        if mode != "non-blocking":
            raise InvalidArgument("logger: max-buffer-size option is only supported with 'mode=non-blocking'")
        try:
            parse_size(options["max-buffer-size"])
        except InvalidArgument as error:
            raise InvalidArgument(f"error parsing option max-buffer-size: {error.message}") from error
    disabled = options.get("cache-disabled", "")
    if disabled and disabled not in (*TRUE, *FALSE):
        raise InvalidArgument(f"invalid value for option cache-disabled: {disabled}")
