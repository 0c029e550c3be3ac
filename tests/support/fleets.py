"""Snapshots, witnesses and inventories for tests, made from short rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from app.model.fleet import (
    EdgeKind,
    EdgeTraffic,
    EvidenceKind,
    Freshness,
    Identity,
    NodeKind,
    NodeTraffic,
    Snapshot,
    SourceStatus,
    Witness,
    no_edge_traffic,
    no_node_traffic,
)
from app.model.inventory import Container, Inventory, KubeService, Pod, Revision, Workload
from app.model.series import BUCKETS, histogram

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def service(name: str, namespace: str = "shop", **over) -> Identity:
    return Identity(name=name, namespace=namespace, **over)


def database(engine: str, address: str, **over) -> Identity:
    return Identity(kind=NodeKind.DATABASE, engine=engine, address=address, **over)


def queue(destination: str, engine: str = "kafka", **over) -> Identity:
    return Identity(kind=NodeKind.QUEUE, engine=engine, destination=destination, **over)


def latencies(count: float, seconds: float | None) -> np.ndarray:
    if seconds is None:
        return np.zeros(BUCKETS)
    return histogram(np.array([seconds])) * count


def node_row(
    identity: Identity, requests: float, failed: float = 0, p95: float | None = None, **over
) -> dict:
    return {"identity": identity, "requests": requests, "failed": failed, "p95": p95, **over}


def edge_row(
    source: Identity,
    target: Identity,
    requests: float,
    failed: float = 0,
    p95: float | None = None,
    protocol: str = "http",
    **over,
) -> dict:
    return {
        "source": source,
        "target": target,
        "requests": requests,
        "failed": failed,
        "p95": p95,
        "protocol": protocol,
        **over,
    }


def witness(
    kind: EvidenceKind = EvidenceKind.SERVER_METRICS,
    nodes: Sequence[dict] = (),
    edges: Sequence[dict] = (),
    *,
    as_of: datetime = NOON,
    window: timedelta = MINUTE,
    sampling_ratio: float | None = 1.0,
    parties: Sequence[Identity] = (),
) -> Witness:
    known = list(dict.fromkeys([*parties, *(row["identity"] for row in nodes), *_ends(edges)]))
    at = {identity: i for i, identity in enumerate(known)}
    return Witness(
        evidence=kind,
        as_of=as_of,
        window=window,
        parties=tuple(known),
        nodes=_nodes(nodes, at),
        edges=_edges(edges, at),
        sampling_ratio=sampling_ratio,
    )


def _ends(edges: Sequence[dict]) -> list[Identity]:
    return [identity for row in edges for identity in (row["source"], row["target"])]


def _column(rows: Sequence[dict], key: str, default: str | None = None) -> np.ndarray:
    return np.array([row.get(key, row.get(default) if default else 0) for row in rows], dtype=np.float64)


def _nodes(rows: Sequence[dict], at: dict[Identity, int]) -> NodeTraffic:
    if not rows:
        return no_node_traffic()
    return NodeTraffic(
        party=np.array([at[row["identity"]] for row in rows], dtype=np.int32),
        requests=_column(rows, "requests"),
        failed=_column(rows, "failed"),
        raw=_column(rows, "raw", "requests"),
        latency=np.array([latencies(row["requests"], row["p95"]) for row in rows]),
        versions=tuple(row.get("version", "") for row in rows),
    )


def _edges(rows: Sequence[dict], at: dict[Identity, int]) -> EdgeTraffic:
    if not rows:
        return no_edge_traffic()
    return EdgeTraffic(
        source=np.array([at[row["source"]] for row in rows], dtype=np.int32),
        target=np.array([at[row["target"]] for row in rows], dtype=np.int32),
        requests=_column(rows, "requests"),
        failed=_column(rows, "failed"),
        caller_errors=_column(rows, "caller_errors"),
        raw=_column(rows, "raw", "requests"),
        client_latency=np.array([latencies(row["requests"], row["p95"]) for row in rows]),
        server_latency=np.array([latencies(row["requests"], row.get("server_p95")) for row in rows]),
        protocol=tuple(row["protocol"] for row in rows),
        kind=tuple(row.get("kind", EdgeKind.SYNC) for row in rows),
    )


def snapshot(*witnesses: Witness, source: str = "prometheus", cluster: str = "demo", **over) -> Snapshot:
    as_of = over.pop("as_of", max((w.as_of for w in witnesses), default=NOON))
    return Snapshot(cluster=cluster, source=source, as_of=as_of, witnesses=tuple(witnesses), **over)


def fresh(source: str = "demo/prometheus", as_of: datetime = NOON) -> Freshness:
    return Freshness(source, as_of, SourceStatus.OK)


def down(
    source: str = "demo/prometheus", as_of: datetime = NOON, error: str = "connection refused"
) -> Freshness:
    return Freshness(source, as_of, SourceStatus.DOWN, since=as_of, error=error)


def workload(
    name: str, namespace: str = "shop", *, replicas: int = 2, version: str = "1.0.0", **over
) -> Workload:
    base = Workload(
        namespace=namespace,
        kind="Deployment",
        name=name,
        uid=f"uid-{namespace}-{name}",
        resource_version="1",
        generation=1,
        observed_generation=1,
        labels=(("app", name),),
        selector=(("app", name),),
        containers=(Container(name, f"registry.example/{name}:{version}"),),
        desired=replicas,
        current=replicas,
        updated=replicas,
        ready=replicas,
        available=replicas,
    )
    return replace(base, **over)


def revision(of: Workload, version: str, number: int, *, replicas: int = 0) -> Revision:
    return Revision(
        namespace=of.namespace,
        owner_uid=of.uid,
        name=f"{of.name}-{number}",
        uid=f"{of.uid}-rs-{number}",
        number=number,
        template_hash=str(number),
        containers=(Container(of.name, f"registry.example/{of.name}:{version}"),),
        replicas=replicas,
        ready=replicas,
    )


def pod(of: Workload, index: int = 0, *, rs: Revision | None = None, **over) -> Pod:
    base = Pod(
        namespace=of.namespace,
        name=f"{of.name}-{index}",
        uid=f"{of.uid}-pod-{index}",
        owner_kind="ReplicaSet" if rs else of.kind,
        owner_uid=rs.uid if rs else of.uid,
        labels=of.selector,
        ip=f"10.0.0.{index + 1}",
        phase="Running",
        ready=True,
    )
    return replace(base, **over)


def kube_service(
    name: str, namespace: str = "shop", *, cluster_ip: str = "", app: str | None = None
) -> KubeService:
    return KubeService(namespace, name, cluster_ip, selector=(("app", app or name),), ports=(8080,))


def inventory(*workloads: Workload, **over) -> Inventory:
    return Inventory(workloads=workloads, **over)


def kubernetes(found: Inventory, *, as_of: datetime = NOON, cluster: str = "demo") -> Snapshot:
    return Snapshot(cluster, "kubernetes", as_of, inventory=found)
