"""A seeded fleet to look at: eleven services of a shop in every health, two inferred nodes, an hour of history."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from msgspec import structs

from app import clock
from app.model.fleet import (
    Edge,
    EdgeKind,
    Evidence,
    EvidenceKind,
    Frame,
    Health,
    HealthStatus,
    Latency,
    Node,
    NodeKind,
    Reason,
    Replicas,
    SourceStatus,
    Topology,
    edge_id,
    inferred_id,
    service_id,
)
from app.model.series import BUCKETS, bucket_of
from app.store import frames, live, sources
from app.store.engine import Store

MINUTE = timedelta(minutes=1)
NAMES = (
    "gateway",
    "order",
    "inventory",
    "payment",
    "cart",
    "user",
    "recommendation",
    "search",
    "risk-control",
    "customer-service",
    "notification",
)
STATES = {
    "order": HealthStatus.FAILING,
    "payment": HealthStatus.DEGRADED,
    "search": HealthStatus.UNKNOWN,
    "user": HealthStatus.MAINTENANCE,
    "notification": HealthStatus.IDLE,
}
REASONS = {
    "order": Reason("error_ratio_above_baseline", "errors 12 %, usually 0.1 %", 0.12, 0.01),
    "payment": Reason("latency_p95_above_baseline", "p95 1.9 s, usually 0.3 s", 1.9, 0.6),
    "search": Reason("no_data", "no data for 5 m"),
}
COSTS = {"prometheus": "no rates, errors or latencies", "kubernetes": "no pods, versions or scaling"}


def make_service(name: str, at: datetime, *, place: int = 0, status: HealthStatus | None = None) -> Node:
    """A service of the shop as it stands at a moment; without a status, that of STATES."""
    state = status or STATES.get(name, HealthStatus.HEALTHY)
    reason = (REASONS[name],) if name in REASONS and state is STATES.get(name) else ()
    seen = state is not HealthStatus.UNKNOWN
    idle = state is HealthStatus.IDLE
    return Node(
        service_id("demo", "shop", name),
        name,
        NodeKind.SERVICE,
        "demo",
        Health(state, at - timedelta(minutes=6 + place), reason),
        "shop",
        "team-a" if place % 2 else "team-b",
        ("Deployment", name),
        rps=(0.0 if idle else 200.0 - 7 * place) if seen else None,
        error_ratio=(0.12 if state is HealthStatus.FAILING else 0.0003) if seen and not idle else None,
        requests=(0.0 if idle else 12_000.0) if seen else None,
        latency=Latency(0.05, 1.9 if name == "payment" else 0.12, 3.1) if seen and not idle else Latency(),
        replicas=Replicas(4, 3 if state is HealthStatus.FAILING else 4),
        versions=("v43",),
        evidence=(Evidence(EvidenceKind.SERVER_METRICS, at, 40.0),),
        as_of=at if seen else at - timedelta(minutes=5),
    )


def make_fleet(at: datetime, **changed: HealthStatus | None) -> Topology:
    """The whole fleet; `changed` gives services (dashes as underscores) another status, or None to drop them."""
    wanted = {name.replace("_", "-"): status for name, status in changed.items()}
    gone = {name for name, status in wanted.items() if status is None}
    nodes = [
        make_service(name, at, place=place, status=wanted.get(name))
        for place, name in enumerate((*NAMES, *(name for name in wanted if name not in NAMES)))
        if name not in gone
    ]
    database = inferred_id("demo", NodeKind.DATABASE, "postgresql@orders-db:5432")
    inferred = Node(
        database, "postgresql@orders-db:5432", NodeKind.DATABASE, "demo", _healthy(at), rps=80.0, as_of=at
    )
    order = service_id("demo", "shop", "order")
    edges = [
        make_edge(service_id("demo", "shop", "gateway"), order, "http", at, HealthStatus.FAILING),
        make_edge(order, database, "postgresql", at, HealthStatus.HEALTHY),
    ]
    ordered = sorted([*nodes, inferred], key=lambda node: node.health.status.rank)
    return Topology("demo", at, MINUTE, tuple(ordered), tuple(edges))


def make_edge(source: str, target: str, protocol: str, at: datetime, status: HealthStatus) -> Edge:
    """A call between two nodes."""
    return Edge(
        edge_id(source, target, protocol),
        source,
        target,
        EdgeKind.SYNC,
        protocol,
        Health(status, at),
        rps=40.0,
        error_ratio=0.1,
        requests=2400.0,
        latency=Latency(0.01, 0.2, 0.3),
        as_of=at,
    )


def _healthy(at: datetime) -> Health:
    return Health(HealthStatus.HEALTHY, at - timedelta(hours=3))


def show(store: Store, topology: Topology) -> None:
    """Make this the present fleet."""
    with store.begin() as session:
        live.put(session, topology, b"")


def answered(store: Store, at: datetime) -> None:
    """Both sources gave their word at a moment."""
    with store.begin() as session:
        for name, cost in COSTS.items():
            sources.succeeded(session, "demo", name, at, cost)


def silent(store: Store, at: datetime, error: str = "connection refused by 127.0.0.1:9090") -> None:
    """Prometheus stopped answering at a moment."""
    with store.begin() as session:
        sources.failed(session, "demo", "prometheus", SourceStatus.DOWN, error, at, COSTS["prometheus"])


def remember(store: Store, topology: Topology, minutes: int = 60) -> None:
    """An hour of frames; a gap in the middle, and errors that rise in the last minutes."""
    end = topology.as_of.replace(second=0, microsecond=0)
    with store.begin() as session:
        for back in range(minutes, 0, -1):
            if not 20 < back < 24:
                frames.write(session, make_minute(topology, end - back * MINUTE, bad=back < 8))


def make_minute(topology: Topology, start: datetime, *, bad: bool) -> Frame:
    """One minute in which everybody had 600 requests; `bad`: order fails and payment is slow."""
    ids = tuple(node.id for node in topology.nodes)
    edge_ids = tuple(edge.id for edge in topology.edges)
    requests = np.full(len(ids), 600.0)
    failed = np.array([72.0 if bad and one.endswith(":order") else 0.0 for one in ids])
    seconds = np.array([1.9 if bad and one.endswith(":payment") else 0.12 for one in ids])
    calls = np.full(len(edge_ids), 300.0)
    return Frame(
        cluster=topology.cluster,
        start=start,
        length=MINUTE,
        node_ids=ids,
        node_requests=requests,
        node_failed=failed,
        node_latency=_spread(seconds, requests),
        edge_ids=edge_ids,
        edge_requests=calls,
        edge_failed=np.zeros(len(edge_ids)),
        edge_latency=_spread(np.full(len(edge_ids), 0.1), calls),
        node_health=tuple(str(node.health.status) for node in topology.nodes),
        edge_health=tuple(str(edge.health.status) for edge in topology.edges),
        attributes={node.id: {"kind": str(node.kind), "name": node.name} for node in topology.nodes},
    )


def _spread(seconds: Any, counts: Any) -> Any:
    latency = np.zeros((len(seconds), BUCKETS))
    latency[np.arange(len(seconds)), bucket_of(seconds)] = counts
    return latency


def seed(store: Store, at: datetime | None = None) -> Topology:
    """The fleet with sources that answered and an hour of history; answers what was stored."""
    fleet = make_fleet(at or clock.now())
    remember(store, fleet)
    answered(store, fleet.as_of)
    show(store, fleet)
    return fleet


def renamed(topology: Topology, names: list[str]) -> Topology:
    """The same fleet under other (hostile) names, owners and reasons."""
    nodes = [
        structs.replace(
            node,
            id=service_id("demo", "shop", f"{place}{name}"),
            name=name,
            owner=name,
            versions=(name,),
            health=structs.replace(node.health, reasons=(Reason("error_ratio_above_baseline", name),)),
        )
        for place, (node, name) in enumerate(zip(topology.nodes, names, strict=False))
    ]
    return replace(topology, nodes=tuple(nodes), edges=())
