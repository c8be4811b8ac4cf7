"""Sizes, durations and ages: what Docker's units library reads and writes."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydock_shared import units
from pydock_shared.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("64", 64),
        ("64b", 64),
        ("64k", 65536),
        ("64m", 67108864),
        ("64M", 67108864),
        ("64MB", 67108864),
        ("64MiB", 67108864),
        ("64 m", 67108864),
        ("1.5g", 1610612736),
        (".5k", 512),
        ("5.k", 5120),
        ("+1t", 1 << 40),
        ("1p", 1 << 50),
        ("1e3", 1000),
        ("0.1", 0),
    ],
)
def test_sizes_that_are_read(text: str, size: int) -> None:
    assert units.parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid size: ''"),
        ("m", "invalid size: 'm'"),
        ("-1", "invalid size: '-1'"),
        ("64  m", "invalid size: '64  m'"),
        ("1.2.3", "invalid size: '1.2.3'"),
        ("64m\n", "invalid suffix: 'm\n'"),
        ("64x", "invalid suffix: 'x'"),
        ("64mm", "invalid suffix: 'mm'"),
        ("64ib", "invalid suffix: 'ib'"),
        ("64bb", "invalid suffix: 'bb'"),
        ("9000p" + "0", "invalid size: '9000p0'"),
        ("9999999p", "invalid size: '9999999p' is too large"),
        ("1e999", "invalid size: '1e999' is too large"),
    ],
)
def test_sizes_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        units.parse_size(text)
    assert caught.value.message == message


def test_only_a_swap_limit_may_be_without_end() -> None:
    assert units.parse_swap("-1") == -1
    assert units.parse_swap("1g") == 1 << 30


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0B"),
        (999, "999B"),
        (1000, "1kB"),
        (4261550, "4.26MB"),
        (77_800_000, "77.8MB"),
        (999_900, "1e+03kB"),
        (1_234_000_000, "1.23GB"),
        (1e30, "1e+06YB"),
    ],
)
def test_decimal_sizes(size: float, text: str) -> None:
    assert units.format_size(size) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0B"), (1023, "1023B"), (1024, "1KiB"), (7_969_178, "7.6MiB"), (15.5 * 2**30, "15.5GiB"), (2**80, "1YiB")],
)
def test_binary_sizes(size: float, text: str) -> None:
    assert units.format_size_binary(size) == text


def test_precision_is_a_number_of_digits() -> None:
    assert units.format_size(4261550, precision=4) == "4.262MB"


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("1ns", 1),
        ("1.5us", 1500),
        ("1µs", 1000),
        ("1μs", 1000),
        ("10ms", 10_000_000),
        ("1m30s", 90_000_000_000),
        ("1h1m1.000000001s", 3_661_000_000_001),
        ("-1.5h", -5_400_000_000_000),
        ("+.5s", 500_000_000),
        ("1.s", 1_000_000_000),
        ("2562047h47m16.854775807s", 2**63 - 1),
    ],
)
def test_durations_that_are_read(text: str, nanoseconds: int) -> None:
    assert units.parse_duration_ns(text) == nanoseconds
    assert units.parse_duration(text) == nanoseconds / 1e9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'time: invalid duration ""'),
        ("-", 'time: invalid duration "-"'),
        ("s", 'time: invalid duration "s"'),
        (".s", 'time: invalid duration ".s"'),
        ("1s ", 'time: unknown unit "s " in duration "1s "'),
        ("10", 'time: missing unit in duration "10"'),
        ("1m30", 'time: missing unit in duration "1m30"'),
        ("1d", 'time: unknown unit "d" in duration "1d"'),
        ("--1s", 'time: invalid duration "--1s"'),
        ("1s-1s", 'time: unknown unit "s-" in duration "1s-1s"'),
        ("9999999h", 'time: invalid duration "9999999h"'),
    ],
)
def test_durations_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        units.parse_duration_ns(text)
    assert caught.value.message == message


HOUR, DAY = 3600, 86400


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.9, "Less than a second"),
        (1.9, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (59 * 60 + 59, "59 minutes"),
        (HOUR, "About an hour"),
        (1.4 * HOUR, "About an hour"),
        (1.5 * HOUR, "2 hours"),
        (47.4 * HOUR, "47 hours"),
        (48 * HOUR, "2 days"),
        (13 * DAY, "13 days"),
        (14 * DAY, "2 weeks"),
        (59 * DAY, "8 weeks"),
        (60 * DAY, "2 months"),
        (729 * DAY, "24 months"),
        (730 * DAY, "2 years"),
        (-5, "Less than a second"),
    ],
)
def test_ages_in_dockers_words(seconds: float, words: str) -> None:
    assert units.format_ago(seconds) == words


@given(st.integers(0, 2**63 - 1))
def test_a_shown_size_reads_back_about_as_large(size: int) -> None:
    shown = units.format_size_binary(size)
    if shown.endswith("EiB"):  # a unit for showing only, as in Docker
        return
    assert abs(units.parse_size(shown) - size) <= max(1, size / 1000)


@given(st.one_of(st.text(), st.text(alphabet="0123456789.+-eE bkmgtpiBKM", max_size=20)))
def test_any_text_is_a_size_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidArgument):
        assert 0 <= units.parse_size(text) < 2**63


@given(st.one_of(st.text(), st.text(alphabet="0123456789.+-nuµmsh", max_size=30)))
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidArgument):
        assert abs(units.parse_duration_ns(text)) < 2**63


@given(st.integers(0, 10**6), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999_999_999))
def test_a_duration_is_the_sum_of_its_parts(hours: int, minutes: int, seconds: int, nanoseconds: int) -> None:
    text = f"{hours}h{minutes}m{seconds}.{nanoseconds:09d}s"
    assert units.parse_duration_ns(text) == ((hours * 60 + minutes) * 60 + seconds) * 10**9 + nanoseconds
