"""Many nodes drawn as one: to which group a node belongs, the group as a node, and the edges between groups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from app.model.fleet import Edge, Health, HealthStatus, Latency, Node, NodeKind, Reason, edge_id
from app.understand.names import id_part

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


def folded_edges(edges: Sequence[Edge], group_of: Mapping[str, str]) -> list[Edge]:
    """Edges between what is drawn: those inside one group vanish, parallel ones to or from a group become one."""
    plain: list[Edge] = []
    merged: dict[tuple[str, str, str], list[Edge]] = defaultdict(list)
    for edge in edges:
        source, target = group_of.get(edge.source, edge.source), group_of.get(edge.target, edge.target)
        if source == edge.source and target == edge.target:
            plain.append(edge)
        elif source != target:
            merged[(source, target, edge.kind)].append(edge)
    return plain + [_joined(source, target, found) for (source, target, _), found in merged.items()]


def _joined(source: str, target: str, found: Sequence[Edge]) -> Edge:
    worst = min(found, key=lambda edge: edge.health.status.rank)
    protocols = sorted({edge.protocol for edge in found})
    protocol = protocols[0] if len(protocols) == 1 else "several"
    rates = [edge.rps for edge in found if edge.rps is not None]
    rps = sum(rates) if rates else None
    failed = sum(e.rps * e.error_ratio for e in found if e.rps is not None and e.error_ratio is not None)
    slowest = max((e.latency.p95 for e in found if e.latency.p95 is not None), default=None)
    words = {word.source: word for edge in found for word in edge.evidence}
    return replace(
        worst,
        id=edge_id(source, target, f"{protocol}-{worst.kind.value}"),
        source=source,
        target=target,
        protocol=protocol,
        rps=rps,
        error_ratio=failed / rps if rps else None,
        caller_error_ratio=None,
        requests=None,
        latency=Latency(p95=slowest),
        server_latency=Latency(),
        evidence=tuple(words.values()),
        as_of=min((edge.as_of for edge in found if edge.as_of), default=None),
    )
