"""Waterfalls: what comes on top, what was waited for, whose clock is off, and that nothing breaks or runs away."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.model.span import Span, SpanEvent, Trace
from app.model.trace import SpanKind
from app.understand.trace_words import answer, shares
from app.understand.waterfall import MOST_ROWS, RowKind, waterfall

BEGIN = 1_795_440_000 * 10**9
MS = 10**6
CLIENT, SERVER, INTERNAL = SpanKind.CLIENT, SpanKind.SERVER, SpanKind.INTERNAL
PRODUCER, CONSUMER = SpanKind.PRODUCER, SpanKind.CONSUMER


def span(own, parent="", service="web", start=0, length=100, kind=INTERNAL, name="", **more):
    """A span; times in ms after BEGIN."""
    return Span(
        span_id=own,
        parent_id=parent,
        name=name or f"op {own}",
        kind=kind,
        service=service,
        start=BEGIN + start * MS,
        duration=length * MS,
        **more,
    )


def fall(*spans, cut=0):
    return waterfall(Trace("prod", "ab" * 16, tuple(spans), cut))


def order(found):
    return [(row.span.span_id if row.span else row.kind.value, row.depth) for row in found.rows]


def critical(found):
    return {
        row.span.span_id: round(row.critical * 1000)
        for row in found.rows
        if row.span and row.critical is not None
    }


def length(seconds):
    return f"{seconds * 1000:.0f} ms"


def test_children_come_below_their_parent_in_the_order_of_their_starts():
    found = fall(span("d", "b", start=30), span("c", "a", start=50), span("b", "a", start=10), span("a"))
    assert order(found) == [("a", 0), ("b", 1), ("d", 2), ("c", 1)]
    assert [row.start for row in found.rows] == [0.0, 0.01, 0.03, 0.05]


def test_orphans_stand_under_a_parent_that_is_said_to_be_missing():
    found = fall(
        span("a"), span("x", "gone", start=20), span("y", "gone", start=40), span("z", "lost", start=60)
    )
    assert order(found) == [("a", 0), ("missing", 0), ("x", 1), ("y", 1), ("missing", 0), ("z", 1)]
    assert found.rows[1].count == 2


def test_the_critical_path_is_the_chain_that_the_end_waited_for():
    found = fall(
        span("a", length=100),
        span("b", "a", start=10, length=30),
        span("c", "a", start=20, length=70),
        span("d", "c", start=30, length=50),
        span("e", "a", start=5, length=5),
    )
    assert critical(found) == {"a": 25, "c": 20, "d": 50, "e": 5}
    own = {row.span.span_id: round(row.own * 1000) for row in found.rows if row.span}
    assert own == {"a": 15, "b": 30, "c": 20, "d": 50, "e": 5}


def test_the_stretches_of_the_critical_path_say_when_it_was_waited_for():
    found = fall(span("a", length=100), span("b", "a", start=20, length=60))
    assert found.rows[0].path == ((0.0, pytest.approx(0.02)), (pytest.approx(0.08), pytest.approx(0.02)))
    assert found.rows[1].path == ((pytest.approx(0.02), pytest.approx(0.06)),)


def test_what_was_handed_over_or_left_running_is_not_on_the_critical_path():
    found = fall(
        span("a", length=100),
        span("p", "a", start=10, length=5, kind=PRODUCER),
        span("q", "p", service="mail", start=12, length=80, kind=CONSUMER),
        span("l", "a", start=40, length=200),
    )
    assert critical(found) == {"a": 95, "p": 5}
    assert found.duration == pytest.approx(0.24)


def test_a_callee_that_outlasts_a_caller_who_gave_up_is_on_the_path_until_then():
    found = fall(
        span("a", length=100, kind=CLIENT, status="error"),
        span("b", "a", service="pay", start=10, length=500, kind=SERVER),
    )
    assert critical(found) == {"a": 10, "b": 90}
    assert all(row.shift == 0 for row in found.rows)


def test_a_callee_whose_clock_differs_is_shifted_into_its_caller_and_says_so():
    found = fall(
        span("a", start=0, length=100, kind=CLIENT),
        span("b", "a", service="pay", start=-30, length=80, kind=SERVER),
        span("c", "b", service="pay", start=-20, length=10),
    )
    shift = {row.span.span_id: round(row.shift * 1000) for row in found.rows if row.span}
    assert shift == {"a": 0, "b": 40, "c": 40}
    assert [round(row.start * 1000) for row in found.rows] == [0, 10, 20]


def test_clocks_that_may_be_right_are_left_alone():
    found = fall(
        span("a", length=100),
        span("b", "a", service="mail", start=150, length=10, kind=CONSUMER),
        span("c", "a", start=-10, length=10),
    )
    assert all(row.shift == 0 for row in found.rows)


def test_calls_to_the_same_party_count_together():
    store = {"db.system.name": "postgresql", "server.address": "orders-db"}
    found = fall(
        span("a", service="web", length=2000, kind=SERVER),
        span(
            "b",
            "a",
            service="web",
            start=20,
            length=1950,
            kind=CLIENT,
            attributes={"server.address": "order"},
        ),
        span("c", "b", service="order", start=40, length=1900, kind=SERVER),
        span("d", "c", service="order", start=60, length=800, kind=CLIENT, attributes=store),
        span("e", "c", service="order", start=900, length=900, kind=CLIENT, attributes=store),
    )
    assert (
        answer(found, length) == "took 2000 ms; 1700 ms of 2000 ms were spent waiting for order → postgresql"
    )
    assert found.waited_at == "e"


def test_the_deepest_failure_is_named_and_the_call_that_took_most_of_the_time():
    found = fall(
        span("a", service="web", length=2100, kind=SERVER, status="error", name="POST /buy"),
        span("b", "a", service="web", start=50, length=2000, kind=CLIENT, status="error"),
        span(
            "c",
            "b",
            service="pay",
            start=60,
            length=1950,
            kind=SERVER,
            status="error",
            name="POST /charge",
            attributes={"http.response.status_code": 500},
        ),
        span(
            "d", "c", service="pay", start=70, length=1900, kind=CLIENT, attributes={"server.address": "bank"}
        ),
    )
    assert (
        answer(found, length)
        == "failed in pay: POST /charge, 500; 1900 ms of 2100 ms were spent waiting for pay → bank"
    )
    assert (found.failed_at, found.waited_at, found.failed) == ("c", "d", 3)
    assert shares(found)[0] == ("pay", pytest.approx(1.95))


def test_the_exception_of_the_failed_span_is_part_of_the_sentence():
    thrown = SpanEvent(
        "exception", BEGIN, {"exception.type": "Timeout", "exception.message": "no answer in 1 s"}
    )
    found = fall(span("a", service="pay", status="error", events=(thrown,), name="charge"))
    assert (
        answer(found, length)
        == "failed in pay: charge, Timeout: no answer in 1 s; 100 ms of 100 ms were spent in pay itself"
    )


def test_a_trace_without_failures_says_where_the_time_went():
    found = fall(span("a", length=100), span("b", "a", start=10, length=20, service="db"))
    assert answer(found, length) == "took 100 ms; 80 ms of 100 ms were spent in web itself"


def test_many_alike_are_told_as_one_row_but_for_the_slowest_failed_and_waited_for():
    many = [
        span(
            f"c{n}",
            "a",
            start=n,
            length=1 + (n == 17) * 3,
            name="GET cart",
            status="error" if n == 5 else "ok",
        )
        for n in range(60)
    ]
    found = fall(span("a"), *many)
    more = [row for row in found.rows if row.kind is RowKind.MORE]
    shown = {row.span.span_id for row in found.rows if row.kind is RowKind.SPAN and row.span}
    assert len(more) == 1
    assert more[0].count + len(shown) - 1 == 60
    assert {"c5", "c17"} <= shown
    assert len(shown) <= 1 + 3 + 3
    assert found.hidden == more[0].count


def test_twenty_alike_are_shown_one_by_one():
    found = fall(span("a"), *(span(f"c{n}", "a", start=n, length=1, name="GET cart") for n in range(20)))
    assert len(found.rows) == 21


def test_spans_that_came_twice_are_one_and_both_halves_under_one_id_are_two():
    found = fall(
        span("a"),
        span("a"),
        span("b", "a", kind=CLIENT),
        span("b", "a", service="pay", kind=SERVER),
        span("c", "b"),
    )
    assert found.doubles == 1
    assert [(row.span.span_id, row.span.service, row.depth) for row in found.rows if row.span] == [
        ("a", "web", 0),
        ("b", "web", 1),
        ("b", "pay", 2),
        ("c", "web", 3),
    ]


def test_a_circle_of_parents_is_cut_at_its_earliest_span():
    found = fall(
        span("a", "c", start=5), span("b", "a", start=1), span("c", "b", start=9), span("d", "d", start=20)
    )
    assert order(found) == [("b", 0), ("c", 1), ("a", 2), ("d", 0)]
    assert [row.looped for row in found.rows] == [True, False, False, True]


def test_a_huge_trace_shows_its_critical_path_its_failures_and_counts_the_rest():
    spans = [span("r", length=100_000)]
    for n in range(5_000):
        spans.append(span(f"m{n}", "r", start=n * 20, length=19, name=f"step {n}"))
        spans.append(
            span(
                f"n{n}",
                f"m{n}",
                start=n * 20 + 1,
                length=10,
                service="db",
                status="error" if n % 1000 == 7 else "ok",
            )
        )
    found = fall(*spans, cut=90_000)
    shown = {row.span.span_id for row in found.rows if row.span}
    assert len(found.rows) <= MOST_ROWS
    assert {f"n{n}" for n in range(7, 5000, 1000)} <= shown
    assert (found.spans, found.cut) == (10_001, 90_000)
    assert found.hidden == found.spans - len(shown)


def test_a_chain_of_a_hundred_thousand_spans_is_bounded():
    chain = [
        span(f"s{n}", f"s{n - 1}" if n else "", length=200_000 - n, status="error" if n > 99_000 else "ok")
        for n in range(100_000)
    ]
    found = fall(*chain)
    assert len(found.rows) == MOST_ROWS
    assert found.hidden == 98_000


def test_a_trace_without_spans_has_no_waterfall():
    with pytest.raises(ValueError, match="without spans"):
        fall()


IDS = [f"{n}" for n in range(12)]
ANY = st.builds(
    span,
    own=st.sampled_from(IDS),
    parent=st.sampled_from(["", "gone", *IDS]),
    service=st.sampled_from(["web", "pay", ""]),
    start=st.integers(-1000, 1000),
    length=st.integers(0, 2000),
    kind=st.sampled_from(list(SpanKind)),
    status=st.sampled_from(["unset", "ok", "error"]),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(ANY, min_size=1, max_size=60))
def test_whatever_comes_every_span_is_shown_or_counted_and_times_add_up(spans):
    found = fall(*spans)
    shown = [row for row in found.rows if row.kind is RowKind.SPAN]
    assert len(shown) + found.hidden == found.spans
    assert found.spans + found.doubles == len(spans)
    assert all(0 <= row.own <= row.duration + 1e-9 for row in shown)
    assert all(row.start >= -1e-9 and row.end <= found.duration + 1e-9 for row in found.rows)
    on_path = sum(row.critical or 0 for row in shown)
    assert on_path <= found.duration + 1e-9
    assert all(row.depth <= len(spans) for row in found.rows)
    assert answer(found, length)


@settings(max_examples=200, deadline=None)
@given(st.lists(ANY, min_size=1, max_size=25), st.randoms())
def test_the_order_in_which_spans_came_does_not_matter(spans, rnd):
    distinct = list({(one.span_id): one for one in spans}.values())
    mixed = list(distinct)
    rnd.shuffle(mixed)
    one, other = fall(*distinct), fall(*mixed)
    assert (one.duration, one.failed, one.hidden) == (other.duration, other.failed, other.hidden)
