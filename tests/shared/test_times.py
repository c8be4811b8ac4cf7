"""Moments: RFC 3339 both ways, and what `since` and `until` take."""

import contextlib
import datetime
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydock_shared import times
from pydock_shared.errors import InvalidArgument
from pydock_shared.times import SECOND

NEW_YEAR = 1_767_225_600 * SECOND  # 2026-01-01T00:00:00Z


@pytest.fixture
def in_kolkata(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This host's zone is five and a half hours east."""
    monkeypatch.setenv("TZ", "IST-5:30")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("nanoseconds", "text", "fixed"),
    [
        (0, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000000Z"),
        (NEW_YEAR, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000000000Z"),
        (NEW_YEAR + 600_000_000, "2026-01-01T00:00:00.6Z", "2026-01-01T00:00:00.600000000Z"),
        (NEW_YEAR + 1, "2026-01-01T00:00:00.000000001Z", "2026-01-01T00:00:00.000000001Z"),
        (-1, "1969-12-31T23:59:59.999999999Z", "1969-12-31T23:59:59.999999999Z"),
        (-62_135_596_800 * SECOND, times.NEVER, "0001-01-01T00:00:00.000000000Z"),
    ],
)
def test_as_text(nanoseconds: int, text: str, fixed: str) -> None:
    assert times.rfc3339(nanoseconds) == text
    assert times.rfc3339_fixed(nanoseconds) == fixed
    assert times.parse_rfc3339(text) == nanoseconds
    assert times.parse_rfc3339(fixed) == nanoseconds


def test_now_is_now() -> None:
    assert abs(times.parse_rfc3339(times.now_rfc3339nano()) - time.time_ns()) < 5 * SECOND


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("2026-01-01T01:00:00+01:00", 0),
        ("2025-12-31T19:00:00.5-0500", SECOND // 2),
        ("2026-01-01t00:00:01z", SECOND),
        ("2026-01-01Z", 0),
        ("2026-01-01T00:05Z", 300 * SECOND),
        ("2026-01-01T02Z", 7200 * SECOND),
        ("2026-01-01T00:00:00.1234567899Z", 123_456_789),
    ],
)
def test_shorter_forms_and_zones(text: str, offset: int) -> None:
    assert times.parse_rfc3339(text) == NEW_YEAR + offset


@pytest.mark.parametrize("text", ["2026-01-01T05:30:00", "2026-01-01T05:30", "2025-12-31T24:00:00"])
def test_without_a_zone_it_is_the_hosts(in_kolkata: None, text: str) -> None:
    if "24:00" in text:
        with pytest.raises(InvalidArgument):
            times.parse_rfc3339(text)
    else:
        assert times.parse_rfc3339(text) == NEW_YEAR


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-32T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:60Z",
        "2026-01-01T00:00:00Zx",
        "2026-01-01T00:00:00Z\n",
    ],
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(InvalidArgument, match="failed to parse value as time or duration"):
        times.parse_rfc3339(text)


def test_leap_days_exist_in_leap_years() -> None:
    assert times.parse_rfc3339("2024-02-29T00:00:00Z") == 1_709_164_800 * SECOND
    assert times.parse_rfc3339("2000-02-29T00:00:00Z") == 951_782_400 * SECOND


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("0", 0),
        ("1136073600", 1_136_073_600 * SECOND),
        ("1136073600.000000001", 1_136_073_600 * SECOND + 1),
        ("1136073600.5", 1_136_073_600 * SECOND + SECOND // 2),
        ("10m", NEW_YEAR - 600 * SECOND),
        ("1h30m", NEW_YEAR - 5400 * SECOND),
        ("-10s", NEW_YEAR + 10 * SECOND),
        ("2026-01-01T00:00:00.5Z", NEW_YEAR + SECOND // 2),
    ],
)
def test_since_and_until(text: str, moment: int) -> None:
    assert times.parse_moment(text, now=NEW_YEAR) == moment


def test_a_duration_counts_back_from_now() -> None:
    assert abs(time.time_ns() - 60 * SECOND - times.parse_moment("1m")) < 5 * SECOND


@given(st.integers(0, 2**62))
def test_every_way_to_write_a_moment_reads_back(moment: int) -> None:
    assert times.parse_moment(times.rfc3339(moment)) == moment
    assert times.parse_moment(times.rfc3339_fixed(moment)) == moment
    assert times.parse_moment(times.unix(moment)) == moment


@given(st.datetimes(timezones=st.just(datetime.UTC)))
def test_the_calendar_is_the_one_of_python(moment: datetime.datetime) -> None:
    since = moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    seconds = since.days * 86400 + since.seconds
    stamp = moment.strftime("%m-%dT%H:%M:%SZ")
    assert times.parse_rfc3339(f"{moment.year:04d}-{stamp}") // SECOND == seconds


@given(st.one_of(st.text(), st.text(alphabet="0123456789-:TZ.+smh", max_size=35)))
def test_any_text_is_a_moment_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidArgument):
        times.parse_moment(text)
