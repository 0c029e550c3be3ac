"""Spans that come twice: a body sent again, a trace pushed and pulled, two receivers that both send."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from collectors.otlp import OtlpCollector
from collectors.span_seen import Seen
from tests.support.spans import (
    CLIENT,
    CONSUMER,
    PRODUCER,
    SERVER,
    S,
    calls,
    edges,
    later,
    look,
    nodes,
    seen,
    take,
)

KAFKA = {"messaging.system": "kafka", "messaging.destination.name": "orders"}
SHOP = (
    S("web", SERVER, id=1),
    S("web", CLIENT, id=2, parent=1),
    S("pay", SERVER, id=3, parent=2, error=True),
    S("pay", CLIENT, id=4, parent=3, attributes={"db.system.name": "redis", "server.address": "r"}),
    S("pay", PRODUCER, id=5, parent=3, attributes=KAFKA),
    S("mail", CONSUMER, id=6, parent=5, attributes=KAFKA),
)


def test_a_body_that_is_sent_again_changes_nothing():
    once = OtlpCollector("test")
    take(once, *SHOP)
    expected = look(once)
    twice = OtlpCollector("test")
    for wait in (0, 4, 12, 30):
        take(twice, *SHOP, at=later(wait))
        look(twice, later(wait))
    found = look(twice, later(30))
    assert calls(found) == calls(expected)
    assert nodes(found) == nodes(expected)
    assert edges(found) == edges(expected)
    assert twice.totals["doubles"] == 3 * len(SHOP)
    assert "18 spans came twice and were counted once." in found.notices


def test_a_span_that_is_twice_in_one_body_counts_once():
    assert nodes(seen(SHOP[0], SHOP[0]))["web"] == (1, 0)


def test_the_two_halves_of_a_call_may_have_one_id_as_zipkin_has_it():
    found = nodes(seen(S("a", CLIENT, id=1, parent=9), S("b", SERVER, id=1, parent=9)))
    assert found["b"] == (1, 0)


@given(st.lists(st.lists(st.integers(1, 40), max_size=30), max_size=12))
def test_keys_are_new_once_as_in_a_set(joins):
    table, known = Seen(), set()
    for step, keys in enumerate(joins):
        new = table.new(np.array(keys, np.uint64), 100 + step // 4)
        expected = [key not in known and keys.index(key) == at for at, key in enumerate(keys)]
        assert new.tolist() == expected
        known |= set(keys)


def test_many_keys_are_remembered_for_a_minute_and_none_is_taken_for_another():
    table, rng = Seen(), np.random.default_rng(1)
    chunks = [rng.integers(1, 2**63, 10_000, dtype=np.uint64) for _ in range(12)]
    for step, chunk in enumerate(chunks):
        assert table.new(chunk, 100 + step).all()
    again = np.concatenate([table.new(chunk, 111) for chunk in chunks[5:]])
    assert again.mean() < 0.02


def test_the_table_does_not_grow_with_time():
    table, rng = Seen(), np.random.default_rng(1)
    sizes = []
    for step in range(200):
        table.new(rng.integers(1, 2**63, 1_000, dtype=np.uint64), 100 + step)
        sizes.append(table._keys.nbytes)
    assert sizes[-1] == sizes[30]
