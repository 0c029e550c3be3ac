"""What expressions select of a small fleet."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from msgspec import structs

from app.model.fleet import (
    Edge,
    EdgeKind,
    Evidence,
    EvidenceKind,
    Health,
    HealthStatus,
    Latency,
    Node,
    NodeKind,
    Replicas,
    Topology,
)
from app.model.inventory import Inventory, Pod, Revision, Workload
from app.understand.expression import parse
from app.understand.selection import Facts, facts_of, needs_facts, select, without
from tests.support.fleets import MINUTE, NOON


def node(name, ns="shop", status=HealthStatus.HEALTHY, kind=NodeKind.SERVICE, **over) -> Node:
    key = f"demo:{ns}:{name}" if kind is NodeKind.SERVICE else f"demo:~{kind}:{name}"
    home = ns if kind is NodeKind.SERVICE else None
    values = {"rps": 10.0, "error_ratio": 0.0, "latency": Latency(0.01, 0.1, 0.2)} | over
    return Node(key, name, kind, "demo", Health(status), namespace=home, **values)


def edge(source: Node, target: Node, protocol="http", status=HealthStatus.HEALTHY, **over) -> Edge:
    values = {"rps": 5.0, "error_ratio": 0.0, "latency": Latency(0.01, 0.1, 0.2), "as_of": NOON} | over
    kind = values.pop("kind", EdgeKind.SYNC)
    key = f"{source.id}>{target.id}>{protocol}"
    return Edge(key, source.id, target.id, kind, protocol, Health(status), **values)


USER = node("user", kind=NodeKind.CLIENT, rps=None, latency=Latency())
GATEWAY = node("gateway", owner="team-edge")
CHECKOUT = node("checkout", status=HealthStatus.FAILING, error_ratio=0.12, versions=("v42", "v43"), rps=40.0)
PAY = node("pay", "payments", HealthStatus.DEGRADED, latency=Latency(0.1, 2.1, 3.0), replicas=Replicas(3, 1))
CRON = node("cron", "jobs", HealthStatus.IDLE, rps=0.0)
LEDGER = node("ledger", "payments", HealthStatus.UNKNOWN, rps=None, error_ratio=None, latency=Latency())
DATABASE = node("postgresql@db:5432", kind=NodeKind.DATABASE)
QUEUE = node("kafka/orders", kind=NodeKind.QUEUE)
API = node("api.stripe.com", kind=NodeKind.EXTERNAL)
TRACES = (Evidence(EvidenceKind.TRACES, NOON, 5.0, 0.1),)
EDGES = {
    "in": edge(USER, GATEWAY),
    "order": edge(GATEWAY, CHECKOUT, status=HealthStatus.DEGRADED, evidence=TRACES),
    "pay": edge(CHECKOUT, PAY, "grpc", latency=Latency(0.2, 2.2, 3.0), rps=15.0, error_ratio=0.2),
    "db": edge(CHECKOUT, DATABASE, "postgresql", as_of=NOON - timedelta(minutes=10)),
    "event": edge(CHECKOUT, QUEUE, "messaging", kind=EdgeKind.ASYNC, latency=Latency(0.1, 0.5, 1.0)),
    "quiet": edge(PAY, API, rps=0.0),
}
NODES = (USER, GATEWAY, CHECKOUT, PAY, CRON, LEDGER, DATABASE, QUEUE, API)
FLEET = Topology("demo", NOON, MINUTE, NODES, tuple(EDGES.values()))
FACTS = {
    CHECKOUT.id: Facts(NOON - timedelta(minutes=10), 3, {"region": "east", "tier": "1"}),
    PAY.id: Facts(NOON - timedelta(hours=2), 0, {"region": "west"}),
}


def selected(text: str) -> set[str]:
    """Names of nodes and of edges."""
    found = select(text, FLEET, FACTS)
    assert found is not None
    nodes = {one.name for one, hit in zip(NODES, found.nodes, strict=True) if hit}
    return nodes | {name for name, hit in zip(EDGES, found.edges, strict=True) if hit}


EVERYTHING = {one.name for one in NODES}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pay", {"pay"}),
        ("CHECK", {"checkout"}),
        ("ns = payments", {"pay", "ledger"}),
        ("ns != payments", {"gateway", "checkout", "cron"}),  # what has no namespace is not another one
        ("NOT ns = payments", EVERYTHING - {"pay", "ledger"}),
        ("ns = none", {"user", "postgresql@db:5432", "kafka/orders", "api.stripe.com"}),
        ("ns in (jobs, payments)", {"cron", "pay", "ledger"}),
        ("ns not in (shop, payments)", {"cron"}),
        ("name ^= check or name $= .com", {"checkout", "api.stripe.com"}),
        ("name ~ '^(pay|cron)$'", {"pay", "cron"}),
        ("kind = database", {"postgresql@db:5432"}),
        ("external", {"api.stripe.com"}),
        ("entry", {"gateway"}),
        ("team = team-edge", {"gateway"}),
        ("version = v43", {"checkout"}),
        ("version != v43", set()),
        ("version != v99", {"checkout"}),
        ("status = idle or unknown", {"cron", "ledger"}),
        ("!healthy", {"checkout", "pay"}),
        ("NOT (healthy)", {"checkout", "pay"}),
        ("NOT (healthy AND name *= a)", EVERYTHING - {"gateway", "kafka/orders", "api.stripe.com"}),
        ("NOT status = healthy", {"checkout", "pay", "cron", "ledger"}),
        ("err > 5%", {"checkout"}),
        ("checkout err > 5%", {"checkout"}),
        ("rate = none", {"user", "ledger"}),
        ("rate != none", EVERYTHING - {"user", "ledger"}),
        ("rate < 1", {"cron"}),
        ("NOT rate > 1", {"user", "cron", "ledger"}),
        ("p95 > 1s", {"pay"}),
        ("p95 > 1s OR edge.p95 > 1s", {"pay"} | {"pay"}),
        ("ready < 3", {"pay"}),
        ("restarts > 2", {"checkout"}),
        ("rank = 1", {"checkout"}),
        ("changed < 30m", {"checkout"}),
        ("changed > 1h", {"pay"}),
        ("rank <= 1 OR changed > 1h", {"checkout", "pay"}),
        ("label:region", {"checkout", "pay"}),
        ("!label:region", EVERYTHING - {"checkout", "pay"}),
        ("!(label:region = east)", EVERYTHING - {"checkout"}),
        ("tier = 1", {"checkout"}),
        ("grpcin > 10", {"pay"}),
        ("httpout = none", EVERYTHING - {"user", "gateway", "pay"}),
    ],
)
def test_fields_of_nodes_select_nodes(text, expected):
    assert selected(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("async", {"event"}),
        ("protocol = grpc", {"pay"}),
        ("source = traces", {"order"}),
        ("age > 5m", {"db"}),
        ("edge.p95 > 300ms", {"pay", "event"}),
        ("rt > 1000", {"pay"}),
        ("%grpcerr > 10", {"pay"}),
        ("%httperr >= 0", {"in", "order", "quiet"}),
        ("%grpctraffic > 50", {"pay"}),
        ("protocol = http AND !traffic", {"quiet"}),
        ("from.ns = shop AND p95 > 300ms AND async", {"event"}),
        ("ns = payments AND protocol = http", {"quiet"}),  # either end
        ("ns = shop AND protocol = http", {"in", "order"}),
        ("from.ns = shop to.ns = payments", {"pay"}),
        ("to.p95 > 1s", {"pay"}),
        ("p95 > 1s AND protocol = grpc", {"pay"}),
        ("edge.status = degraded", {"order"}),
        ("!healthy AND protocol = http", {"order"}),
        ("NOT ns = shop AND edge.rate >= 0", {"quiet"}),  # neither end
        ("!from.healthy edge.rate >= 0", {"pay", "db", "event", "quiet"}),
    ],
)
def test_anything_of_an_edge_selects_edges(text, expected):
    assert selected(text) == expected


def test_branches_of_or_select_each_their_own():
    assert selected("ns=jobs OR protocol=http AND !traffic") == {"cron", "quiet"}
    assert selected("(ns=jobs OR async)") == {"cron", "event"}


@pytest.mark.parametrize(
    "text", ["slo > 5%", "firing", "!acked", "cpu > 1", "mtls", "sidecar", "budget < 1%", "!cb"]
)
def test_what_nobody_tells_matches_nothing_and_is_said(text):
    found = select(text, FLEET)
    assert found is not None
    assert not found.nodes.any()
    assert not found.edges.any()
    assert len(found.notes) == 1
    assert "matches nothing" in found.notes[0]


def test_not_known_is_no_reason_to_match_and_its_negation_is():
    assert selected("NOT (cpu > 1)") == EVERYTHING
    assert selected("cpu = none") == EVERYTHING


def test_an_end_that_is_not_seen_satisfies_nothing():
    lost = replace(FLEET, nodes=(GATEWAY,), edges=(EDGES["order"],))
    found = select("to.status != failing edge.rate > 0", lost)
    assert found is not None
    assert not found.edges.any()
    assert select("from.ns = shop", lost).edges.all()


def test_hidden_nodes_take_their_edges_and_hidden_edges_what_they_leave_alone():
    assert {n.name for n in without(FLEET, select("checkout", FLEET)).nodes} == EVERYTHING - {"checkout"}
    rest = without(FLEET, select("protocol = postgresql", FLEET))
    assert {n.name for n in rest.nodes} == EVERYTHING - {"postgresql@db:5432"}  # cron never had any
    assert "demo:shop:checkout>demo:~database:postgresql@db:5432>postgresql" not in {e.id for e in rest.edges}
    assert len(without(FLEET, select("checkout", FLEET), CHECKOUT.id).nodes) == len(NODES)


def test_facts_come_from_the_inventory_and_only_up_to_the_moment_shown():
    workload = Workload("shop", "Deployment", "checkout", "w1", "1", 1, 1, labels=(("region", "east"),))
    ages = (3, 1, -1)
    revisions = tuple(
        Revision("shop", "w1", f"r{n}", f"u{n}", n, "", created=NOON - timedelta(hours=age))
        for n, age in enumerate(ages)
    )
    pods = (
        Pod("shop", "a", "p1", owner_uid="u1", restarts=2),
        Pod("shop", "b", "p2", owner_uid="w1", restarts=1),
    )
    fleet = replace(FLEET, nodes=(structs.replace(CHECKOUT, workload=("Deployment", "checkout")), PAY))
    found = facts_of(fleet, {"demo": Inventory((workload,), revisions, pods)})
    assert found == {CHECKOUT.id: Facts(NOON - timedelta(hours=1), 3, {"region": "east"})}


def test_the_inventory_is_read_for_its_own_fields_only():
    assert needs_facts("a or changed < 1h")
    assert needs_facts("!label:x")
    assert not needs_facts("a b err > 5%")
    assert not needs_facts("")
    assert parse("a") is not None
