"""One call under many names is one edge between two nodes, whatever each witness knows of it."""

from __future__ import annotations

import pytest

from app.model.fleet import (
    CONNECTIONS,
    EdgeKind,
    EvidenceKind,
    HealthStatus,
    Identity,
    NodeKind,
    Topology,
    Witness,
)
from app.understand.identity import Resolver
from app.understand.topology import assemble
from tests.support.fleets import (
    NOON,
    database,
    edge_row,
    fresh,
    inventory,
    kubernetes,
    node_row,
    queue,
    service,
    snapshot,
    witness,
    workload,
)

MESH, GRAPH = EvidenceKind.MESH, EvidenceKind.SERVICE_GRAPH
CLIENT, TRACES = EvidenceKind.CLIENT_METRICS, EvidenceKind.TRACES
A, B, C = service("a"), service("b"), service("c")
USER = Identity(name="user", kind=NodeKind.CLIENT)
NAN = float("nan")


def _drawn(*witnesses: Witness) -> Topology:
    seen = [snapshot(one, source=f"s{i}") for i, one in enumerate(witnesses)]
    states = [fresh(f"demo/s{i}") for i in range(len(seen))]
    return assemble("demo", seen, states, Resolver("demo", (), None), None, {}, NOON)[0]


def _said(
    by: EvidenceKind, source: Identity, target: Identity, protocol: str, requests: float = 600, **more
) -> Witness:
    return witness(by, edges=[edge_row(source, target, requests, protocol=protocol, **more)])


@pytest.mark.parametrize(
    ("protocols", "drawn"),
    [
        (("http", "", "http"), "http"),
        (("grpc", "http", "http"), "grpc"),
        (("tcp", "", "http"), "http"),
        (("tcp", "grpc", ""), "grpc"),
        (("tcp", "", ""), "tcp"),
        (("", "", ""), "unknown"),
    ],
)
def test_who_knows_less_of_a_protocol_joins_who_knows_more(
    protocols: tuple[str, str, str], drawn: str
) -> None:
    said = [_said(k, A, B, p) for k, p in zip((MESH, GRAPH, TRACES), protocols, strict=True)]
    (edge,) = _drawn(*said).edges
    assert edge.protocol == drawn
    assert edge.rps == 10.0
    assert [word.rps for word in edge.evidence] == [10.0, 10.0, 10.0]


def test_two_protocols_that_one_witness_tells_apart_stay_two_edges() -> None:
    both = witness(MESH, edges=[edge_row(A, B, 600, protocol=p) for p in ("http", "grpc", "tcp")])
    assert {edge.protocol for edge in _drawn(both, _said(TRACES, A, B, "http")).edges} == {
        "http",
        "grpc",
        "tcp",
    }


def test_a_store_under_all_its_names_is_one_node_and_one_edge() -> None:
    traced = database("postgresql", "orders-db:5432", detail="orders")
    graphed = database("", "orders-db", alias="orders-db", scope="a")
    meshed = Identity(
        kind=NodeKind.EXTERNAL,
        address="orders-db.shop.svc.cluster.local",
        alias="orders-db",
        detail=CONNECTIONS,
    )
    topology = _drawn(
        _said(MESH, A, meshed, "tcp", NAN),
        _said(GRAPH, A, graphed, ""),
        _said(CLIENT, A, traced, "postgresql"),
        _said(TRACES, A, traced, "postgresql"),
    )
    (edge,) = topology.edges
    assert (edge.protocol, edge.rps) == ("postgresql", 10.0)
    assert edge.target == "demo:~database:postgresql@orders-db:5432"
    assert {word.source: word.rps for word in edge.evidence} == {
        MESH: None,
        GRAPH: 10,
        CLIENT: 10,
        TRACES: 10,
    }


def test_a_store_that_the_graph_calls_by_its_database_is_the_one_that_has_it() -> None:
    traced = database("postgresql", "pg-1:5432", detail="orders")
    graphed = database("", "orders", alias="orders", scope="a")
    assert len(_drawn(_said(GRAPH, A, graphed, ""), _said(TRACES, A, traced, "postgresql")).edges) == 1


def test_a_database_name_that_two_stores_have_is_nobodys() -> None:
    stores = [database("postgresql", f"pg-{i}:5432", detail="orders") for i in (1, 2)]
    graphed = database("", "orders", alias="orders", scope="a")
    traced = [edge_row(A, store, 60, protocol="postgresql") for store in stores]
    assert len(_drawn(_said(GRAPH, A, graphed, ""), witness(TRACES, edges=traced)).edges) == 3


def test_a_store_that_only_a_mesh_sees_is_not_called_a_service_of_ours() -> None:
    meshed = Identity(
        kind=NodeKind.EXTERNAL, address="mail.shop.svc.cluster.local", alias="mail", detail=CONNECTIONS
    )
    topology = _drawn(_said(MESH, A, meshed, "tcp", NAN))
    assert {node.name: node.kind for node in topology.nodes}["mail"] is NodeKind.EXTERNAL
    assert topology.edges[0].rps is None


def test_a_foreign_host_without_its_port_is_the_one_that_is_called_with_it() -> None:
    with_port, without = (
        Identity(kind=NodeKind.EXTERNAL, address=a) for a in ("api.example:443", "api.example")
    )
    (edge,) = _drawn(_said(MESH, A, without, "http"), _said(TRACES, A, with_port, "http")).edges
    assert edge.target.endswith("api.example:443")


def test_a_message_hop_is_not_drawn_beside_the_queue_it_passes() -> None:
    topic = queue("orders")
    hop = _said(GRAPH, A, B, "messaging", kind=EdgeKind.ASYNC)
    rows = [(A, topic), (topic, B)]
    passed = witness(
        TRACES, edges=[edge_row(s, t, 600, protocol="kafka", kind=EdgeKind.ASYNC) for s, t in rows]
    )
    assert len(_drawn(hop).edges) == 1
    assert len(_drawn(hop, passed).edges) == 2
    assert len(_drawn(_said(GRAPH, A, C, "messaging", kind=EdgeKind.ASYNC), passed).edges) == 3


def test_who_calls_from_outside_the_mesh_is_the_caller_that_others_name() -> None:
    outside = _said(MESH, USER, B, "http")
    assert [edge.source for edge in _drawn(outside).edges] == ["demo:~client:user"]
    named = _drawn(outside, _said(TRACES, A, B, "http"))
    assert [edge.source for edge in named.edges] == ["demo:shop:a"]
    meshed = witness(MESH, edges=[edge_row(USER, B, 60), edge_row(A, B, 600)])
    assert len(_drawn(meshed, _said(TRACES, A, B, "http")).edges) == 2


def test_a_service_whose_only_numbers_are_none_is_unknown_not_without_traffic() -> None:
    seen = [snapshot(witness(nodes=[node_row(A, NAN), node_row(B, 600)]), source="s0")]
    stock = inventory(*(workload(name) for name in "abc"))
    seen.append(kubernetes(stock))
    states = [fresh("demo/s0"), fresh("demo/kubernetes")]
    topology, _ = assemble("demo", seen, states, Resolver("demo", (), stock), None, {}, NOON)
    status = {node.name: node.health.status for node in topology.nodes}
    assert status["a"] is HealthStatus.UNKNOWN
    assert status["c"] is not HealthStatus.UNKNOWN
