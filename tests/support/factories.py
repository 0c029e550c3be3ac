"""Small topologies, snapshots and frames for tests: plain functions, everything can be overridden."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from app.model.fleet import (
    Edge,
    EdgeKind,
    EdgeTraffic,
    Evidence,
    EvidenceKind,
    Frame,
    Health,
    HealthStatus,
    Identity,
    Node,
    NodeKind,
    NodeTraffic,
    Snapshot,
    Topology,
    Witness,
)
from app.model.series import BUCKETS

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def make_node(name: str = "order", **over: Any) -> Node:
    fields: dict[str, Any] = {
        "id": f"demo:shop:{name}",
        "name": name,
        "kind": NodeKind.SERVICE,
        "cluster": "demo",
        "namespace": "shop",
        "health": Health(HealthStatus.HEALTHY, NOON),
        "rps": 12.0,
        "evidence": (Evidence(EvidenceKind.TRACES, NOON, 12.0, 0.1),),
        "as_of": NOON,
    }
    return Node(**fields | over)


def make_edge(source: str = "order", target: str = "payment", **over: Any) -> Edge:
    fields: dict[str, Any] = {
        "id": f"demo:shop:{source}>demo:shop:{target}",
        "source": f"demo:shop:{source}",
        "target": f"demo:shop:{target}",
        "kind": EdgeKind.SYNC,
        "protocol": "http",
        "health": Health(HealthStatus.HEALTHY, NOON),
        "rps": 3.0,
        "as_of": NOON,
    }
    return Edge(**fields | over)


def make_topology(**over: Any) -> Topology:
    fields: dict[str, Any] = {
        "cluster": "demo",
        "as_of": NOON,
        "window": MINUTE,
        "nodes": (make_node("order"), make_node("payment"), make_node("cart")),
        "edges": (make_edge(),),
    }
    return Topology(**fields | over)


def make_snapshot(**over: Any) -> Snapshot:
    parties = (Identity("order", namespace="shop"), Identity("payment"))
    two = np.array([1.0, 2.0])
    latency = np.zeros((2, BUCKETS))
    latency[0, 40] = 3
    index = np.array([0, 1], np.int32)
    nodes = NodeTraffic(index, two, np.zeros(2), two, latency, ("v1", ""))
    edges = EdgeTraffic(
        index[:1],
        index[1:],
        two[:1],
        np.zeros(1),
        np.zeros(1),
        two[:1],
        latency[:1],
        latency[1:],
        ("http",),
        (EdgeKind.SYNC,),
    )
    witness = Witness(EvidenceKind.TRACES, NOON, MINUTE, parties, nodes, edges, 0.1)
    fields: dict[str, Any] = {"cluster": "demo", "source": "traces", "as_of": NOON, "witnesses": (witness,)}
    return Snapshot(**fields | over)


def make_frame(
    start: datetime = NOON,
    nodes: dict[str, float] | None = None,
    edges: dict[str, float] | None = None,
    **over: Any,
) -> Frame:
    """A minute in which each id had so many requests, a tenth of them failed, all in latency bucket 40."""
    nodes = {"demo:shop:order": 60.0} if nodes is None else nodes
    edges = {"demo:shop:order>demo:shop:payment": 30.0} if edges is None else edges
    fields: dict[str, Any] = {
        "cluster": "demo",
        "start": start,
        "length": MINUTE,
        "node_health": ("healthy",) * len(nodes),
        "edge_health": ("healthy",) * len(edges),
        "attributes": {name: {"kind": "service"} for name in nodes},
    }
    for prefix, counts in (("node", nodes), ("edge", edges)):
        requests = np.array(list(counts.values()), np.float64)
        latency = np.zeros((len(counts), BUCKETS))
        latency[:, 40] = np.nan_to_num(requests)
        fields |= {
            f"{prefix}_ids": tuple(counts),
            f"{prefix}_requests": requests,
            f"{prefix}_failed": np.floor(requests / 10),
            f"{prefix}_latency": latency,
        }
    return Frame(**fields | over)
