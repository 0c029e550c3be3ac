"""Through which services and calls the requests of each entry pass, told by whole traces."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.otlp import OtlpCollector
from collectors.span_crossing import CrossingLog, Places, short
from tests.support.spans import (
    CLIENT,
    CONSUMER,
    INTERNAL,
    PRODUCER,
    SERVER,
    S,
    label,
    later,
    look,
    seen,
    take,
)

STORE = {"db.system.name": "postgresql", "server.address": "pg"}


def call(caller, callee, number, *, trace, **more):
    """A client span `number` below span 1000 of the trace and its server span."""
    return (
        S(caller, CLIENT, id=number, parent=1000, trace=trace, **more),
        S(callee, SERVER, id=number + 1, parent=number, trace=trace),
    )


def entry(service, *, trace, kind=SERVER, **more):
    return S(service, kind, id=1000, trace=trace, **more)


def told(snapshot):
    """entry -> (traces, requests), {party: requests}, {edge: requests}."""
    witness = snapshot.witnesses[0]
    crossings, names = witness.crossings, [label(party) for party in witness.parties]
    edges = [
        f"{names[s]}>{names[t]}" for s, t in zip(witness.edges.source, witness.edges.target, strict=True)
    ]
    found = {}
    for at, party in enumerate(crossings.entry):
        nodes = {
            names[p]: float(n)
            for e, p, n in zip(
                crossings.node_entry, crossings.node_party, crossings.node_requests, strict=True
            )
            if e == at
        }
        used = {
            edges[r]: float(n)
            for e, r, n in zip(crossings.edge_entry, crossings.edge_row, crossings.edge_requests, strict=True)
            if e == at
        }
        found[names[party]] = (crossings.traces[at], crossings.requests[at], nodes, used)
    return found


def test_a_trace_counts_once_for_all_it_touches_however_often():
    snapshot = seen(
        entry("web", trace=1),
        *call("web", "pay", 1, trace=1),
        *call("web", "pay", 3, trace=1),
        entry("web", trace=2),
        S("web", CLIENT, id=7, parent=1000, trace=2, attributes=STORE),
        entry("admin", trace=3),
        *call("admin", "pay", 1, trace=3),
    )
    assert told(snapshot) == {
        "web": (
            2, 2,
            {"web": 2, "user": 2, "pay": 1, "postgresql@pg": 1},
            {"user>web": 2, "web>pay": 1, "web>postgresql@pg": 1},
        ),
        "admin": (1, 1, {"admin": 1, "user": 1, "pay": 1}, {"user>admin": 1, "admin>pay": 1}),
    }  # fmt: skip
    assert snapshot.witnesses[0].crossings.share == 1


def test_a_sampled_trace_stands_for_its_requests():
    sampled = {"tracestate": "ot=th:c"}
    snapshot = seen(entry("web", trace=1, **sampled), *call("web", "pay", 1, trace=1, **sampled))
    assert told(snapshot)["web"] == (1, 4, {"user": 4, "web": 4, "pay": 4}, {"user>web": 4, "web>pay": 4})


def test_the_spans_of_a_trace_may_come_minutes_apart_and_in_any_order():
    collector = OtlpCollector("test")
    take(collector, *call("web", "pay", 1, trace=1))
    look(collector)
    take(collector, entry("web", trace=1, age=-50), at=later(55))
    take(collector, *call("web", "pay", 5, trace=2, age=-50), at=later(55))
    found = told(look(collector, later(55)))["web"]
    assert found[:3] == (1, 1, {"user": 1, "web": 1, "pay": 1})


def test_where_the_root_is_never_told_the_first_known_server_is_the_entry():
    spans = (
        S("web", SERVER, id=1000, parent=77, trace=1),
        *call("web", "pay", 1, trace=1),
    )
    assert told(seen(*spans, wait=True))["web"][:3] == (1, 1, {"web": 1, "pay": 1})


def test_what_a_job_or_a_message_starts_is_no_request_from_outside():
    kafka = {"messaging.system": "kafka", "messaging.destination.name": "orders"}
    receive = {**kafka, "messaging.operation.type": "receive"}
    snapshot = seen(
        entry("web", trace=1),
        S("web", PRODUCER, id=1, parent=1000, trace=1, attributes=kafka),
        S("mail", CONSUMER, id=1000, trace=2, attributes=kafka, links=[(1, 1)]),
        *call("mail", "pay", 1, trace=2),
        S("poll", CLIENT, id=1000, trace=3, attributes=receive),
        entry("job", trace=4, kind=INTERNAL),
        *call("job", "pay", 1, trace=4),
        S("cron", PRODUCER, id=1000, trace=5, attributes=kafka),
        S("pool", CLIENT, id=1000, trace=6, attributes=STORE),
        wait=True,
    )
    assert told(snapshot) == {
        "web": (1, 1, {"user": 1, "web": 1, "kafka/orders": 1}, {"user>web": 1, "web>kafka/orders": 1}),
    }


def test_a_call_that_nobody_caused_and_a_service_answered_is_an_entry():
    spans = (
        S("app", CLIENT, id=1000, trace=1),
        S("web", SERVER, id=1, parent=1000, trace=1),
        S("web", CLIENT, id=2, parent=1, trace=1),
        S("pay", SERVER, id=3, parent=2, trace=1),
    )
    assert told(seen(*spans)) == {"app": (1, 1, {"app": 1, "web": 1, "pay": 1}, {"app>web": 1, "web>pay": 1})}


def test_a_message_below_its_producer_belongs_to_the_same_trace():
    kafka = {"messaging.system": "kafka", "messaging.destination.name": "orders"}
    spans = (
        entry("web", trace=1),
        S("web", PRODUCER, id=1, parent=1000, trace=1, attributes=kafka),
        S("mail", CONSUMER, id=2, parent=1, trace=1, attributes=kafka),
    )
    nodes = told(seen(*spans))["web"][2]
    assert nodes == {"user": 1, "web": 1, "kafka/orders": 1, "mail": 1}


def test_without_traces_there_is_nothing_to_tell():
    assert look(OtlpCollector("test")).witnesses[0].crossings is None


def test_ten_minutes_are_kept_and_no_more():
    collector = OtlpCollector("test")
    for minute in range(12):
        spans = (entry("web", trace=minute + 1, age=-60 * minute),)
        take(collector, *spans, at=later(60 * minute + 1))
        snapshot = look(collector, later(60 * minute + 1))
    crossings = snapshot.witnesses[0].crossings
    assert crossings.window == timedelta(minutes=10)
    assert crossings.traces.tolist() == [10]


@pytest.mark.parametrize("most", [100, 1_000])
def test_the_share_of_chosen_traces_adapts_to_what_can_be_kept_and_stays_fair(most):
    log, rng = CrossingLog(most=most), np.random.default_rng(1)
    log.begin(1)
    for _ in range(20):
        ids = rng.integers(0, 2**64, 1_000, dtype=np.uint64)
        trace = short(ids)
        log.use(trace, np.where(ids % np.uint64(4) == 0, 1, 0))
        log.enter(trace, np.zeros(1_000, np.int64), np.ones(1_000))
    crossings = log.told(Places(np.arange(3), np.arange(2), np.array([0, 0]), np.array([1, 2])))
    assert crossings is not None
    chosen = crossings.share * 20_000
    assert most / 8 <= chosen <= most
    assert crossings.traces[0] == pytest.approx(chosen, rel=0.4)
    assert crossings.edge_requests[1] / crossings.requests[0] == pytest.approx(0.25, abs=0.2)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 5),  # trace
            st.sampled_from("ab"),  # entry
            st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), max_size=5),
        ),
        max_size=5,
        unique_by=lambda one: one[0],
    )
)
def test_the_counts_are_those_of_sets_of_traces(traces):
    spans, expected = [], {}
    for trace, first, pairs in traces:
        spans.append(entry(first, trace=trace))
        touched = {"user", first}
        for at, (caller, callee) in enumerate(pairs):
            spans += call(caller, callee, 2 * at + 1, trace=trace)
            touched |= {caller, callee}
        count = expected.setdefault(first, {})
        for name in touched:
            count[name] = count.get(name, 0) + 1
    crossings = seen(*spans).witnesses[0].crossings if spans else None
    if crossings is None:
        assert not expected
    else:
        assert {name: one[2] for name, one in told(seen(*spans)).items()} == expected
