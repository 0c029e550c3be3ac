"""The panel beside the map: one node or one connection, who says so and how old that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Blueprint, request

from app.errors import NotFound
from app.model.fleet import Edge, Node, Topology
from app.pages import timerange
from app.pages.fragments import fragment
from app.pages.freshness import STALE_AFTER
from app.pages.impact import hanging_on
from app.pages.service import scale_address
from app.pages.tile import tiles
from app.web.services import services

blueprint = Blueprint("panel", __name__)

SHOWN = 8


@dataclass(frozen=True, slots=True)
class End:
    """A connection with the node at its other end; `stale`: its numbers are older than the picture."""

    edge: Edge
    peer: Node | None
    stale: bool


@fragment(blueprint, "topology-panel", topics=("topology", "sources"))
def topology_panel() -> dict[str, Any]:
    """A node by `id`, or a connection by `edge`."""
    topology = services().reader.topology(
        request.args.get("cluster") or None, at=timerange.requested().moment
    )
    by_id = {node.id: node for node in topology.nodes}
    if request.args.get("edge"):
        return _of_edge(topology, by_id, request.args["edge"])
    node = by_id.get(request.args.get("id", ""))
    if node is None:
        raise NotFound("This service or node is not seen any more.")
    callers = [edge for edge in topology.edges if edge.target == node.id]
    callees = [edge for edge in topology.edges if edge.source == node.id]
    return {
        "edge": None,
        "node": node,
        "tile": tiles([node], topology)[0],
        "rate_out": _total(callees),
        "sides": [
            ("Called by", _ends(callers, "source", by_id, topology), len(callers)),
            ("Calls", _ends(callees, "target", by_id, topology), len(callees)),
        ],
        "scale": scale_address(node),
        "impact": hanging_on(node),
    }


def network_and_queue(edge: Edge) -> float | None:
    """What the caller waits longer than the callee works, at p95, in seconds; None when one side is unknown."""
    if edge.latency.p95 is None or edge.server_latency.p95 is None:
        return None
    return max(0.0, edge.latency.p95 - edge.server_latency.p95)


def _of_edge(topology: Topology, by_id: dict[str, Node], wanted: str) -> dict[str, Any]:
    edge = next((one for one in topology.edges if one.id == wanted), None)
    if edge is None:
        raise NotFound("This connection is not seen any more.")
    return {
        "edge": edge,
        "source": by_id.get(edge.source),
        "target": by_id.get(edge.target),
        "stale": _is_old(edge.as_of, topology),
        "between": network_and_queue(edge),
        "impact": hanging_on(edge),
    }


def _ends(edges: Sequence[Edge], end: str, by_id: dict[str, Node], topology: Topology) -> list[End]:
    ordered = sorted(edges, key=lambda edge: (edge.health.status.rank, -(edge.rps or 0.0), edge.id))
    return [
        End(edge, by_id.get(getattr(edge, end)), _is_old(edge.as_of, topology)) for edge in ordered[:SHOWN]
    ]


def _is_old(moment: datetime | None, topology: Topology) -> bool:
    return moment is not None and topology.as_of - moment > STALE_AFTER


def _total(edges: Sequence[Edge]) -> float | None:
    rates = [edge.rps for edge in edges if edge.rps is not None]
    return sum(rates) if rates else None
