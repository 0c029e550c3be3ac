"""The last minute, kept correct while spans come late, twice, out of order, in bulk and from many threads."""

from __future__ import annotations

import base64
import json
import threading
from datetime import timedelta

import pytest
from google.protobuf import json_format

from app import clock
from app.model.fleet import EvidenceKind, NodeKind
from app.model.series import Window
from collectors import load
from collectors.base import Collector
from collectors.otlp import OtlpCollector
from collectors.otlp_body import JSON, Full
from tests.support.spans import (
    CLIENT,
    CONSUMER,
    INTERNAL,
    NOW,
    PRODUCER,
    PROTOBUF,
    SERVER,
    S,
    body,
    calls,
    edges,
    graph,
    later,
    look,
    nodes,
    request,
    seen,
    take,
)

PEER = {"peer.service": "b", "server.address": "b", "server.port": 80, "http.request.method": "GET"}


@pytest.fixture
def collector():
    return OtlpCollector("test")


def test_the_kind_is_found_by_its_name_and_fits_the_seam():
    made: Collector = load("otlp")("test")  # type: ignore[call-arg]
    made.start()
    made.close()
    made.close()
    assert (made.kind, made.cluster, made.name) == ("otlp", "test", "traces")
    assert made.cost


def test_without_spans_there_is_a_witness_that_saw_nothing(collector):
    snapshot = look(collector)
    witness = snapshot.witnesses[0]
    assert (snapshot.source, snapshot.as_of, snapshot.notices) == ("traces", NOW, ())
    assert (witness.evidence, len(witness.edges), len(witness.nodes)) == (EvidenceKind.TRACES, 0, 0)


def test_an_edge_is_counted_from_the_client_span_and_completed_when_the_server_span_comes(collector):
    take(collector, S("b", SERVER, id=5, parent=99))  # b is known from other traffic
    take(collector, S("a", CLIENT, id=1, parent=9, attributes=PEER))
    early = edges(look(collector))["a>b"]
    assert (early["requests"], early["server"], early["protocol"]) == (1, 0, "http")
    take(collector, S("b", SERVER, id=2, parent=1, error=True), at=later(8))
    complete = edges(look(collector, later(8)))["a>b"]
    assert (complete["requests"], complete["failed"], complete["server"]) == (1, 1, 1)
    assert edges(look(collector, later(30)))["a>b"] == complete


def test_a_server_span_that_comes_after_the_wait_is_no_second_call(collector):
    take(collector, S("b", SERVER, id=5, parent=99))
    take(collector, S("a", CLIENT, id=1, parent=9, attributes=PEER))
    assert calls(look(collector, later(11))) == {"a>b": (1, 0)}
    take(collector, S("b", SERVER, id=2, parent=1), at=later(12))
    assert calls(look(collector, later(12))) == {"a>b": (1, 0)}
    assert calls(look(collector, later(25))) == {"a>b": (1, 0)}


def test_an_unknown_peer_is_drawn_only_when_nobody_answered_in_time(collector):
    take(collector, S("a", CLIENT, id=1, parent=9, attributes=PEER))
    assert calls(look(collector)) == {}
    assert calls(look(collector, later(11))) == {"a>?b": (1, 0)}


def test_an_external_peer_that_turns_out_to_be_a_service_is_one_node_afterwards(collector):
    call = {**PEER, "peer.service": "payments-api"}
    take(collector, S("a", CLIENT, id=1, parent=9, attributes=call))
    assert calls(look(collector, later(11))) == {"a>?payments-api": (1, 0)}
    take(
        collector,
        S("a", CLIENT, id=3, parent=9, attributes=call),
        S("b", SERVER, id=4, parent=3),
        at=later(12),
    )
    assert calls(look(collector, later(12))) == {"a>b": (2, 0)}


def test_a_call_without_any_peer_is_dropped_and_told(collector):
    take(collector, S("a", CLIENT, id=1, parent=9))
    snapshot = look(collector, later(11))
    assert calls(snapshot) == {}
    assert snapshot.notices == ("1 calls had neither a server span nor an attribute naming their target.",)
    assert collector.totals["unanswered"] == 1


def test_late_spans_land_in_their_own_step(collector):
    take(collector, S("b", SERVER, id=1, age=1))
    take(collector, S("b", SERVER, id=2, age=40))
    assert nodes(look(collector))["b"] == (2, 0)
    assert nodes(look(collector, later(30)))["b"] == (1, 0)


def test_spans_of_steps_that_are_not_kept_are_not_counted_and_told(collector):
    look(collector)
    take(collector, S("b", SERVER, id=2, age=300))
    snapshot = look(collector)
    assert nodes(snapshot) == {}
    (told,) = snapshot.notices
    assert told.startswith("1 spans came more than a minute late and were not counted; worst: b, 300 s old: ")


def test_the_minute_slides(collector):
    take(collector, S("b", SERVER, id=1))
    assert nodes(look(collector, later(55)))["b"] == (1, 0)
    assert nodes(look(collector, later(90))) == {}


def test_the_window_ends_where_the_known_spans_would_be_complete(collector):
    """Senders hold spans back: with a mean delay of 4 s the newest 4 s count as not covered."""
    take(collector, S("b", SERVER, id=1, age=6), S("b", SERVER, id=2, age=2))
    witness = look(collector).witnesses[0]
    assert witness.as_of == NOW - timedelta(seconds=4)
    assert timedelta(seconds=50) <= witness.window <= timedelta(seconds=66)


@pytest.mark.parametrize("offset", [0, 1, 4, 5, 9])
def test_a_steady_rate_is_told_as_it_is(offset):
    """Ten calls a second for 90 s, each delivered 5 s after its end at the latest."""
    collector, now = OtlpCollector("test"), later(offset)
    spans = [S("b", SERVER, id=i + 1, age=i / 10) for i in range(900)]
    for delivery in range(20):
        mine = [s for s in spans if delivery * 5 <= s.age < (delivery + 1) * 5]
        at = now - timedelta(seconds=delivery * 5)
        with clock.frozen_at(at):
            collector.ingest(body(*mine, now=now), PROTOBUF)
    witness = look(collector, now).witnesses[0]
    assert witness.nodes.requests.sum() / witness.window.total_seconds() == pytest.approx(10, rel=0.05)


def test_clocks_of_senders_may_be_a_little_ahead(collector):
    take(collector, S("b", SERVER, id=1, age=-20))
    snapshot = look(collector)
    assert nodes(snapshot)["b"] == (1, 0)
    assert snapshot.witnesses[0].as_of == NOW


def test_calls_of_a_service_to_itself_are_no_edges(collector):
    take(collector, S("a", CLIENT, id=1, parent=9), S("a", SERVER, id=2, parent=1))
    snapshot = look(collector, later(11))
    assert calls(snapshot) == {}
    assert nodes(snapshot)["a"] == (1, 0)
    assert collector.totals["self_calls"] == 1


def test_a_span_that_is_sent_twice_counts_once_on_its_edge(collector):
    take(
        collector,
        S("a", CLIENT, id=1, parent=9),
        S("a", CLIENT, id=1, parent=9),
        S("b", SERVER, id=2, parent=1),
    )
    assert calls(look(collector)) == {"a>b": (1, 0)}
    assert collector.totals["doubles"] == 1


def test_equal_span_ids_of_two_traces_are_two_spans():
    spans = (
        S("a", CLIENT, id=1, parent=9, trace=1),
        S("b", SERVER, id=2, parent=1, trace=1),
        S("a", CLIENT, id=1, parent=9, trace=2),
        S("c", SERVER, id=2, parent=1, trace=2),
    )
    assert graph(*spans) == {"a>b": (1, 0), "a>c": (1, 0)}


def test_a_program_with_internal_spans_only_is_seen_without_traffic():
    snapshot = seen(S("job", INTERNAL))
    assert [party.name for party in snapshot.witnesses[0].parties] == ["job"]
    assert nodes(snapshot) == {"job": (0, 0)}


def test_spans_without_service_name_are_ignored_and_told(collector):
    take(collector, S("", SERVER))
    snapshot = look(collector)
    assert nodes(snapshot) == {}
    assert snapshot.notices == ("1 spans carried no service.name and were ignored.",)


def test_versions_of_a_service_are_rows_of_one_party():
    old, new = {"service.version": "v1"}, {"service.version": "v2"}
    witness = seen(
        S("b", SERVER, id=1, resource=old), S("b", SERVER, id=2, error=True, resource=new)
    ).witnesses[0]
    rows = dict(zip(witness.nodes.versions, witness.nodes.failed, strict=True))
    assert rows == {"v1": 0, "v2": 1}
    assert len(set(witness.nodes.party.tolist())) == 1


def test_pods_of_a_service_are_one_party():
    pods = [
        S("b", SERVER, id=i, resource={"k8s.pod.name": f"b-{i}", "k8s.deployment.name": "b"})
        for i in (1, 2, 3)
    ]
    witness = seen(*pods).witnesses[0]
    assert [(p.name, p.workload, p.pod) for p in witness.parties if p.kind is NodeKind.SERVICE] == [
        ("b", "b", "b-3")
    ]


def test_resource_attributes_never_name_a_peer():
    resource = {"db.name": "global", "db.system": "mysql", "peer.service": "x"}
    assert graph(S("a", CLIENT, parent=9, resource=resource), wait=True) == {}


@pytest.mark.parametrize("form", ["protobuf", "json"])
def test_of_a_list_the_first_item_is_asked(form):
    span = S("a", CLIENT, parent=9, attributes={"aws.dynamodb.table_names": "?", "rpc.system": "aws-api"})
    made = request([span])
    value = made.resource_spans[0].scope_spans[0].spans[0].attributes[0].value
    value.array_value.values.add().string_value = "carts"
    value.array_value.values.add().string_value = "users"
    collector = OtlpCollector("test")
    with clock.frozen_at(NOW):
        if form == "protobuf":
            collector.ingest(made.SerializeToString(), PROTOBUF)
        else:
            collector.ingest(as_json(made), JSON)
    assert calls(look(collector)) == {"a>aws.dynamodb@carts": (1, 0)}


def as_json(made):
    """OTLP's own JSON: protobuf's mapping with ids in hex."""
    content = json.loads(json_format.MessageToJson(made, use_integers_for_enums=True))
    for span in (s for r in content["resourceSpans"] for scope in r["scopeSpans"] for s in scope["spans"]):
        for key in ("traceId", "spanId", "parentSpanId"):
            span[key] = base64.b64decode(span.get(key, "")).hex()
    return json.dumps(content).encode()


def test_fetched_and_handled_messages_are_not_added_up():
    kafka = {"messaging.system": "kafka", "messaging.destination.name": "orders"}
    receive = S("b", CLIENT, id=1, parent=9, attributes={**kafka, "messaging.operation.type": "receive"})
    handled = [
        S("b", CONSUMER, id=i, parent=1, attributes={**kafka, "messaging.operation.type": "process"})
        for i in (2, 3)
    ]
    assert graph(receive, *handled) == {"kafka/orders>b": (2, 0)}


def test_a_consumer_without_destination_is_found_through_its_link_or_parent():
    kafka = {"messaging.system": "kafka", "messaging.destination.name": "orders"}
    produced = S("a", PRODUCER, id=1, parent=9, attributes=kafka)
    bare = {"messaging.system": "kafka"}
    linked = S("b", CONSUMER, id=2, trace=8, links=((7, 1),), attributes=bare)
    below = S("c", CONSUMER, id=3, parent=1)
    expected = {"a>kafka/orders": (1, 0), "kafka/orders>b": (1, 0), "kafka/orders>c": (1, 0)}
    assert graph(linked, below, produced) == expected


def test_producer_and_consumer_that_name_no_queue_are_an_asynchronous_call():
    found = edges(seen(S("a", PRODUCER, id=1, parent=9), S("b", CONSUMER, id=2, parent=1)))
    assert (found["a>b"]["requests"], found["a>b"]["kind"]) == (1, "async")


def test_the_service_whose_clock_is_off_most_is_named_for_a_minute():
    collector = OtlpCollector("test")
    take(collector, S("a", SERVER, age=-90), S("b", SERVER, id=2, age=-7200), S("c", SERVER, id=3, age=-61))
    take(collector, S("d", SERVER, id=4, age=-100))
    told = "4 spans were rejected for impossible times; worst: b, 7,200 s ahead of the clock here."
    assert look(collector).notices == (told,)
    assert look(collector, later(80)).notices == ()


def test_too_many_waiting_halves_are_settled_oldest_first_and_told():
    collector = OtlpCollector("test", max_spans=40)
    for i in range(30):
        spans = S("a", CLIENT, id=i + 1, parent=9, attributes={"peer.service": "x"})
        take(collector, spans, at=later(i / 100))
        look(collector, later(i / 100))
    snapshot = look(collector, later(1))
    assert calls(snapshot) == {"a>?x": (30, 0)}  # ten settled, and those that wait for the same peer
    assert (
        "10 halves of calls were settled early because too many were waiting for their other half."
        in snapshot.notices
    )


def test_many_threads_lose_nothing():
    collector = OtlpCollector("test")
    bodies = [
        body(*(s for i in range(50) for s in pair(thread * 1000 + number * 100 + 2 * i)))
        for thread in range(4)
        for number in range(5)
    ]

    def send(mine):
        for content in mine:
            collector.ingest(content, PROTOBUF)

    with clock.frozen_at(NOW):
        threads = [threading.Thread(target=run_at_now, args=(send, bodies[i::4])) for i in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            collector.pull(Window(NOW - timedelta(seconds=60), NOW))
    assert calls(look(collector)) == {"a>b": (1000, 0)}
    assert collector.totals["spans"] == 2000


def pair(number):
    return (S("a", CLIENT, id=number + 1, parent=9), S("b", SERVER, id=number + 2, parent=number + 1))


def run_at_now(work, *args):
    with clock.frozen_at(NOW):
        work(*args)


def test_a_full_buffer_refuses_and_is_told_until_it_is_joined():
    collector = OtlpCollector("test", max_spans=3)
    take(collector, S("b", SERVER, id=1), S("b", SERVER, id=2))
    with pytest.raises(Full):
        take(collector, S("b", SERVER, id=3), S("b", SERVER, id=4))
    snapshot = look(collector)
    assert nodes(snapshot)["b"] == (2, 0)
    assert snapshot.notices[0].startswith("1 bodies were refused because the span buffer was full")
    take(collector, S("b", SERVER, id=3), S("b", SERVER, id=4))
    assert nodes(look(collector))["b"] == (4, 0)


def test_a_crowded_buffer_is_joined_by_the_thread_that_filled_it():
    collector = OtlpCollector("test", join_at=2)
    take(collector, S("b", SERVER, id=1), S("b", SERVER, id=2))
    assert collector._pending == []
    assert nodes(look(collector))["b"] == (2, 0)
