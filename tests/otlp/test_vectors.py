"""The sixteen pairing vectors, worked out by hand from the pairing rules."""

from __future__ import annotations

from app.model.fleet import NodeKind
from app.understand.identity import Resolver
from collectors.otlp import OtlpCollector
from tests.support.spans import (
    CLIENT,
    CONSUMER,
    PRODUCER,
    SERVER,
    S,
    calls,
    edges,
    graph,
    later,
    look,
    nodes,
    seen,
    take,
)

KAFKA = {"messaging.system": "kafka", "messaging.destination.name": "orders"}
SEND = {**KAFKA, "messaging.operation.type": "send"}
PROCESS = {**KAFKA, "messaging.operation.type": "process"}
POSTGRES = {
    "db.system.name": "postgresql",
    "server.address": "pg-1",
    "server.port": 5432,
    "db.namespace": "orders",
}


def test_01_a_client_and_the_server_span_below_it_are_one_call():
    found = edges(seen(S("a", CLIENT, id=1, parent=9), S("b", SERVER, id=2, parent=1)))
    assert found == {
        "a>b": {
            "requests": 1, "failed": 0, "caller_errors": 0, "raw": 1, "client": 1, "server": 1,
            "kind": "sync", "protocol": "",
        }
    }  # fmt: skip


def test_02_the_server_half_may_come_first_and_in_an_earlier_join():
    collector = OtlpCollector("test")
    take(collector, S("b", SERVER, id=2, parent=1))
    assert calls(look(collector)) == {}
    take(collector, S("a", CLIENT, id=1, parent=9))
    assert calls(look(collector)) == {"a>b": (1, 0)}
    assert graph(S("b", SERVER, id=2, parent=1), S("a", CLIENT, id=1, parent=9)) == {"a>b": (1, 0)}


def test_03_a_root_server_span_is_a_call_from_a_user():
    snapshot = seen(S("b", SERVER, attributes={"http.request.method": "GET"}))
    assert calls(snapshot) == {"user>b": (1, 0)}
    user = next(p for p in snapshot.witnesses[0].parties if p.name == "user")
    assert user.kind is NodeKind.CLIENT
    assert edges(snapshot)["user>b"]["protocol"] == "http"


def test_04_a_database_is_known_by_engine_host_and_port():
    snapshot = seen(S("a", CLIENT, parent=9, attributes=POSTGRES))
    assert calls(snapshot) == {"a>postgresql@pg-1:5432": (1, 0)}
    store = snapshot.witnesses[0].parties[-1]
    assert (store.kind, store.detail) == (NodeKind.DATABASE, "orders")
    assert edges(snapshot)["a>postgresql@pg-1:5432"]["protocol"] == "postgresql"


def test_05_a_database_without_address_is_private_to_its_caller():
    snapshot = seen(
        S("a", CLIENT, id=1, parent=9, attributes={"db.system": "postgresql"}),
        S("b", CLIENT, id=2, parent=9, attributes={"db.system": "postgresql"}),
    )
    assert set(calls(snapshot)) == {"a>postgresql@?~shop/a", "b>postgresql@?~shop/b"}
    resolver = Resolver("x", (), None)
    stores = [p for p in snapshot.witnesses[0].parties if p.kind is NodeKind.DATABASE]
    names = {resolver.node(store).name for store in stores}
    assert names == {f"postgresql (address unknown) ← shop/{caller}" for caller in "ab"}
    assert len({resolver.node(store).id for store in stores}) == 2


def test_06_peer_service_only_names_the_database():
    snapshot = seen(
        S("a", CLIENT, id=1, parent=9, attributes=POSTGRES),
        S("a", CLIENT, id=2, parent=9, attributes={**POSTGRES, "peer.service": "orders-db"}),
    )
    assert calls(snapshot) == {"a>postgresql@pg-1:5432": (2, 0)}
    assert snapshot.witnesses[0].parties[-1].alias == "orders-db"


def test_07_messages_pass_through_their_destination_also_across_traces():
    snapshot = seen(
        S("a", PRODUCER, id=1, parent=9, attributes=SEND),
        S("b", CONSUMER, id=2, trace=8, links=((7, 1),), attributes=PROCESS),
    )
    assert calls(snapshot) == {"a>kafka/orders": (1, 0), "kafka/orders>b": (1, 0)}
    assert {one["kind"] for one in edges(snapshot).values()} == {"async"}
    assert nodes(snapshot)["b"] == (1, 0)


def test_08_a_consumer_below_its_producer_makes_no_direct_edge():
    spans = (
        S("a", PRODUCER, id=1, parent=9, attributes=SEND),
        S("b", CONSUMER, id=2, parent=1, attributes=PROCESS),
    )
    assert graph(*spans, wait=True) == {"a>kafka/orders": (1, 0), "kafka/orders>b": (1, 0)}


def test_09_a_receive_client_span_points_from_the_queue_to_the_service():
    receive = {**KAFKA, "messaging.operation.type": "receive"}
    assert graph(S("b", CLIENT, parent=9, attributes=receive)) == {"kafka/orders>b": (1, 0)}


def test_10_a_batch_counts_its_messages_once_although_each_was_created_by_a_span():
    create = {**KAFKA, "messaging.operation.type": "create"}
    snapshot = seen(
        *(S("a", PRODUCER, id=i, parent=9, attributes=create) for i in (1, 2, 3)),
        S("a", CLIENT, id=4, parent=9, attributes=SEND, links=((7, 1), (7, 2), (7, 3))),
    )
    assert calls(snapshot) == {"a>kafka/orders": (3, 0)}
    assert edges(snapshot)["a>kafka/orders"]["client"] == 1  # one batch was timed


def test_11_a_timeout_at_the_caller_is_a_failed_call_although_the_server_is_content():
    assert graph(S("a", CLIENT, id=1, parent=9, error=True), S("b", SERVER, id=2, parent=1)) == {
        "a>b": (1, 1)
    }


def test_12_an_unanswered_call_to_a_cluster_name_is_that_service_not_an_external_one():
    attributes = {"server.address": "pay.shop.svc.cluster.local"}
    snapshot = seen(S("a", CLIENT, parent=9, attributes=attributes), wait=True)
    peer = next(p for p in snapshot.witnesses[0].parties if p.kind is NodeKind.EXTERNAL)
    node = Resolver("x", (), None).node(peer)
    assert (node.id, node.kind) == ("x:shop:pay", NodeKind.SERVICE)
    assert "server not traced" in node.matched_by


def test_13_the_service_that_answers_is_remembered_under_the_name_it_was_called_by():
    collector = OtlpCollector("test")
    call = {"peer.service": "x"}
    take(collector, S("a", CLIENT, id=1, parent=9, attributes=call), S("b", SERVER, id=2, parent=1))
    assert calls(look(collector)) == {"a>b": (1, 0)}
    take(collector, S("a", CLIENT, id=3, parent=9, attributes=call, error=True))
    assert calls(look(collector, later(20))) == {"a>b": (2, 1)}


def test_14_a_retry_is_a_second_call():
    spans = (
        S("a", CLIENT, id=1, parent=9),
        S("a", CLIENT, id=2, parent=9),
        S("b", SERVER, id=3, parent=1),
        S("b", SERVER, id=4, parent=2),
    )
    assert graph(*spans) == {"a>b": (2, 0)}


def test_15_not_found_is_the_callers_error_not_a_failed_call():
    code = {"http.response.status_code": 404}
    found = edges(
        seen(
            S("a", CLIENT, id=1, parent=9, attributes=code, error=True),
            S("b", SERVER, id=2, parent=1, attributes=code),
        )
    )
    assert (found["a>b"]["failed"], found["a>b"]["caller_errors"]) == (0, 1)


def test_16_what_a_server_span_says_of_its_client_never_names_a_server():
    spans = (
        S("a", CLIENT, id=1, parent=9, attributes={"net.peer.name": "h"}),
        S("b", SERVER, id=2, parent=1, attributes={"net.peer.name": "client-host"}),
    )
    snapshot = seen(*spans, wait=True)
    assert calls(snapshot) == {"a>b": (1, 0)}
    assert "client-host" not in repr(snapshot)
