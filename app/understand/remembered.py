"""Which remembered nodes must not come back: too old, gone from the cluster, or known under another name now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from app.model.fleet import Identity, NodeKind
from app.understand.identity import Party, Resolver
from app.understand.memory import KEPT, KnownNode, Memory

GONE_AFTER = timedelta(minutes=5)  # a node whose workload was deleted, once its traffic has ended


def forgotten_nodes(
    memory: Memory, resolver: Resolver, present: Mapping[str, Party], inventory_fresh: bool, now: datetime
) -> set[str]:
    """Ids of remembered nodes to forget; `present` are the nodes of this moment by id."""
    names = {party.name for party in present.values() if party.kind is NodeKind.SERVICE}
    oldest, recent = (now - KEPT).timestamp(), (now - GONE_AFTER).timestamp()
    gone = set()
    for key, node in memory.nodes.items():
        if key in present:
            continue
        deleted = inventory_fresh and _workload_gone(node, resolver)
        if (
            node.mark.seen < oldest
            or (deleted and node.mark.seen < recent)
            or _renamed(key, node, resolver, names)
        ):
            gone.add(key)
    return gone


def _workload_gone(node: KnownNode, resolver: Resolver) -> bool:
    if node.workload is None:
        return False
    return (node.namespace or "", node.workload[1]) not in resolver.workloads.by_name


def _renamed(key: str, node: KnownNode, resolver: Resolver, names: set[str]) -> bool:
    """Whether a better-informed resolver now gives the same party another id."""
    kind = NodeKind(node.kind)
    if kind is NodeKind.SERVICE:
        return node.name in names and node.workload is None
    label = key.partition(f":~{kind}:")[2]
    if not label or "~" in label:
        return False
    if kind is NodeKind.EXTERNAL:
        return resolver.node(Identity(kind=kind, address=label)).id != key
    if kind in (NodeKind.DATABASE, NodeKind.CACHE):
        engine, _, address = label.partition("@")
        return resolver.node(Identity(kind=kind, engine=engine, address=address)).id != key
    return False
