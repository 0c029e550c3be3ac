"""The Topology to a minute's Frame and back: what the past keeps, and how it is drawn again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from app.model.fleet import (
    Edge,
    EdgeKind,
    Evidence,
    Frame,
    Health,
    HealthStatus,
    Heard,
    Latency,
    Masks,
    Node,
    NodeKind,
    Reason,
    Topology,
    kinds_of,
)
from app.model.series import Floats, quantiles
from app.understand.columns import Columns
from app.understand.identity import Party
from app.understand.testimony import Testimony

if TYPE_CHECKING:
    from app.understand.topology import Assembly

_MINUTE = timedelta(minutes=1)
_EDGE_KINDS = {kind.value: kind for kind in EdgeKind}
Element = TypeVar("Element", Node, Edge)
_NO_DATA = Reason("no_data", "nobody looked in this window")


def frame_of(built: Assembly, start: datetime) -> Frame:
    """The minute that began at `start`, from an assembly made just after its end.

    Counts are the witnesses' rates over the minute; NaN where only silent witnesses are left.
    """
    merged, topology = built.merged, built.topology
    node_requests, node_failed = _counts(merged.nodes)
    edge_requests, edge_failed = _counts(merged.edges)
    caller = merged.edges.latency
    unknown = caller.sum(axis=1, keepdims=True) == 0
    node_health = {node.id: node.health.status.value for node in topology.nodes}
    edge_health = {edge.id: edge.health.status.value for edge in topology.edges}
    return Frame(
        cluster=topology.cluster,
        start=start,
        length=_MINUTE,
        node_ids=built.node_ids,
        node_requests=node_requests,
        node_failed=node_failed,
        node_latency=_per_minute(merged.nodes.latency, node_requests),
        edge_ids=built.edge_ids,
        edge_requests=edge_requests,
        edge_failed=edge_failed,
        edge_latency=_per_minute(np.where(unknown, merged.edges.server_latency, caller), edge_requests),
        node_health=tuple(node_health[key] for key in built.node_ids),
        edge_health=tuple(edge_health[key] for key in built.edge_ids),
        attributes=_attributes(built),
        node_seen=_seen(merged.nodes, merged.testimonies),
        edge_seen=_seen(merged.edges, merged.testimonies),
        witnesses=_witnesses(merged.testimonies),
    )


def _counts(columns: Columns) -> tuple[Floats, Floats]:
    believed = (columns.chosen >= 0) & (columns.chosen < columns.fresh_count)
    requests = np.where(believed, columns.rps * _MINUTE.total_seconds(), np.nan)
    share = np.where(columns.rps == 0, 0.0, columns.failed)
    return requests, requests * share


def _seen(columns: Columns, testimonies: Sequence[Testimony]) -> Masks:
    """The kinds of evidence that gave each element its numbers, those alive only."""
    mask = np.zeros(len(columns), np.uint16)
    for number, testimony in enumerate(testimonies[: columns.fresh_count]):
        told = np.isfinite(columns.rates[number]) | (columns.chosen == number)
        mask[told] |= testimony.kind.bit
    return mask


def _witnesses(testimonies: Sequence[Testimony]) -> dict[str, Heard]:
    """Every kind of evidence that is alive, for the whole minute; the sparsest sampling of a kind."""
    found: dict[str, Heard] = {}
    for testimony in testimonies:
        if not testimony.fresh:
            continue
        ratio, before = testimony.witness.sampling_ratio, found.get(testimony.kind.value)
        known = [one for one in (ratio, before.sampling_ratio if before else None) if one is not None]
        found[testimony.kind.value] = Heard(_MINUTE.total_seconds(), min(known, default=None))
    return found


def _per_minute(latency: Floats, requests: Floats) -> Floats:
    """Histogram rows scaled so that they add up to the minute's requests; rows without a count are empty."""
    total = latency.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        factor = np.where((total > 0) & np.isfinite(requests), requests / total, 0.0)
    return np.asarray(latency * factor[:, None])


def _attributes(built: Assembly) -> dict[str, dict[str, str]]:
    versions = {node.id: ",".join(node.versions) for node in built.topology.nodes}
    found = {party.id: _described(party, versions[party.id]) for party in built.merged.parties}
    edges = zip(built.edge_ids, built.merged.kinds, built.merged.protocols, strict=True)
    found.update({key: {"kind": kind.value, "protocol": protocol} for key, kind, protocol in edges})
    return found


def _described(party: Party, versions: str) -> dict[str, str]:
    told = {
        "kind": party.kind.value,
        "name": party.name,
        "namespace": party.namespace or "",
        "owner": party.owner or "",
        "workload": "/".join(party.workload) if party.workload else "",
        "detail": party.detail,
        "versions": versions,
    }
    return {key: value for key, value in told.items() if value}


def from_frame(frame: Frame) -> Topology:
    """The fleet as a stored frame (one minute, or several merged ones) knows it, worst first.

    Statuses are those that held then; a frame without them answers unknown. Numbers nobody could see are None.
    """
    end = frame.start + frame.length
    seconds = max(frame.length.total_seconds(), 1e-9)
    nodes, edges = _Rows.of_nodes(frame), _Rows.of_edges(frame)
    return Topology(
        cluster=frame.cluster,
        as_of=end,
        window=frame.length,
        nodes=_sorted([_node(frame, i, nodes, seconds, end) for i in range(len(nodes.ids))]),
        edges=_sorted([_edge(frame, i, edges, seconds, end) for i in range(len(edges.ids))]),
    )


class _Rows:
    """Rows of a frame as plain values: None for NaN."""

    @classmethod
    def of_nodes(cls, frame: Frame) -> _Rows:
        """The nodes of a frame."""
        found = cls(
            frame.node_ids, frame.node_requests, frame.node_failed, frame.node_latency, frame.node_health
        )
        found.witness(frame, frame.node_seen)
        return found

    @classmethod
    def of_edges(cls, frame: Frame) -> _Rows:
        """The edges of a frame."""
        found = cls(
            frame.edge_ids, frame.edge_requests, frame.edge_failed, frame.edge_latency, frame.edge_health
        )
        found.witness(frame, frame.edge_seen)
        return found

    def __init__(
        self, ids: Sequence[str], requests: Floats, failed: Floats, latency: Floats, health: Sequence[str]
    ) -> None:
        self.ids = ids
        self.requests = [None if value != value else value for value in requests.tolist()]
        self.failed = [None if value != value else value for value in failed.tolist()]
        rows = np.round(quantiles(latency), 6).tolist() if len(ids) else []
        self.latency = [Latency() if row[0] != row[0] else Latency(*row) for row in rows]
        self.health = [
            _health_of(status, looked=count is not None) for status, count in _padded(health, self.requests)
        ]
        self.evidence: list[tuple[Evidence, ...]] = [()] * len(self.ids)

    def witness(self, frame: Frame, seen: Masks) -> None:
        """Say who gave the numbers. Rates of the several witnesses are not kept, only the one that was believed."""
        told: dict[int, tuple[Evidence, ...]] = {}
        end = frame.start + frame.length
        for mask in np.unique(seen).tolist():
            heard = [(kind, frame.witnesses.get(kind.value)) for kind in kinds_of(mask)]
            told[mask] = tuple(
                Evidence(kind, end, None, one.sampling_ratio if one else None) for kind, one in heard
            )
        if len(seen) == len(self.ids):
            self.evidence = [told[mask] for mask in seen.tolist()]

    def error_ratio(self, i: int) -> float | None:
        """Σ failed / Σ requests, None without requests."""
        requests, failed = self.requests[i], self.failed[i]
        return failed / requests if requests and failed is not None else None


def _padded(health: Sequence[str], requests: list[float | None]) -> list[tuple[str, float | None]]:
    told = list(health) if len(health) == len(requests) else [HealthStatus.UNKNOWN.value] * len(requests)
    return list(zip(told, requests, strict=True))


@lru_cache(maxsize=64)
def _health_of(status: str, *, looked: bool) -> Health:
    held = HealthStatus(status) if status else HealthStatus.UNKNOWN
    if held is HealthStatus.UNKNOWN and not looked:
        return Health(held, reasons=(_NO_DATA,))
    return Health(held)


def _node(frame: Frame, i: int, rows: _Rows, seconds: float, end: datetime) -> Node:
    key = rows.ids[i]
    told: Mapping[str, str] = frame.attributes.get(key, {})
    requests = rows.requests[i]
    kind, _, workload = told.get("workload", "").partition("/")
    return Node(
        id=key,
        name=told.get("name") or key.rpartition(":")[2],
        kind=NodeKind(told.get("kind", NodeKind.SERVICE.value)),
        cluster=frame.cluster,
        health=rows.health[i],
        namespace=told.get("namespace"),
        owner=told.get("owner"),
        workload=(kind, workload) if workload else None,
        rps=None if requests is None else requests / seconds,
        error_ratio=rows.error_ratio(i),
        requests=requests,
        latency=rows.latency[i],
        versions=tuple(told["versions"].split(",")) if told.get("versions") else (),
        evidence=rows.evidence[i],
        detail=told.get("detail", ""),
        as_of=end,
    )


def _edge(frame: Frame, i: int, rows: _Rows, seconds: float, end: datetime) -> Edge:
    key = rows.ids[i]
    source, target, protocol = (*key.split(">"), "", "")[:3]
    requests = rows.requests[i]
    return Edge(
        id=key,
        source=source,
        target=target,
        kind=_EDGE_KINDS[frame.attributes.get(key, {}).get("kind", EdgeKind.SYNC.value)],
        protocol=protocol,
        health=rows.health[i],
        rps=None if requests is None else requests / seconds,
        error_ratio=rows.error_ratio(i),
        requests=requests,
        latency=rows.latency[i],
        evidence=rows.evidence[i],
        as_of=end,
    )


def _sorted(found: list[Element]) -> tuple[Element, ...]:
    return tuple(sorted(found, key=lambda e: (e.health.status.rank, -(e.rps or 0.0), e.id)))
