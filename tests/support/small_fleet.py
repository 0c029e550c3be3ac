"""A small fleet in the store of a test site: gateway calls order, order calls a database and payment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

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
    Snapshot,
    Topology,
    edge_id,
    inferred_id,
    service_id,
)
from app.model.inventory import Container, Inventory, Pod, Revision, Workload
from app.model.series import BUCKETS, histogram
from app.store import frames, live, snapshots, sources

CLUSTER = "demo"
GATEWAY, ORDER, PAYMENT = (service_id(CLUSTER, "shop", name) for name in ("gateway", "order", "payment"))
DATABASE = inferred_id(CLUSTER, NodeKind.DATABASE, "postgresql@orders-db:5432")
CALLS = ((GATEWAY, ORDER, "http"), (ORDER, DATABASE, "postgresql"), (ORDER, PAYMENT, "grpc"))
EDGES = tuple(edge_id(*call) for call in CALLS)


def now_second() -> datetime:
    return clock.now().replace(microsecond=0)


def make_node(
    node_id: str, *, status: HealthStatus = HealthStatus.HEALTHY, rps: float = 10.0, **over: Any
) -> Node:
    cluster, namespace, name = node_id.split(":", 2)
    inferred = namespace.startswith("~")
    at = now_second()
    reasons = () if status is HealthStatus.HEALTHY else (Reason("error_ratio", "errors 12 %", 0.12, 0.05),)
    values: dict[str, Any] = {
        "id": node_id,
        "name": name,
        "kind": NodeKind(namespace[1:]) if inferred else NodeKind.SERVICE,
        "cluster": cluster,
        "health": Health(status, at, reasons),
        "namespace": None if inferred else namespace,
        "workload": None if inferred else ("Deployment", name),
        "rps": rps,
        "error_ratio": 0.0,
        "requests": rps * 60,
        "latency": Latency(0.01, 0.05, 0.1),
        "replicas": Replicas() if inferred else Replicas(3, 3),
        "versions": () if inferred else ("v1",),
        "evidence": (Evidence(EvidenceKind.TRACES, at, rps, 0.5),),
        "as_of": at,
    }
    return Node(**(values | over))


def make_edge(source: str, target: str, protocol: str, *, rps: float = 5.0, **over: Any) -> Edge:
    at = now_second()
    values: dict[str, Any] = {
        "id": edge_id(source, target, protocol),
        "source": source,
        "target": target,
        "kind": EdgeKind.SYNC,
        "protocol": protocol,
        "health": Health(HealthStatus.HEALTHY, at),
        "rps": rps,
        "error_ratio": 0.0,
        "latency": Latency(0.01, 0.05, 0.1),
        "evidence": (Evidence(EvidenceKind.TRACES, at, rps, 0.5),),
        "as_of": at,
    }
    return Edge(**(values | over))


def make_topology(
    *, nodes: tuple[Node, ...] | None = None, edges: tuple[Edge, ...] | None = None
) -> Topology:
    return Topology(
        cluster=CLUSTER,
        as_of=now_second(),
        window=timedelta(seconds=60),
        nodes=nodes
        if nodes is not None
        else (
            make_node(ORDER, status=HealthStatus.DEGRADED),
            make_node(GATEWAY),
            make_node(PAYMENT),
            make_node(DATABASE),
        ),
        edges=edges if edges is not None else tuple(make_edge(*call) for call in CALLS),
    )


def big_topology(services: int, calls: int) -> Topology:
    """A fleet of that size; names and numbers differ from row to row."""
    nodes = tuple(
        make_node(service_id(CLUSTER, f"team-{i % 40}", f"service-{i:04d}"), rps=1.0 + i / 7)
        for i in range(services)
    )
    edges = tuple(
        make_edge(
            nodes[i % services].id, nodes[(i * 7 + i // services + 1) % services].id, f"http{i // services}"
        )
        for i in range(calls)
    )
    return make_topology(nodes=nodes, edges=edges)


def put_topology(store: Any, topology: Topology | None = None) -> Topology:
    """Make it the live one, with two sources that answer."""
    put = topology or make_topology()
    with store.begin() as session:
        live.put(session, put, b"")
        sources.succeeded(session, CLUSTER, "prometheus", put.as_of, "without it no rates")
        sources.succeeded(session, CLUSTER, "kubernetes", put.as_of, "without it no pods")
    return put


def put_minutes(store: Any, count: int = 60, *, end: datetime | None = None) -> datetime:
    """History: `count` minutes up to `end`, 600 requests a minute on every node, 6 of them failed."""
    last = (end or clock.now()).astimezone(UTC).replace(second=0, microsecond=0)
    nodes = (ORDER, GATEWAY, PAYMENT, DATABASE)
    with store.begin() as session:
        for back in range(count, 0, -1):
            frames.write(session, _frame(last - timedelta(minutes=back), nodes))
    return last


def _frame(start: datetime, nodes: tuple[str, ...]) -> Frame:
    one = histogram(np.full(600, 0.05))
    assert one.shape == (BUCKETS,)
    return Frame(
        cluster=CLUSTER,
        start=start,
        length=timedelta(minutes=1),
        node_ids=nodes,
        node_requests=np.full(len(nodes), 600.0),
        node_failed=np.full(len(nodes), 6.0),
        node_latency=np.tile(one, (len(nodes), 1)),
        edge_ids=EDGES,
        edge_requests=np.full(len(EDGES), 300.0),
        edge_failed=np.zeros(len(EDGES)),
        edge_latency=np.tile(one / 2, (len(EDGES), 1)),
        node_health=("healthy",) * len(nodes),
        edge_health=("healthy",) * len(EDGES),
        attributes={},
    )


def make_inventory() -> Inventory:
    """Deployment order of two revisions with three pods, one of them of the old revision."""
    created = now_second() - timedelta(days=3)
    new, old = Container("app", "registry.local/order:v2"), Container("app", "registry.local/order:v1")
    workload = Workload(
        "shop", "Deployment", "order", "uid-order", "100", 2, 2,
        containers=(new,), desired=3, current=3, updated=2, ready=3, available=3, revision="2", created=created,
    )  # fmt: skip
    revisions = (
        Revision(
            "shop", "uid-order", "order-aaa", "uid-a", 1, "aaa", (old,), replicas=1, ready=1, created=created
        ),
        Revision(
            "shop", "uid-order", "order-bbb", "uid-b", 2, "bbb", (new,), replicas=2, ready=2, created=created
        ),
    )
    pods = tuple(
        Pod("shop", f"order-{owner[-1]}-{i}", f"pod-{i}", "ReplicaSet", owner, ready=True, phase="Running",
            images=("registry.local/order:v2",), created=created)
        for i, owner in enumerate(("uid-b", "uid-b", "uid-a"))
    )  # fmt: skip
    stranger = Pod("shop", "cart-0", "pod-x", "StatefulSet", "uid-cart", created=created)
    return Inventory(workloads=(workload,), revisions=revisions, pods=(*pods, stranger))


def put_inventory(store: Any) -> Inventory:
    inventory = make_inventory()
    snapshot = Snapshot(CLUSTER, "kubernetes", now_second(), inventory=inventory)
    with store.begin() as session:
        snapshots.put(session, snapshot)
    return inventory
