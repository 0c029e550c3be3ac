from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from app.understand.baseline import Past
from app.understand.season import Season, hour_of
from app.understand.usual import Basis
from tests.support.fleets import MINUTE, NOON
from tests.support.minutes import frame

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def hour(days: int, *, p95: float = 0.1, rps: float = 10.0):
    one = frame(0, p95=p95, requests=rps * 3600)
    return replace(one, start=NOON - days * DAY, length=HOUR)


def season(hours) -> Season:
    """A season of noon that knows these hours, by days back."""
    found = Season(hour_of(NOON + 20 * MINUTE))
    for start in list(found.wanted):
        found.add(start, hours.get(round((NOON - start) / DAY)))
    return found


def recent(**over) -> Past:
    found = Past()
    for i in range(10):
        found.add(NOON + i * MINUTE, frame(i, **over))
    return found


def usual(hours, **over):
    return season(hours).over(recent(**over).baselines())["a"]


def test_ten_hours_are_asked_for_the_nearest_last():
    wanted = Season(NOON).wanted
    assert [round((NOON - start) / DAY) for start in wanted] == [28, 21, 14, 7, 6, 5, 4, 3, 2, 1]


def test_latency_is_measured_by_the_same_hour_of_former_days():
    found = usual({d: hour(d, p95=0.4) for d in range(1, 8)}, p95=0.1)
    assert found.p95 == pytest.approx(0.4, rel=0.25)
    assert found.p95_basis == Basis.HOUR_OF_DAY


def test_an_outage_on_some_days_is_not_learned():
    hours = {d: hour(d, p95=9.0 if d <= 3 else 0.1) for d in range(1, 8)}
    assert usual(hours).p95 == pytest.approx(0.1, rel=0.25)


def test_too_few_days_leave_the_last_hour_in_place():
    found = usual({1: hour(1, p95=0.4), 2: hour(2, p95=0.4)}, p95=0.1)
    assert found.p95 == pytest.approx(0.1, rel=0.25)
    assert found.p95_basis == Basis.HOUR_AGO


def test_volume_is_measured_by_the_same_weekday_of_former_weeks():
    hours = {d: hour(d, rps=100.0) for d in range(1, 7)} | {d: hour(d, rps=5.0) for d in (7, 14, 21)}
    found = usual(hours)
    assert (found.rps, found.rps_basis) == (pytest.approx(5.0), Basis.HOUR_OF_WEEK)


def test_with_days_only_no_volume_counts_as_low_that_one_of_them_had():
    hours = {d: hour(d, rps=5.0 if d in (6, 7) else 100.0) for d in range(1, 8)}
    found = usual(hours)
    assert (found.rps, found.rps_basis) == (pytest.approx(100.0), Basis.HOUR_OF_DAY)
    assert found.rps_floor <= 5.0


def test_before_a_whole_week_the_volume_of_days_says_nothing_about_a_week_end():
    found = usual({d: hour(d, rps=100.0) for d in range(1, 6)})
    assert (found.rps, found.rps_basis) == (pytest.approx(10.0), Basis.HOUR_AGO)


def test_who_has_been_silent_for_an_hour_still_has_a_usual():
    found = season({d: hour(d) for d in range(1, 8)}).over(Past().baselines())
    assert found["a"].rps == pytest.approx(10.0)


def test_an_hour_of_which_a_few_minutes_were_seen_is_no_example():
    short = {d: replace(hour(d, p95=0.4), length=5 * MINUTE) for d in range(1, 8)}
    assert usual(short).p95_basis == Basis.HOUR_AGO


def test_noise_of_the_last_hour_counts_though_days_are_smooth():
    found = Past()
    for i in range(20):
        found.add(NOON + i * MINUTE, frame(i, p95=0.1 * (1 + i % 3)))
    assert season({d: hour(d, p95=0.2) for d in range(1, 8)}).over(found.baselines())["a"].p95_spread > 0.1
