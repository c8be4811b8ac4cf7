"""Health checks as data: image and request merged, what is refused, what is carried out."""

import pytest

from pydock_daemon.containers import healthcheck
from pydock_shared.errors import InvalidArgument
from pydock_shared.units import format_duration
from pydock_shared.wire.container import ContainerConfig, HealthConfig


def config(*test: str, **fields: object) -> ContainerConfig:
    return ContainerConfig(healthcheck=HealthConfig(test=list(test), **fields))


def test_the_request_comes_first_and_the_image_fills_the_rest():
    image = HealthConfig(test=["CMD", "a"], interval=5, retries=2)
    merged = healthcheck.merge(HealthConfig(interval=7, timeout=0), image)
    assert merged is not None
    assert (merged.test, merged.interval, merged.retries) == (["CMD", "a"], 7, 2)
    assert healthcheck.merge(None, image) is image
    merged = healthcheck.merge(HealthConfig(test=["NONE"]), image)
    assert merged is not None
    assert healthcheck.read(ContainerConfig(healthcheck=merged)) is None


@pytest.mark.parametrize("test", [None, [], ["NONE"]])
def test_no_check(test: list[str] | None):
    assert healthcheck.read(ContainerConfig(healthcheck=HealthConfig(test=test))) is None


def test_a_shell_check_takes_the_shell_of_the_image():
    asked = config("CMD-SHELL", "a b")
    check = healthcheck.read(asked)
    assert check is not None
    assert check.command == ("/bin/sh", "-c", "a b")
    assert (check.interval, check.timeout, check.start_period, check.retries) == (30 * 10**9, 30 * 10**9, 0, 3)
    asked.shell = ["/bin/ash", "-ec"]
    check = healthcheck.read(asked)
    assert check is not None
    assert check.command == ("/bin/ash", "-ec", "a b")


@pytest.mark.parametrize(
    ("test", "scheme"),
    [
        (["CMD-SHELL", "http://localhost:8080/healthz"], "http"),
        (["CMD", "tcp://127.0.0.1:5432"], "tcp"),
        (["CMD", "https://[::1]/"], "https"),
        (["CMD-SHELL", "wget http://localhost/"], None),
        (["CMD", "curl", "http://localhost/"], None),
    ],
)
def test_a_url_that_stands_alone_is_asked_by_the_daemon(test: list[str], scheme: str | None):
    healthcheck.validate(config(*test))
    check = healthcheck.read(config(*test))
    assert check is not None
    assert (check.url.scheme if check.url else None) == scheme


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (config("CMD", "a", interval=1000), "Interval in Healthcheck cannot be less than 1ms"),
        (config("CMD", "a", start_interval=-1), "StartInterval in Healthcheck cannot be less than 1ms"),
        (config("CMD", "a", retries=-1), "Retries in Healthcheck cannot be negative"),
        (config("HTTP", "a"), "unknown healthcheck type 'HTTP'"),
        (config("CMD"), "needs a command"),
        (config("CMD", "ftp://localhost/"), "the scheme must be one of http, https, tcp, grpc"),
        (config("CMD", "http://example.com/"), "must be an address or localhost"),
        (config("CMD", "http://localhost:99999/"), "Port out of range"),
        (config("CMD", "tcp://localhost"), "must be tcp://HOST:PORT"),
        (config("CMD", "grpc://localhost/web"), "must be grpc://HOST:PORT or"),
        (ContainerConfig(labels={healthcheck.ACTION_LABEL: "explode"}), "must be one of none, restart, kill, stop"),
    ],
)
def test_what_makes_no_sense_is_refused(asked: ContainerConfig, message: str):
    with pytest.raises(InvalidArgument) as caught:
        healthcheck.validate(asked)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_500, "1.5µs"),
        (500 * 10**6, "500ms"),
        (1_500 * 10**6, "1.5s"),
        (90 * 10**9, "1m30s"),
        (3600 * 10**9, "1h0m0s"),
    ],
)
def test_durations_as_go_prints_them(nanoseconds: int, text: str):
    assert format_duration(nanoseconds) == text
