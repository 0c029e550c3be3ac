"""The numpy join against the plain way: the same pairs, whatever comes."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from app.model.series import bucket_of
from app.model.trace import Outcome
from collectors.otlp import OtlpCollector
from collectors.span_ledger import CALLER_ERRORS, CLIENT, FAILED, RAW, REQUESTS, SERVER, WIDTH, Ledger
from collectors.span_pairs import match
from tests.support.spans import CLIENT as CLIENT_SPAN
from tests.support.spans import SERVER as SERVER_SPAN
from tests.support.spans import S, calls, later, look, nodes, take

KEYS = st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 20), max_size=60)


@given(callers=st.sets(st.integers(0, 2**64 - 1) | st.integers(0, 20), max_size=60), callees=KEYS)
def test_each_caller_meets_one_of_its_callees_as_a_dictionary_would_find(callers, callees):
    left, right = np.array(sorted(callers), np.uint64), np.array(callees, np.uint64)
    mine, theirs = match(left, right)
    assert (left[mine] == right[theirs]).all()
    assert set(left[mine].tolist()) == callers & set(callees)
    assert len(set(mine.tolist())) == len(mine)


@st.composite
def traffic(draw):
    """Calls as (caller, callee, failed), each half in some delivery, or never (None)."""
    when = st.none() | st.integers(0, 3)
    call = st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.booleans(), when, when)
    return draw(st.lists(call, max_size=25))


@settings(deadline=None, max_examples=60)
@given(traffic=traffic())
def test_every_call_is_counted_once_in_whatever_order_its_halves_come(traffic):
    collector, expected = OtlpCollector("test"), {}
    for delivery in range(4):
        spans = []
        for number, (caller, callee, failed, first, second) in enumerate(traffic):
            peer = {"peer.service": callee}
            if first == delivery:
                spans.append(S(caller, CLIENT_SPAN, id=2 * number + 1, parent=999, attributes=peer))
            if second == delivery:
                spans.append(S(callee, SERVER_SPAN, id=2 * number + 2, parent=2 * number + 1, error=failed))
        if spans:
            take(collector, *spans)
        look(collector)
    known = {callee for _, callee, _, _, second in traffic if second is not None}
    for caller, callee, failed, first, second in traffic:
        if first is not None:
            name = f"{caller}>{callee}" if callee in known else f"{caller}>?{callee}"
            requests, errors = expected.get(name, (0, 0))
            expected[name] = (requests + 1, errors + (failed and second is not None))
    snapshot = look(collector, later(11))
    assert calls(snapshot) == expected
    served = {}
    for _, callee, _, _, second in traffic:
        if second is not None:
            served[callee] = served.get(callee, 0) + 1
    assert {name: count for name, (count, _) in nodes(snapshot).items() if count} == served


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 3), st.sampled_from(list(Outcome)), st.floats(1e-6, 100)),
        max_size=40,
    )
)
def test_the_ledger_adds_up_as_a_dense_table_would(rows):
    ledger, dense = Ledger(), np.zeros((5, WIDTH))
    for row, step, outcome, seconds in rows:
        bucket = int(bucket_of(np.array([seconds]))[0])
        ledger.add(
            np.array([step]),
            np.array([row]),
            weight=np.array([2.0]),
            raw=np.ones(1),
            outcome=np.array([outcome], np.int8),
            client=np.array([bucket]),
            server=np.array([-1]),
        )
        if step >= 1:
            dense[row, [REQUESTS, RAW, CLIENT + bucket]] += [2, 1, 2]
            dense[row, FAILED] += 2 * (outcome in (Outcome.FAILED, Outcome.UNCODED))
            dense[row, CALLER_ERRORS] += 2 * (outcome is Outcome.CALLER)
    assert np.array_equal(ledger.total(1, 5), dense)
    assert not ledger.total(1, 5)[:, SERVER:].any()
    ledger.forget(2)
    assert ledger.total(0, 5)[:, RAW].sum() == sum(step >= 2 for _, step, _, _ in rows)
