"""Example traces on their way: received, carried to the store, placed at the nodes of the map."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from app import clock, collect, evaluate
from app.store import live, snapshots, traces
from app.store.engine import Store
from collectors.otlp import OtlpCollector
from tests.support.spans import CLIENT, NOW, SERVER, S, take


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store("sqlite:///store.db", tmp_path)
    made.migrate()
    yield made
    made.dispose()


def spans():
    return S("web", CLIENT, id=1, seconds=0.3), S("pay", SERVER, id=2, parent=1, seconds=0.2)


def carry(store, collector, at):
    with clock.frozen_at(at):
        collect.run_once(store, collector, at)


def test_a_received_call_is_found_at_its_nodes_half_a_minute_later(store: Store):
    collector = OtlpCollector("c1")
    take(collector, *spans())
    carry(store, collector, NOW)
    later = NOW + timedelta(seconds=30)
    carry(store, collector, later)
    with clock.frozen_at(later):
        evaluate.tick(store, "c1", later)
    with store.reading() as session:
        topology = live.current(session, "c1")
        assert topology is not None
        (edge,) = [one for one in topology.edges if one.target.endswith(":pay")]
        (found,) = traces.for_edge(session, edge.source, edge.target)
        whole = traces.get(session, found.trace_id)
    assert whole is not None
    assert sorted(one.service for one in whole.spans) == ["pay", "web"]


def test_a_fault_in_choosing_costs_the_traces_and_not_the_snapshot(store: Store):
    class Faulty(OtlpCollector):
        def examples(self):
            raise ValueError("a fault")

    collector = Faulty("c1")
    take(collector, *spans())
    carry(store, collector, NOW)
    with store.reading() as session:
        assert [one.source for one in snapshots.latest(session, "c1")] == ["traces"]
        assert traces.size(session) == (0, 0)
