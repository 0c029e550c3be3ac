"""The Topology to a minute's Frame and back: what the past keeps, and how it is drawn again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

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
from app.understand.elements import nullable, worst_first
from app.understand.identity import Party
from app.understand.testimony import Testimony

if TYPE_CHECKING:
    from app.understand.topology import Assembly

_MINUTE = timedelta(minutes=1)
_EDGE_KINDS = {kind.value: kind for kind in EdgeKind}
About = TypeVar("About")
_NO_LATENCY = Latency()
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
    table = _table(_Table(frame.node_ids, frame.edge_ids, frame.attributes))
    rows = _Rows.of_nodes(frame)
    nodes = [
        Node(
            id=key,
            name=about.name,
            kind=about.kind,
            cluster=frame.cluster,
            health=health,
            namespace=about.namespace,
            owner=about.owner,
            workload=about.workload,
            rps=rps,
            error_ratio=errors,
            requests=requests,
            latency=latency,
            versions=about.versions,
            evidence=evidence,
            detail=about.detail,
            as_of=end,
        )
        for key, about, health, rps, errors, requests, latency, evidence in rows.worst_first(table.nodes)
    ]
    rows = _Rows.of_edges(frame)
    edges = [
        Edge(
            id=key,
            source=source,
            target=target,
            kind=kind,
            protocol=protocol,
            health=health,
            rps=rps,
            error_ratio=errors,
            requests=requests,
            latency=latency,
            evidence=evidence,
            as_of=end,
        )
        for key, (
            source,
            target,
            protocol,
            kind,
        ), health, rps, errors, requests, latency, evidence in rows.worst_first(table.edges)
    ]
    return Topology(frame.cluster, end, frame.length, tuple(nodes), tuple(edges))


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """The ids of a frame and what is told of them beside numbers; frames of one fleet share these very objects."""

    node_ids: tuple[str, ...]
    edge_ids: tuple[str, ...]
    attributes: Mapping[str, Mapping[str, str]]

    def __hash__(self) -> int:
        return hash((id(self.node_ids), id(self.edge_ids), id(self.attributes)))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _Table)
            and self.node_ids is other.node_ids
            and self.edge_ids is other.edge_ids
            and self.attributes is other.attributes
        )


@dataclass(frozen=True, slots=True)
class _About:
    """What the past keeps of a node beside numbers."""

    name: str
    kind: NodeKind
    namespace: str | None
    owner: str | None
    workload: tuple[str, str] | None
    versions: tuple[str, ...]
    detail: str


@dataclass(frozen=True, slots=True)
class _Told:
    """A table read: row by row, nodes, and (source, target, protocol, kind) of edges."""

    nodes: tuple[_About, ...]
    edges: tuple[tuple[str, str, str, EdgeKind], ...]


@lru_cache(maxsize=4)
def _table(table: _Table) -> _Told:
    """Read once for all frames that share it; it holds the table, so that its identity stays its own."""
    told = table.attributes
    return _Told(
        tuple(_about(key, told.get(key, {})) for key in table.node_ids),
        tuple(_ends(key, told.get(key, {})) for key in table.edge_ids),
    )


def _about(key: str, told: Mapping[str, str]) -> _About:
    kind, _, workload = told.get("workload", "").partition("/")
    return _About(
        name=told.get("name") or key.rpartition(":")[2],
        kind=NodeKind(told.get("kind", NodeKind.SERVICE.value)),
        namespace=told.get("namespace"),
        owner=told.get("owner"),
        workload=(kind, workload) if workload else None,
        versions=tuple(told["versions"].split(",")) if told.get("versions") else (),
        detail=told.get("detail", ""),
    )


def _ends(key: str, told: Mapping[str, str]) -> tuple[str, str, str, EdgeKind]:
    source, target, protocol = (*key.split(">"), "", "")[:3]
    return source, target, protocol, _EDGE_KINDS[told.get("kind", EdgeKind.SYNC.value)]


class _Rows:
    """Rows of a frame as plain values: None for NaN."""

    @classmethod
    def of_nodes(cls, frame: Frame) -> _Rows:
        """The nodes of a frame."""
        found = cls(frame, frame.node_ids, frame.node_requests, frame.node_failed, frame.node_health)
        return found.witness(frame, frame.node_latency, frame.node_seen)

    @classmethod
    def of_edges(cls, frame: Frame) -> _Rows:
        """The edges of a frame."""
        found = cls(frame, frame.edge_ids, frame.edge_requests, frame.edge_failed, frame.edge_health)
        return found.witness(frame, frame.edge_latency, frame.edge_seen)

    def __init__(
        self, frame: Frame, ids: Sequence[str], requests: Floats, failed: Floats, health: Sequence[str]
    ) -> None:
        seconds = max(frame.length.total_seconds(), 1e-9)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.where(requests > 0, failed / requests, np.nan)
        self.ids = ids
        self.requests, self.errors = nullable(requests), nullable(ratio)
        self.rps = nullable(requests / seconds)
        told = health if len(health) == len(ids) else [HealthStatus.UNKNOWN.value] * len(ids)
        held = {
            status: (_health_of(status, looked=False), _health_of(status, looked=True))
            for status in set(told)
        }
        self.health = [
            held[status][count is not None] for status, count in zip(told, self.requests, strict=True)
        ]
        self.order = worst_first(self.health, requests / seconds, ids)

    def witness(self, frame: Frame, latency: Floats, seen: Masks) -> _Rows:
        """Add latencies and who gave the numbers. Of several witnesses' rates only the believed one's is kept."""
        found = np.round(quantiles(latency), 6).tolist() if len(self.ids) else []
        self.latency = [Latency(p50, p95, p99) if p50 == p50 else _NO_LATENCY for p50, p95, p99 in found]
        told: dict[int, tuple[Evidence, ...]] = {}
        end = frame.start + frame.length
        for mask in set(seen.tolist()):
            heard = [(kind, frame.witnesses.get(kind.value)) for kind in kinds_of(mask)]
            told[mask] = tuple(
                Evidence(kind, end, None, one.sampling_ratio if one else None) for kind, one in heard
            )
        complete = len(seen) == len(self.ids)
        self.evidence = [told[mask] for mask in seen.tolist()] if complete else [()] * len(self.ids)
        return self

    def worst_first(self, about: Sequence[About]) -> Iterator[tuple[Any, ...]]:
        """(id, about, health, rps, error ratio, requests, latency, evidence) by health, then by rate, then by id."""
        columns: tuple[Sequence[Any], ...] = (
            self.ids, about, self.health, self.rps, self.errors, self.requests, self.latency, self.evidence
        )  # fmt: skip
        return zip(*([column[i] for i in self.order] for column in columns), strict=True)


def _health_of(status: str, *, looked: bool) -> Health:
    held = HealthStatus(status) if status else HealthStatus.UNKNOWN
    if held is HealthStatus.UNKNOWN and not looked:
        return Health(held, reasons=(_NO_DATA,))
    return Health(held)
