"""Too many of everything, traces without end, clocks hours apart: what is kept stays small, what came is counted."""

from __future__ import annotations

import os
import random
import resource

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors import span_origin
from collectors.otlp import OtlpCollector
from collectors.span_folded import Limits
from tests.support.spans import CLIENT, CONSUMER, PRODUCER, SERVER, S, calls, later, look, nodes, seen, take

NAMES = 50_000 if os.environ.get("QUARTERDECK_SOAK") else 14_000  # more than are told apart
BATCH = 2_000
KAFKA = {"messaging.system": "kafka"}


def attack(kind, number):
    """One span that brings a new name of some kind."""
    name = f"{kind}-{number}"
    common = {"id": number + 1, "trace": number + 1}
    match kind:
        case "service":
            return S(name, SERVER, **common)
        case "host":
            return S(f"caller-{number % 90}", CLIENT, parent=9, attributes={"server.address": name}, **common)
        case "database":
            store = {"db.system.name": "mysql", "server.address": name}
            return S(f"caller-{number % 20}", CLIENT, parent=9, attributes=store, **common)
        case "engine":
            store = {"db.system.name": name, "server.address": name}
            return S(f"caller-{number % 20}", CLIENT, parent=9, attributes=store, **common)
        case "queue":
            topic = {**KAFKA, "messaging.destination.name": name}
            return S(f"caller-{number % 20}", PRODUCER, parent=9, attributes=topic, **common)
        case "version":
            return S(f"service-{number % 200}", SERVER, resource={"service.version": name}, **common)
        case "protocol":
            call = {"rpc.system.name": name, "server.address": "h"}
            return S(f"caller-{number % 20}", CLIENT, parent=9, attributes=call, **common)
    raise AssertionError(kind)


KINDS = ("service", "host", "database", "engine", "queue", "version", "protocol")


@pytest.mark.parametrize("kind", KINDS)
def test_any_number_of_names_is_counted_and_kept_in_bounds(kind):
    collector = OtlpCollector("test")
    for first in range(0, NAMES, BATCH):
        take(collector, *(attack(kind, number) for number in range(first, first + BATCH)))
        look(collector)
    snapshot = look(collector, later(11))
    counted = nodes(snapshot) if kind in ("service", "version") else calls(snapshot)
    assert sum(requests for requests, _ in counted.values()) == NAMES
    limits, joiner = Limits(), collector._joiner
    assert len(joiner.parties.identities) <= limits.parties + 100
    assert len(joiner.parties.version_rows) <= limits.versions + limits.parties
    assert len(joiner.edges) <= limits.edges * 3 // 2
    assert any("more than can be told apart" in told for told in snapshot.notices) or kind == "protocol"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 1_500_000  # kB, of all tests so far


@settings(deadline=None, max_examples=int(os.environ.get("ATTACK_EXAMPLES", "25")))
@given(seed=st.integers(0, 2**32), rounds=st.integers(1, 6))
def test_every_request_is_counted_once_whatever_is_folded_and_dropped_in_between(seed, rounds):
    """Small limits, many minutes: registers are compacted again and again."""
    rnd = random.Random(seed)
    collector = OtlpCollector("test", limits=Limits(12, 12, 3, 3, 3, 10))
    for minute in range(rounds):
        at, sent = later(80 * minute), 0
        for _ in range(3):
            spans = []
            for _ in range(rnd.randrange(30)):
                number = rnd.getrandbits(60) | 1
                options = {"id": number, "trace": number, "age": 1 - 80 * minute}
                spans.append(S(f"s{rnd.randrange(40)}", SERVER, **options))
            take(collector, *spans, at=at)
            sent += len(spans)
            found = nodes(look(collector, at))
            assert sum(requests for requests, _ in found.values()) == sent
        look(collector, later(80 * minute + 70))


def test_a_trace_of_a_hundred_thousand_spans_is_counted():
    many = 100_000 if os.environ.get("QUARTERDECK_SOAK") else 30_000
    collector = OtlpCollector("test")
    take(collector, S("web", SERVER, id=1))
    for first in range(0, many, 10_000):
        spans = []
        for number in range(first, first + 10_000, 2):
            spans.append(S("web", CLIENT, id=number + 10, parent=1))
            spans.append(S("pay", SERVER, id=number + 11, parent=number + 10))
        take(collector, *spans)
        look(collector)
    assert calls(look(collector))["web>pay"] == (many / 2, 0)
    assert nodes(look(collector))["pay"] == (many / 2, 0)


def test_parents_in_a_circle_are_calls_like_any_other():
    spans = (
        S("a", CLIENT, id=1, parent=2),
        S("a", SERVER, id=2, parent=1),
        S("b", CLIENT, id=3, parent=3),
        S("c", SERVER, id=4, parent=3),
    )
    snapshot = seen(*spans, wait=True)
    assert calls(snapshot) == {"b>c": (1, 0)}
    assert nodes(snapshot)["a"] == (1, 0)


@pytest.mark.parametrize("hours", [-3, 3])
def test_clocks_hours_apart_are_told_and_harm_nobody_else(hours):
    collector = OtlpCollector("test")
    take(collector, S("b", SERVER, id=1), S("c", SERVER, id=2, age=hours * 3600))
    snapshot = look(collector)
    assert nodes(snapshot) == {"b": (1, 0)}
    assert any(notice.startswith("1 spans") for notice in snapshot.notices)
    assert abs((snapshot.witnesses[0].as_of - later(0)).total_seconds()) < 60


def test_links_to_everything_are_bounded():
    links = tuple((number + 1, number + 1) for number in range(3_000))
    collector = OtlpCollector("test")
    topic = {**KAFKA, "messaging.destination.name": "q"}
    for number in range(10):
        take(collector, S("b", CONSUMER, id=number + 1, parent=99, links=links, attributes=topic))
    look(collector)
    assert len(collector._joiner._queues._taken) <= 16


def test_a_few_spans_of_many_bytes_do_not_wait_for_a_pull():
    collector = OtlpCollector("test")
    for number in range(6):
        attributes = {f"long-{at}": "x" * 1_000_000 for at in range(12)}
        take(collector, S("b", SERVER, id=number + 1, attributes=attributes))
        assert collector._pending_bytes < 64 << 20
    assert nodes(look(collector))["b"] == (6, 0)


def test_long_attributes_and_resources_are_read_but_not_remembered():
    collector = OtlpCollector("test")
    before = span_origin._of_proto.cache_info().currsize
    long = {"server.address": "h", "db.namespace": "n" * 5_000}
    take(collector, S("a", CLIENT, parent=9, attributes=long, resource={"notes": "x" * 20_000}))
    assert calls(look(collector, later(11))) == {"a>?h": (1, 0)}
    assert span_origin._of_proto.cache_info().currsize == before
    assert not collector._joiner._peers._known
