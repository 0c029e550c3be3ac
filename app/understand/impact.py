"""How much hangs on a node or connection: the share of entry requests that cross it, and who calls it.

Two ways, and it is said which: by traces where whole traces told it, else estimated from call rates. The estimate
follows the calls of each entry: a request that reaches a service goes on over a call with the chance that its rate
has to the service's own, independently of its other calls. Cycles are followed until nothing changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from app.errors import NotFound
from app.model.fleet import EdgeKind, Node, NodeKind, Topology
from app.model.series import Floats
from app.understand.columns import Bools, Index

ROUNDS = 100  # a chain longer than this, or a cycle that still grows after it, is cut
_STILL = 1e-4  # of a request
_SEEN = (
    1.2  # times the calls towards a service that its own rate is: more than that is no difference of sources
)


class Basis(StrEnum):
    """How a share came to be known."""

    TRACES = "traces"
    RATES = "rates"


@dataclass(frozen=True, slots=True)
class Affected:
    """A node that calls the element, directly or through others, and the share of its requests that reach it.

    waits: over calls that wait for their answer; else only through queues.
    """

    node: Node
    share: float | None
    direct: bool
    waits: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """A place where requests enter the fleet that reach the element: their rate there, and the share that does."""

    node: Node
    rps: float
    share: float


@dataclass(frozen=True, slots=True)
class Impact:
    """What hangs on an element. share: of all entry requests, None = not known; basis: how it came to be known.

    callers: worst first, then who needs it most. entries: where most crosses first. services: ids of all
    services that suffer when it fails, itself included.
    """

    share: float | None
    basis: Basis | None
    callers: tuple[Affected, ...]
    entries: tuple[Entry, ...]
    services: tuple[str, ...]


def impact_of_node(topology: Topology, node_id: str) -> Impact:
    """What hangs on a node. Raises NotFound."""
    row = next((i for i, one in enumerate(topology.nodes) if one.id == node_id), None)
    if row is None:
        raise NotFound("No service or node with this id is seen at that time.")
    calls = _Calls(topology)
    callers = calls.upstream(row, calls.all)
    direct = np.zeros(len(callers), bool)
    direct[calls.source[calls.target == row]] = True
    waiting = calls.upstream(row, calls.sync)
    callers[row] = False
    reached = calls.reached(node=row)
    return _impact(topology, calls, row, reached, callers, direct, waiting, topology.nodes[row].entry_share)


def impact_of_edge(topology: Topology, edge_id: str) -> Impact:
    """What hangs on a connection. Raises NotFound."""
    edge = next((one for one in topology.edges if one.id == edge_id), None)
    calls = _Calls(topology)
    row = None if edge is None else calls.row.get(edge.source)
    if edge is None or row is None:
        raise NotFound("No connection with this id is seen at that time.")
    callers, direct = calls.upstream(row, calls.all), np.zeros(len(topology.nodes), bool)
    direct[row] = True
    waiting = calls.upstream(row, calls.sync)
    if edge.kind is not EdgeKind.SYNC:
        waiting[:] = False
    through = calls.number.get(edge_id)
    reached = calls.reached(edge=through)
    return _impact(topology, calls, row, reached, callers, direct, waiting, edge.entry_share)


def _impact(
    topology: Topology,
    calls: _Calls,
    row: int,
    reached: _Reached,
    callers: Bools,
    direct: Bools,
    waiting: Bools,
    traced: float | None,
) -> Impact:
    nodes = topology.nodes
    found = [
        Affected(nodes[i], calls.share_at(i, reached), bool(direct[i]), bool(waiting[i]))
        for i in np.flatnonzero(callers).tolist()
        if nodes[i].kind is not NodeKind.CLIENT
    ]
    found.sort(key=lambda one: (one.node.health.status.rank, -(one.share or 0.0), one.node.id))
    estimated, entries = calls.entered(reached, row)
    share = estimated if traced is None else traced
    suffering = (nodes[i] for i in np.flatnonzero(waiting).tolist())
    return Impact(
        share=share,
        basis=None if share is None else Basis.RATES if traced is None else Basis.TRACES,
        callers=tuple(found),
        entries=tuple(Entry(nodes[i], rps, part) for i, rps, part in entries),
        services=tuple(sorted(node.id for node in suffering if node.kind is NodeKind.SERVICE)),
    )


@dataclass(frozen=True, slots=True)
class _Reached:
    """Shares, 0..1, of the requests of each node, and of each call, that cross the element."""

    nodes: Floats
    calls: Floats


class _Calls:
    """The calls of a topology in columns, without those to oneself and those that are known not to happen."""

    def __init__(self, topology: Topology) -> None:
        self.row = row = {node.id: i for i, node in enumerate(topology.nodes)}
        edges = [
            edge
            for edge in topology.edges
            if edge.rps != 0 and edge.source != edge.target and edge.source in row and edge.target in row
        ]
        self.number = {edge.id: i for i, edge in enumerate(edges)}
        self.source: Index = np.array([row[edge.source] for edge in edges], dtype=np.int64)
        self.target: Index = np.array([row[edge.target] for edge in edges], dtype=np.int64)
        self.rate = np.array([edge.rps or 0.0 for edge in edges], dtype=np.float64)
        self.all = np.ones(len(edges), bool)
        self.sync: Bools = np.array([edge.kind is EdgeKind.SYNC for edge in edges], dtype=bool)
        self.cluster = np.array([node.cluster for node in topology.nodes])
        own = np.array([node.rps or 0.0 for node in topology.nodes], dtype=np.float64)
        client = np.array([node.kind is NodeKind.CLIENT for node in topology.nodes], dtype=bool)
        service = np.array([node.kind is NodeKind.SERVICE for node in topology.nodes], dtype=bool)
        called = np.bincount(self.target, self.rate, minlength=len(row))
        is_called = np.bincount(self.target, minlength=len(row)) > 0
        requests = np.where(own > 0, own, called)
        # whoever nobody calls and nobody asks anything makes every call a request of its own
        self.begins = client | (~is_called & (requests <= 0))
        unseen = np.where(own > _SEEN * called, own - called, 0.0)  # who calls is not always seen
        self.enters = np.where(service, unseen, 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            chance = np.where(requests[self.source] > 0, self.rate / requests[self.source], 0.0)
        self.chance = np.where(self.begins[self.source], 0.0, np.clip(chance, 0.0, 1.0))

    def upstream(self, start: int, over: Bools) -> Bools:
        """Which nodes reach `start` over these calls, itself included."""
        source, target = self.source[over], self.target[over]
        seen = np.zeros(len(self.row), bool)
        seen[start] = True
        count = 0
        while count != (count := int(seen.sum())):
            seen[source[seen[target]]] = True
        return seen

    def reached(self, *, node: int | None = None, edge: int | None = None) -> _Reached:
        """The shares that cross a node, or a call (None = one that does not happen)."""
        nodes, calls = np.zeros(len(self.row)), np.zeros(len(self.rate))
        for _ in range(ROUNDS):
            if node is not None:
                nodes[node] = 1.0
            calls = nodes[self.target]
            if edge is not None:
                calls[edge] = 1.0
            with np.errstate(divide="ignore"):
                missed = np.log1p(-np.minimum(self.chance * calls, 1.0))
            found = -np.expm1(np.bincount(self.source, missed, minlength=len(nodes)))
            if node is not None:
                found[node] = 1.0
                calls = np.where(self.source == node, 1.0, calls)
            moved = float(np.abs(found - nodes).max(initial=0.0))
            nodes = found
            if moved < _STILL:
                break
        return _Reached(nodes, calls)

    def share_at(self, row: int, reached: _Reached) -> float | None:
        """The share of a node's requests that cross the element; None for those that begin requests themselves."""
        return None if self.begins[row] else float(reached.nodes[row])

    def entered(self, reached: _Reached, row: int) -> tuple[float | None, list[tuple[int, float, float]]]:
        """The share of all entry requests of the cluster of node `row` that cross the element, and (node, rps, share)
        of each entry touched.
        """
        first, count = self.begins[self.source], len(self.row)
        at, rate = self.target[first], self.rate[first]
        weight = np.where(
            self.cluster == self.cluster[row], self.enters + np.bincount(at, rate, minlength=count), 0.0
        )
        crossing = self.enters * reached.nodes
        crossing += np.bincount(at, rate * reached.calls[first], minlength=count)
        total = float(weight.sum())
        touched = np.flatnonzero(crossing > 0)
        ordered = touched[np.argsort(-crossing[touched], kind="stable")].tolist()
        entries = [(i, float(weight[i]), float(crossing[i] / weight[i])) for i in ordered]
        return (min(float(crossing.sum()) / total, 1.0) if total > 0 else None), entries


def sentence(impact: Impact) -> str:
    """`62 % of entry requests cross it (by traces); 14 services call it, 3 of them directly.`"""
    return "; ".join([*_crossing(impact), _called(impact.callers)]) + "."


def _crossing(impact: Impact) -> Iterable[str]:
    if impact.share is None:
        return
    how = "by traces" if impact.basis is Basis.TRACES else "estimated from call rates"
    yield f"{crossing_words(impact.share)} cross it ({how})"


def _called(callers: tuple[Affected, ...]) -> str:
    services = [one for one in callers if one.node.kind is NodeKind.SERVICE]
    waiting = [one for one in services if one.waits]
    queued = len(services) - len(waiting)
    direct = sum(one.direct for one in waiting)
    parts = []
    if waiting:
        noun, verb = ("service", "calls") if len(waiting) == 1 else ("services", "call")
        some = f", {direct} of them directly" if direct < len(waiting) else ""
        parts.append(f"{len(waiting)} {noun} {verb} it{some}")
    if queued:
        noun, verb = ("service", "reaches") if queued == 1 else ("services", "reach")
        parts.append(f"{queued} {'more' if waiting else noun} {verb} it through queues")
    return "; ".join(parts) or "no service calls it"


def crossing_words(share: float) -> str:
    """`62 % of entry requests`, `all entry requests`."""
    if share <= 0:
        return "no entry requests"
    words = share_words(share)
    return f"{words} entry requests" if words == "all" else f"{words} of entry requests"


def share_words(share: float) -> str:
    """`62 %`, `0.4 %`, `all`; never 0 % of something and never 100 % of less than all."""
    if share >= 0.9995:
        return "all"
    if share <= 0:
        return "none"
    value = share * 100
    return "over 99 %" if value > 99 else f"{value:.0f} %" if value >= 1 else "under 1 %"
