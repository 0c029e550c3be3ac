"""The difference of two windows as rows: what changed, ranked by impact, with both values and who says so.

Impact is in requests per second that are affected: four times those that fail more, those that are slower than the
usual slowest twentieth, all of a connection that is gone, half of one that is new, a tenth of a change of volume.
What changed where nothing behind it got worse counts double: there the change begins.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from app.model.fleet import EvidenceKind, NodeKind, kinds_of
from app.model.series import Floats, Window
from app.model.stretch import Stretch
from app.understand.diff import LIMITS, Compared, Index, Limits, Mark, Numbers, Why, compare

_FAILED, _GONE, _NEW, _VOLUME = 4.0, 1.0, 0.5, 0.1
_BEGINS = 2.0
_NODE = 0.5  # a connection comes before the service that it leads to
_FIRST_SEEN = 500  # new elements whose first moment is looked up
_GROUPS = (
    (Mark.WORSE, Mark.NEW, Mark.GONE),
    (Mark.BETTER,),
    (Mark.VOLUME,),
    (Mark.INCOMPARABLE,),
    (Mark.SAME,),
)
_TIER = {mark: tier for tier, marks in enumerate(_GROUPS) for mark in marks}

Attributes = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Value:
    """One element in one window; None = unknown. `evidence`: who gave the numbers, most trusted first."""

    rps: float | None
    error_ratio: float | None
    p95: float | None
    requests: float | None
    evidence: tuple[EvidenceKind, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """One row: a node (`source` and `target` empty) or an edge between two named nodes.

    errors, latency, volume: -1 less, 0 as before, 1 more. why: a code of `Why` for what is incomparable.
    begins: nothing behind it got worse. since: the first moment that a new one was seen. versions: of the node, or of
    the node an edge leads to, in A and in B, where they differ.
    """

    id: str
    cluster: str
    name: str
    kind: str
    source: str
    target: str
    source_name: str
    target_name: str
    mark: Mark
    impact: float
    begins: bool
    errors: int
    latency: int
    volume: int
    why: str
    a: Value
    b: Value
    since: datetime | None = None
    versions: tuple[str, str] | None = None

    @property
    def is_edge(self) -> bool:
        """Whether it is a connection."""
        return self.source != ""

    @property
    def order(self) -> tuple[int, float, str]:
        """Sorting key of lists."""
        return (_TIER[self.mark], -self.impact, self.id)


@dataclass(frozen=True, slots=True)
class Told:
    """What a window rests on: the seconds it covers, and stretches in which a kind of evidence was not alive."""

    window: Window
    covered: float
    alive: tuple[str, ...]
    blind: Mapping[str, tuple[Window, ...]]


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A node whose versions differ between the windows, and since when in B."""

    node: str
    name: str
    before: str
    after: str
    since: datetime | None


class Difference:
    """Two windows of one cluster compared. Rows are made when they are asked for: most elements are as before."""

    def __init__(self, a: Stretch, b: Stretch, limits: Limits = LIMITS) -> None:
        self.cluster = b.frame.cluster
        self.attributes: Attributes = {**a.frame.attributes, **b.frame.attributes}
        self.told = (_told(a), _told(b))
        nodes, edges = compare(a, b, "nodes", limits), compare(a, b, "edges", limits)
        worse = _calling_worse(nodes, edges)
        self._nodes, self._edges = (
            _Ranked.of(nodes, worse, lambda key: key, _NODE),
            _Ranked.of(edges, worse, _target, 1.0),
        )
        self.versions = _new_versions(a, b, nodes.ids)
        self._versions = {one.node: (one.before, one.after) for one in self.versions}
        self._since = _first_seen(b, [*self._nodes.new(), *self._edges.new()])

    @property
    def marks(self) -> dict[str, Mark]:
        """The class of every node and edge that is not the same, as far as anybody looked."""
        return self._nodes.marks | self._edges.marks

    @property
    def node_counts(self) -> dict[Mark, int]:
        """Nodes per class."""
        return self._nodes.counts

    @property
    def edge_counts(self) -> dict[Mark, int]:
        """Edges per class."""
        return self._edges.counts

    def whys(self) -> dict[str, int]:
        """Edges per reason why they cannot be compared."""
        return self._edges.whys

    def ends(self) -> list[tuple[str, str]]:
        """The two ends of every edge of either window."""
        return [(key.split(">", 2)[0], _target(key)) for key in self._edges.ids]

    def rows(
        self, marks: Collection[Mark], most: int, within: Collection[str] | None = None, side: str = ""
    ) -> tuple[list[Change], int]:
        """The first rows of these classes by impact, of nodes `within` or edges between them; and how many in all.

        side: `nodes` or `edges` alone; "" = both.
        """
        found: list[tuple[tuple[int, float, str], _Ranked, int]] = []
        total = 0
        sides = {"nodes": self._nodes, "edges": self._edges}
        for ranked in [sides[side]] if side else sides.values():
            rows = [
                row for mark in marks for row in ranked.of_mark(mark) if _is_within(ranked.ids[row], within)
            ]
            total += len(rows)
            keys = [(_TIER[ranked.mark[row]], -float(ranked.impact[row]), ranked.ids[row]) for row in rows]
            found += [(key, ranked, row) for key, row in zip(keys, rows, strict=True)]
        found.sort(key=lambda one: one[0])
        return [self._change(ranked, row) for _, ranked, row in found[:most]], total

    def row(self, identity: str) -> Change | None:
        """One node or edge by its id."""
        for ranked in (self._nodes, self._edges):
            if identity in ranked.row:
                return self._change(ranked, ranked.row[identity])
        return None

    def _change(self, ranked: _Ranked, row: int) -> Change:
        key = ranked.ids[row]
        source, target = (key.split(">", 2)[0], _target(key)) if ">" in key else ("", "")
        told = self.attributes.get(key, {})
        kind = told.get("protocol", "") if source else told.get("kind", NodeKind.SERVICE.value)
        return Change(
            id=key,
            cluster=self.cluster,
            name=self._name(key),
            kind=kind or ("" if key.count(">") < 2 else key.split(">", 2)[2]),
            source=source,
            target=target,
            source_name=self._name(source),
            target_name=self._name(target),
            mark=ranked.mark[row],
            impact=round(float(ranked.impact[row]), 4),
            begins=bool(ranked.begins[row]),
            errors=int(ranked.errors[row]),
            latency=int(ranked.latency[row]),
            volume=int(ranked.volume[row]),
            why=ranked.why[row],
            a=ranked.a.value(row),
            b=ranked.b.value(row),
            since=self._since.get(key),
            versions=self._versions.get(target or key),
        )

    def _name(self, node: str) -> str:
        return self.attributes.get(node, {}).get("name") or node.split(":", 2)[-1]


@dataclass(frozen=True, slots=True)
class _Light:
    """The columns of `Numbers` that rows show; without histograms, which are most of the memory."""

    rps: list[float]
    ratio: list[float]
    p95: list[float]
    requests: list[float]
    seen: list[int]

    @classmethod
    def of(cls, numbers: Numbers) -> _Light:
        """Of one window."""
        columns = (numbers.rps, numbers.ratio, numbers.p95, numbers.requests, numbers.seen)
        return cls(*(column.tolist() for column in columns))

    def value(self, row: int) -> Value:
        """One element."""
        rps, ratio, p95, requests = (
            None if column[row] != column[row] else column[row]
            for column in (self.rps, self.ratio, self.p95, self.requests)
        )
        return Value(rps, ratio, p95, requests, kinds_of(self.seen[row]))


@dataclass(frozen=True, slots=True)
class _Ranked:
    """`Compared` with impact, kept for as long as somebody may ask."""

    ids: tuple[str, ...]
    row: dict[str, int]
    a: _Light
    b: _Light
    errors: Index
    latency: Index
    volume: Index
    mark: tuple[Mark, ...]
    why: tuple[str, ...]
    impact: Floats
    begins: Index
    by_mark: dict[Mark, list[int]]

    @classmethod
    def of(
        cls, found: Compared, worse_sources: Collection[str], leads_to: Callable[[str], str], weight: float
    ) -> _Ranked:
        """Rank nodes or edges; `worse_sources` call somebody who got worse, `leads_to` names the node behind one."""
        by_mark: dict[Mark, list[int]] = {mark: [] for mark in Mark}
        for row, mark in enumerate(found.mark):
            by_mark[mark].append(row)
        begins = np.zeros(len(found.ids), np.int64)
        bad = by_mark[Mark.WORSE]
        begins[bad] = [leads_to(found.ids[row]) not in worse_sources for row in bad]
        impact = _impact(found, by_mark) * weight * np.where(begins > 0, _BEGINS, 1.0)
        return cls(
            found.ids,
            {key: row for row, key in enumerate(found.ids)},
            _Light.of(found.a),
            _Light.of(found.b),
            found.errors,
            found.latency,
            found.volume,
            found.mark,
            found.why,
            impact,
            begins,
            by_mark,
        )

    @property
    def marks(self) -> dict[str, Mark]:
        """All but the same and what nobody looked at in either window (a client has no requests of its own)."""
        rows = zip(self.ids, self.mark, self.why, strict=True)
        return {key: mark for key, mark, why in rows if mark is not Mark.SAME and why != Why.BLIND}

    @property
    def counts(self) -> dict[Mark, int]:
        """Elements per class."""
        return {mark: len(rows) for mark, rows in self.by_mark.items()}

    @property
    def whys(self) -> dict[str, int]:
        """Elements per reason."""
        found: dict[str, int] = {}
        for row in self.by_mark[Mark.INCOMPARABLE]:
            found[self.why[row]] = found.get(self.why[row], 0) + 1
        return found

    def of_mark(self, mark: Mark) -> list[int]:
        """Rows of a class."""
        return self.by_mark[mark]

    def new(self) -> list[str]:
        """Ids of the new ones, those with most traffic first."""
        rows = sorted(self.by_mark[Mark.NEW], key=lambda row: -float(self.impact[row]))
        return [self.ids[row] for row in rows[:_FIRST_SEEN]]


def _calling_worse(nodes: Compared, edges: Compared) -> set[str]:
    """Nodes that call over a connection that got worse, or call a node that did."""
    bad = {key for key, mark in zip(nodes.ids, nodes.mark, strict=True) if mark is Mark.WORSE}
    return {
        key.split(">", 1)[0]
        for key, mark in zip(edges.ids, edges.mark, strict=True)
        if (mark is Mark.WORSE or _target(key) in bad) and key.split(">", 1)[0] != _target(key)
    }


def _target(edge: str) -> str:
    return edge.split(">", 2)[1]


def _impact(found: Compared, by_mark: Mapping[Mark, Sequence[int]]) -> Floats:
    """Requests per second affected, before what counts double; of the same and the incomparable the busier rate."""
    rate_a, rate_b = np.nan_to_num(found.a.rps), np.nan_to_num(found.b.rps)
    busier = np.maximum(rate_a, rate_b)
    with np.errstate(invalid="ignore"):
        step = np.nan_to_num(np.abs(found.b.ratio - found.a.ratio))
    out: Floats = busier.copy()
    for mark, rate in ((Mark.WORSE, rate_b), (Mark.BETTER, rate_a)):
        rows = by_mark[mark]
        failing = _FAILED * np.where(found.errors != 0, step, 0.0)
        slow = np.where(found.latency != 0, found.slower, 0.0)
        out[rows] = (np.maximum(failing, slow) * rate)[rows]
    for mark, told in (
        (Mark.NEW, _NEW * rate_b),
        (Mark.GONE, _GONE * rate_a),
        (Mark.VOLUME, _VOLUME * np.abs(rate_b - rate_a)),
    ):
        out[by_mark[mark]] = told[by_mark[mark]]
    return out


def _is_within(key: str, within: Collection[str] | None) -> bool:
    if within is None:
        return True
    return all(end in within for end in key.split(">", 2)[:2]) if ">" in key else key in within


def _told(stretch: Stretch) -> Told:
    covered = stretch.frame.length.total_seconds()
    kinds = sorted({kind for piece in stretch.pieces for kind in piece.witnesses})
    blind = {kind: tuple(_without(stretch, kind)) for kind in kinds}
    return Told(stretch.window, covered, tuple(kinds), {kind: gaps for kind, gaps in blind.items() if gaps})


def _without(stretch: Stretch, kind: str) -> Iterable[Window]:
    """Runs of pieces in which a kind of evidence was not alive."""
    first: datetime | None = None
    for piece in stretch.pieces:
        if kind not in piece.witnesses:
            first = first or piece.start
        elif first is not None:
            yield Window(first, piece.start)
            first = None
    if first is not None:
        yield Window(first, stretch.window.end)


def _new_versions(a: Stretch, b: Stretch, nodes: Iterable[str]) -> list[NewVersion]:
    """Nodes of which both windows know versions, and other ones at their ends."""
    found = []
    for node in nodes:
        before, after = (one.frame.attributes.get(node, {}).get("versions", "") for one in (a, b))
        if before and after and before != after:
            name = b.frame.attributes[node].get("name") or node
            found.append(NewVersion(node, name, before, after, b.versions_since(node, before)))
    return sorted(found, key=lambda one: (one.since is None, one.since or b.window.end, one.name))


def _first_seen(b: Stretch, ids: Sequence[str]) -> dict[str, datetime]:
    """The start of the first piece of B in which each had requests."""
    found = {}
    for key, pace in b.paces(ids, latency=False).items():
        at = np.flatnonzero(pace.requests > 0)
        if len(at):
            found[key] = b.pieces[int(at[0])].start
    return found
