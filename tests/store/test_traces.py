"""Example traces in the store: found by service and edge, thinned out, bounded."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.model.example import Example, ExampleCall, Why
from app.model.fleet import Identity
from app.model.span import Span, Trace
from app.model.trace import SpanKind
from app.store import topics, traces
from app.store.engine import Store
from tests.support.factories import NOON

AGE = timedelta(hours=48)


def make_example(
    number=1, *, caller="web", callee="pay", why=Why.SLOW, seconds=0.1, failed=False, at=NOON, spans=1
):
    trace_id = f"{number:032x}"
    start = int(at.timestamp() * 1e9)
    made = tuple(
        Span(
            span_id=f"{place + 1:016x}",
            parent_id="" if place == 0 else f"{place:016x}",
            name="POST /charge",
            kind=SpanKind.CLIENT,
            service=caller,
            start=start,
            duration=int(seconds * 1e9),
            status="error" if failed else "unset",
        )
        for place in range(spans)
    )
    call = ExampleCall(made[0].span_id, Identity(name=caller), Identity(name=callee), why, seconds, failed)
    return Example(Trace("prod", trace_id, made), (call,))


def keep(store: Store, *examples: Example) -> None:
    with store.begin() as session:
        traces.put(session, examples)
        traces.place(session, "prod", lambda party: f"prod:shop:{party.name}")


def numbers(found):
    return [int(one.trace_id, 16) for one in found]


def test_a_trace_is_found_by_its_id_by_both_ends_of_its_call_and_by_the_edge(store: Store):
    example = make_example(seconds=0.25)
    keep(store, example)
    with store.reading() as session:
        assert traces.get(session, example.trace.trace_id) == example.trace
        assert traces.get(session, example.trace.trace_id, "prod") == example.trace
        assert traces.get(session, example.trace.trace_id, "other") is None
        (found,) = traces.for_edge(session, "prod:shop:web", "prod:shop:pay")
        assert traces.for_service(session, "prod:shop:web") == [found]
        assert traces.for_service(session, "prod:shop:pay") == [found]
        assert traces.for_service(session, "prod:shop:db") == []
        assert traces.for_edge(session, "prod:shop:pay", "prod:shop:web") == []
    assert (found.start, found.duration, found.root, found.spans) == (NOON, 0.25, "web: POST /charge", 1)
    assert [(call.why, call.duration) for call in found.calls] == [(Why.SLOW, 0.25)]


def test_calls_are_listed_only_once_an_evaluation_has_placed_them(store: Store):
    with store.begin() as session:
        traces.put(session, [make_example()])
        assert traces.for_service(session, "prod:shop:web") == []
        before = topics.news(session, 0).get("traces", 0)
    with store.begin() as session:
        assert traces.place(session, "other", lambda party: "x") == 0
        assert traces.place(session, "prod", lambda party: f"prod:shop:{party.name}") == 1
    with store.reading() as session:
        assert len(traces.for_service(session, "prod:shop:web")) == 1
        assert topics.news(session, 0)["traces"] > before


def test_lists_are_filtered_by_duration_failure_and_time_and_come_newest_first(store: Store):
    for number in range(6):
        at = NOON + timedelta(minutes=number)
        keep(store, make_example(number + 1, seconds=number / 10, failed=number % 2 == 0, at=at))
    web = "prod:shop:web"
    with store.reading() as session:
        assert numbers(traces.for_service(session, web)) == [6, 5, 4, 3, 2, 1]
        assert numbers(traces.for_service(session, web, limit=2)) == [6, 5]
        assert numbers(traces.for_service(session, web, min_duration=0.3)) == [6, 5, 4]
        assert numbers(traces.for_service(session, web, failed=True)) == [5, 3, 1]
        later = NOON + timedelta(minutes=2)
        assert numbers(traces.for_service(session, web, start=later, end=later + timedelta(minutes=2))) == [
            4,
            3,
        ]


def test_a_trace_kept_again_keeps_the_larger_one_and_gains_calls(store: Store):
    keep(store, make_example(spans=3))
    keep(store, make_example(spans=2, why=Why.TYPICAL, callee="db"))
    with store.reading() as session:
        trace = traces.get(session, f"{1:032x}")
        assert trace is not None
        assert len(trace.spans) == 3
        (found,) = traces.for_service(session, "prod:shop:web")
    assert [(call.why, call.callee) for call in found.calls] == [
        (Why.SLOW, "prod:shop:pay"),
        (Why.TYPICAL, "prod:shop:db"),
    ]


def test_an_edge_keeps_its_best_of_ten_minutes_and_after_two_hours_its_best_of_an_hour(store: Store):
    slow = [make_example(n, seconds=n / 10, at=NOON + timedelta(minutes=n)) for n in range(1, 31)]
    keep(store, *slow, *(make_example(100 + n, why=Why.FAILED, failed=True) for n in range(5)))
    keep(store, *(make_example(200 + n, why=Why.TYPICAL) for n in range(3)))
    forget(store, NOON + timedelta(hours=1))
    assert kept(store, "web") == [8, 9, 18, 19, 28, 29, 30, 100, 101, 200]
    forget(store, NOON + timedelta(hours=4))
    assert kept(store, "web") == [29, 30, 100, 101, 200]
    forget(store, NOON + AGE + timedelta(hours=1))
    assert kept(store, "web") == []
    with store.reading() as session:
        assert traces.size(session) == (0, 0)
        assert traces.get(session, f"{30:032x}") is None


def test_edges_are_thinned_each_by_itself_and_a_trace_stays_while_any_edge_wants_it(store: Store):
    both = make_example(3, seconds=0.1, callee="pay")
    other = make_example(3, seconds=0.1, callee="db", why=Why.TYPICAL)
    keep(store, make_example(1, seconds=0.3), make_example(2, seconds=0.2), both, other)
    forget(store, NOON)
    assert kept(store, "web") == [1, 2, 3]
    with store.reading() as session:
        assert numbers(traces.for_service(session, "prod:shop:pay")) in ([1, 2], [2, 1])


def test_the_oldest_traces_go_when_all_together_are_too_large(store: Store):
    for number in range(1, 9):
        keep(store, make_example(number, callee=f"c{number}"))
    with store.begin() as session:
        count, size = traces.size(session)
        assert count == 8
        removed = traces.forget(session, NOON, AGE, most_bytes=size // 2)
        assert removed in (4, 5)
        assert traces.size(session)[1] <= size // 2
    assert kept(store, "web") == list(range(removed + 1, 9))


@pytest.mark.parametrize("name", ["a\x00b", "snow ❄", '"quoted" {json}', "x" * 5000])
def test_names_of_any_kind_can_be_kept_and_placed(store: Store, name):
    seen = []
    with store.begin() as session:
        traces.put(session, [make_example(caller=name)])
        traces.place(session, "prod", lambda party: seen.append(party.name) or "prod:shop:x")
    assert name in seen


def forget(store, now):
    with store.begin() as session:
        traces.forget(session, now, AGE)


def kept(store, service):
    with store.reading() as session:
        return sorted(numbers(traces.for_service(session, f"prod:shop:{service}")))
