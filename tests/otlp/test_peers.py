"""Who is at the other end: precedence of attributes, old and new names."""

from __future__ import annotations

import pytest

from app.model.fleet import NodeKind
from app.model.trace import SpanKind
from collectors.span_peers import Role, peer_of, protocol_of


@pytest.mark.parametrize(
    ("attributes", "address"),
    [
        ({"server.address": "h1", "server.port": "80", "net.peer.name": "h2"}, "h1:80"),
        ({"server.address": "H1"}, "h1"),
        (
            {"network.peer.address": "10.0.0.1", "network.peer.port": "81", "net.peer.name": "h2"},
            "10.0.0.1:81",
        ),
        ({"net.peer.name": "h2", "net.peer.port": "82", "net.peer.ip": "10.0.0.2"}, "h2:82"),
        ({"net.sock.peer.addr": "10.0.0.3", "net.sock.peer.port": "83"}, "10.0.0.3:83"),
        ({"net.peer.ip": "10.0.0.2"}, "10.0.0.2"),
        ({"url.full": "https://user:secret@api.example/x?token=1"}, "api.example:443"),
        ({"http.url": "http://api.example:8081/x"}, "api.example:8081"),
        ({"http.host": "api.example:8082"}, "api.example:8082"),
        ({"server.address": "fe80::1", "server.port": "80"}, "[fe80::1]:80"),
        ({"url.full": "http://[::1", "http.host": "h4"}, "h4"),
        ({"url.full": "http://h:99999999/"}, ""),
        ({}, ""),
    ],
)
def test_the_address_is_the_first_attribute_that_names_one(attributes, address):
    found = peer_of(attributes, kind=SpanKind.CLIENT, caller="shop/a").identity
    assert (found.address if found else "") == address


@pytest.mark.parametrize(
    ("attributes", "name", "namespace"),
    [
        ({"service.peer.name": "new", "peer.service": "old", "service.peer.namespace": "ns"}, "new", "ns"),
        ({"peer.service": "old", "server.address": "h"}, "old", ""),
    ],
)
def test_an_explicit_remote_service_names_the_peer(attributes, name, namespace):
    found = peer_of(attributes, kind=SpanKind.CLIENT, caller="shop/a").identity
    assert found is not None
    assert (found.name, found.namespace, found.kind) == (name, namespace, NodeKind.EXTERNAL)


@pytest.mark.parametrize(
    ("attributes", "kind", "engine", "detail"),
    [
        (
            {"db.system.name": "postgresql", "db.namespace": "n", "db.name": "o"},
            NodeKind.DATABASE,
            "postgresql",
            "n",
        ),
        ({"db.system": "mssql", "db.name": "o"}, NodeKind.DATABASE, "microsoft.sql_server", "o"),
        ({"db.system": "redis", "db.redis.database_index": "3"}, NodeKind.CACHE, "redis", "3"),
        ({"db.system.name": "elasticsearch"}, NodeKind.DATABASE, "elasticsearch", ""),
    ],
)
def test_stores_are_known_by_their_engine_under_its_present_name(attributes, kind, engine, detail):
    found = peer_of(attributes, kind=SpanKind.CLIENT, caller="shop/a")
    assert found.identity is not None
    assert (found.identity.kind, found.identity.engine, found.identity.detail) == (kind, engine, detail)
    assert found.protocol == engine
    assert found.certain


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "::1"])
def test_loopback_peers_belong_to_their_caller(host):
    store = peer_of(
        {"db.system": "redis", "server.address": host}, kind=SpanKind.CLIENT, caller="shop/a"
    ).identity
    other = peer_of({"server.address": host}, kind=SpanKind.CLIENT, caller="shop/a").identity
    assert store is not None
    assert other is not None
    assert (store.scope, other.scope) == ("shop/a", "shop/a")


def test_a_peer_with_an_address_of_its_own_is_shared_by_its_callers():
    found = peer_of(
        {"db.system": "redis", "server.address": "cache-1"}, kind=SpanKind.CLIENT, caller="shop/a"
    )
    assert found.identity is not None
    assert found.identity.scope == ""


@pytest.mark.parametrize(
    ("kind", "operation", "role"),
    [
        (SpanKind.PRODUCER, {"messaging.operation.type": "create"}, Role.CREATE),
        (SpanKind.PRODUCER, {"messaging.operation.type": "send"}, Role.SEND),
        (SpanKind.CLIENT, {"messaging.operation.type": "send"}, Role.SEND),
        (SpanKind.PRODUCER, {"messaging.operation": "publish"}, Role.SEND),
        (SpanKind.CLIENT, {"messaging.operation.type": "receive"}, Role.RECEIVE),
        (SpanKind.CONSUMER, {"messaging.operation": "receive"}, Role.RECEIVE),
        (SpanKind.CONSUMER, {"messaging.operation": "deliver"}, Role.PROCESS),
        (SpanKind.CLIENT, {"messaging.operation.type": "settle"}, Role.IGNORED),
        (SpanKind.PRODUCER, {}, Role.SEND),
        (SpanKind.CONSUMER, {}, Role.PROCESS),
        (SpanKind.CLIENT, {}, Role.SEND),
    ],
)
def test_the_operation_of_a_messaging_span_decides_before_its_kind(kind, operation, role):
    attributes = {"messaging.system": "kafka", "messaging.destination.name": "orders", **operation}
    found = peer_of(attributes, kind=kind, caller="shop/a")
    assert found.role is role
    assert found.identity is not None
    assert (found.identity.kind, found.identity.engine, found.identity.destination) == (
        NodeKind.QUEUE,
        "kafka",
        "orders",
    )


def test_a_template_names_a_destination_better_than_its_instances():
    attributes = {
        "messaging.system": "rabbitmq",
        "messaging.destination.template": "orders.{id}",
        "messaging.destination.name": "orders.17",
    }
    found = peer_of(attributes, kind=SpanKind.PRODUCER, caller="shop/a").identity
    assert found is not None
    assert found.destination == "orders.{id}"


def test_temporary_destinations_are_one_node():
    attributes = {
        "messaging.system": "jms",
        "messaging.destination.name": "x-17",
        "messaging.destination.temporary": "true",
    }
    found = peer_of(attributes, kind=SpanKind.PRODUCER, caller="shop/a").identity
    assert found is not None
    assert found.destination == "(temporary)"


@pytest.mark.parametrize(
    ("attributes", "protocol"),
    [
        ({"rpc.system.name": "grpc", "http.request.method": "POST"}, "grpc"),
        ({"rpc.system": "apache_dubbo"}, "dubbo"),
        ({"http.method": "GET"}, "http"),
        ({"url.full": "http://x/"}, "http"),
        ({"peer.service": "x"}, ""),
    ],
)
def test_the_protocol_is_told_or_left_open(attributes, protocol):
    assert protocol_of(attributes) == protocol


@pytest.mark.parametrize(
    ("told", "messages"),
    [("5", 5), ("", 0), ("0", 0), ("x", 0), ("99999", 10_000), ("9" * 30, 0), ("²", 0)],
)
def test_a_batch_stands_for_its_messages_within_reason(told, messages):
    attributes = {"messaging.system": "kafka", "messaging.batch.message_count": told}
    assert peer_of(attributes, kind=SpanKind.CLIENT, caller="shop/a").messages == messages


def test_hostile_names_are_cut():
    found = peer_of(
        {"peer.service": "x" * 10_000, "server.address": "h" * 10_000}, kind=SpanKind.CLIENT, caller="c"
    )
    assert found.identity is not None
    assert max(len(found.identity.name), len(found.identity.address)) <= 520
