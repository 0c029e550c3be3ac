"""What of the topology is drawn: filter, focus, folded namespaces and the caps of a drawing (UI.md 6.1, 6.2).

`select` decides and tells why something is missing; `map_view` writes the decision down with positions.
The table twin uses the whole topology, never this.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2s
from typing import Any
from urllib.parse import quote

from app.errors import NotFound
from app.model.fleet import Edge, HealthStatus, Node, NodeKind, Topology
from app.understand import document
from app.understand.folding import SHARED, Fold, fold_home, folded_edges, group_node

MAX_NODES = 300
MAX_EDGES = 1000
GROUP = "group"
_TROUBLE = frozenset({HealthStatus.FAILING, HealthStatus.DEGRADED})


@dataclass(frozen=True, slots=True)
class ViewOptions:
    """What a viewer asks for.

    group: `none` folds namespaces only as far as the caps ask for it, `namespace` and `team` fold all of them.
    find, hide: parts of names. folded, opened: groups to fold, and never to fold.
    """

    namespaces: frozenset[str] = frozenset()
    focus: str | None = None
    depth: int = 1
    group: str = "none"
    find: str = ""
    hide: str = ""
    selected: str | None = None
    folded: frozenset[str] = frozenset()
    opened: frozenset[str] = frozenset()
    max_nodes: int = MAX_NODES
    max_edges: int = MAX_EDGES


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
    """The drawable part of a topology. `why` = sentences about what is not drawn; `table_first` = too much anyway."""

    nodes: tuple[DrawnNode, ...]
    edges: tuple[Edge, ...]
    nodes_total: int
    edges_total: int
    depth: int
    why: tuple[str, ...] = ()
    table_first: bool = False

    @property
    def ids(self) -> list[str]:
        """Ids of the drawn nodes, for the layout."""
        return [drawn.node.id for drawn in self.nodes]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Ends of the drawn edges, for the layout."""
        return [(edge.source, edge.target) for edge in self.edges]


def select(topology: Topology, options: ViewOptions | None = None) -> View:
    """Apply the steps of UI.md 6.2 in their order. Raises NotFound for an unknown focus."""
    asked = options or ViewOptions()
    why: list[str] = []
    nodes, edges = _filtered(topology, asked)
    depth = asked.depth
    if asked.focus is not None:
        nodes, edges, depth = _focused(topology, nodes, edges, asked, why)
    kept = _visible_alone(nodes, asked)
    drawn, edges = _fold(nodes, edges, kept, asked, why)
    shown = _capped(edges, asked.max_edges, why)
    return View(
        nodes=tuple(drawn),
        edges=tuple(shown),
        nodes_total=len(topology.nodes),
        edges_total=len(topology.edges),
        depth=depth,
        why=tuple(why),
        table_first=len(drawn) > asked.max_nodes,
    )


def _filtered(topology: Topology, asked: ViewOptions) -> tuple[list[Node], list[Edge]]:
    """The user's filter: chosen namespaces with the stores and queues they talk to, minus what `hide` names."""
    nodes = list(topology.nodes)
    if asked.namespaces:
        chosen = {n.id for n in nodes if (n.namespace or "") in asked.namespaces}
        touched = {
            end for e in topology.edges if {e.source, e.target} & chosen for end in (e.source, e.target)
        }
        nodes = [n for n in nodes if n.id in chosen or (n.id in touched and n.kind is not NodeKind.SERVICE)]
    if asked.hide:
        hidden = asked.hide.casefold()
        nodes = [n for n in nodes if hidden not in n.name.casefold() or n.id == asked.focus]
    ids = {node.id for node in nodes}
    return nodes, [e for e in topology.edges if e.source in ids and e.target in ids]


def _focused(
    topology: Topology, nodes: list[Node], edges: list[Edge], asked: ViewOptions, why: list[str]
) -> tuple[list[Node], list[Edge], int]:
    by_id = {node.id: node for node in topology.nodes}
    if asked.focus not in by_id:
        raise NotFound(f"there is no node {asked.focus!r} in this topology")
    depth = max(asked.depth, 0)
    hops = distances(asked.focus, topology.edges if asked.namespaces else edges)
    while depth > 1 and sum(1 for hop in hops.values() if hop <= depth) > asked.max_nodes:
        depth -= 1
    if depth < asked.depth:
        why.append(f"{asked.depth} hops are too many to draw: {depth} shown")
    near = {key for key, hop in hops.items() if hop <= depth}
    picked = [by_id[key] for key in near if key in by_id]
    known = {node.id for node in nodes} | {asked.focus}
    picked = sorted((n for n in picked if n.id in known), key=lambda n: (n.health.status.rank, n.id))
    ids = {node.id for node in picked}
    return picked, [e for e in edges if e.source in ids and e.target in ids], depth


def distances(start: str, edges: Iterable[Edge]) -> dict[str, int]:
    """Hops from a node to every node it is connected with, whoever calls whom."""
    near: dict[str, set[str]] = defaultdict(set)
    for edge in edges:
        near[edge.source].add(edge.target)
        near[edge.target].add(edge.source)
    hops, border = {start: 0}, [start]
    for node in border:
        for other in near[node]:
            if other not in hops:
                hops[other] = hops[node] + 1
                border.append(other)
    return hops


def _visible_alone(nodes: Iterable[Node], asked: ViewOptions) -> set[str]:
    """Failing, focused, selected and found nodes are never folded."""
    wanted = asked.find.casefold()
    return {
        node.id
        for node in nodes
        if node.health.status is HealthStatus.FAILING
        or node.id in (asked.focus, asked.selected)
        or (wanted and wanted in node.name.casefold())
    }


# Folding -----------------------------------------------------------------------------------------


def _fold(
    nodes: list[Node], edges: list[Edge], kept: set[str], asked: ViewOptions, why: list[str]
) -> tuple[list[DrawnNode], list[Edge]]:
    homes = fold_home(nodes, edges, asked.group)
    members: dict[str, list[Node]] = defaultdict(list)
    for node in nodes:
        if node.id not in kept and (home := homes.get(node.id)) is not None and home not in asked.opened:
            members[home].append(node)
    folds = _chosen(members, len(nodes), asked, why)
    inside = {node.id: fold for fold in folds.values() for node in fold.members}
    drawn = [DrawnNode(node) for node in nodes if node.id not in inside]
    drawn += [DrawnNode(group_node(fold), len(fold.members), fold.unknown, GROUP) for fold in folds.values()]
    drawn.sort(key=lambda d: (d.node.health.status.rank, -(d.node.rps or 0.0), d.node.id))
    return drawn, folded_edges(edges, {key: fold.id for key, fold in inside.items()})


def _chosen(
    members: Mapping[str, list[Node]], count: int, asked: ViewOptions, why: list[str]
) -> dict[str, Fold]:
    """Groups to fold: those asked for, then without trouble, then the others, largest first, until it fits."""
    by = "team" if asked.group == "team" else "namespace"
    wanted = asked.folded if asked.group == "none" else members.keys() - {SHARED}
    folds = {home: Fold(home, by, tuple(members[home])) for home in sorted(wanted & members.keys())}
    count -= sum(len(fold.members) - 1 for fold in folds.values())
    told = {False: 0, True: 0}
    by_size = sorted(members, key=lambda home: (-len(members[home]), home))
    for troubled in (False, True):
        for home in by_size:
            has_trouble = any(node.health.status in _TROUBLE for node in members[home])
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


def _capped(edges: list[Edge], most: int, why: list[str]) -> list[Edge]:
    """All unhealthy edges first, then by rate; the rest is told in one line."""
    ranked = sorted(edges, key=lambda e: (e.health.status not in _TROUBLE, -(e.rps or 0.0), e.id))
    rest = ranked[most:]
    if rest:
        word = "healthy quiet" if all(e.health.status not in _TROUBLE for e in rest) else "quiet"
        noun = "connection" if len(rest) == 1 else "connections"
        why.append(f"{len(rest)} {word} {noun} not drawn")
    return ranked[:most]


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
        "view": {"focus": asked.focus, "depth": view.depth, "group": asked.group},
        "layout": {
            "view": name,
            "algorithm": algorithm,
            "hash": _hash(view.ids, places),
            "width": max((x for x, _ in places), default=0.0),
            "height": max((y for _, y in places), default=0.0),
            "approximate": approximate,
        },
        "nodes": _nodes(view.nodes, places) | {"pinned": [_pinned(positions.get(key)) for key in view.ids]},
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
    }


def href(node: Node) -> str:
    """The page of a node: by the parts of its id, so that the link survives any name."""
    if node.kind is NodeKind.SERVICE:
        cluster, namespace, name = (*node.id.split(":", 2), "", "")[:3]
        return "/services/" + "/".join(quote(part, safe="") for part in (cluster, namespace, name))
    return f"/nodes?id={quote(node.id, safe='')}"


def neighbourhood(topology: Topology, focus: str, hops: int) -> Topology:
    """The part within `hops` of a node, uncut. Raises NotFound for an unknown node."""
    if all(node.id != focus for node in topology.nodes):
        raise NotFound("The node in focus is not seen at that time.")
    near = {key for key, hop in distances(focus, topology.edges).items() if hop <= hops}
    return replace(
        topology,
        nodes=tuple(node for node in topology.nodes if node.id in near),
        edges=tuple(edge for edge in topology.edges if edge.source in near and edge.target in near),
    )
