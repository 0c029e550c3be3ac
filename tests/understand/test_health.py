from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config import HealthRule
from app.model.fleet import EvidenceKind, HealthStatus
from app.understand import wilson
from app.understand.health import Signals, grade, hold
from app.understand.identity import Resolver
from app.understand.limits import RuleBook
from app.understand.memory import Mark
from app.understand.reasons import durations, percent
from app.understand.topology import build
from app.understand.usual import Baseline
from tests.support.fleets import MINUTE, NOON, down, edge_row, fresh, node_row, service, snapshot, witness

HEALTHY, DEGRADED, FAILING, UNKNOWN, IDLE = (
    HealthStatus.HEALTHY,
    HealthStatus.DEGRADED,
    HealthStatus.FAILING,
    HealthStatus.UNKNOWN,
    HealthStatus.IDLE,
)
LEVELS = {0: HEALTHY, 1: DEGRADED, 2: FAILING}


def signals(**over) -> Signals:
    """One element with 1,000 requests, none failed, as fast and as busy as usual."""
    now = {"requests": 1000, "failed": 0, "rps": 1000 / 60, "p95": 0.1, "server_fine": float("nan")}
    flags = {"held": 0, "sampled": False, "volume_judged": True}
    kinds = {"held": np.int64, "sampled": bool, "volume_judged": bool}
    given = now | flags | {name: value for name, value in over.items() if name in now | flags}
    past = {name: value for name, value in over.items() if name not in given}
    past |= {"p95": past.pop("usual_p95", 0.1), "rps": past.pop("usual_rps", 1000 / 60)}
    usual = Baseline(**past)
    columns = {name: np.array([value], kinds.get(name, np.float64)) for name, value in given.items()}
    return Signals(**columns, usual={name: np.array([value]) for name, value in usual._asdict().items()})


def level(**over) -> HealthStatus:
    return LEVELS[int(grade(signals(**over)).worst[0])]


WILSON = [
    (1, 3, 0.0615),
    (2, 2, 0.342),
    (5, 5, 0.566),
    (1, 20, 0.0089),
    (3, 20, 0.0524),
    (5, 20, 0.112),
    (1, 100, 0.0018),
    (10, 100, 0.0552),
    (100, 1000, 0.0829),
    (150, 1000, 0.129),
]


@pytest.mark.parametrize(("failed", "total", "low"), WILSON)
def test_the_wilson_interval_has_the_published_lower_bound(failed, total, low):
    k, n = np.array([float(failed)]), np.array([float(total)])
    assert wilson.lower_bound(k, n)[0] == pytest.approx(low, abs=6e-4)


def test_the_interval_of_nothing_is_unknown():
    assert np.isnan(wilson.lower_bound(np.array([0.0]), np.array([0.0])))[0]


@pytest.mark.parametrize(
    ("failed", "total", "reading"),
    [
        (1, 3, HEALTHY),
        (2, 2, HEALTHY),
        (4, 4, HEALTHY),
        (5, 5, DEGRADED),
        (1, 20, HEALTHY),
        (3, 20, DEGRADED),
        (5, 20, FAILING),
        (1, 100, HEALTHY),
        (10, 100, DEGRADED),
        (100, 1000, DEGRADED),
        (150, 1000, FAILING),
    ],
)
def test_errors_are_judged_by_what_they_surely_are(failed, total, reading):
    assert level(requests=total, failed=failed) is reading


def test_few_requests_are_judged_over_a_wider_window():
    few = {"requests": 5, "failed": 1, "rps": 5 / 60, "usual_rps": 5 / 60}
    assert level(**few) is HEALTHY
    assert level(**few, requests_15m=75, failed_15m=15) is FAILING
    assert level(**few, requests_15m=12, failed_15m=3, requests_1h=48, failed_1h=4) is DEGRADED


def test_few_sampled_spans_judge_nothing():
    assert level(requests=25, failed=10) is FAILING
    assert level(requests=25, failed=10, sampled=True) is HEALTHY


@pytest.mark.parametrize(
    ("p95", "usual", "reading"),
    [
        (0.16, 0.10, DEGRADED),
        (0.14, 0.10, HEALTHY),
        (0.05, 0.01, HEALTHY),
        (0.07, 0.01, DEGRADED),
        (0.29, 0.10, DEGRADED),
        (0.31, 0.10, FAILING),
        (0.20, 0.05, DEGRADED),
        (2.00, 1.40, HEALTHY),
        (0.50, float("nan"), HEALTHY),
        (float("nan"), 0.1, HEALTHY),
    ],
)
def test_latency_must_be_worse_both_in_ratio_and_in_seconds(p95, usual, reading):
    assert level(p95=p95, usual_p95=usual) is reading


@pytest.mark.parametrize(
    ("rps", "usual", "reading"),
    [(2.9, 10, DEGRADED), (3.1, 10, HEALTHY), (0.0, 0.9, HEALTHY), (0.0, 1.0, DEGRADED)],
)
def test_a_volume_drop_is_a_fault_of_busy_elements_only(rps, usual, reading):
    assert level(rps=rps, usual_rps=usual, requests=rps * 60) is reading


def test_volume_is_not_judged_while_the_window_fills():
    assert level(rps=1, usual_rps=10, requests=60, volume_judged=False) is HEALTHY


def test_what_is_held_ends_only_well_below_its_threshold():
    assert level(requests=100_000, failed=1000, held=0) is HEALTHY
    assert level(requests=100_000, failed=1000, held=1) is DEGRADED
    assert level(p95=0.148, held=0) is HEALTHY
    assert level(p95=0.148, held=1) is DEGRADED
    assert level(p95=0.138, held=1) is HEALTHY


@pytest.mark.parametrize(
    ("p95", "usual", "spread", "reading"),
    [(0.30, 0.10, 0.08, HEALTHY), (0.35, 0.10, 0.08, FAILING), (0.16, 0.10, 0.0, DEGRADED)],
)
def test_what_noise_explains_is_no_finding(p95, usual, spread, reading):
    assert level(p95=p95, usual_p95=usual, p95_spread=spread) is reading


def test_a_drop_within_the_noise_is_no_finding():
    assert level(rps=2, usual_rps=10, rps_floor=1.0, requests=120) is HEALTHY
    assert level(rps=2, usual_rps=10, rps_floor=8.0, requests=120) is DEGRADED


SLOW_ERRORS = {"requests_15m": 900, "failed_15m": 18, "requests_5m": 300, "failed_5m": 6}


def test_a_slow_burn_of_errors_is_seen_where_a_minute_is_too_short_to_be_sure():
    assert level(requests=60, failed=1) is HEALTHY
    assert level(requests=60, failed=1, **SLOW_ERRORS) is DEGRADED


def test_a_slow_window_does_not_hold_up_what_the_minute_refutes():
    assert level(requests=1000, failed=0, **SLOW_ERRORS | {"failed_15m": 300}) is HEALTHY
    assert level(requests=60, failed=0, **SLOW_ERRORS | {"failed_5m": 0}) is HEALTHY


SLOW_LATENCY = {"requests_15m": 900, "p95_15m": 0.16, "p95_5m": 0.17}


def test_a_slow_burn_of_latency_is_seen_across_noisy_minutes():
    assert level(p95=0.145, **SLOW_LATENCY) is DEGRADED
    assert level(p95=0.11, **SLOW_LATENCY) is HEALTHY
    assert level(p95=0.145, **SLOW_LATENCY | {"p95_5m": 0.12}) is HEALTHY


def test_a_service_with_few_requests_a_minute_has_its_latency_judged_over_15():
    assert level(requests=10, p95=0.5, requests_15m=150, p95_15m=0.4, p95_5m=0.4) is FAILING


# Holding -----------------------------------------------------------------------------------------


def held(verdicts, start="healthy"):
    mark = Mark(status=start, since=1.0)
    return [hold(mark, verdict, float(i)) for i, verdict in enumerate(verdicts, start=2)]


def test_it_takes_two_evaluations_to_get_worse():
    assert held([DEGRADED, HEALTHY, DEGRADED, DEGRADED]) == [HEALTHY, HEALTHY, HEALTHY, DEGRADED]


def test_degraded_comes_before_failing():
    assert held([FAILING, FAILING, FAILING]) == [HEALTHY, DEGRADED, FAILING]
    assert held([DEGRADED, FAILING, DEGRADED, FAILING, FAILING])[1:] == [
        DEGRADED,
        DEGRADED,
        DEGRADED,
        FAILING,
    ]


def test_it_takes_four_evaluations_to_get_better():
    assert held([HEALTHY] * 4, "failing") == [FAILING, FAILING, FAILING, HEALTHY]
    assert held([HEALTHY, HEALTHY, FAILING, *[HEALTHY] * 4], "failing")[-2:] == [FAILING, HEALTHY]
    assert held([HEALTHY, DEGRADED, HEALTHY, HEALTHY], "failing")[-1] is DEGRADED


def test_unknown_comes_and_goes_at_once():
    assert held([UNKNOWN, FAILING, UNKNOWN, HEALTHY], "healthy") == [UNKNOWN, FAILING, UNKNOWN, HEALTHY]


def test_idle_and_healthy_change_without_patience():
    assert held([IDLE, HEALTHY]) == [IDLE, HEALTHY]


def test_since_is_when_the_status_began():
    mark = Mark(status="healthy", since=1.0)
    for moment in (2.0, 3.0, 4.0):
        hold(mark, DEGRADED, moment)
    assert (mark.status, mark.since) == ("degraded", 3.0)


@given(st.lists(st.sampled_from([HEALTHY, DEGRADED, FAILING, IDLE, UNKNOWN]), min_size=4, max_size=40))
def test_a_held_status_lies_within_the_last_four_verdicts(verdicts):
    severity = {HEALTHY: 0, IDLE: 0, DEGRADED: 1, FAILING: 2}
    last = held(verdicts, "failing")[-1]
    if UNKNOWN in verdicts[-4:]:
        return
    assert min(severity[v] for v in verdicts[-4:]) <= severity[last]
    if len(set(verdicts[-4:])) == 1:
        assert last is verdicts[-1]


# Words -------------------------------------------------------------------------------------------


def test_durations_share_one_unit():
    assert durations(1.9, 0.3) == ["1.9 s", "0.3 s"]
    assert durations(0.182, 0.05) == ["182 ms", "50 ms"]


@pytest.mark.parametrize(
    ("ratio", "text"), [(0.12, "12 %"), (0.0003, "0.03 %"), (0.012, "1.2 %"), (1.0, "100 %")]
)
def test_shares_read_as_percent(ratio, text):
    assert percent(ratio) == text


# The story ---------------------------------------------------------------------------------------

ORDER = service("order")
USUAL = {"demo:shop:order": Baseline(p95=0.3, rps=20.0)}


class Story:
    """Evaluations every 5 s of one service."""

    def __init__(self, baselines=USUAL):
        self.now, self.memory, self.baselines, self.watching_since = NOON, None, baselines, None

    def step(self, p95=0.3, failed=0.0, requests=1200.0, silent=False):
        self.now += timedelta(seconds=5)
        as_of = NOON if silent else self.now
        rows = [node_row(ORDER, requests, failed, p95)]
        state = down(as_of=as_of) if silent else fresh(as_of=as_of)
        found = build(
            "demo",
            [snapshot(witness(EvidenceKind.SERVER_METRICS, rows, as_of=as_of))],
            [state],
            Resolver("demo", (), None),
            self.memory,
            self.baselines,
            self.now,
            watching_since=self.watching_since,
        )
        self.memory = found.memory
        return found.topology.nodes[0].health


def test_a_surge_turns_a_service_degraded_and_then_failing_within_a_minute():
    story = Story()
    story.step()
    onset = story.now
    seen = [story.step(p95=min(0.3 + 0.4 * i, 2.5)) for i in range(12)]
    statuses = [health.status for health in seen]
    assert statuses.index(DEGRADED) < statuses.index(FAILING)
    assert seen[-1].status is FAILING
    assert seen[-1].since - onset < MINUTE
    assert seen[-1].reasons[0].code == "latency_p95_above_baseline"
    assert "usually 0.3 s" in seen[-1].reasons[0].message


def test_a_recovering_service_says_so_and_keeps_its_last_reason():
    story = Story()
    for _ in range(4):
        story.step(failed=600)
    first = story.step()
    assert first.status is FAILING
    assert [reason.code for reason in first.reasons] == ["error_ratio_above_threshold", "recovering"]
    assert first.reasons[0].message == "errors 50 % (600 of 1\u202f200 requests)"
    assert [story.step().status for _ in range(3)] == [FAILING, FAILING, HEALTHY]


def test_a_service_that_falls_silent_is_unknown_and_says_what_it_was():
    story = Story()
    for _ in range(4):
        story.step(failed=600)
    for _ in range(2):
        health = story.step(silent=True)
    assert health.status is UNKNOWN
    assert health.reasons[0].message == "no data from prometheus since 12:00:00 UTC; it was failing"


def test_all_of_a_few_requests_failing_is_degraded_and_told():
    story = Story({})
    story.step(requests=6, failed=0)
    for _ in range(2):
        health = story.step(requests=6, failed=6)
    assert (health.status, health.reasons[0].message) == (DEGRADED, "all 6 requests failed")


def test_low_traffic_is_told_instead_of_a_verdict():
    story = Story({})
    story.step(requests=3)
    health = story.step(requests=3, failed=1)
    assert health.status is HEALTHY
    assert health.reasons[0].message == "low traffic: 3 requests, 1 of them failed; no verdict on errors"


def test_callers_that_stop_calling_are_a_fault_once_the_data_has_been_whole_for_two_windows():
    story = Story()
    for _ in range(25):
        assert story.step().status is HEALTHY
    for _ in range(2):
        health = story.step(requests=120)
    assert (health.status, health.reasons[0].code) == (DEGRADED, "volume_below_baseline")


def test_after_an_outage_a_filling_window_is_no_volume_drop():
    story = Story()
    for _ in range(30):
        story.step()
    for _ in range(30):
        story.step(silent=True)
    assert {story.step(requests=100 + 100 * i).status for i in range(10)} == {HEALTHY}


def test_after_a_restart_counts_kept_in_memory_are_no_volume_drop():
    story = Story()
    for _ in range(30):
        story.step()
    story.watching_since = story.now
    assert {story.step(requests=100).status for _ in range(10)} == {HEALTHY}
    assert [story.step(requests=100).status for _ in range(20)][-1] is DEGRADED


def test_an_edge_is_judged_by_its_own_latency():
    cart, pay = service("cart"), service("payment")
    usual = {"demo:shop:cart>demo:shop:payment>http": Baseline(p95=0.1, rps=10)}
    memory, found = None, None
    for i in range(3):
        now = NOON + timedelta(seconds=5 * i)
        rows = [edge_row(cart, pay, 600, p95=1.0 if i else 0.1)]
        found = build(
            "demo",
            [snapshot(witness(EvidenceKind.CLIENT_METRICS, edges=rows, as_of=now))],
            [fresh()],
            Resolver("demo", (), None),
            memory,
            usual,
            now,
        )
        memory = found.memory
    assert found.topology.edges[0].health.status is DEGRADED


# Beside the thresholds ---------------------------------------------------------------------------

CART, PAY = service("cart"), service("payment")
CALL = "demo:shop:cart>demo:shop:payment>http"


def judged(rows, nodes, usual, *, times=3, rules=(), extra=()):
    """The topology after some evaluations of the same numbers, two minutes after the first."""
    memory, found = None, None
    for i in range(times):
        now = NOON + timedelta(seconds=5 * i) + (3 * MINUTE if i else timedelta())
        told = witness(EvidenceKind.CLIENT_METRICS, nodes, rows, as_of=now)
        more = [snapshot(replace(one, as_of=now), source="traces") for one in extra]
        found = build(
            "demo",
            [snapshot(told), *more],
            [fresh(as_of=now)],
            Resolver("demo", (), None),
            memory,
            usual,
            now,
            book=RuleBook(rules),
        )
        memory = found.memory
    return found.topology


def test_a_slow_caller_of_a_server_that_is_as_quick_as_ever_does_not_blame_the_server():
    usual = {CALL: Baseline(p95=0.09, rps=10), "demo:shop:payment": Baseline(p95=0.08, rps=10)}
    topology = judged(
        [edge_row(CART, PAY, 600, p95=0.4, server_p95=0.08)], [node_row(PAY, 600, 0, 0.08)], usual
    )
    (reason,) = topology.edges[0].health.reasons
    assert topology.edges[0].health.status is FAILING
    assert reason.code == "caller_slow_server_fine"
    assert reason.message.startswith("server unchanged (p95 ")
    assert reason.message.endswith("in the last hour: network, queue or pool")
    assert {node.name: node.health.status for node in topology.nodes}["payment"] is HEALTHY


def test_a_server_that_is_slow_itself_is_not_called_unchanged():
    usual = {CALL: Baseline(p95=0.09, rps=10), "demo:shop:payment": Baseline(p95=0.08, rps=10)}
    topology = judged(
        [edge_row(CART, PAY, 600, p95=0.4, server_p95=0.39)], [node_row(PAY, 600, 0, 0.39)], usual
    )
    assert topology.edges[0].health.reasons[0].code == "latency_p95_above_baseline"


def test_sources_that_disagree_are_told_and_change_no_status():
    traced = witness(EvidenceKind.TRACES, (), [edge_row(CART, PAY, 3600)], sampling_ratio=0.5)
    topology = judged([edge_row(CART, PAY, 600)], (), {}, extra=(traced,))
    (edge,) = topology.edges
    assert edge.health.status is HEALTHY
    assert edge.health.reasons[0].message == "client-metrics 10 rps, traces 60 rps: sources disagree"


@pytest.mark.parametrize(("requests", "ratio"), [(1100, 0.5), (3600, 0.005), (3600, None)])
def test_a_small_difference_few_spans_or_an_unknown_sampling_are_no_disagreement(requests, ratio):
    traced = witness(EvidenceKind.TRACES, (), [edge_row(CART, PAY, requests)], sampling_ratio=ratio)
    (edge,) = judged([edge_row(CART, PAY, 600)], (), {}, extra=(traced,)).edges
    assert edge.health.reasons == ()


def test_own_limits_hold_for_whom_they_match_and_show_in_reason_and_threshold():
    rule = HealthRule(match={"name": "payment", "caller": "cart"}, errors_degraded=0.2, errors_failing=0.4)
    rows, nodes = [edge_row(CART, PAY, 600, 180)], [node_row(PAY, 600, 180)]
    topology = judged(rows, nodes, {}, times=4, rules=(rule,))
    (edge,) = topology.edges
    assert edge.health.status is DEGRADED
    assert edge.health.reasons[0].message == "errors 30 % (180 of 600 requests), own limit 20 %"
    assert edge.health.reasons[0].threshold == 0.2
    assert {node.name: node.health.status for node in topology.nodes}["payment"] is FAILING


def test_what_was_usual_before_an_outage_survives_a_restart_in_the_middle_of_it():
    story = Story()
    for _ in range(4):
        story.step(p95=2.0)
    story.baselines = {}
    health = [story.step(p95=2.0) for _ in range(6)][-1]
    assert health.status is FAILING
    assert health.reasons[0].message.endswith(", usually 0.3 s before it got worse")
