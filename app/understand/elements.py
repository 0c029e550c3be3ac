"""Judged columns to the Node and Edge objects of a Topology, worst first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType

import numpy as np

from app.model.fleet import (
    Edge,
    Evidence,
    EvidenceKind,
    Health,
    HealthStatus,
    Latency,
    Node,
    Replicas,
    edge_id,
)
from app.model.series import BOUNDS, Floats, bucket_of
from app.understand.columns import Columns
from app.understand.identity import Party
from app.understand.judge import Quantiles
from app.understand.merge import Merged
from app.understand.testimony import Testimony
from app.understand.workloads import Workloads, versions

__all__ = ["Edge", "Health", "Node", "edge_ids", "edges", "nodes"]

_NO_LATENCY = Latency()
Nullable = list[float | None]


def edge_ids(merged: Merged, node_ids: Sequence[str]) -> tuple[str, ...]:
    """Ids of the merged edges, in their order."""
    ends = merged.ends.tolist()
    return tuple(
        edge_id(node_ids[source], node_ids[target], protocol)
        for (source, target), protocol in zip(ends, merged.protocols, strict=True)
    )


def nodes(
    cluster: str,
    merged: Merged,
    latency: Quantiles,
    health: Sequence[Health],
    workloads: Workloads,
    inventory_as_of: datetime | None,
    window: timedelta,
    shares: Floats,
) -> tuple[Node, ...]:
    """Nodes sorted by health, then by rate, then by id; `shares` of entry requests that cross each."""
    columns = merged.nodes
    told = _evidence(columns, merged.testimonies)
    quantiles = _latencies(latency.own, columns.floor)
    rates, errors = nullable(columns.rps), nullable(columns.failed)
    requests = nullable(columns.rps * window.total_seconds())
    ages, crossed = _ages(columns, merged.testimonies), nullable(np.round(shares, 4))
    found: list[Node] = []
    for i, party in enumerate(merged.parties):
        replicas, running = _of_kubernetes(party, workloads)
        by_kubernetes = party.workload is not None and inventory_as_of is not None
        if by_kubernetes and inventory_as_of is not None:
            told[i].append(Evidence(EvidenceKind.KUBERNETES, inventory_as_of))
        found.append(
            Node(
                id=party.id,
                name=party.name,
                kind=party.kind,
                cluster=cluster,
                health=health[i],
                namespace=party.namespace,
                owner=party.owner,
                workload=party.workload,
                rps=rates[i],
                error_ratio=errors[i],
                requests=requests[i],
                latency=quantiles[i],
                replicas=replicas,
                versions=running or merged.versions.get(i, ()),
                evidence=tuple(told[i]),
                detail=party.detail,
                matched_by=party.matched_by,
                as_of=ages[i] or (inventory_as_of if by_kubernetes else None),
                entry_share=crossed[i],
            )
        )
    return tuple(found[i] for i in worst_first(health, columns.rps, [node.id for node in found]))


def edges(
    merged: Merged,
    node_ids: Sequence[str],
    ids: Sequence[str],
    latency: Quantiles,
    health: Sequence[Health],
    window: timedelta,
    shares: Floats,
) -> tuple[Edge, ...]:
    """Edges sorted by health, then by rate, then by id; `shares` of entry requests that cross each."""
    columns = merged.edges
    told = _evidence(columns, merged.testimonies, merged.notes)
    own, server = (_latencies(quantiles, columns.floor) for quantiles in (latency.own, latency.server))
    rates, errors, caller_errors = (
        nullable(column) for column in (columns.rps, columns.failed, columns.caller_errors)
    )
    requests = nullable(columns.rps * window.total_seconds())
    ages, ends = _ages(columns, merged.testimonies), merged.ends.tolist()
    crossed = nullable(np.round(shares, 4))
    found = [
        Edge(
            id=ids[i],
            source=node_ids[ends[i][0]],
            target=node_ids[ends[i][1]],
            kind=merged.kinds[i],
            protocol=merged.protocols[i],
            health=health[i],
            rps=rates[i],
            error_ratio=errors[i],
            caller_error_ratio=caller_errors[i],
            requests=requests[i],
            latency=own[i],
            server_latency=server[i],
            evidence=tuple(told[i]),
            as_of=ages[i],
            entry_share=crossed[i],
        )
        for i in range(len(ids))
    ]
    return tuple(found[i] for i in worst_first(health, columns.rps, ids))


def nullable(column: Floats) -> Nullable:
    """A column as plain numbers, None for NaN."""
    return [None if value != value else value for value in column.tolist()]


def worst_first(health: Sequence[Health], rps: Floats, ids: Sequence[str]) -> list[int]:
    """Indexes by health, then by rate, then by id."""
    ranks = {status: status.rank for status in HealthStatus}
    by_id = np.array(sorted(range(len(ids)), key=ids.__getitem__), np.int64)
    rank = np.array([ranks[state.status] for state in health], np.int64)
    order: list[int] = by_id[np.lexsort((-np.nan_to_num(rps)[by_id], rank[by_id]))].tolist()
    return order


def _latencies(quantiles: Floats, floor: Floats) -> list[Latency]:
    """Quantiles as they may be shown: within the lowest bucket of their histogram only its bound is known.

    That bucket reaches to the end of the log bucket in which its bound lies.
    """
    lowest = BOUNDS[bucket_of(floor) + 1]
    vague = (floor[:, None] > 0) & (quantiles <= lowest[:, None])
    rows = zip(np.round(quantiles, 6).tolist(), vague.tolist(), floor.tolist(), strict=True)
    return [_NO_LATENCY if row[0] != row[0] else _latency(row, hidden, bound) for row, hidden, bound in rows]


def _latency(row: list[float], hidden: list[bool], bound: float) -> Latency:
    p50, p95, p99 = (None if vague else value for value, vague in zip(row, hidden, strict=True))
    return Latency(p50, p95, p99, bound if hidden[0] else None)


def _evidence(
    columns: Columns,
    testimonies: Sequence[Testimony],
    notes: Mapping[tuple[int, int], tuple[str, ...]] = MappingProxyType({}),
) -> list[list[Evidence]]:
    """One Evidence per element and witness that knows it, freshest and most trusted first."""
    found: list[list[Evidence]] = [[] for _ in range(len(columns))]
    for number, testimony in enumerate(testimonies):
        witness = testimony.witness
        rates, shares = nullable(columns.rates[number]), _looked_at(columns, number, testimony)
        for i in np.flatnonzero(columns.seen[number]).tolist():
            words = notes.get((number, i), ())
            found[i].append(Evidence(witness.evidence, witness.as_of, rates[i], shares[i], words))
    return found


def _looked_at(columns: Columns, number: int, testimony: Testimony) -> list[float | None]:
    """The share of each element's requests that a witness looked at: of its own where its numbers are known."""
    ratio = testimony.witness.sampling_ratio
    if ratio is None or ratio >= 1:
        return [ratio] * len(columns)
    with np.errstate(invalid="ignore", divide="ignore"):
        own = columns.raw / (columns.rates[number] * testimony.seconds)
    shares: Floats = np.where((columns.chosen == number) & (own > 0), np.minimum(own, 1.0), ratio)
    return nullable(np.round(shares, 4))


def _ages(columns: Columns, testimonies: Sequence[Testimony]) -> list[datetime | None]:
    moments: list[datetime | None] = [testimony.witness.as_of for testimony in testimonies]
    moments.append(None)  # chosen -1: nobody
    return [moments[number] for number in columns.chosen.tolist()]


def _of_kubernetes(party: Party, workloads: Workloads) -> tuple[Replicas, tuple[str, ...]]:
    if party.workload is None:
        return Replicas(), ()
    workload = workloads.by_name.get((party.namespace or "", party.workload[1]))
    if workload is None:
        return Replicas(), ()
    running = versions(workload, workloads.revisions.get(workload.uid, []))
    return Replicas(desired=workload.desired, ready=workload.ready), running
