"""Where trouble begins: the deepest unhealthy node whose own dependencies are healthy; what is upstream suffers."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from app.model.fleet import HealthStatus, Node, Topology

BAD = (HealthStatus.FAILING, HealthStatus.DEGRADED)


@dataclass(frozen=True, slots=True)
class Origin:
    """A node that no unhealthy dependency explains, and the unhealthy nodes that (in)directly call it."""

    node: Node
    affected: tuple[str, ...]


def origins(topology: Topology) -> list[Origin]:
    """Candidates, the worst first, then by how much suffers upstream. Empty when nothing is unhealthy."""
    bad = {node.id: node for node in topology.nodes if node.health.status in BAD}
    callees: dict[str, set[str]] = defaultdict(set)
    callers: dict[str, set[str]] = defaultdict(set)
    for edge in topology.edges:
        if edge.source != edge.target:
            callees[edge.source].add(edge.target)
            callers[edge.target].add(edge.source)
    found = [
        Origin(node, tuple(sorted(_upstream(identity, callers, bad))))
        for identity, node in bad.items()
        if not callees[identity] & bad.keys() - {identity}
    ]
    found = found or [
        Origin(node, ()) for node in bad.values()
    ]  # a ring of unhealthy nodes has no deepest one
    return sorted(found, key=lambda one: (one.node.health.status.rank, -len(one.affected), one.node.name))


def _upstream(start: str, callers: dict[str, set[str]], bad: dict[str, Node]) -> set[str]:
    """Unhealthy nodes from which `start` is reached through unhealthy nodes only."""
    seen: set[str] = set()
    queue = [start]
    while queue:
        for caller in callers[queue.pop()]:
            if caller in bad and caller not in seen and caller != start:
                seen.add(caller)
                queue.append(caller)
    return seen
