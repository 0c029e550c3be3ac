"""History read afterwards: gaps, outages, and what is never overwritten."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from app import collect
from app.backfill import BackFill, completed
from app.config import Prometheus
from app.errors import SourceUnavailable
from app.model.fleet import Frame, SourceStatus
from app.model.series import BUCKETS, Window
from app.store import frames, sources
from app.store.engine import Store
from collectors.prometheus import PrometheusCollector
from tests.support.fake_prometheus import FakePrometheus

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SERVER = "http_server_request_duration_seconds"
ORDER = "c1:shop:order"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store("sqlite:///store.db", tmp_path)
    made.migrate()
    yield made
    made.dispose()


@pytest.fixture
def fake() -> Iterator[FakePrometheus]:
    labels = ("service", "namespace", "status_code")
    with FakePrometheus({f"{SERVER}_count": labels, f"{SERVER}_bucket": (*labels, "le")}) as server:
        row = {"service": "order", "namespace": "shop"}
        server.on(
            "_count[",
            [
                ({"qd": "0n", **row, "status_code": "200"}, 2.0),
                ({"qd": "0n", **row, "status_code": "500"}, 0.5),
            ],
        )
        server.on(
            "_bucket[", [({"qd": "0b", **row, "le": "0.1"}, 2.5), ({"qd": "0b", **row, "le": "+Inf"}, 2.5)]
        )
        yield server


@pytest.fixture
def source(fake: FakePrometheus) -> PrometheusCollector:
    return PrometheusCollector("c1", Prometheus(url=fake.url))


def _frame(store: Store, at: datetime) -> Frame | None:
    with store.reading() as session:
        found = frames.at(session, "c1", at)
    return found if found is not None and found.start == at else None


def _ok(store: Store, at: datetime) -> None:
    with store.begin() as session:
        sources.succeeded(session, "c1", "prometheus", at, "")


def _seen(start: datetime, **over: object) -> Frame:
    values = {
        "cluster": "c1",
        "start": start,
        "length": MINUTE,
        "node_ids": (ORDER, "c1:shop:cart"),
        "node_requests": np.array([np.nan, 7.0]),
        "node_failed": np.array([np.nan, 1.0]),
        "node_latency": np.zeros((2, BUCKETS)),
        "edge_ids": (f"{ORDER}>c1:shop:cart>http",),
        "edge_requests": np.array([7.0]),
        "edge_failed": np.array([1.0]),
        "edge_latency": np.zeros((1, BUCKETS)),
        "node_health": ("unknown", "healthy"),
        "edge_health": ("healthy",),
    }
    return Frame(**(values | over))  # type: ignore[arg-type]


def test_six_hours_are_filled_in_a_bounded_number_of_queries(
    store: Store, fake: FakePrometheus, source: PrometheusCollector
) -> None:
    assert collect.back_fill(store, source, "c1", NOON) == 360
    frame = _frame(store, NOON - 30 * MINUTE)
    assert frame is not None
    assert frame.node_ids == (ORDER,)
    assert frame.node_requests.tolist() == pytest.approx([150.0])
    assert frame.node_failed.tolist() == pytest.approx([30.0])
    assert frame.node_latency.sum() == pytest.approx(150.0, rel=1e-3)
    ranges = [one for one in fake.queries if one.path.endswith("query_range")]
    assert len(ranges) == 12  # per hour: counts with buckets, scrapes


def test_filling_twice_writes_nothing_new(store: Store, source: PrometheusCollector) -> None:
    collect.back_fill(store, source, "c1", NOON, look_back=timedelta(hours=1))
    assert collect.back_fill(store, source, "c1", NOON, look_back=timedelta(hours=1)) == 0


def test_at_most_a_day_is_asked_for(store: Store) -> None:
    with FakePrometheus({f"{SERVER}_count": ("service",)}) as fake:
        source = PrometheusCollector("c1", Prometheus(url=fake.url))
        collect.back_fill(store, source, "c1", NOON, look_back=timedelta(days=3))
        asked = [float(r.params["start"]) for r in fake.queries if r.path.endswith("query_range")]
    assert len(asked) == 48
    assert min(asked) == (NOON - timedelta(days=1) - MINUTE).timestamp()


def test_only_missing_minutes_are_asked_for(
    store: Store, fake: FakePrometheus, source: PrometheusCollector
) -> None:
    collect.back_fill(store, source, "c1", NOON, look_back=timedelta(hours=1))
    fake.server.requests.clear()
    assert collect.back_fill(store, source, "c1", NOON + 10 * MINUTE, look_back=timedelta(hours=1)) == 10
    asked = [r for r in fake.queries if r.path.endswith("query_range")]
    assert {float(r.params["start"]) for r in asked} == {(NOON - MINUTE).timestamp()}


def test_a_source_that_is_down_raises_and_writes_nothing(
    store: Store, fake: FakePrometheus, source: PrometheusCollector
) -> None:
    fake.down()
    with pytest.raises(SourceUnavailable):
        collect.back_fill(store, source, "c1", NOON)
    assert _frame(store, NOON - 30 * MINUTE) is None
    fake.up()


def test_nothing_is_filled_before_the_source_has_answered_once(
    store: Store, source: PrometheusCollector
) -> None:
    assert BackFill(store, source).run(NOON) == 0


def test_after_the_first_time_a_whole_history_costs_no_query(
    store: Store, fake: FakePrometheus, source: PrometheusCollector
) -> None:
    _ok(store, NOON)
    filling = BackFill(store, source)
    assert filling.run(NOON) == 360
    before = len(fake.queries)
    assert filling.run(NOON + timedelta(seconds=30)) == 0
    assert len(fake.queries) == before


def test_minutes_of_an_outage_are_filled_though_they_have_a_frame(
    store: Store, source: PrometheusCollector
) -> None:
    _ok(store, NOON)
    filling = BackFill(store, source)
    filling.run(NOON)
    with store.begin() as session:
        sources.failed(session, "c1", "prometheus", SourceStatus.DOWN, "x", NOON, "")
    assert filling.run(NOON + 2 * MINUTE) == 0
    with store.begin() as session:
        for i in range(8):
            frames.write(session, _seen(NOON + i * MINUTE))
    _ok(store, NOON + 10 * MINUTE)
    filling.run(NOON + 10 * MINUTE)
    frame = _frame(store, NOON + 4 * MINUTE)
    assert frame is not None
    rows = dict(zip(frame.node_ids, frame.node_requests.tolist(), strict=True))
    assert rows == pytest.approx({ORDER: 150.0, "c1:shop:cart": 7.0})
    assert frame.edge_requests.tolist() == [7.0]
    assert filling.run(NOON + 10 * MINUTE) == 0


def test_what_was_seen_is_never_overwritten() -> None:
    seen = _seen(NOON, node_requests=np.array([5.0, np.nan]))
    filled = _seen(
        NOON,
        node_ids=("c1:shop:cart", ORDER, "c1:shop:new"),
        node_requests=np.array([70.0, 50.0, 3.0]),
        node_failed=np.array([7.0, 5.0, 0.0]),
        node_latency=np.ones((3, BUCKETS)),
        node_health=("healthy", "healthy", "idle"),
    )
    whole = completed(seen, filled)
    assert dict(zip(whole.node_ids, whole.node_requests.tolist(), strict=True)) == {
        ORDER: 5.0,
        "c1:shop:cart": 70.0,
        "c1:shop:new": 3.0,
    }
    assert whole.node_health == ("unknown", "healthy", "idle")
    assert whole.edge_ids == seen.edge_ids


def test_minutes_that_the_source_does_not_remember_stay_missing(store: Store) -> None:
    with FakePrometheus({f"{SERVER}_count": ("service",)}) as fake:
        source = PrometheusCollector("c1", Prometheus(url=fake.url))
        assert collect.back_fill(store, source, "c1", NOON) == 0
    with store.reading() as session:
        window = Window(NOON - 10 * MINUTE, NOON - 2 * MINUTE)
        assert frames.missing(session, "c1", window) == [window]
