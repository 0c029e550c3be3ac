"""The difference of two windows for pages and API: compared once per revision, drawn as a map of both."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson

from app import clock, layouts
from app.errors import NotFound
from app.model.fleet import Edge, Topology
from app.model.series import Window
from app.store.frame_stretch import VersionChange, stretch, version_changes
from app.understand.diff import Mark
from app.understand.diff_rows import Change, Difference
from app.understand.view import MAX_NODES, ViewOptions
from app.web.cache import Cache
from app.web.etag import Bytes
from app.web.reader import Reader
from app.web.windows import Pair

if TYPE_CHECKING:
    from app.store.engine import Store

_MOST = 8  # differences kept; one of 6,000 elements is about 5 MB
_MOST_BYTES = 8 << 20
_SETTLED = timedelta(minutes=5)  # younger minutes may still gain late spans or back-fill
_LOOK_BACK = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is compared: both windows, one cluster or all, and the surroundings of a node or everything."""

    pair: Pair
    cluster: str | None = None
    focus: str | None = None
    hops: int = 1


@dataclass(frozen=True, slots=True)
class Found:
    """The clusters' differences, those of which a window is not kept at all, and the part that is in focus."""

    parts: tuple[Difference, ...]
    missing: tuple[str, ...]
    within: frozenset[str] | None

    def rows(self, marks: Collection[Mark], most: int) -> tuple[list[Change], int]:
        """The first rows by impact, and how many there are."""
        found, total = [], 0
        for part in self.parts:
            rows, count = part.rows(marks, most, self.within)
            found += rows
            total += count
        return sorted(found, key=lambda row: row.order)[:most], total

    def row(self, identity: str) -> Change | None:
        """One node or edge by its id."""
        return next((row for part in self.parts if (row := part.row(identity)) is not None), None)

    @property
    def marks(self) -> dict[str, Mark]:
        """The class of everything that is not the same."""
        return {key: mark for part in self.parts for key, mark in part.marks.items()}


class Diffs:
    """Differences of this process, least recently asked for first out."""

    def __init__(self, reader: Reader, store: Store) -> None:
        self._reader = reader
        self._store = store
        self._kept: Cache[Difference | None] = Cache(_MOST)
        self._maps: Cache[Bytes] = Cache(_MOST_BYTES, size=len)

    def found(self, asked: Asked) -> Found:
        """Raises NotFound for a cluster or a focus that neither window knows."""
        names = self._reader.clusters()
        if asked.cluster is not None and asked.cluster not in names:
            raise NotFound("No data of a cluster with this name.")
        wanted = [asked.cluster] if asked.cluster is not None else names
        compared = {name: self._one(name, asked.pair) for name in wanted}
        parts = tuple(part for part in compared.values() if part is not None)
        missing = tuple(name for name, part in compared.items() if part is None)
        within = _near(parts, asked.focus, asked.hops) if asked.focus else None
        return Found(parts, missing, within)

    def map(self, asked: Asked) -> Bytes:
        """The map document of both windows together, with the columns `mark` of nodes and edges."""
        key = ("map", asked, self._version(asked.pair))
        return self._maps.get(key, lambda: Bytes(orjson.dumps(self._map(asked), option=orjson.OPT_UTC_Z)))

    def version_changes(self, cluster: str | None) -> list[VersionChange]:
        """Rollouts of the last hours, the newest first, as the minutes saw them."""
        names = [cluster] if cluster else self._reader.clusters()
        end = clock.now()
        with self._store.reading() as session:
            lists = [version_changes(session, name, Window(end - _LOOK_BACK, end)) for name in names]
        return sorted((one for found in lists for one in found), key=lambda one: one.at, reverse=True)

    def etag(self, pair: Pair) -> str:
        """What moves when the answer may."""
        return str(self._version(pair))

    def _version(self, pair: Pair) -> int:
        settled = clock.now() - max(pair.a.end, pair.b.end) > _SETTLED
        return 0 if settled else self._reader.revision("fleet")

    def _one(self, cluster: str, pair: Pair) -> Difference | None:
        key = (cluster, pair.a, pair.b)
        return self._kept.get(key, lambda: self._compare(cluster, pair), version=self._version(pair))

    def _compare(self, cluster: str, pair: Pair) -> Difference | None:
        with self._store.reading() as session:
            first, second = (stretch(session, cluster, window) for window in (pair.a, pair.b))
        return Difference(first, second) if first is not None and second is not None else None

    def _map(self, asked: Asked) -> dict[str, Any]:
        found = self.found(asked)
        marks = found.marks
        before, after = (
            self._reader.topology(asked.cluster, window.end, window.length)
            for window in (asked.pair.a, asked.pair.b)
        )
        both = _drawable(_union(before, after), marks, found.within)
        drawn = layouts.map_document(self._store, both, ViewOptions(), now=clock.now())
        for rows in (drawn["nodes"], drawn["edges"]):
            rows["mark"] = [marks[key].value if key in marks else None for key in rows["id"]]
        return drawn


def _near(parts: Sequence[Difference], focus: str, hops: int) -> frozenset[str]:
    """Nodes within some hops of one, along the connections of either window."""
    if all(part.row(focus) is None for part in parts):
        raise NotFound("The node in focus is not seen in either window.")
    near: dict[str, set[str]] = defaultdict(set)
    for part in parts:
        for source, target in part.ends():
            near[source].add(target)
            near[target].add(source)
    found, border = {focus}, {focus}
    for _ in range(hops):
        border = {other for node in border for other in near[node]} - found
        found |= border
    return frozenset(found)


def _union(before: Topology, after: Topology) -> Topology:
    """What either window had: B's rows, and those of A that are gone."""
    nodes, edges = {node.id for node in after.nodes}, {edge.id for edge in after.edges}
    return replace(
        after,
        nodes=(*after.nodes, *(node for node in before.nodes if node.id not in nodes)),
        edges=(*after.edges, *(edge for edge in before.edges if edge.id not in edges)),
    )


def _drawable(both: Topology, marks: dict[str, Mark], within: frozenset[str] | None) -> Topology:
    """The part in focus; of a fleet too big to draw, what changed and its neighbours."""
    wanted = within
    if wanted is None and len(both.nodes) > MAX_NODES:
        wanted = _changed(both.edges, marks)
    if wanted is None:
        return both
    return replace(
        both,
        nodes=tuple(node for node in both.nodes if node.id in wanted),
        edges=tuple(edge for edge in both.edges if edge.source in wanted and edge.target in wanted),
    )


def _changed(edges: Iterable[Edge], marks: dict[str, Mark]) -> frozenset[str]:
    """Nodes that changed or lie at a connection that did, and their neighbours."""
    quiet = (Mark.SAME, Mark.INCOMPARABLE)
    hot = {key for key, mark in marks.items() if mark not in quiet and ">" not in key}
    rows = list(edges)
    for edge in rows:
        if marks.get(edge.id, Mark.SAME) not in quiet:
            hot |= {edge.source, edge.target}
    near = {end for edge in rows if {edge.source, edge.target} & hot for end in (edge.source, edge.target)}
    return frozenset(hot | near)
