from __future__ import annotations

from datetime import timedelta

import pytest

from app import evaluate
from app.model.fleet import EvidenceKind, HealthStatus, SourceStatus
from app.model.inventory import Inventory
from app.model.series import Window
from app.store import frames, live, positions, snapshots, sources
from app.store.engine import Store
from app.understand.past import from_frame
from tests.support.fleets import (
    MINUTE,
    NOON,
    database,
    edge_row,
    kubernetes,
    node_row,
    service,
    snapshot,
    witness,
    workload,
)

ORDER, PAY, DB = service("order"), service("payment"), database("postgresql", "orders-db:5432")
SECONDS = timedelta(seconds=1)


class Fleet:
    """A store with one cluster whose Prometheus is asked every 5 s."""

    def __init__(self, store: Store):
        self.store, self.now = store, NOON

    def look(self, p95=0.1, failed=0.0, extra=()):
        rows = [node_row(ORDER, 1200, failed, p95), node_row(PAY, 600, 0, 0.05), *extra]
        calls = [
            edge_row(ORDER, PAY, 600, 0, 0.06),
            edge_row(ORDER, DB, 900, 0, 0.004, protocol="postgresql"),
        ]
        seen = snapshot(witness(EvidenceKind.SERVER_METRICS, rows, calls, as_of=self.now))
        kube = kubernetes(Inventory(workloads=(workload("order"), workload("payment"))), as_of=self.now)
        with self.store.begin() as session:
            for one in (seen, kube):
                snapshots.put(session, one)
                sources.succeeded(session, "demo", one.source, self.now, "")

    def fail(self):
        with self.store.begin() as session:
            sources.failed(
                session, "demo", "prometheus", SourceStatus.DOWN, "connection refused", self.now, ""
            )

    def tick(self, times=1, *, silent=False, **seen):
        for _ in range(times):
            self.now += 5 * SECONDS
            self.fail() if silent else self.look(**seen)
            evaluate.tick(self.store, "demo", self.now)
        return self.order

    @property
    def topology(self):
        with self.store.reading() as session:
            return live.current(session, "demo")

    @property
    def order(self):
        return next(node for node in self.topology.nodes if node.name == "order")

    def frame(self, moment):
        with self.store.reading() as session:
            return frames.at(session, "demo", moment)


@pytest.fixture
def fleet(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/q.db", tmp_path)
    store.migrate()
    yield Fleet(store)
    store.dispose()


def test_a_cluster_nobody_has_looked_at_stays_empty(fleet):
    evaluate.tick(fleet.store, "demo", NOON)
    assert fleet.topology is None


def test_a_tick_makes_the_live_topology(fleet):
    order = fleet.tick()
    assert (order.rps, order.replicas.desired, order.health.status) == (20, 2, HealthStatus.HEALTHY)
    assert {node.name for node in fleet.topology.nodes} == {"order", "payment", "postgresql@orders-db:5432"}
    assert fleet.topology.as_of == fleet.now


def test_every_full_minute_is_kept_once(fleet):
    fleet.tick(25)
    assert fleet.now == NOON + 125 * SECONDS
    with fleet.store.reading() as session:
        assert frames.latest_start(session, "demo") == NOON + MINUTE
        covered = frames.missing(session, "demo", Window(NOON - MINUTE, NOON + 3 * MINUTE))
    assert [(gap.start, gap.end) for gap in covered] == [(NOON + 2 * MINUTE, NOON + 3 * MINUTE)]
    minute = from_frame(fleet.frame(NOON + MINUTE))
    assert {node.name: node.requests for node in minute.nodes} == {
        "order": 1200,
        "payment": 600,
        "postgresql@orders-db:5432": 900,
    }


def test_a_slow_service_turns_degraded_then_failing_within_a_minute_and_recovers(fleet):
    fleet.tick(12 * 9)
    onset, seen = fleet.now, []
    for i in range(12):
        seen.append(fleet.tick(p95=0.1 + 0.2 * i).health.status)
    assert seen.index(HealthStatus.DEGRADED) < seen.index(HealthStatus.FAILING)
    assert fleet.order.health.since - onset < MINUTE
    assert "usually 0.1 s" in fleet.order.health.reasons[0].message
    assert [fleet.tick().health.status for _ in range(4)][-1] is HealthStatus.HEALTHY


def test_the_baseline_survives_a_restart(fleet):
    fleet.tick(12 * 9)
    evaluate._usual.cache_clear()
    assert fleet.tick(2, p95=2.0).health.status is HealthStatus.DEGRADED


def test_history_filled_in_later_becomes_the_baseline(fleet):
    fleet.tick(13)
    model = fleet.frame(NOON)
    from dataclasses import replace

    with fleet.store.begin() as session:
        for i in range(1, 30):
            frames.write(session, replace(model, start=NOON - i * MINUTE))
    fleet.tick(12)
    assert fleet.tick(2, p95=2.0).health.status is HealthStatus.DEGRADED


def test_when_the_source_dies_all_that_rests_on_it_is_unknown_and_comes_back(fleet):
    fleet.tick(12)
    last = fleet.now
    fleet.tick(3, silent=True)
    for node in fleet.topology.nodes:
        assert (node.health.status, node.as_of) == (HealthStatus.UNKNOWN, last)
        assert node.rps > 0
    assert {edge.health.status for edge in fleet.topology.edges} == {HealthStatus.UNKNOWN}
    fleet.tick()
    assert {node.health.status for node in fleet.topology.nodes} == {HealthStatus.HEALTHY}


def test_a_minute_without_source_is_kept_as_unknown(fleet):
    fleet.tick(12)
    fleet.tick(24, silent=True)
    blind = from_frame(fleet.frame(NOON + 90 * SECONDS))
    assert {node.rps for node in blind.nodes} == {None}


def test_nodes_have_places_that_newcomers_do_not_disturb(fleet):
    fleet.tick()
    with fleet.store.reading() as session:
        before = positions.positions(session, "demo")
    assert before.keys() == {node.id for node in fleet.topology.nodes}
    fleet.tick(extra=[node_row(service("cart"), 60)])
    with fleet.store.reading() as session:
        after = positions.positions(session, "demo")
    assert after.keys() - before.keys() == {"demo:shop:cart"}
    assert before.items() <= after.items()


def test_a_source_that_falls_silent_without_a_word_is_late_and_what_rests_on_it_unknown(fleet: Fleet):
    assert fleet.tick(3).health.status is HealthStatus.HEALTHY
    allowed = {"demo/prometheus": timedelta(seconds=30)}
    evaluate.tick(fleet.store, "demo", fleet.now + 29 * SECONDS, patience=allowed)
    assert fleet.order.health.status is HealthStatus.HEALTHY
    evaluate.tick(fleet.store, "demo", fleet.now + 31 * SECONDS, patience=allowed)
    assert fleet.order.health.status is HealthStatus.UNKNOWN
    states = {one.source: one.status for one in fleet.topology.freshness}
    assert states == {"demo/prometheus": SourceStatus.LATE, "demo/kubernetes": SourceStatus.OK}
