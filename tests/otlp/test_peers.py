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


def test_temporary_destinations_of_two_brokers_are_two_nodes():
    attributes = {
        "messaging.system": "jms",
        "messaging.destination.anonymous": "true",
        "server.port": "61616",
    }
    found = {
        peer_of(
            {**attributes, "server.address": broker}, kind=SpanKind.PRODUCER, caller="a"
        ).identity.destination
        for broker in ("mq-1", "mq-2")
    }
    assert found == {"(temporary) mq-1:61616", "(temporary) mq-2:61616"}


S3 = {"aws.s3.bucket": "Invoices", "rpc.system": "aws-api", "server.address": "s3.amazonaws.com"}
DYNAMO = {"aws.dynamodb.table_names": "Carts", "rpc.system": "aws-api"}


@pytest.mark.parametrize(
    ("attributes", "kind", "engine", "address", "detail"),
    [
        (S3, NodeKind.DATABASE, "aws.s3", "invoices", ""),
        (DYNAMO, NodeKind.DATABASE, "aws.dynamodb", "carts", ""),
        ({**DYNAMO, "server.address": "d.aws"}, NodeKind.DATABASE, "aws.dynamodb", "d.aws", "Carts"),
        (
            {**DYNAMO, "db.system": "dynamodb", "server.address": "d.aws"},
            NodeKind.DATABASE, "aws.dynamodb", "d.aws", "Carts",
        ),
    ],
)  # fmt: skip
def test_stores_of_a_cloud_are_known_by_what_is_called(attributes, kind, engine, address, detail):
    found = peer_of(attributes, kind=SpanKind.CLIENT, caller="shop/a").identity
    assert (found.kind, found.engine, found.address, found.detail) == (kind, engine, address, detail)
    assert found.scope == ""


@pytest.mark.parametrize(
    ("attributes", "system", "destination"),
    [
        ({"aws.sqs.queue.url": "https://sqs.eu.amazonaws.com/123/orders"}, "aws_sqs", "orders"),
        ({"aws.sqs.queue.url": "https://sqs.eu.amazonaws.com/123/orders/"}, "aws_sqs", "orders"),
        ({"aws.sns.topic.arn": "arn:aws:sns:us-east-1:123:news"}, "aws.sns", "news"),
        ({"aws.kinesis.stream_name": "clicks"}, "aws.kinesis", "clicks"),
        (
            {"aws.sqs.queue.url": "x/a", "messaging.destination.name": "b", "messaging.system": "aws_sqs"},
            "aws_sqs", "b",
        ),
    ],
)  # fmt: skip
def test_queues_of_a_cloud_are_known_by_their_own_attributes(attributes, system, destination):
    found = peer_of(attributes, kind=SpanKind.CLIENT, caller="shop/a")
    assert (found.identity.kind, found.identity.engine, found.identity.destination) == (
        NodeKind.QUEUE, system, destination,
    )  # fmt: skip
    assert found.protocol == "messaging"


@pytest.mark.parametrize(
    ("method", "role"),
    [
        ("ReceiveMessage", Role.RECEIVE), ("DeleteMessage", Role.IGNORED), ("SendMessage", Role.SEND), ("", Role.SEND),
    ],
)  # fmt: skip
def test_the_method_tells_which_way_messages_of_a_cloud_go(method, role):
    attributes = {"aws.sqs.queue.url": "https://sqs/1/q", "rpc.method": method}
    assert peer_of(attributes, kind=SpanKind.CLIENT, caller="shop/a").role is role


def test_a_function_is_called_by_its_name_not_at_the_address_of_all_functions():
    attributes = {"faas.invoked_name": "resize", "server.address": "lambda.eu.amazonaws.com"}
    found = peer_of(attributes, kind=SpanKind.CLIENT, caller="shop/a").identity
    assert (found.kind, found.name, found.address) == (NodeKind.EXTERNAL, "resize", "")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"db.system": "oracle", "net.peer.name": "h", "net.peer.port": "1", "db.name": "n"},
         {"db.system.name": "oracle.db", "server.address": "h", "server.port": "1", "db.namespace": "n"}),
        ({"db.system": "redis", "net.peer.name": "h", "db.redis.database_index": "1"},
         {"db.system.name": "redis", "server.address": "h", "db.namespace": "1"}),
        ({"messaging.system": "kafka", "messaging.destination": "q", "messaging.operation": "publish"},
         {"messaging.system": "kafka", "messaging.destination.name": "q", "messaging.operation.type": "send"}),
        ({"http.url": "https://h/x", "http.method": "GET", "peer.service": "s"},
         {"url.full": "https://h/x", "http.request.method": "GET", "service.peer.name": "s"}),
        ({"rpc.system": "connect_rpc", "net.peer.name": "h"},
         {"rpc.system.name": "connectrpc", "server.address": "h"}),
    ],
)  # fmt: skip
def test_old_and_new_names_mean_the_same_peer_alone_and_together(old, new):
    first, second, both = (
        peer_of(attributes, kind=SpanKind.CLIENT, caller="shop/a")
        for attributes in (old, new, {**old, **new})
    )
    assert first == second == both


ENGINES = {
    "mssql": "microsoft.sql_server", "oracle": "oracle.db", "db2": "ibm.db2", "dynamodb": "aws.dynamodb",
    "redshift": "aws.redshift", "hanadb": "sap.hana", "h2": "h2database", "ingres": "actian.ingres",
    "spanner": "gcp.spanner", "cosmosdb": "azure.cosmosdb", "informix": "ibm.informix", "netezza": "ibm.netezza",
    "adabas": "softwareag.adabas", "maxdb": "sap.maxdb", "firebird": "firebirdsql",
    "cache": "intersystems.cache", "intersystems_cache": "intersystems.cache",
}  # fmt: skip


@pytest.mark.parametrize(("old", "new"), ENGINES.items())
def test_renamed_engines_are_one(old, new):
    for key in ("db.system", "db.system.name"):
        assert peer_of({key: old}, kind=SpanKind.CLIENT, caller="a").identity.engine == new


@pytest.mark.parametrize(
    "system",
    ["activemq", "aws.sns", "aws_sqs", "eventgrid", "eventhubs", "gcp_pubsub", "jms", "kafka", "pulsar",
     "rabbitmq", "rocketmq", "servicebus"],
)  # fmt: skip
def test_every_messaging_system_makes_queues_of_its_own(system):
    found = peer_of(
        {"messaging.system": system, "messaging.destination.name": "q"}, kind=SpanKind.CLIENT, caller="a"
    )
    assert (found.identity.kind, found.identity.engine) == (NodeKind.QUEUE, system)


def test_a_socket_file_is_private_to_its_caller():
    attributes = {"db.system.name": "postgresql", "server.address": "/var/run/postgresql/.s.PGSQL.5432"}
    assert peer_of(attributes, kind=SpanKind.CLIENT, caller="shop/a").identity.scope == "shop/a"


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
