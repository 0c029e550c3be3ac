from __future__ import annotations

import math
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from app.model.fleet import Edge, EdgeKind, Evidence, EvidenceKind, Health, HealthStatus
from app.pages import format as form

MOMENT = datetime(2026, 11, 23, 10, 41, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (4, "4 s"),
        (60, "1 m"),
        (130, "2 m 10 s"),
        (7_800, "2 h 10 m"),
        (93_600, "1 d 2 h"),
        (0.2, "0 s"),
        (-3, "0 s"),
        (59.6, "1 m"),
        (90_000 * 400, "416 d 16 h"),
        (None, "no data"),
        (math.nan, "no data"),
    ],
)
def test_durations_have_two_units_at_most(seconds, text):
    assert form.duration(seconds) == text


@pytest.mark.parametrize(
    ("rps", "text"),
    [
        (0.31, "0.31 rps"),
        (41.2, "41 rps"),
        (12_400, "12.4 k rps"),
        (1.24, "1.2 rps"),
        (2_345, "2345 rps"),
        (3_400_000, "3.4 M rps"),
        (0.004, "0.004 rps"),
        (0, "no traffic"),
        (None, "no data"),
        (math.nan, "no data"),
        (math.inf, "no data"),
    ],
)
def test_rates_round_to_what_can_be_read(rps, text):
    assert form.rate(rps) == text


@pytest.mark.parametrize(
    ("value", "requests", "text"),
    [
        (0.0003, 500, "0.03 %"),
        (0.0, 500, "0 %"),
        (0.0, 0, "no traffic"),
        (None, 0, "no traffic"),
        (None, None, "no data"),
        (0.12, None, "12 %"),
        (0.012, None, "1.2 %"),
        (1.0, None, "100 %"),
        (0.000001, None, "< 0.01 %"),
        (math.nan, 4, "no data"),
    ],
)
def test_ratios_tell_no_traffic_from_no_data_from_zero(value, requests, text):
    assert form.ratio(value, requests=requests) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.182, "182 ms"),
        (2.14, "2.1 s"),
        (0.0042, "4.2 ms"),
        (0.9996, "1 s"),
        (75.3, "75 s"),
        (0.00005, "50 µs"),
        (None, "no data"),
    ],
)
def test_latencies_change_unit_at_one_second(seconds, text):
    assert form.latency(seconds) == text


def test_an_overspent_budget_says_so():
    assert form.budget(-0.98) == "-98 % (overspent)"
    assert form.budget(0.08) == "8 %"
    assert form.burn(14.36) == "14.4x"
    assert form.burn(None) == "no data"


def test_times_are_told_in_the_viewers_zone_with_the_month_as_a_word():
    berlin = ZoneInfo("Europe/Berlin")
    assert form.clock_time(MOMENT, UTC) == "10:41:20"
    assert form.clock_time(MOMENT, berlin) == "11:41:20"
    assert form.date_time(MOMENT, berlin) == "23 Nov 2026, 11:41:20"
    assert form.clock_time(None, UTC) == "no data"


def test_every_health_status_has_a_mark_and_a_foreign_word_is_unknown():
    assert [form.mark(status).token for status in HealthStatus] == [
        "crit",
        "warn",
        "unknown",
        "maint",
        "idle",
        "ok",
    ]
    assert form.mark("sparkling") == form.MARKS[HealthStatus.UNKNOWN]


@pytest.mark.parametrize(
    ("text", "length", "shown"),
    [
        ("checkout", 20, "checkout"),
        ("a" * 30, 10, "a" * 9 + "…"),
        ("bell\x07 and\nline", 40, "bell and line"),
        ("right\u202eto left", 40, "right to left"),
        (None, 5, ""),
    ],
)
def test_foreign_text_is_cut_and_loses_control_characters(text, length, shown):
    assert form.cut(text, length) == shown


def test_ten_megabytes_of_name_are_cut_without_reading_them_all():
    assert len(form.cut("x" * 10_000_000, 60)) == 60


@pytest.mark.parametrize(
    ("ratio", "requests", "sign"),
    [(0.1, 290.0, "≈ "), (0.1, 310.0, ""), (1.0, 2.0, ""), (None, 2.0, ""), (0.1, None, "")],
)
def test_a_rate_that_rests_on_less_than_thirty_sampled_requests_is_marked(ratio, requests, sign):
    now = datetime(2026, 11, 23, tzinfo=UTC)
    word = Evidence(EvidenceKind.TRACES, now, rps=4.8, sampling_ratio=ratio)
    health = Health(HealthStatus.HEALTHY)
    edge = Edge("a>b>http", "a", "b", EdgeKind.SYNC, "http", health, requests=requests, evidence=(word,))
    assert form.about(edge) == sign
