"""What of the topology is drawn: the part asked for, problems first, folded groups, the caps (UI.md 6.1, 6.2).

`select` decides and tells why something is missing; `map_view` writes the decision down with positions.
The table twin uses the uncut part, never this.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2s
from typing import Any
from urllib.parse import quote

from app.model.fleet import Edge, HealthStatus, Node, NodeKind, Topology
from app.understand import document
from app.understand.folding import SHARED, Bundle, Fold, bundles, fold_home, group_node
from app.understand.part import (
    FURTHEST,
    MAX_EDGES,
    MAX_NODES,
    MOST_OF_TROUBLE,
    TROUBLE,
    Found,
    Part,
    Trouble,
    ViewOptions,
    distances,
    mode_of,
    narrow,
    neighbourhood,
    only,
    services_of,
    trouble,
)
from app.understand.selection import NO_FACTS, Facts

__all__ = [
    "MAX_EDGES",
    "MAX_NODES",
    "DrawnNode",
    "View",
    "ViewOptions",
    "distances",
    "href",
    "map_view",
    "neighbourhood",
    "select",
]

GROUP = "group"
LINES_A_NODE = 2  # connections drawn between groups, for each of them; the others are told
FEW_SHARED = 24  # stores and queues of several groups up to which each is drawn
_BY = {"none": "namespace"}


@dataclass(frozen=True, slots=True)
class DrawnNode:
    """A node on the map: a real one, or a folded group of `members` of which `unknown` are unknown."""

    node: Node
    members: int = 1
    unknown: int = 0
    kind: str = ""

    @property
    def shape(self) -> str:
        """The node's kind, or `group`."""
        return self.kind or self.node.kind.value


@dataclass(frozen=True, slots=True)
class View:
    """The drawable part of a topology.

    why: sentences about what is not drawn. table_first: too much anyway. mode: `problems` or `all`; calm = it
    shows problems first and there are none. found: what `find` selected, None = nothing is looked for.
    """

    nodes: tuple[DrawnNode, ...]
    edges: tuple[Edge, ...]
    nodes_total: int
    edges_total: int
    depth: int
    why: tuple[str, ...] = ()
    table_first: bool = False
    mode: str = "all"
    calm: bool = False
    found: Found | None = None

    @property
    def ids(self) -> list[str]:
        """Ids of the drawn nodes, for the layout."""
        return [drawn.node.id for drawn in self.nodes]

    @property
    def ranks(self) -> bool:
        """Whether callers are drawn left of callees; groups, who all call each other, have no such order."""
        return not _overview(self.nodes)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Ends of the drawn edges, for the layout."""
        return [(edge.source, edge.target) for edge in self.edges]


def select(
    topology: Topology, options: ViewOptions | None = None, facts: Mapping[str, Facts] = NO_FACTS
) -> View:
    """Apply the steps of UI.md 6.2 in their order. Raises NotFound for an unknown focus, BadInput for an expression."""
    asked = options or ViewOptions()
    part = narrow(topology, asked, facts)
    why = list(part.notes)
    part, depth = _nearer(part, asked, why)
    nodes = list(part.topology.nodes)
    homes = fold_home(nodes, part.topology.edges, asked.group)
    first = None
    if mode_of(part.topology, asked) == "problems":
        groups = len(set(homes.values())) if asked.group != "none" else 0
        first = trouble(part.topology, min(MOST_OF_TROUBLE, asked.max_nodes) - groups)
        why.append(_in_words(part.topology, first, asked.group))
    kept = _visible_alone(nodes, asked, part, first)
    members: dict[str, list[Node]] = defaultdict(list)
    for node in nodes:
        if node.id not in kept and homes[node.id] not in asked.opened:
            members[homes[node.id]].append(node)
    folds = _chosen(members, len(nodes), asked, why, everything=first is not None)
    if first is not None and first.ids and asked.group == "none":  # the rest is left out, not even folded
        away = {node.id for home, fold in folds.items() if home not in asked.folded for node in fold.members}
        nodes = [node for node in nodes if node.id not in away]
        folds = {home: fold for home, fold in folds.items() if home in asked.folded}
    drawn, lines = _folded(nodes, part.topology.edges, folds, first)
    most = min(asked.max_edges, LINES_A_NODE * len(drawn)) if _overview(drawn) else asked.max_edges
    shown = _capped(lines, most, why)
    return View(
        nodes=tuple(drawn),
        edges=tuple(shown),
        nodes_total=len(topology.nodes),
        edges_total=len(topology.edges),
        depth=depth,
        why=tuple(why),
        table_first=len(drawn) > asked.max_nodes,
        mode="problems" if first else "all",
        calm=first is not None and not first.ids,
        found=part.found,
    )


def _overview(drawn: Sequence[DrawnNode]) -> bool:
    """Whether most of what is drawn are groups."""
    return 2 * sum(one.kind == GROUP for one in drawn) > len(drawn)


def _nearer(part: Part, asked: ViewOptions, why: list[str]) -> tuple[Part, int]:
    """The part with fewer hops around the focus where it is too much to draw."""
    depth = max(asked.depth, 0)
    if part.hops is None or asked.target is not None:
        return part, depth
    far = min(depth, max(part.hops.values(), default=0))
    while far > 1 and sum(hop <= far for hop in part.hops.values()) > asked.max_nodes:
        far -= 1
    if far >= max(part.hops.values(), default=0):
        return part, depth
    what = "All of it is" if depth == FURTHEST else f"{depth} hops are"
    why.append(
        f"{what} too many to draw: {far} shown" if depth != FURTHEST else f"{what} too much: {far} hops shown"
    )
    ids = [key for key, hop in part.hops.items() if hop <= far]
    return replace(part, topology=only(part.topology, ids, of=part.topology)), far


def _in_words(topology: Topology, first: Trouble, group: str) -> str:
    """What problems-first shows, as a sentence."""
    fleet = f"{services_of(topology.nodes)} services"
    if not first.ids:
        return f"{fleet}, none failing or degraded; shown: every {_BY.get(group, group)} as one, and what stands alone"
    bad = [
        f"{n} {noun}{'s' * (n > 1)}" for n, noun in ((first.nodes, "node"), (first.edges, "connection")) if n
    ]
    around = f"{first.hops} hop{'s' * (first.hops > 1)}"
    return (
        f"{fleet}; shown: {' and '.join(bad)} with problems and what is within {around};"
        f" the rest is {'in the table' if group == 'none' else f'folded by {group}'}"
    )


def _visible_alone(nodes: Sequence[Node], asked: ViewOptions, part: Part, first: Trouble | None) -> set[str]:
    """Failing, focused, selected and found nodes, and what problems-first is about, are never folded."""
    found = part.found.nodes if part.found else frozenset()
    near = first.ids if first else frozenset()
    return {
        node.id
        for node in nodes
        if (node.health.status is HealthStatus.FAILING and first is None)
        or node.id in (asked.focus, asked.target, asked.selected)
        or node.id in found
        or node.id in near
    }


# Folding -----------------------------------------------------------------------------------------


def _folded(
    nodes: Sequence[Node], edges: Sequence[Edge], folds: Mapping[str, Fold], first: Trouble | None
) -> tuple[list[DrawnNode], list[Bundle]]:
    """Nodes and groups, worst first, and the calls between them."""
    inside: dict[str, str] = {}
    for fold in folds.values():
        inside |= dict.fromkeys((node.id for node in fold.members), fold.id)
    drawn = [DrawnNode(node) for node in nodes if node.id not in inside]
    groups = [DrawnNode(group_node(fold), len(fold.members), fold.unknown, GROUP) for fold in folds.values()]
    apart = first is not None and bool(first.ids)  # what groups have among themselves is left to the table
    seen = {node.id for node in nodes}
    edges = [edge for edge in edges if edge.source in seen and edge.target in seen]
    lines = bundles(edges, inside, between_groups=not apart)
    if apart:
        linked = {end for line in lines for end in (line.source, line.target)}
        groups = [group for group in groups if group.node.id in linked]
    drawn += groups
    drawn.sort(key=lambda d: (d.node.health.status.rank, -(d.node.rps or 0.0), d.node.id))
    return drawn, lines


def _chosen(
    members: Mapping[str, list[Node]], count: int, asked: ViewOptions, why: list[str], *, everything: bool
) -> dict[str, Fold]:
    """Groups to fold: those asked for, then without trouble, then the others, largest first, until it fits."""
    by = _BY.get(asked.group, asked.group)
    few = {SHARED} if len(members.get(SHARED, ())) <= FEW_SHARED else set()
    wanted = set(asked.folded) if asked.group == "none" else members.keys() - few
    wanted = set(members) if everything else wanted
    folds = {home: Fold(home, by, tuple(members[home])) for home in sorted(wanted & members.keys())}
    count -= sum(len(fold.members) - 1 for fold in folds.values())
    told = {False: 0, True: 0}
    by_size = sorted(members, key=lambda home: (-len(members[home]), home))
    for troubled in (False, True):
        for home in by_size:
            has_trouble = any(node.health.status in TROUBLE for node in members[home])
            if (
                count <= asked.max_nodes
                or home in folds
                or has_trouble is not troubled
                or len(members[home]) < 2
            ):
                continue
            folds[home] = Fold(home, by, tuple(members[home]))
            count -= len(members[home]) - 1
            told[troubled] += 1
    for troubled, text in ((False, "without trouble"), (True, "with degraded members")):
        if told[troubled]:
            plural, verb = ("", "is") if told[troubled] == 1 else ("s", "are")
            why.append(f"{told[troubled]} {by}{plural} {text} {verb} folded")
    return folds


def _capped(lines: list[Bundle], most: int, why: list[str]) -> list[Edge]:
    """All unhealthy edges first, then by rate; the rest is told in one line."""
    ranked = sorted(lines, key=lambda line: line.order)
    rest = ranked[most:]
    if rest:
        word = "quiet" if any(line.bad for line in rest) else "healthy quiet"
        noun = "connection" if len(rest) == 1 else "connections"
        why.append(f"{len(rest)} {word} {noun} not drawn")
    return [line.drawn() for line in ranked[:most]]


# Writing down ------------------------------------------------------------------------------------


def map_view(
    topology: Topology,
    view: View,
    positions: document.Positions,
    options: ViewOptions | None = None,
    *,
    version: str = "",
    name: str = "",
    algorithm: str = "layered",
    approximate: bool = False,
    now: datetime | None = None,
) -> dict[str, Any]:
    """The drawable form of UI.md 6.1: columns, positions, what was cut and why; `name` is that of the places."""
    asked = options or ViewOptions()
    places = [tuple(positions.get(key) or (0.0, 0.0))[:2] for key in view.ids]
    return {
        "as_of": document.instant(topology.as_of),
        "version": version,
        "window_seconds": topology.window.total_seconds(),
        "view": _asked(asked, view),
        "layout": {
            "view": name,
            "algorithm": algorithm,
            "hash": _hash(view.ids, places),
            "width": max((x for x, _ in places), default=0.0),
            "height": max((y for _, y in places), default=0.0),
            "approximate": approximate,
        },
        "nodes": _nodes(view.nodes, places)
        | {
            "pinned": [_pinned(positions.get(key)) for key in view.ids],
            "found": [view.found is not None and key in view.found.nodes for key in view.ids],
        },
        "edges": _edges(view),
        "cut": {
            "nodes_total": view.nodes_total,
            "nodes_shown": len(view.nodes),
            "edges_total": view.edges_total,
            "edges_shown": len(view.edges),
            "why": "; ".join(view.why),
            "table_first": view.table_first,
        },
        "freshness": document.freshness(topology.freshness, now or topology.as_of),
    }


def _asked(asked: ViewOptions, view: View) -> dict[str, Any]:
    """What the drawing answers, and how much `find` found (None = nothing is looked for)."""
    return {
        "focus": asked.focus,
        "depth": view.depth,
        "direction": asked.direction,
        "target": asked.target,
        "group": asked.group,
        "mode": view.mode,
        "errors": asked.errors,
        "find": asked.find,
        "hide": asked.hide,
        "nodes_found": len(view.found.own) if view.found else None,
        "edges_found": len(view.found.edges) if view.found else None,
    }


def _hash(ids: Sequence[str], places: Sequence[tuple[float, ...]]) -> str:
    body = repr(sorted(zip(ids, places, strict=True)))
    return blake2s(body.encode("utf-8", "replace"), digest_size=6).hexdigest()


def _pinned(place: Sequence[float] | None) -> bool:
    """Whether a person put the node there."""
    return place is not None and len(place) > 2 and bool(place[2])


def _nodes(drawn: Sequence[DrawnNode], places: Sequence[tuple[float, ...]]) -> dict[str, list[Any]]:
    nodes = [one.node for one in drawn]
    return {
        "id": [n.id for n in nodes],
        "name": [n.name for n in nodes],
        "kind": [one.shape for one in drawn],
        "cluster": [n.cluster for n in nodes],
        "namespace": [n.namespace for n in nodes],
        "members": [one.members for one in drawn],
        "unknown": [one.unknown for one in drawn],
        "health": [n.health.status.value for n in nodes],
        "since": [document.instant(n.health.since) for n in nodes],
        "reason": [document.first_reason(n.health) for n in nodes],
        "x": [place[0] for place in places],
        "y": [place[1] for place in places],
        "rps": [document.rounded(n.rps) for n in nodes],
        "error_ratio": [document.rounded(n.error_ratio, 6) for n in nodes],
        "p95_seconds": [n.latency.p95 for n in nodes],
        "as_of": [document.instant(n.as_of) for n in nodes],
        "href": [href(n) if one.shape != GROUP else None for one, n in zip(drawn, nodes, strict=True)],
    }


def _edges(view: View) -> dict[str, list[Any]]:
    index = {key: i for i, key in enumerate(view.ids)}
    return {
        "id": [e.id for e in view.edges],
        "source": [index[e.source] for e in view.edges],
        "target": [index[e.target] for e in view.edges],
        "kind": [e.kind.value for e in view.edges],
        "protocol": [e.protocol for e in view.edges],
        "health": [e.health.status.value for e in view.edges],
        "reason": [document.first_reason(e.health) for e in view.edges],
        "rps": [document.rounded(e.rps) for e in view.edges],
        "error_ratio": [document.rounded(e.error_ratio, 6) for e in view.edges],
        "p95_seconds": [e.latency.p95 for e in view.edges],
        "evidence": [document.sources(e.evidence) for e in view.edges],
        "as_of": [document.instant(e.as_of) for e in view.edges],
        "found": [view.found is not None and view.found.has(e) for e in view.edges],
    }


def href(node: Node) -> str:
    """The page of a node: by the parts of its id, so that the link survives any name."""
    if node.kind is NodeKind.SERVICE:
        cluster, namespace, name = (*node.id.split(":", 2), "", "")[:3]
        return "/services/" + "/".join(quote(part, safe="") for part in (cluster, namespace, name))
    return f"/nodes?id={quote(node.id, safe='')}"
