"""Many nodes drawn as one: to which group a node belongs, the group as a node, and the edges between groups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from app.model.fleet import (
    Edge,
    Evidence,
    EvidenceKind,
    Health,
    HealthStatus,
    Latency,
    Node,
    NodeKind,
    Reason,
    edge_id,
)
from app.understand.names import id_part

BAD = frozenset({HealthStatus.FAILING, HealthStatus.DEGRADED})
_RANKS = {status: status.rank for status in HealthStatus}
SHARED = "(shared)"  # stores, queues and externals that several groups use
NAMELESS = "(no name)"


@dataclass(frozen=True, slots=True)
class Fold:
    """A namespace, team or cluster to be drawn as one node."""

    home: str
    group: str
    members: tuple[Node, ...]

    @property
    def id(self) -> str:
        """`cluster:~group:namespace/<name>`, of the first cluster by name where it spans several."""
        cluster = min(node.cluster for node in self.members)
        return f"{cluster}:~group:{id_part(self.group)}/{id_part(self.home)}"

    @property
    def unknown(self) -> int:
        """Members whose state is unknown: told, never hidden behind the worst state."""
        return sum(node.health.status is HealthStatus.UNKNOWN for node in self.members)


def fold_home(nodes: Sequence[Node], edges: Iterable[Edge], group: str) -> dict[str, str]:
    """Group name per node id. A store or queue belongs to the one group that uses it, else to SHARED.

    group: `team`, `cluster`, or the namespace for anything else; a cluster holds all that is in it.
    """
    if group == "cluster":
        return {node.id: node.cluster for node in nodes}
    services = {n.id: _own_home(n, group) for n in nodes if n.kind is NodeKind.SERVICE}
    own = dict(services)
    users: dict[str, set[str]] = defaultdict(set)
    for edge in edges:
        for end, other in ((edge.source, edge.target), (edge.target, edge.source)):
            if end not in services and other in services:
                users[end].add(services[other])
    for node in nodes:
        if node.id not in own:
            mine = users.get(node.id, set())
            own[node.id] = next(iter(mine)) if len(mine) == 1 else SHARED
    return own


def _own_home(node: Node, group: str) -> str:
    own = {"team": node.owner, "cluster": node.cluster}.get(group, node.namespace)
    return own or NAMELESS


def group_node(fold: Fold) -> Node:
    """The group as a node: worst state of its members, how many are unknown, no numbers of its own."""
    worst = min(fold.members, key=lambda node: node.health.status.rank)
    counts: dict[HealthStatus, int] = defaultdict(int)
    for node in fold.members:
        counts[node.health.status] += 1
    told = ", ".join(f"{counts[status]} {status.value}" for status in HealthStatus if counts[status])
    return Node(
        id=fold.id,
        name=fold.home,
        kind=NodeKind.SERVICE,
        cluster=min(node.cluster for node in fold.members),
        health=Health(worst.health.status, worst.health.since, (Reason("group", told),)),
        namespace=fold.home if fold.group == "namespace" else None,
        as_of=min((node.as_of for node in fold.members if node.as_of), default=None),
    )


@dataclass(slots=True)
class Bundle:
    """Parallel calls between two things that are drawn; `bad` = one of them is failing or degraded."""

    source: str
    target: str
    edges: list[Edge]
    bad: bool = False
    rps: float = 0.0

    @property
    def order(self) -> tuple[bool, float, str, str]:
        """Bad ones first, then by rate."""
        return (not self.bad, -self.rps, self.source, self.target)

    def drawn(self) -> Edge:
        """The calls as one edge."""
        plain = (
            len(self.edges) == 1
            and self.edges[0].source == self.source
            and self.edges[0].target == self.target
        )
        return self.edges[0] if plain else _joined(self.source, self.target, self.edges)


def bundles(
    edges: Iterable[Edge], group_of: Mapping[str, str], *, between_groups: bool = True
) -> list[Bundle]:
    """Edges between what is drawn: those inside one group vanish, parallel ones to or from a group go together."""
    plain: list[Bundle] = []
    merged: dict[tuple[str, str, str], Bundle] = {}
    for edge in edges:
        source, target = group_of.get(edge.source, edge.source), group_of.get(edge.target, edge.target)
        if not between_groups and edge.source in group_of and edge.target in group_of:
            continue
        if source is edge.source and target is edge.target:
            plain.append(Bundle(source, target, [edge], edge.health.status in BAD, edge.rps or 0.0))
        elif source != target:
            bundle = merged.get((source, target, edge.kind))
            if bundle is None:
                bundle = merged[source, target, edge.kind] = Bundle(source, target, [])
            bundle.edges.append(edge)
            bundle.bad = bundle.bad or edge.health.status in BAD
            bundle.rps += edge.rps or 0.0
    return plain + list(merged.values())


def _joined(source: str, target: str, found: Sequence[Edge]) -> Edge:
    """Several calls as one: the worst state, the sum of the rates, the slowest p95."""
    worst, ranks = found[0], _RANKS
    protocols: set[str] = set()
    words: dict[EvidenceKind, Evidence] = {}
    rps, failed, slowest, oldest = None, 0.0, None, None
    for edge in found:
        if ranks[edge.health.status] < ranks[worst.health.status]:
            worst = edge
        protocols.add(edge.protocol)
        words |= {word.source: word for word in edge.evidence}
        if edge.rps is not None:
            rps = (rps or 0.0) + edge.rps
            failed += edge.rps * (edge.error_ratio or 0.0)
        p95 = edge.latency.p95
        if p95 is not None and (slowest is None or p95 > slowest):
            slowest = p95
        if edge.as_of is not None and (oldest is None or edge.as_of < oldest):
            oldest = edge.as_of
    protocol = protocols.pop() if len(protocols) == 1 else "several"
    return Edge(
        id=edge_id(source, target, f"{protocol}-{worst.kind.value}"),
        source=source,
        target=target,
        kind=worst.kind,
        protocol=protocol,
        health=worst.health,
        rps=rps,
        error_ratio=failed / rps if rps else None,
        latency=Latency(p95=slowest),
        evidence=tuple(words.values()),
        as_of=oldest,
    )
