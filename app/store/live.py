"""The live topology of each cluster, with the opaque memory that understanding carries from tick to tick."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.model.fleet import Edge, Node, Topology
from app.store import topics
from app.store.blob import Codec
from app.store.tables import live
from app.store.write import upsert

_codec = Codec(Topology)


def put(session: Session, topology: Topology, memory: bytes) -> None:
    """Replace the live topology; topics are bumped for what changed beside its age."""
    before = current(session, topology.cluster)
    row = {
        "cluster": topology.cluster,
        "as_of": topology.as_of,
        "topology": _codec.pack(topology),
        "memory": memory,
    }
    upsert(session, live, [row], key=("cluster",))
    topics.bump(session, *_changed(before, topology))


def current(session: Session, cluster: str) -> Topology | None:
    """The live topology, None before the first tick."""
    body = session.scalar(select(live.c.topology).where(live.c.cluster == cluster))
    return None if body is None else _codec.unpack(body)


def memory(session: Session, cluster: str) -> bytes | None:
    """What understanding handed over at the last tick."""
    return session.scalar(select(live.c.memory).where(live.c.cluster == cluster))


def clusters(session: Session) -> list[str]:
    """Names of clusters that have a live topology."""
    return list(session.scalars(select(live.c.cluster).order_by(live.c.cluster)))


def forget(session: Session, cluster: str) -> None:
    """Drop a cluster that is no longer configured."""
    session.execute(live.delete().where(live.c.cluster == cluster))
    topics.bump(session, "fleet", "topology")


def _changed(before: Topology | None, after: Topology) -> set[str]:
    old, new = dict(_contents(before)), dict(_contents(after))
    moved = {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
    if not moved and before is not None and _frame_of(before) == _frame_of(after):
        return set()
    ends = {node for thing in moved for node in _touched(old.get(thing) or new[thing])}
    services = {f"service:{node}" for node in ends if ":~" not in node}
    return {"fleet", "topology", *services}


def _contents(topology: Topology | None) -> Iterator[tuple[tuple[str, str], Node | Edge]]:
    if topology is None:
        return
    for node in topology.nodes:
        yield ("node", node.id), _ageless(node)
    for edge in topology.edges:
        yield ("edge", edge.id), _ageless(edge)


def _ageless(thing: Any) -> Any:
    evidence = tuple(replace(word, as_of=None) for word in thing.evidence)
    return replace(thing, as_of=None, evidence=evidence)


def _touched(thing: Node | Edge) -> tuple[str, ...]:
    return (thing.source, thing.target) if isinstance(thing, Edge) else (thing.id,)


def _frame_of(topology: Topology) -> tuple[Any, ...]:
    states = tuple((word.source, word.status, word.error) for word in topology.freshness)
    return topology.window, topology.notices, states
