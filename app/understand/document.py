"""The topology as the outside sees it (API.md, "Topology document"): rows, and the same as columns.

Values are plain JSON types; unknown numbers are null. Escaping foreign text is the reader's duty.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from app.model.fleet import Edge, Evidence, Freshness, Health, Latency, Node, Topology

Positions = Mapping[str, Sequence[float]]  # node id -> x, y (and whatever follows)


def document(
    topology: Topology, positions: Positions, *, version: str = "", now: datetime | None = None
) -> dict[str, Any]:
    """Rows. `now` is the moment that ages are told for (default: the topology's own)."""
    return {
        **_head(topology, version),
        "nodes": [_node(node, positions.get(node.id)) for node in topology.nodes],
        "edges": [_edge(edge) for edge in topology.edges],
        "freshness": freshness(topology.freshness, now or topology.as_of),
        "notices": list(topology.notices),
    }


def columnar(
    topology: Topology, positions: Positions, *, version: str = "", now: datetime | None = None
) -> dict[str, Any]:
    """The same fields as struct of arrays; `source` and `target` of edges are indexes into the nodes."""
    return {
        **_head(topology, version),
        "nodes": _node_columns(topology.nodes, positions),
        "edges": _edge_columns(topology),
        "freshness": freshness(topology.freshness, now or topology.as_of),
        "notices": list(topology.notices),
    }


def freshness(states: Iterable[Freshness], now: datetime) -> list[dict[str, Any]]:
    """How old the word of each source is."""
    return [
        {
            "source": state.source,
            "as_of": instant(state.as_of),
            "age_seconds": round((now - state.as_of).total_seconds(), 1) if state.as_of else None,
            "status": state.status.value,
            "since": instant(state.since),
            "error": state.error,
            "cost": state.cost,
        }
        for state in states
    ]


@lru_cache(maxsize=8192)
def instant(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC, milliseconds only where there are any."""
    if moment is None:
        return None
    utc = moment.astimezone(UTC)
    return utc.isoformat(timespec="milliseconds" if utc.microsecond else "seconds").replace("+00:00", "Z")


def health(state: Health) -> dict[str, Any]:
    """`{status, since, reasons[]}`."""
    return {
        "status": state.status.value,
        "since": instant(state.since),
        "reasons": [
            {"code": r.code, "message": r.message, "value": r.value, "threshold": r.threshold}
            for r in state.reasons
        ],
    }


def node(element: Node, position: Sequence[float] | None = None) -> dict[str, Any]:
    """One node, as in the document (also the body of a service)."""
    return _node(element, position)


def edge(element: Edge) -> dict[str, Any]:
    """One edge, as in the document."""
    return _edge(element)


def _head(topology: Topology, version: str) -> dict[str, Any]:
    return {
        "as_of": instant(topology.as_of),
        "version": version,
        "window_seconds": topology.window.total_seconds(),
        "cluster": topology.cluster,
    }


def _node(element: Node, position: Sequence[float] | None) -> dict[str, Any]:
    return {
        "id": element.id,
        "name": element.name,
        "kind": element.kind.value,
        "cluster": element.cluster,
        "namespace": element.namespace,
        "owner": element.owner,
        "workload": {"kind": element.workload[0], "name": element.workload[1]} if element.workload else None,
        "health": health(element.health),
        "rps": rounded(element.rps),
        "error_ratio": rounded(element.error_ratio, 6),
        "requests": rounded(element.requests),
        "latency_seconds": _latency(element.latency),
        "replicas": {"desired": element.replicas.desired, "ready": element.replicas.ready},
        "versions": list(element.versions),
        "evidence": _evidence(element.evidence),
        "detail": element.detail,
        "matched_by": element.matched_by,
        "as_of": instant(element.as_of),
        "x": position[0] if position else None,
        "y": position[1] if position else None,
    }


def _edge(element: Edge) -> dict[str, Any]:
    return {
        "id": element.id,
        "source": element.source,
        "target": element.target,
        "kind": element.kind.value,
        "protocol": element.protocol,
        "health": health(element.health),
        "rps": rounded(element.rps),
        "error_ratio": rounded(element.error_ratio, 6),
        "caller_error_ratio": rounded(element.caller_error_ratio, 6),
        "requests": rounded(element.requests),
        "latency_seconds": _latency(element.latency),
        "server_latency_seconds": _latency(element.server_latency),
        "evidence": _evidence(element.evidence),
        "as_of": instant(element.as_of),
    }


def _latency(latency: Latency) -> dict[str, float | None]:
    return {"p50": latency.p50, "p95": latency.p95, "p99": latency.p99, "below": latency.below}


def _evidence(told: Sequence[Evidence]) -> list[dict[str, Any]]:
    return [
        {
            "source": word.source.value,
            "as_of": instant(word.as_of),
            "rps": rounded(word.rps),
            "sampling_ratio": word.sampling_ratio,
            "notes": list(word.notes),
        }
        for word in told
    ]


def rounded(value: float | None, digits: int = 4) -> float | None:
    """A number without noise digits."""
    return None if value is None else round(value, digits)


def first_reason(state: Health) -> str:
    """The sentence that matters most, or an empty string."""
    return state.reasons[0].message if state.reasons else ""


def sources(told: Sequence[Evidence]) -> str:
    """Kinds of evidence in one cell, most trusted first."""
    return ",".join(dict.fromkeys(word.source.value for word in told))


def _node_columns(nodes: Sequence[Node], positions: Positions) -> dict[str, list[Any]]:
    places = [positions.get(node.id) for node in nodes]
    return {
        "id": [n.id for n in nodes],
        "name": [n.name for n in nodes],
        "kind": [n.kind.value for n in nodes],
        "cluster": [n.cluster for n in nodes],
        "namespace": [n.namespace for n in nodes],
        "owner": [n.owner for n in nodes],
        "health": [n.health.status.value for n in nodes],
        "since": [instant(n.health.since) for n in nodes],
        "reason": [first_reason(n.health) for n in nodes],
        "rps": [rounded(n.rps) for n in nodes],
        "error_ratio": [rounded(n.error_ratio, 6) for n in nodes],
        "p50_seconds": [n.latency.p50 for n in nodes],
        "p95_seconds": [n.latency.p95 for n in nodes],
        "p99_seconds": [n.latency.p99 for n in nodes],
        "desired": [n.replicas.desired for n in nodes],
        "ready": [n.replicas.ready for n in nodes],
        "versions": [list(n.versions) for n in nodes],
        "evidence": [sources(n.evidence) for n in nodes],
        "as_of": [instant(n.as_of) for n in nodes],
        "x": [place[0] if place else None for place in places],
        "y": [place[1] if place else None for place in places],
    }


def _edge_columns(topology: Topology) -> dict[str, list[Any]]:
    index = {node.id: i for i, node in enumerate(topology.nodes)}
    edges = [edge for edge in topology.edges if edge.source in index and edge.target in index]
    return {
        "id": [e.id for e in edges],
        "source": [index[e.source] for e in edges],
        "target": [index[e.target] for e in edges],
        "kind": [e.kind.value for e in edges],
        "protocol": [e.protocol for e in edges],
        "health": [e.health.status.value for e in edges],
        "since": [instant(e.health.since) for e in edges],
        "reason": [first_reason(e.health) for e in edges],
        "rps": [rounded(e.rps) for e in edges],
        "error_ratio": [rounded(e.error_ratio, 6) for e in edges],
        "caller_error_ratio": [rounded(e.caller_error_ratio, 6) for e in edges],
        "p50_seconds": [e.latency.p50 for e in edges],
        "p95_seconds": [e.latency.p95 for e in edges],
        "p99_seconds": [e.latency.p99 for e in edges],
        "server_p95_seconds": [e.server_latency.p95 for e in edges],
        "evidence": [sources(e.evidence) for e in edges],
        "as_of": [instant(e.as_of) for e in edges],
    }
