"""Several clusters seen as one fleet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from app import clock
from app.model.fleet import Freshness, Topology


def merged(parts: Sequence[Topology], window: timedelta, freshness: tuple[Freshness, ...]) -> Topology:
    """The clusters' topologies as one, worst first, as old as the oldest of them; none = an empty fleet.

    `freshness` is that of now: a topology knows only how its sources stood when it was made.
    """
    if not parts:
        return Topology("", clock.now(), window, freshness=freshness)
    if len(parts) == 1:
        return replace(parts[0], freshness=freshness or parts[0].freshness)
    nodes = [node for part in parts for node in part.nodes]
    edges = [edge for part in parts for edge in part.edges]
    return Topology(
        cluster="",
        as_of=min(part.as_of for part in parts),
        window=max(window, *(part.window for part in parts)),
        nodes=tuple(sorted(nodes, key=lambda node: node.health.status.rank)),
        edges=tuple(sorted(edges, key=lambda edge: edge.health.status.rank)),
        freshness=freshness,
        notices=tuple(notice for part in parts for notice in part.notices),
    )
