"""Messages: how long they wait, whichever half comes first, and what a batch stands for."""

from __future__ import annotations

import numpy as np
import pytest

from app.model.series import bucket_of
from collectors.otlp import OtlpCollector
from tests.support.spans import CLIENT, CONSUMER, PRODUCER, S, calls, edges, later, look, seen, take

KAFKA = {"messaging.system": "kafka", "messaging.destination.name": "orders"}
SEND = {**KAFKA, "messaging.operation.type": "send"}
PROCESS = {**KAFKA, "messaging.operation.type": "process"}

OTHER = 0x7B1C4A0F93D2E85661F0C3A7B94D2E18  # ids in tests are small: a trace unlike them keeps all keys apart


def sent(number=1, age=5.0, **more):
    return S("a", PRODUCER, id=number, parent=99, age=age, attributes=SEND, **more)


def taken(number=2, age=1.0, **more):
    options = {"links": ((7, 1),), "trace": OTHER, "seconds": 1.0, "attributes": PROCESS, **more}
    return S("b", CONSUMER, id=number, parent=98, age=age, **options)


@pytest.mark.parametrize("order", ["producer first", "consumer first", "together"])
def test_how_long_a_message_waited_is_the_queues_side_of_its_edge(order):
    collector = OtlpCollector("test")
    first, second = (sent(), taken()) if order != "consumer first" else (taken(), sent())
    take(collector, first)
    if order != "together":
        look(collector)
    take(collector, second)
    found = edges(look(collector))["kafka/orders>b"]
    assert (found["requests"], found["client"], found["server"]) == (1, 1, 1)
    witness = look(collector).witnesses[0]
    queue = next(i for i, party in enumerate(witness.parties) if party.destination)
    lag = witness.edges.client_latency[witness.edges.source == queue][0]
    assert lag.argmax() == bucket_of(np.array([3.0]))[0]


def test_a_message_taken_before_it_was_sent_tells_of_clocks_not_of_waiting():
    collector = OtlpCollector("test")
    take(collector, sent(age=1), taken(age=3))
    snapshot = look(collector)
    assert edges(snapshot)["kafka/orders>b"]["client"] == 0
    assert collector.totals["skewed"] == 1
    told = "1 messages were taken before they were sent, by the clocks of their services; worst: b, 3.000 s too early."
    assert told in snapshot.notices


def test_each_linked_message_of_a_batch_is_measured_and_counted():
    batch = taken(links=((7, 1), (7, 2), (7, 3)))
    found = edges(seen(sent(1), sent(2), sent(3, age=4), batch))["kafka/orders>b"]
    assert (found["requests"], found["raw"], found["client"], found["server"]) == (3, 3, 3, 1)


def test_a_consumer_finds_its_message_minutes_later():
    collector = OtlpCollector("test")
    bare = {"messaging.system": "kafka"}
    take(collector, sent())
    look(collector)
    take(collector, taken(age=-599, attributes=bare), at=later(600))
    assert calls(look(collector, later(600))) == {"kafka/orders>b": (1, 0)}


def test_contexts_are_bounded_the_oldest_go_first():
    collector = OtlpCollector("test")
    take(collector, *(sent(number) for number in range(1, 50_011)))
    look(collector)
    assert len(collector._joiner._queues.contexts) == 50_000
    bare = {"messaging.system": "kafka"}
    take(
        collector,
        taken(90_001, links=((7, 1),), attributes=bare),
        taken(90_002, links=((7, 50_010),), attributes=bare),
    )
    assert calls(look(collector))["kafka/orders>b"] == (1, 0)
    assert collector.totals["unattributed"] == 1


def test_the_messages_of_a_sampled_consumer_stand_for_others():
    found = edges(seen(sent(tracestate="ot=th:8"), taken(tracestate="ot=th:8")))["kafka/orders>b"]
    assert (found["requests"], found["raw"], found["client"]) == (2, 1, 2)


def test_created_and_sent_messages_count_when_sent_whoever_links():
    create = {**KAFKA, "messaging.operation.type": "create"}
    created = S("a", PRODUCER, id=1, parent=99, attributes=create)
    batch = S("a", CLIENT, id=4, parent=99, attributes=SEND, links=((7, 1),))
    found = calls(seen(created, batch, taken(links=((7, 1),), attributes={"messaging.system": "kafka"})))
    assert found == {"a>kafka/orders": (1, 0), "kafka/orders>b": (1, 0)}
