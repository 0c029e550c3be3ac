from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from app.actions import verify
from app.model.action import ActionState, Target
from app.model.fleet import (
    Evidence,
    EvidenceKind,
    Freshness,
    Health,
    HealthStatus,
    Latency,
    NodeKind,
    SourceStatus,
)
from tests.support.factories import MINUTE, NOON, make_edge, make_node, make_topology

ORDER = Target("demo", "shop", "Deployment", "order")
S = ActionState
FINE = {
    "requests": 600.0,
    "error_ratio": 0.0,
    "p95_seconds": 0.1,
    "callers_error_ratio": 0.0,
    "callers_p95_seconds": 0.1,
}
BAD = FINE | {"error_ratio": 0.2, "p95_seconds": 2.0}


def sight(status=HealthStatus.HEALTHY, at=120, silent=(), **numbers):
    end = NOON + timedelta(seconds=at)
    return verify.Sight(end - MINUTE, end, status, FINE | numbers, silent)


def judged(before, sick, after, at=120):
    now = NOON + timedelta(seconds=at)
    return verify.judge(before, sick, after, rolled_out=NOON, now=now)


@pytest.mark.parametrize(
    ("before", "sick", "after", "at", "state", "words"),
    [
        (BAD, True, sight(at=50), 50, S.VERIFYING, "waiting for the window to clear"),
        (BAD, True, sight(), 120, S.SUCCEEDED, "recovered"),
        (FINE, False, sight(), 120, S.SUCCEEDED, "stayed healthy"),
        (FINE, False, sight(at=70), 70, S.SUCCEEDED, "stayed healthy"),
        (
            FINE,
            False,
            sight(HealthStatus.IDLE, requests=5.0),
            120,
            S.VERIFYING,
            "too little traffic (5 requests)",
        ),
        (FINE, False, sight(at=400, requests=5.0), 400, S.INCONCLUSIVE, "too little traffic (5 requests)"),
        (FINE, False, sight(requests=None), 120, S.VERIFYING, "nobody saw its traffic"),
        (
            FINE,
            False,
            sight(at=400, silent=("demo/prometheus",)),
            400,
            S.INCONCLUSIVE,
            "silent: demo/prometheus",
        ),
        (FINE, False, sight(HealthStatus.UNKNOWN, at=400), 400, S.INCONCLUSIVE, "health is unknown"),
        (FINE, False, None, 400, S.INCONCLUSIVE, "no data"),
        (FINE, False, None, 20, S.VERIFYING, "no data"),
        (FINE, False, sight(at=90, error_ratio=0.3), 90, S.VERIFYING, "settle"),
        (FINE, False, sight(error_ratio=0.3), 120, S.FAILED, "worse"),
        (FINE, False, sight(callers_error_ratio=0.3), 120, S.FAILED, "worse"),
        (FINE, False, sight(p95_seconds=1.0), 120, S.FAILED, "worse"),
        (FINE, False, sight(p95_seconds=0.14), 120, S.SUCCEEDED, "stayed healthy"),
        (FINE, False, sight(HealthStatus.DEGRADED), 120, S.FAILED, "worse"),
        (
            BAD,
            True,
            sight(HealthStatus.FAILING, **{k: BAD[k] for k in ("error_ratio", "p95_seconds")}),
            200,
            S.VERIFYING,
            "not well yet",
        ),
        (
            BAD,
            True,
            sight(HealthStatus.FAILING, at=400, **{k: BAD[k] for k in ("error_ratio", "p95_seconds")}),
            400,
            S.FAILED,
            "no effect",
        ),
        (
            BAD,
            True,
            sight(HealthStatus.DEGRADED, at=400, error_ratio=0.05, p95_seconds=1.0),
            400,
            S.INCONCLUSIVE,
            "better, but not well",
        ),
        ({}, False, sight(), 120, S.SUCCEEDED, "p95 unknown -> 100 ms"),
    ],
)
def test_the_table_of_verdicts(before, sick, after, at, state, words):
    found = judged(before, sick, after, at)
    assert (found.state, words in found.message) == (state, True), found


def test_a_service_is_found_by_its_workload_before_its_name():
    named = make_node("order", workload=None)
    running = make_node("orders", id="demo:shop:orders", workload=("Deployment", "order"))
    inferred = make_node("order", kind=NodeKind.DATABASE)
    other = make_node("order", id="demo:x:order", namespace="x")
    assert verify.node_of(make_topology(nodes=(named, running)), ORDER) is running
    assert verify.node_of(make_topology(nodes=(inferred, other, named)), ORDER) is named
    assert verify.node_of(make_topology(nodes=(inferred, other)), ORDER) is None
    assert verify.node_of(None, ORDER) is None
    assert verify.look(make_topology(nodes=()), ORDER) is None


def test_callers_are_asked_for_their_view():
    edges = (
        make_edge("a", "order", rps=9.0, error_ratio=0.1, latency=Latency(0.1, 0.2, 0.3)),
        make_edge("b", "order", rps=1.0, error_ratio=0.6, latency=Latency(0.1, 0.9, 1.0)),
        make_edge("order", "payment", rps=100.0, error_ratio=1.0),
    )
    node = make_node("order", health=Health(HealthStatus.DEGRADED), rps=10.0, requests=None)
    found = verify.look(make_topology(nodes=(node,), edges=edges), ORDER)
    assert found.numbers["callers_error_ratio"] == pytest.approx(0.15)
    assert found.numbers["callers_p95_seconds"] == 0.9
    assert found.numbers["requests"] == 600.0
    assert (found.start, found.end) == (NOON - MINUTE, NOON)


def test_the_window_ends_when_a_source_last_counted_and_old_numbers_are_silence():
    heard = Evidence(EvidenceKind.SERVER_METRICS, NOON - timedelta(seconds=20), 5.0)
    exists = Evidence(EvidenceKind.KUBERNETES, NOON, None)
    down = Freshness("demo/prometheus", NOON, SourceStatus.DOWN)
    idle = Freshness("demo/traces", None, SourceStatus.STARTING)
    topology = make_topology(nodes=(make_node("order", evidence=(heard, exists)),), freshness=(down, idle))
    found = verify.look(topology, ORDER)
    assert (found.end, found.silent) == (heard.as_of, ())
    late = replace(topology, as_of=NOON + timedelta(seconds=50))
    assert verify.look(late, ORDER).silent == ("demo/prometheus",)
