from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from app.model.fleet import EvidenceKind, HealthStatus
from app.model.inventory import Inventory
from app.understand.identity import Resolver
from app.understand.past import frame_of, from_frame
from app.understand.topology import build
from tests.support.fleets import (
    MINUTE,
    NOON,
    database,
    down,
    edge_row,
    fresh,
    kubernetes,
    node_row,
    service,
    snapshot,
    witness,
    workload,
)

ORDER, DB = service("order"), database("postgresql", "orders-db:5432", detail="orders")
INVENTORY = Inventory(workloads=(workload("order", version="v7"),))


def built(now=NOON, freshness=None, window=MINUTE):
    rows = [node_row(ORDER, 600, 60, 0.1)]
    edges = [edge_row(ORDER, DB, 300, 0, 0.01, protocol="postgresql")]
    seen = snapshot(witness(EvidenceKind.SERVER_METRICS, rows, edges, window=window))
    resolver = Resolver("demo", (), INVENTORY)
    return build("demo", [seen, kubernetes(INVENTORY)], freshness or [fresh()], resolver, None, {}, now)


def test_a_frame_holds_the_counts_of_its_minute():
    frame = frame_of(built(window=2 * MINUTE), NOON - MINUTE)
    order = frame.node_ids.index("demo:shop:order")
    assert (frame.start, frame.length) == (NOON - MINUTE, MINUTE)
    assert (frame.node_requests[order], frame.node_failed[order]) == (300, pytest.approx(30))
    assert frame.node_latency[order].sum() == pytest.approx(300)
    assert frame.edge_latency.sum() == pytest.approx(150)


def test_what_nobody_could_see_is_nan_and_not_zero():
    frame = frame_of(built(now=NOON + MINUTE, freshness=[down()]), NOON)
    assert np.isnan(frame.node_requests).all()
    assert np.isnan(frame.edge_failed).all()
    assert frame.node_latency.sum() == 0


def test_a_frame_is_drawn_as_it_was():
    now = built().topology
    then = from_frame(frame_of(built(), NOON - MINUTE))
    assert then.as_of == NOON
    for one, other in zip(now.nodes, then.nodes, strict=True):
        same = ("id", "name", "kind", "namespace", "owner", "workload", "versions", "detail", "rps")
        assert [getattr(one, name) for name in same] == [getattr(other, name) for name in same]
        assert one.error_ratio == pytest.approx(other.error_ratio)
        assert one.latency.p95 == pytest.approx(other.latency.p95, rel=0.01)
        assert one.health.status is other.health.status
    (edge,) = then.edges
    assert (edge.source, edge.target, edge.protocol) == (
        "demo:shop:order",
        "demo:~database:postgresql@orders-db:5432",
        "postgresql",
    )


def test_a_minute_nobody_saw_is_unknown_with_null_numbers():
    then = from_frame(frame_of(built(now=NOON + MINUTE, freshness=[down()]), NOON))
    assert {node.health.status for node in then.nodes} == {HealthStatus.UNKNOWN}
    assert {node.rps for node in then.nodes} == {None}


def test_a_merged_frame_answers_rates_over_the_time_it_covers():
    frame = replace(frame_of(built(), NOON - MINUTE), length=10 * MINUTE, node_health=(), edge_health=())
    then = from_frame(frame)
    order = next(node for node in then.nodes if node.name == "order")
    assert (order.rps, order.requests, then.window) == (1, 600, 10 * MINUTE)
    assert order.health.status is HealthStatus.UNKNOWN


def test_a_frame_without_attributes_still_names_its_nodes():
    then = from_frame(replace(frame_of(built(), NOON - MINUTE), attributes={}))
    assert "order" in {node.name for node in then.nodes}
