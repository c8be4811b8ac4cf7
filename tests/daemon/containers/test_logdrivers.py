"""Log options: what is refused, in dockerd's words, and what they make of a container."""

import subprocess
import sys
from pathlib import Path

import pytest

from pydock_daemon.containers.logdrivers import info, options, settings
from pydock_daemon.containers.model import Container
from pydock_shared.errors import InvalidArgument
from pydock_shared.wire.container import ContainerConfig, HostConfig, LogConfig

SYSLOG = {"syslog-address": "udp://127.0.0.1:1"}
UDP, TCP = {"gelf-address": "udp://127.0.0.1:1"}, {"gelf-address": "tcp://127.0.0.1:1"}
NUMBER = 'strconv.{}: parsing "{}": invalid syntax'

# As dockerd 26.1 answers POST /containers/create.
REFUSED = [
    ("foo", {}, 'error looking up logging plugin foo: plugin "foo" not found'),
    ("awslogs", {}, 'error looking up logging plugin awslogs: plugin "awslogs" not found'),
    ("json-file", {"x": "y"}, "unknown log opt 'x' for json-file log driver"),
    ("local", {"x": "y"}, "unknown log opt 'x' for log driver local"),
    ("syslog", {"x": "y"}, "unknown log opt 'x' for syslog log driver"),
    ("gelf", {"x": "y", **UDP}, 'unknown log opt "x" for gelf log driver'),
    ("fluentd", {"x": "y"}, "unknown log opt 'x' for fluentd log driver"),
    ("journald", {"x": "y"}, "unknown log opt 'x' for journald log driver"),
    ("json-file", {"mode": "foo"}, "logger: logging mode not supported: foo"),
    (
        "json-file",
        {"max-buffer-size": "4m"},
        "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
    ),
    (
        "json-file",
        {"mode": "non-blocking", "max-buffer-size": "abc"},
        "error parsing option max-buffer-size: invalid size: 'abc'",
    ),
    ("json-file", {"cache-disabled": "foo"}, "invalid value for option cache-disabled: foo"),
    ("syslog", {"syslog-address": "unix:///nosuch"}, "stat /nosuch: no such file or directory"),
    ("syslog", {"syslog-address": "foo"}, "unsupported scheme: ''"),
    ("syslog", {"syslog-address": "foo://127.0.0.1:1"}, "unsupported scheme: 'foo'"),
    ("syslog", {"syslog-facility": "foo"}, "invalid syslog facility"),
    ("syslog", {"syslog-format": "foo"}, "Invalid syslog format"),
    ("gelf", {}, "gelf-address is a required parameter"),
    ("gelf", TCP | {"gelf-compression-type": "gzip"}, "compression is only supported on UDP"),
    ("gelf", UDP | {"gelf-tcp-max-reconnect": "3"}, '"gelf-tcp-max-reconnect" is only valid for TCP'),
    (
        "gelf",
        UDP | {"gelf-compression-type": "foo"},
        'unknown value "foo" for log opt "gelf-compression-type" for gelf log driver',
    ),
    (
        "gelf",
        UDP | {"gelf-compression-level": "10"},
        'unknown value "10" for log opt "gelf-compression-level" for gelf log driver',
    ),
    ("gelf", {"gelf-address": "udp://127.0.0.1"}, "gelf: please provide gelf-address as proto://host:port"),
    ("gelf", {"gelf-address": "http://127.0.0.1:1"}, "gelf: endpoint needs to be TCP or UDP"),
    ("gelf", {"gelf-address": "127.0.0.1:1"}, 'parse "127.0.0.1:1": first path segment in URL cannot contain colon'),
    ("gelf", {"x": "y"}, "gelf-address is a required parameter"),
    ("gelf", TCP | {"gelf-tcp-max-reconnect": "-1"}, '"gelf-tcp-max-reconnect" must be a positive integer'),
    ("gelf", TCP | {"gelf-tcp-reconnect-delay": "x"}, '"gelf-tcp-reconnect-delay" must be a positive integer'),
    ("nope", {"mode": "x"}, "logger: logging mode not supported: x"),
    ("syslog", {"syslog-address": "udp://[::1"}, "parse \"udp://[::1\": missing ']' in host"),
    ("fluentd", {"fluentd-address": "unix://a"}, "invalid fluentd-address (unix://a): path is empty"),
    (
        "fluentd",
        {"fluentd-async-reconnect-interval": "11s"},
        'invalid value for fluentd-async-reconnect-interval: value ("11s") must be between 100ms and 10s',
    ),
    ("fluentd", {"fluentd-async": "x"}, NUMBER.format("ParseBool", "x")),
    (
        "fluentd",
        {"fluentd-address": "127.0.0.1:99999"},
        "invalid fluentd-address (127.0.0.1:99999): "
        'invalid port: strconv.ParseUint: parsing "99999": value out of range',
    ),
    ("fluentd", {"fluentd-address": "unix://"}, "invalid fluentd-address (unix://): path is empty"),
    ("fluentd", {"fluentd-buffer-limit": "x"}, "invalid size: 'x'"),
    ("fluentd", {"fluentd-retry-wait": "x"}, 'time: invalid duration "x"'),
    ("fluentd", {"fluentd-max-retries": "-1"}, NUMBER.format("ParseUint", "-1")),
    (
        "fluentd",
        {"fluentd-async": "true", "fluentd-async-connect": "true"},
        "conflicting options: cannot specify both 'fluentd-async' and 'fluentd-async-connect",
    ),
]


@pytest.mark.parametrize(("driver", "given", "message"), REFUSED)
def test_refused_at_create(driver: str, given: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        options.check(driver, given)
    assert refused.value.message == message


@pytest.mark.parametrize(
    ("driver", "given"),
    [
        ("none", {"foo": "bar"}),
        ("json-file", {"mode": "non-blocking", "max-buffer-size": "4m", "cache-disabled": "true"}),
        ("syslog", {"syslog-address": "tcp://[::1]", "syslog-facility": "23", "syslog-format": "rfc5424micro"}),
        ("gelf", TCP | {"gelf-tcp-max-reconnect": "3", "gelf-tcp-reconnect-delay": "1"}),
        ("gelf", {"gelf-address": "udp://127.0.0.1:1/path"}),
        ("fluentd", {"fluentd-address": "logs", "fluentd-async": "1", "fluentd-retry-wait": "1s"}),
    ],
)
def test_accepted_at_create(driver: str, given: dict[str, str]) -> None:
    options.check(driver, given)


def container(driver: str, given: dict[str, str]) -> Container:
    return Container(
        id="180e1e14fdca" + "0" * 52,
        name="web",
        image="sha256:e6dfcd5114ec55da",
        image_name="busybox",
        created=1_795_523_457_787_631_132,
        config=ContainerConfig(Cmd=["sh", "-c", "echo hi"], Labels={"a.b": "1", "c": "x y,z"}),
        host=HostConfig(LogConfig=LogConfig(Type=driver, Config=given)),
        endpoints={},
        mounts=[],
    )


# As dockerd 26.1 answers POST /containers/ID/start.
FAILING = [
    ("json-file", {"max-size": "abc"}, "invalid size: 'abc'"),
    ("json-file", {"max-size": "0"}, "max-size must be a positive number"),
    ("json-file", {"max-file": "0"}, "max-file cannot be less than 1"),
    ("json-file", {"max-file": "abc"}, NUMBER.format("Atoi", "abc")),
    ("json-file", {"compress": "maybe"}, NUMBER.format("ParseBool", "maybe")),
    (
        "json-file",
        {"compress": "true"},
        "compress cannot be true when max-file is less than 2 or max-size is not set",
    ),
    ("local", {"max-size": "-1"}, "invalid value for max-size: -1: invalid size: '-1'"),
    ("local", {"max-file": "1"}, "compression cannot be enabled when max file count is 1"),
    ("local", {"max-file": "abc"}, f"invalid value for max-file: abc: {NUMBER.format('Atoi', 'abc')}"),
    ("local", {"compress": "abc"}, f"error reading compress log option: {NUMBER.format('ParseBool', 'abc')}"),
    (
        "json-file",
        {"tag": "{{.Foo}}"},
        'template: log-tag:1:2: executing "log-tag" at <.Foo>: can\'t evaluate field Foo in type *logger.Info',
    ),
    ("json-file", {"tag": "{{.ID"}, "template: log-tag:1: unclosed action"),
    ("json-file", {"env-regex": "("}, "error parsing regexp: missing ), unterminated subpattern: `(`"),
]


@pytest.mark.parametrize(("driver", "given", "message"), FAILING)
def test_failing_at_start(driver: str, given: dict[str, str], message: str) -> None:
    with pytest.raises(settings.LoggingError) as failed:
        settings.of(container(driver, given), [], Path("/log"))
    assert failed.value.message == (
        f"failed to create task for container: failed to initialize logging driver: {message}"
    )
    assert failed.value.status == 500


def test_what_the_supervisor_is_told() -> None:
    def told(driver: str, **given: str) -> dict[str, object]:
        named = {name.replace("_", "-"): text for name, text in given.items()}
        return settings.of(container(driver, named), ["FOO=b=r", "BAR=1"], Path("/x/log"))

    assert told("none", a="b") == {"driver": "none"}
    file = {"path": "/x/log"}
    assert told("json-file") == {"driver": "json-file", **file, "max_size": 10**7, "max_files": 3, "compress": False}
    assert told("json-file", max_size="20k", max_file="2", compress="true")["max_size"] == 20_000
    assert told("json-file", max_size="-1")["max_size"] == 0
    assert told("local") == {"driver": "local", **file, "max_size": 2 * 10**7, "max_files": 5, "compress": True}
    chosen = told("json-file", labels="a.b,c,none", env_regex="^FO", tag="{{.Name}}<{{.ImageName}}>")
    syslog = told("syslog", syslog_address="udp://127.0.0.1:1", cache_max_size="1m")
    assert (syslog["driver"], syslog["max_size"], syslog["cursor"]) == ("local", 10**6, "/x/sent/cursor")
    assert "cursor" not in told("syslog", mode="non-blocking")
    assert told("syslog", mode="non-blocking", max_buffer_size="400m")["max_size"] == 100 << 20
    assert told("fluentd", fluentd_buffer_limit="400m")["max_size"] == 100 << 20
    assert chosen["attributes"] == '{"FOO":"b=r","a.b":"1","c":"x y,z","tag":"web\\u003cbusybox\\u003e"}'


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.ID}}/{{.FullID}}", "180e1e14fdca/180e1e14fdca" + "0" * 52),
        ("{{.Name}} {{.ContainerName}} {{.DaemonName}}", "web /web docker"),
        ("{{.ImageName}} {{.ImageID}} {{.ImageFullID}}", "busybox sha256:e6dfc sha256:e6dfcd5114ec55da"),
        ("{{.Command}}", "sh -c echo hi"),
        ('{{index .ContainerLabels "a.b"}}{{with .ContainerEnv}}{{index . 0}}{{end}}', "1X=y"),
        ("{{upper .Name}}", "WEB"),
    ],
)
def test_tags(template: str, text: str) -> None:
    assert info.of(container("syslog", {"tag": template}), ["X=y"]).tag() == text


def test_the_options_of_the_daemon_are_looked_at_when_it_starts(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pydock_daemon.app", "--validate", "--log-driver", "local", "--log-opt"]
    done = subprocess.run([*command, "x=y"], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert "failed to set log opts: unknown log opt 'x' for log driver local" in done.stderr
    done = subprocess.run([*command, "max-size=1m"], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout) == (0, "configuration OK\n")


def test_details_are_those_of_docker() -> None:
    attributes = {"FOO": "b=r", "c": "x y,z", "a.b": "é<"}
    assert info.details(attributes) == b"FOO=b%3Dr,a.b=%C3%A9%3C,c=x+y%2Cz "
    assert info.details({}) == b" "
