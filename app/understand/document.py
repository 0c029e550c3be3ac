"""The topology as the outside sees it (API.md, "Topology document"): rows, and the same as columns.

Values are plain JSON types; unknown numbers are null. Escaping foreign text is the reader's duty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np

from app.model.fleet import Edge, Evidence, Freshness, Health, Latency, Node, Topology

Value = TypeVar("Value")
Positions = Mapping[str, Sequence[float]]  # node id -> x, y (and whatever follows)


def document(
    topology: Topology, positions: Positions, *, version: str = "", now: datetime | None = None
) -> dict[str, Any]:
    """Rows. `now` is the moment that ages are told for (default: the topology's own)."""
    return {
        **_head(topology, version),
        "nodes": _node_rows(topology.nodes, positions),
        "edges": _edge_rows(topology.edges),
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
    return _node_rows([element], {element.id: position} if position else {})[0]


def edge(element: Edge) -> dict[str, Any]:
    """One edge, as in the document."""
    return _edge_rows([element])[0]


def _head(topology: Topology, version: str) -> dict[str, Any]:
    return {
        "as_of": instant(topology.as_of),
        "version": version,
        "window_seconds": topology.window.total_seconds(),
        "cluster": topology.cluster,
    }


def _node_rows(nodes: Sequence[Node], positions: Positions) -> list[dict[str, Any]]:
    shared = zip(
        nodes,
        each(health, [n.health for n in nodes]),
        each(_evidence, [n.evidence for n in nodes]),
        each(instant, [n.as_of for n in nodes]),
        *_rounded(nodes),
        strict=True,
    )
    return [
        {
            "id": one.id,
            "name": one.name,
            "kind": one.kind.value,
            "cluster": one.cluster,
            "namespace": one.namespace,
            "owner": one.owner,
            "workload": {"kind": one.workload[0], "name": one.workload[1]} if one.workload else None,
            "health": state,
            "rps": rps,
            "error_ratio": errors,
            "requests": requests,
            "latency_seconds": _latency(one.latency),
            "replicas": {"desired": one.replicas.desired, "ready": one.replicas.ready},
            "versions": list(one.versions),
            "evidence": evidence,
            "detail": one.detail,
            "matched_by": one.matched_by,
            "as_of": as_of,
            "x": place[0] if (place := positions.get(one.id)) else None,
            "y": place[1] if place else None,
        }
        for one, state, evidence, as_of, rps, errors, requests in shared
    ]


def _edge_rows(edges: Sequence[Edge]) -> list[dict[str, Any]]:
    shared = zip(
        edges,
        each(health, [e.health for e in edges]),
        each(_evidence, [e.evidence for e in edges]),
        each(instant, [e.as_of for e in edges]),
        each(_latency, [e.server_latency for e in edges]),
        _numbers([e.caller_error_ratio for e in edges], 6),
        *_rounded(edges),
        strict=True,
    )
    return [
        {
            "id": one.id,
            "source": one.source,
            "target": one.target,
            "kind": one.kind.value,
            "protocol": one.protocol,
            "health": state,
            "rps": rps,
            "error_ratio": errors,
            "caller_error_ratio": caller_errors,
            "requests": requests,
            "latency_seconds": _latency(one.latency),
            "server_latency_seconds": server,
            "evidence": evidence,
            "as_of": as_of,
        }
        for one, state, evidence, as_of, server, caller_errors, rps, errors, requests in shared
    ]


def _rounded(elements: Sequence[Node] | Sequence[Edge]) -> tuple[list[float | None], ...]:
    """Rates, error ratios and requests, as rows and columns show them."""
    return (
        _numbers([one.rps for one in elements]),
        _numbers([one.error_ratio for one in elements], 6),
        _numbers([one.requests for one in elements]),
    )


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


def each(make: Callable[[Value], Any], values: Sequence[Value]) -> list[Any]:
    """`make` of every value, called once for those that are the same object: of the past, most rows share theirs."""
    made = {key: make(value) for key, value in {id(value): value for value in values}.items()}
    return [made[id(value)] for value in values]


def _numbers(values: Sequence[float | None], digits: int = 4) -> list[float | None]:
    """A column without noise digits, unknown ones None."""
    known = np.round(np.array(values, np.float64), digits)  # None becomes NaN
    return [None if value != value else value for value in known.tolist()]


def _judgement(state: Health) -> tuple[str, str | None, str]:
    return state.status.value, instant(state.since), first_reason(state)


def _judged(states: Sequence[Health]) -> dict[str, list[Any]]:
    found = each(_judgement, states)
    return {name: [row[i] for row in found] for i, name in enumerate(("health", "since", "reason"))}


def _quantiles(found: list[Latency]) -> dict[str, list[Any]]:
    return {
        "p50_seconds": [one.p50 for one in found],
        "p95_seconds": [one.p95 for one in found],
        "p99_seconds": [one.p99 for one in found],
    }


def _node_columns(nodes: Sequence[Node], positions: Positions) -> dict[str, list[Any]]:
    places = [positions.get(node.id) for node in nodes]
    return {
        "id": [n.id for n in nodes],
        "name": [n.name for n in nodes],
        "kind": [n.kind.value for n in nodes],
        "cluster": [n.cluster for n in nodes],
        "namespace": [n.namespace for n in nodes],
        "owner": [n.owner for n in nodes],
        **_judged([n.health for n in nodes]),
        "rps": _numbers([n.rps for n in nodes]),
        "error_ratio": _numbers([n.error_ratio for n in nodes], 6),
        **_quantiles([n.latency for n in nodes]),
        "desired": [n.replicas.desired for n in nodes],
        "ready": [n.replicas.ready for n in nodes],
        "versions": [list(n.versions) for n in nodes],
        "evidence": each(sources, [n.evidence for n in nodes]),
        "as_of": each(instant, [n.as_of for n in nodes]),
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
        "kind": each(attrgetter("value"), [e.kind for e in edges]),
        "protocol": [e.protocol for e in edges],
        **_judged([e.health for e in edges]),
        "rps": _numbers([e.rps for e in edges]),
        "error_ratio": _numbers([e.error_ratio for e in edges], 6),
        "caller_error_ratio": _numbers([e.caller_error_ratio for e in edges], 6),
        **_quantiles([e.latency for e in edges]),
        "server_p95_seconds": [e.server_latency.p95 for e in edges],
        "evidence": each(sources, [e.evidence for e in edges]),
        "as_of": each(instant, [e.as_of for e in edges]),
    }
