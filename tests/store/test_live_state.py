from __future__ import annotations

import numpy as np
import pytest
from msgspec import structs
from sqlalchemy import event

from app.errors import StoreError
from app.model.fleet import Evidence, EvidenceKind, Health, HealthStatus, SourceStatus
from app.store import live, positions, snapshots, sources, topics
from app.store.blob import Codec
from app.store.engine import Store
from tests.support.factories import MINUTE, NOON, make_edge, make_node, make_snapshot, make_topology


def changed(store: Store, since: int = 0) -> tuple[int, list[str]]:
    with store.reading() as session:
        return topics.changed_since(session, since)


def test_topics_of_one_transaction_share_a_revision_and_revisions_grow(store: Store):
    with store.begin() as session:
        topics.bump(session, "fleet", "sources")
        topics.bump(session, "fleet")
    with store.begin() as session:
        topics.bump(session, "fleet")
    assert changed(store) == (2, ["fleet", "sources"])
    assert changed(store, 1) == (2, ["fleet"])
    assert changed(store, 2) == (2, [])
    with store.reading() as session:
        assert topics.news(session, 0) == {"fleet": 2, "sources": 1}


def test_topics_of_a_failed_transaction_are_not_bumped(store: Store):
    with pytest.raises(ZeroDivisionError), store.begin() as session:
        topics.bump(session, f"{1 / 0}")
    assert changed(store) == (0, [])


def test_a_snapshot_comes_back_as_it_was(store: Store):
    snapshot = make_snapshot()
    with store.begin() as session:
        snapshots.put(session, snapshot)
    with store.reading() as session:
        found = snapshots.get(session, "demo", "traces")
        assert [each.source for each in snapshots.latest(session, "demo")] == ["traces"]
        assert snapshots.latest(session, "other") == []
    here, there = snapshot.witnesses[0], found.witnesses[0]
    assert (there.parties, there.window, there.sampling_ratio) == (
        here.parties,
        here.window,
        here.sampling_ratio,
    )
    for side in ("nodes", "edges"):
        for name in type(getattr(here, side)).__slots__:
            assert np.array_equal(getattr(getattr(here, side), name), getattr(getattr(there, side), name)), (
                name
            )


def test_an_older_snapshot_never_replaces_a_newer_one(store: Store):
    with store.begin() as session:
        snapshots.put(session, make_snapshot(as_of=NOON))
        snapshots.put(session, make_snapshot(as_of=NOON - MINUTE, notices=("old",)))
        assert snapshots.get(session, "demo", "traces").as_of == NOON
        snapshots.put(session, make_snapshot(as_of=NOON + MINUTE))
        assert snapshots.get(session, "demo", "traces").as_of == NOON + MINUTE


def test_a_blob_of_an_unknown_version_is_refused():
    codec = Codec(int)
    assert codec.unpack(codec.pack(7)) == 7
    with pytest.raises(StoreError, match="version 02"):
        codec.unpack(b"\x02" + codec.pack(7)[1:])
    with pytest.raises(StoreError):
        codec.unpack(b"")
    with pytest.raises(StoreError, match="fit the model"):
        codec.unpack(Codec(str).pack("seven"))


def test_a_failing_source_keeps_its_last_word_and_says_since_when(store: Store):
    with store.begin() as session:
        sources.succeeded(session, "demo", "prometheus", NOON, "no rates")
        sources.failed(session, "demo", "prometheus", SourceStatus.DOWN, "refused", NOON + MINUTE, "no rates")
        sources.failed(
            session, "demo", "prometheus", SourceStatus.DOWN, "timed out", NOON + 2 * MINUTE, "no rates"
        )
        (found,) = sources.all_sources(session, "demo")
    assert found.source == "demo/prometheus"
    assert (found.as_of, found.since, found.status) == (NOON, NOON + MINUTE, SourceStatus.DOWN)
    assert (found.error, found.cost) == ("timed out", "no rates")


def test_a_source_that_was_never_heard_has_no_age(store: Store):
    with store.begin() as session:
        sources.failed(session, "demo", "kubernetes", SourceStatus.REFUSED, "401", NOON, "no pods")
        assert sources.all_sources(session)[0].as_of is None


def test_a_steady_source_is_no_news(store: Store):
    with store.begin() as session:
        sources.succeeded(session, "demo", "prometheus", NOON, "")
    with store.begin() as session:
        sources.succeeded(session, "demo", "prometheus", NOON + MINUTE, "")
    assert changed(store) == (1, ["sources"])


def put(store: Store, topology) -> list[str]:
    before, _ = changed(store)
    with store.begin() as session:
        live.put(session, topology, b"memory")
    return changed(store, before)[1]


def test_the_live_topology_and_its_memory_come_back(store: Store):
    topology = make_topology()
    put(store, topology)
    with store.reading() as session:
        assert live.current(session, "demo") == topology
        assert live.memory(session, "demo") == b"memory"
        assert live.clusters(session) == ["demo"]
        assert live.current(session, "other") is None
        assert live.memory(session, "other") is None


def test_growing_older_is_no_news(store: Store):
    put(store, make_topology())
    word = Evidence(EvidenceKind.TRACES, NOON + MINUTE, 12.0, 0.1)
    older = [structs.replace(node, as_of=NOON + MINUTE, evidence=(word,)) for node in make_topology().nodes]
    assert put(store, make_topology(as_of=NOON + MINUTE, nodes=tuple(older))) == []


def test_a_changed_node_is_news_for_itself_only(store: Store):
    put(store, make_topology())
    sick = make_node("cart", health=Health(HealthStatus.FAILING, NOON))
    nodes = (make_node("order"), make_node("payment"), sick)
    assert put(store, make_topology(nodes=nodes)) == ["fleet", "service:demo:shop:cart", "topology"]


def test_a_changed_edge_is_news_for_both_ends(store: Store):
    put(store, make_topology())
    assert put(store, make_topology(edges=(make_edge(rps=99.0),))) == [
        "fleet",
        "service:demo:shop:order",
        "service:demo:shop:payment",
        "topology",
    ]


def test_a_node_that_went_away_is_news(store: Store):
    put(store, make_topology())
    assert "service:demo:shop:cart" in put(store, make_topology(nodes=make_topology().nodes[:2]))


def test_what_a_person_pinned_stays_when_the_layout_moves_everything(store: Store):
    with store.begin() as session:
        positions.place(session, "all", {"a": (1, 1), "b": (2, 2)})
        positions.pin(session, "all", "a", 5, 5)
        positions.place(session, "all", {"a": (9, 9), "b": (9, 9)})
        assert positions.positions(session, "all") == {"a": (5.0, 5.0, True), "b": (9.0, 9.0, False)}
        positions.unpin_all(session, "all")
        positions.place(session, "all", {"a": (7, 7)})
        assert positions.positions(session, "all")["a"] == (7.0, 7.0, False)
        assert positions.positions(session, "other") == {}
        positions.clear(session, "all")
        assert positions.positions(session, "all") == {}


def test_a_thousand_changed_services_cost_the_same_few_statements(store: Store):
    nodes = tuple(make_node(f"s{i}") for i in range(1_000))
    put(store, make_topology(nodes=nodes, edges=()))
    statements = []
    event.listen(store.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    put(store, make_topology(nodes=tuple(structs.replace(node, rps=1.0) for node in nodes), edges=()))
    assert len([sql for sql in statements if sql.startswith(("INSERT", "UPDATE"))]) == 3
