"""Budgets and burn rates against worked vectors: 6,000 requests a minute, 99.9 % over 30 days, one look a minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.model.slo import Calendar, CalendarUnit, Counts, Objective, SloState, Tier, standard_pairs
from app.understand.burn import Lack, Standing, stand
from app.understand.ledger import Ledger, bad_slices, composite_ratio, increases, ratio_of_slices

START = datetime(2026, 11, 1, tzinfo=UTC)
MINUTE, HOUR, MONTH = timedelta(minutes=1), timedelta(hours=1), timedelta(days=30)
PAIRS = standard_pairs(MONTH)
OBJECTIVE = Objective.percent("99.9")
RATE = 6000.0


def make_ledger(bad, total, seen=None) -> Ledger:
    times = START.timestamp() + 60.0 * np.arange(len(total) + 1)
    return Ledger.of_steps(times, np.asarray(bad, float), np.asarray(total, float), seen)


def at(ledger: Ledger, minute: int, *, objective=OBJECTIVE, pairs=PAIRS, present=True) -> Standing:
    now = START + minute * MINUTE
    return stand(
        objective,
        pairs,
        lambda window: ledger.counts(now, window),
        ledger.counts(now, MONTH),
        present=present,
    )


def outage(clean: int, ratio: float, length: int) -> Ledger:
    """`clean` quiet minutes, then a constant share of failures."""
    total = np.full(clean + length, RATE)
    return make_ledger(np.where(np.arange(len(total)) >= clean, ratio * total, 0.0), total)


def first(ledger: Ledger, tier: Tier, onset: int, length: int) -> int | None:
    """Minutes from the onset to the first minute at which a pair of this tier fires."""
    for minute in range(onset + 1, onset + length + 1):
        if any(one.firing and one.pair.tier is tier for one in at(ledger, minute).readings):
            return minute - onset
    return None


@pytest.mark.parametrize(
    ("ratio", "page"),
    [(0.002, None), (0.004, None), (0.007, 309), (0.016, 55), (0.02, 44), (0.1, 9), (1.0, 1)],
)
def test_a_page_fires_when_the_rule_predicts_it(ratio, page):
    # 1.6 %: 54 minutes burn exactly 14.4 times, which is not more; rules over floats fire there already
    assert first(outage(360, ratio, 400), Tier.PAGE, 360, 400) == page


@pytest.mark.parametrize(("ratio", "filled"), [(0.1, 44), (1.0, 5)])
def test_a_ticket_waits_until_a_filled_window_would_have_fired(ratio, filled):
    ledger = outage(360, ratio, 60)
    assert first(ledger, Tier.TICKET, 360, 60) == filled
    early = at(ledger, 360 + filled - 1)
    assert Lack.HISTORY in [one.lack for one in early.readings if one.pair.tier is Tier.TICKET]


def test_after_recovery_the_page_ends_within_its_short_window():
    bad = np.zeros(5000)
    bad[4320:4330] = RATE
    ledger = make_ledger(bad, np.full(5000, RATE))
    fires = [minute for minute in range(4300, 4800) if at(ledger, minute).tier is Tier.PAGE]
    assert fires == list(range(4321, 4360))
    ratio = ledger.counts(START + 4336 * MINUTE, HOUR)
    assert ratio.bad / ratio.total == pytest.approx(0.1666667, abs=1e-7)
    assert ledger.counts(START + 4336 * MINUTE, 5 * MINUTE).bad == 0


@pytest.mark.parametrize(
    ("ratio", "remaining", "state"),
    [("0.0005", 0.5, SloState.OK), ("0.001", 0.0, SloState.EXHAUSTED), ("0.002", -1.0, SloState.EXHAUSTED)],
)
def test_a_steady_state_is_exact_and_an_even_burn_fires_nothing(ratio, remaining, state):
    total = np.full(26 * 60, RATE)
    standing = at(make_ledger(float(ratio) * total, total), 26 * 60)
    assert standing.remaining == remaining
    assert standing.state is state
    assert standing.exhausted is (remaining <= 0)
    if ratio == "0.001":
        assert standing.tier is None


def test_a_gap_of_traffic_costs_nothing_and_is_a_state_only_while_it_lasts():
    total = np.full(270, RATE)
    total[120:150] = 0
    ledger = make_ledger(np.zeros(270), total)
    states = [at(ledger, minute).state for minute in range(10, 271)]
    assert {one for one, minute in zip(states, range(10, 271), strict=True) if 125 <= minute <= 150} == {
        SloState.NO_TRAFFIC
    }
    assert {one for one, minute in zip(states, range(10, 271), strict=True) if not 125 <= minute <= 150} == {
        SloState.OK
    }
    assert all(at(ledger, minute).remaining == 1.0 for minute in range(10, 271))


def test_an_error_counter_born_late_counts_from_nothing():
    samples = np.array([np.r_[np.full(120, np.nan), np.full(10, 500.0)]])
    assert increases(samples, born=np.array([True])).sum() == 500
    assert increases(samples, born=np.array([False])).sum() == 0


def test_a_vanished_total_is_no_data_and_keeps_what_was_known():
    ledger = outage(60, 0.016, 60)
    standing = at(ledger, 120, present=False)
    assert standing.state is SloState.NO_DATA
    assert standing.remaining < 0


def test_budgets_weigh_by_traffic():
    total = np.r_[np.full(600, 60.0), np.full(60, 60_000.0)]
    bad = np.r_[np.zeros(600), np.full(60, 120.0)]
    ledger = make_ledger(bad, total)
    period = ledger.counts(START + 660 * MINUTE, MONTH)
    assert (period.bad, period.total) == (7200, 3_636_000)
    assert at(ledger, 660).remaining == pytest.approx(-0.98, abs=1e-3)


def test_one_failure_of_a_quiet_service_pages_nobody():
    total, bad = np.zeros(760), np.zeros(760)
    total[::10] = 1.0
    bad[370] = 1.0
    ledger = make_ledger(bad, total)
    standings = [at(ledger, minute) for minute in range(371, 760)]
    assert all(one.tier is None for one in standings)
    assert standings[0].state is SloState.EXHAUSTED
    assert Lack.EVENTS in [reading.lack for reading in standings[0].readings]


def test_increases_of_a_counter_that_began_anew():
    assert increases(np.array([[100.0, 150, 20, 50]])).tolist() == [[0, 50, 20, 30]]
    assert increases(np.array([[150.0, np.nan, 20, 50]]), before=np.array([100.0])).tolist() == [
        [50, 0, 20, 30]
    ]


def test_a_window_that_was_only_partly_looked_at_says_so():
    ledger = make_ledger(np.ones(60), np.full(60, 10.0), np.arange(60) >= 30)
    found = ledger.counts(START + HOUR, HOUR)
    assert (found.bad, found.total, found.covered, found.whole) == (30, 300, 30 * MINUTE, False)


@pytest.mark.parametrize(("days", "factors"), [(30, (14.4, 6, 3, 1)), (28, (13.44, 5.6, 2.8, 0.9333333))])
def test_factors_move_with_the_period(days, factors):
    pairs = standard_pairs(timedelta(days=days))
    assert [float(pair.factor) for pair in pairs] == pytest.approx(factors)
    assert [pair.long / pair.short for pair in pairs] == [12] * 4


@given(st.integers(min_value=10, max_value=60 * 24 * 400))
def test_any_period_has_pairs_whose_windows_are_real_and_differ(minutes):
    period = timedelta(minutes=minutes)
    pairs = standard_pairs(period)
    assert pairs
    for pair in pairs:
        assert MINUTE <= pair.short < pair.long < period
        assert pair.factor == pair.share * Fraction(period // MINUTE, pair.long // MINUTE)


def test_time_slices_and_their_budget():
    ledger = make_ledger([600.0] * 3 + [0.0] * 10077, [RATE] * 10080)
    bad, total = ledger.slices(1)
    assert len(total) == 10080
    assert bad_slices(bad, total, 0.95) == 3
    budget = Objective.percent("99.95").budget * 10080
    assert float(budget) == pytest.approx(5.04)
    assert 1 - 3 / float(budget) == pytest.approx(0.4048, abs=1e-4)


def test_a_composite_adds_what_its_parts_lack():
    part = ratio_of_slices(np.array([5.0, 0.0]), np.array([50.0, 50.0]))
    assert part == pytest.approx(0.05)
    assert 1 - composite_ratio([0.05, 0.05]) == pytest.approx(0.90)


def test_a_calendar_month_is_as_long_as_its_clock_says():
    begin, end = Calendar(CalendarUnit.MONTH, "America/New_York").span(datetime(2026, 11, 23, 12, tzinfo=UTC))
    assert (begin, end) == (datetime(2026, 11, 1, 4, tzinfo=UTC), datetime(2026, 12, 1, 5, tzinfo=UTC))
    assert end - begin == timedelta(hours=721)


@pytest.mark.parametrize("text", ["0", "100", "101", "-1", "many"])
def test_an_objective_that_is_none_is_refused_by_name(text):
    with pytest.raises(ValueError, match=r"99\.9"):
        Objective.percent(text)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=200),
    st.integers(1, 400),
)
def test_windows_are_the_sums_of_their_steps(steps, minutes):
    bad = [min(one) for one in steps]
    total = [max(one) for one in steps]
    found = make_ledger(bad, total).counts(START + len(steps) * MINUTE, minutes * MINUTE)
    assert (found.bad, found.total) == (sum(bad[-minutes:]), sum(total[-minutes:]))


def test_no_event_burns_nothing():
    nothing = Counts(0, 0, HOUR, HOUR)
    assert OBJECTIVE.burn_rate(nothing) is None
    assert OBJECTIVE.remaining(nothing) == 1
    assert not OBJECTIVE.exceeds(nothing, Fraction(0))
