"""The live topology of each cluster, with the opaque memory that understanding carries from tick to tick."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.model.fleet import Edge, Node, Topology
from app.store import topics
from app.store.blob import Codec
from app.store.tables import live
from app.store.write import upsert

_codec = Codec(Topology)
_TOLD = {
    kind: attrgetter(*(name for name in kind.__struct_fields__ if name not in ("as_of", "evidence")))
    for kind in (Node, Edge)
}


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
    old, new = _elements(before), _elements(after)
    moved = [key for key in old.keys() | new.keys() if not _same(old.get(key), new.get(key))]
    if not moved and before is not None and _frame_of(before) == _frame_of(after):
        return set()
    ends = {node for key in moved for node in _touched(old.get(key) or new[key])}
    services = {f"service:{node}" for node in ends if ":~" not in node}
    return {"fleet", "topology", *services}


def _elements(topology: Topology | None) -> dict[str, Node | Edge]:
    if topology is None:
        return {}
    found: dict[str, Node | Edge] = {node.id: node for node in topology.nodes}
    found.update((edge.id, edge) for edge in topology.edges)
    return found


def _same(old: Node | Edge | None, new: Node | Edge | None) -> bool:
    """Whether two words on one element say the same, their ages aside."""
    if old is None or new is None or old.rps != new.rps:  # most rates differ: that settles it
        return False
    told = _TOLD[type(new)]
    return bool(told(old) == told(new)) and _words(old) == _words(new)


def _words(thing: Node | Edge) -> list[tuple[object, ...]]:
    return [(word.source, word.rps, word.sampling_ratio) for word in thing.evidence]


def _touched(thing: Node | Edge) -> tuple[str, ...]:
    return (thing.source, thing.target) if isinstance(thing, Edge) else (thing.id,)


def _frame_of(topology: Topology) -> tuple[Any, ...]:
    states = tuple((word.source, word.status, word.error) for word in topology.freshness)
    return topology.window, topology.notices, states
