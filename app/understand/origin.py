"""Where trouble begins: the deepest unhealthy node whose own dependencies are healthy; what is upstream suffers.

Where that node waits for a callee which is as quick as ever, the trouble lies on the way between the two.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from app.model.fleet import Edge, HealthStatus, Node, Topology

BAD = (HealthStatus.FAILING, HealthStatus.DEGRADED)


@dataclass(frozen=True, slots=True)
class Origin:
    """A node that no unhealthy dependency explains, and the unhealthy nodes that (in)directly call it.

    between: the call of this node that is slow although its callee is not.
    """

    node: Node
    affected: tuple[str, ...]
    between: Edge | None = None


def origins(topology: Topology) -> list[Origin]:
    """Candidates, the worst first, then by how much suffers upstream. Empty when nothing is unhealthy."""
    bad = {node.id: node for node in topology.nodes if node.health.status in BAD}
    callees: dict[str, set[str]] = defaultdict(set)
    callers: dict[str, set[str]] = defaultdict(set)
    between: dict[str, Edge] = {}
    for edge in topology.edges:  # worst first
        if _slow_between(edge):
            between.setdefault(edge.source, edge)
        if edge.source != edge.target:
            callees[edge.source].add(edge.target)
            callers[edge.target].add(edge.source)
    found = [
        Origin(node, tuple(sorted(_upstream(identity, callers, bad))), between.get(identity))
        for identity, node in bad.items()
        if not callees[identity] & bad.keys() - {identity}
    ]
    found = found or [
        Origin(node, (), between.get(node.id)) for node in bad.values()
    ]  # a ring of unhealthy nodes has no deepest one
    return sorted(found, key=lambda one: (one.node.health.status.rank, -len(one.affected), one.node.name))


def _slow_between(edge: Edge) -> bool:
    if edge.health.status not in BAD:
        return False
    return any(reason.code == "caller_slow_server_fine" for reason in edge.health.reasons)


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
