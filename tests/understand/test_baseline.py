from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from app.model.series import BUCKETS
from app.understand.baseline import ENOUGH, HORIZON, RECENT, Past
from app.understand.usual import Basis
from tests.support.fleets import MINUTE, NOON
from tests.support.minutes import frame


def past(frames) -> Past:
    found = Past()
    for i, one in enumerate(frames):
        found.add(NOON + i * MINUTE, one)
    return found


def test_the_usual_is_the_median_of_the_minutes_before_the_last_ones():
    frames = [frame(i) for i in range(20)]
    frames[5] = frame(5, p95=9.0, requests=6000)
    frames += [frame(20 + i, p95=5.0, requests=6) for i in range(RECENT)]
    usual = past(frames).baselines()["a"]
    assert usual.p95 == pytest.approx(0.1, rel=0.25)
    assert usual.rps == 10


def test_too_few_minutes_make_no_baseline():
    usual = past([frame(i) for i in range(ENOUGH - 1 + RECENT)]).baselines()["a"]
    assert np.isnan(usual.p95)
    assert np.isnan(usual.rps)
    assert usual.requests_15m == 600 * (ENOUGH - 1 + RECENT)


def test_unhealthy_minutes_are_no_example_and_the_baseline_stays_frozen():
    found = past([frame(i) for i in range(10)])
    assert found.baselines()["a"].p95 == pytest.approx(0.1, rel=0.25)
    for i in range(10, 10 + 2 * HORIZON):
        found.add(NOON + i * MINUTE, frame(i, p95=3.0, health="failing"))
    assert found.baselines()["a"].p95 == pytest.approx(0.1, rel=0.25)


def test_a_lasting_change_of_volume_becomes_the_usual():
    found = past(
        [*(frame(i) for i in range(30)), *(frame(i, requests=60, health="degraded") for i in range(30, 80))]
    )
    assert found.baselines()["a"].rps == 1


def test_minutes_nobody_could_see_count_for_nothing():
    found = past(
        [
            *(frame(i) for i in range(10)),
            None,
            frame(11, requests=float("nan")),
            *(frame(i) for i in range(12, 16)),
        ]
    )
    usual = found.baselines()["a"]
    assert usual.rps == 10
    assert usual.requests_1h == 14 * 600


def test_counts_of_the_last_quarter_and_the_whole_hour():
    usual = past([frame(i, failed=6) for i in range(HORIZON + 20)]).baselines()["a"]
    assert (usual.requests_15m, usual.failed_15m) == (15 * 600, 15 * 6)
    assert (usual.requests_1h, usual.failed_1h) == (60 * 600, 60 * 6)


def test_a_pause_of_more_than_the_horizon_forgets_the_minutes():
    found = past([frame(i) for i in range(10)])
    found.add(NOON + timedelta(hours=5), frame(300))
    usual = found.baselines()["a"]
    assert usual.requests_1h == 600


def test_missing_names_the_minutes_to_read_oldest_first():
    found = Past()
    now = NOON + timedelta(seconds=30)
    assert len(found.missing(now)) == HORIZON
    assert found.missing(now)[-1] == NOON - MINUTE
    found.add(NOON - 2 * MINUTE, None)
    assert found.missing(now) == [NOON - MINUTE]
    found.add(NOON - MINUTE, None)
    assert found.missing(now) == []


def test_names_that_pass_through_are_forgotten_and_the_others_keep_their_usual():
    found = Past()
    for i in range(10):
        found.add(NOON + i * MINUTE, frame(i))
    crowd = frame(10)
    many = tuple(f"x{n}" for n in range(2000))
    wide = {
        "node_requests": np.ones(2000),
        "node_failed": np.zeros(2000),
        "node_latency": np.ones((2000, BUCKETS)),
    }
    found.add(NOON + 10 * MINUTE, replace(crowd, node_ids=many, node_health=(), **wide))
    for i in range(11, 10 + HORIZON):
        found.add(NOON + i * MINUTE, frame(i))
    assert len(found.baselines()) == 2001
    found.add(NOON + 70 * MINUTE, frame(70))
    assert found.baselines().keys() == {"a"}
    assert found.baselines()["a"].rps == 10


def test_a_noisy_past_has_a_spread_and_a_floor_of_volume():
    noisy = past(
        [frame(i, p95=0.1 * (1 + i % 3), requests=600.0 * (1 + i % 3)) for i in range(30)]
    ).baselines()["a"]
    assert noisy.p95_spread > 0.1
    assert noisy.rps_floor < 0
    calm = past([frame(i) for i in range(30)]).baselines()["a"]
    assert (calm.p95_spread, calm.rps_floor) == (0, pytest.approx(10))


def test_the_last_minutes_have_counts_and_a_middle_latency():
    frames = [frame(i) for i in range(30)] + [frame(30 + i, p95=0.4, failed=60.0) for i in range(5)]
    usual = past(frames).baselines()["a"]
    assert (usual.requests_5m, usual.failed_5m) == (3000, 300)
    assert usual.p95_5m == pytest.approx(0.4, rel=0.25)
    assert usual.p95_15m == pytest.approx(0.1, rel=0.25)


def test_a_baseline_of_before_the_trouble_says_so():
    found = past(
        [*(frame(i) for i in range(20)), *(frame(i, p95=3.0, health="failing") for i in range(20, 30))]
    )
    assert found.baselines()["a"].p95_basis == Basis.BEFORE
