"""A trace as rows to read from top to bottom: what is worth a row, how far in, when, and what was left out.

Pure; the page and the API draw the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from app.model.span import Span, Trace
from app.model.trace import SpanKind
from app.understand.critical_path import Stretch, critical_path, length, self_times
from app.understand.trace_tree import ROOT, Tree, tree_of

_CALLING = (SpanKind.CLIENT, SpanKind.PRODUCER)
PEER = (  # attributes by which a calling span names whom it calls, best first
    "peer.service",
    "db.system.name",
    "db.system",
    "messaging.destination.name",
    "server.address",
    "net.peer.name",
)

MOST_ROWS = 2_000
MOST_ALIKE = 20  # siblings of one name shown one by one
_FINEST = 500  # parts of the whole that are told apart on a critical path
_SHOWN_ALIKE = 3  # of more, so many: the slowest, and as many that failed


class RowKind(StrEnum):
    """A span; a parent that never came; siblings that are told as one."""

    SPAN = "span"
    MISSING = "missing"
    MORE = "more"


@dataclass(frozen=True, slots=True)
class Row:
    """One line. `start` and `duration` in seconds, counted from the trace's begin; `own` = without what it waited for.

    `critical` = seconds on the critical path, None = not on it; `path` = (start, duration) of its stretches
    there, those that nearly touch as one. `shift` = seconds added because its clock differs.
    `count` = how many spans a row of kind MORE stands for. `below` = spans under it, shown or not.
    """

    kind: RowKind
    depth: int
    start: float
    duration: float
    span: Span | None = None
    own: float = 0.0
    critical: float | None = None
    path: tuple[tuple[float, float], ...] = ()
    shift: float = 0.0
    count: int = 0
    below: int = 0
    looped: bool = False

    @property
    def failed(self) -> bool:
        """Whether the span says that it failed."""
        return self.span is not None and self.span.status == "error"

    @property
    def end(self) -> float:
        """Seconds from the trace's begin."""
        return self.start + self.duration


@dataclass(frozen=True, slots=True)
class Waterfall:
    """The rows of a trace; `hidden` = spans that have no row, `cut` = spans that were not even kept.

    `failed_at` and `waited_at` are ids of spans: the deepest one that failed, and the call that took most of the time.
    """

    trace: Trace
    start: datetime
    duration: float
    rows: tuple[Row, ...]
    spans: int
    failed: int
    hidden: int
    cut: int
    doubles: int
    failed_at: str | None
    waited_at: str | None
    waited: float

    def row(self, span_id: str | None) -> Row | None:
        """The row of a span."""
        return next((one for one in self.rows if one.span is not None and one.span.span_id == span_id), None)


def waterfall(trace: Trace) -> Waterfall:
    """The waterfall of a trace that has spans. Raises ValueError for one without any."""
    if not trace.spans:
        raise ValueError("a trace without spans has no waterfall")
    tree = tree_of(trace)
    path = critical_path(tree)
    begin = min(tree.start)
    end = max(tree.end(at) for at in range(len(tree.spans)))
    rows = _Rows(tree, path, begin, end).made()
    shown = sum(row.kind is RowKind.SPAN for row in rows)
    failed = [at for at, span in enumerate(tree.spans) if span.status == "error"]
    waited_at, waited = _longest_wait(tree, path)
    deepest = deepest_failure(tree)
    return Waterfall(
        trace=trace,
        start=datetime.fromtimestamp(begin / 1e9, UTC),
        duration=(end - begin) / 1e9,
        rows=rows,
        spans=len(tree.spans),
        failed=len(failed),
        hidden=len(tree.spans) - shown,
        cut=trace.cut,
        doubles=tree.doubles,
        failed_at=None if deepest is None else tree.spans[deepest].span_id,
        waited_at=None if waited_at is None else tree.spans[waited_at].span_id,
        waited=waited / 1e9,
    )


class _Rows:
    """What of a tree gets a row."""

    def __init__(self, tree: Tree, path: dict[int, list[Stretch]], begin: int, end: int) -> None:
        self._tree, self._path, self._begin = tree, path, begin
        self._least = (end - begin) // _FINEST
        self._own = self_times(tree)
        self._below = [0] * len(tree.spans)
        for at in reversed(tree.order):
            if tree.parent[at] != ROOT:
                self._below[tree.parent[at]] += 1 + self._below[at]
        self._alike = self._fold_siblings()
        self._kept = self._choose()

    def made(self) -> tuple[Row, ...]:
        """The rows in reading order."""
        tree, rows = self._tree, list[Row]()
        missing = tree.missing
        in_one: dict[str, list[int]] = {}
        for root in tree.roots:
            if root in self._kept:
                in_one.setdefault(missing.get(root, f"root {root}"), []).append(root)
        for roots in in_one.values():
            inset = int(roots[0] in missing)
            if inset:
                rows.append(self._summary(RowKind.MISSING, 0, roots))
            for root in roots:
                rows.extend(self._under(root, inset))
        return tuple(rows[: 2 * MOST_ROWS])

    def _under(self, root: int, inset: int) -> Iterable[Row]:
        tree = self._tree
        todo: list[int | Row] = [root]
        while todo:
            at = todo.pop()
            if isinstance(at, Row):
                yield at
                continue
            depth = tree.depth[at] + inset
            yield self._row(at, depth)
            todo.extend(self._summary(RowKind.MORE, depth + 1, folded) for folded in self._alike.get(at, ()))
            todo.extend(child for child in reversed(tree.children[at]) if child in self._kept)

    def _row(self, at: int, depth: int) -> Row:
        tree, path = self._tree, self._path.get(at)
        return Row(
            kind=RowKind.SPAN,
            depth=depth,
            start=(tree.start[at] - self._begin) / 1e9,
            duration=tree.spans[at].duration / 1e9,
            span=tree.spans[at],
            own=self._own[at] / 1e9,
            critical=None if path is None else length(path) / 1e9,
            path=self._drawn(path or []),
            shift=tree.shift[at] / 1e9,
            below=self._below[at],
            looped=at in tree.looped,
        )

    def _drawn(self, path: list[Stretch]) -> tuple[tuple[float, float], ...]:
        """Stretches in seconds; a gap too short to be seen is closed."""
        joined: list[Stretch] = []
        for begin, end in reversed(path):
            if joined and begin - joined[-1][1] <= self._least:
                joined[-1] = (joined[-1][0], end)
            else:
                joined.append((begin, end))
        return tuple(((begin - self._begin) / 1e9, (end - begin) / 1e9) for begin, end in joined)

    def _summary(self, kind: RowKind, depth: int, spans: list[int]) -> Row:
        """One row for several spans, from the first begin to the last end; its span is an example."""
        start = min(self._tree.start[at] for at in spans)
        end = max(self._tree.end(at) for at in spans)
        on_path = [length(self._path[at]) for at in spans if at in self._path]
        return Row(
            kind=kind,
            depth=depth,
            start=(start - self._begin) / 1e9,
            duration=(end - start) / 1e9,
            span=self._tree.spans[spans[0]] if kind is RowKind.MORE else None,
            critical=sum(on_path) / 1e9 if on_path and kind is RowKind.MORE else None,
            count=len(spans),
            below=sum(self._below[at] for at in spans),
        )

    def _fold_siblings(self) -> dict[int, list[list[int]]]:
        """Parent -> groups of its children that are told as one row, where too many are alike."""
        found: dict[int, list[list[int]]] = {}
        for at, children in enumerate(self._tree.children):
            if len(children) > MOST_ALIKE:
                groups: dict[tuple[object, ...], list[int]] = {}
                for child in children:
                    span = self._tree.spans[child]
                    groups.setdefault((span.service, span.name, span.kind), []).append(child)
                folded = [self._dull(group) for group in groups.values() if len(group) > MOST_ALIKE]
                found[at] = [group for group in folded if group]
        return found

    def _dull(self, group: list[int]) -> list[int]:
        """Of many alike those that need no row of their own: not among the slowest or the first that failed."""
        spans = self._tree.spans
        slow = sorted(group, key=lambda at: -spans[at].duration)[:_SHOWN_ALIKE]
        failed = [at for at in group if spans[at].status == "error"][:_SHOWN_ALIKE]
        shown = {*slow, *failed}
        return [at for at in group if at not in shown]

    def _choose(self) -> set[int]:
        """The spans that get a row: the critical path, failures and all above them first, then from the top down."""
        tree, folded = self._tree, {at for groups in self._alike.values() for group in groups for at in group}
        hidden = set(folded)
        for at in tree.order:
            if tree.parent[at] in hidden:
                hidden.add(at)
        visible = [at for at in tree.order if at not in hidden]
        if len(visible) <= MOST_ROWS:
            return set(visible)
        failed = [at for at in visible if tree.spans[at].status == "error"]
        deepest = deepest_failure(tree)
        failed.sort(key=lambda at: (at != deepest, tree.depth[at]))
        path = sorted((at for at in visible if at in self._path), key=lambda at: tree.depth[at])
        kept: set[int] = set()
        far: set[int] = set()
        for at in (*failed[: MOST_ROWS // 4], *path, *failed[MOST_ROWS // 4 :]):
            way = self._way(at, kept, far, MOST_ROWS - len(kept))
            (far if way is None else kept).update(way or (at,))
        for at in sorted(visible, key=lambda one: tree.depth[one]):
            if len(kept) >= MOST_ROWS:
                break
            if tree.parent[at] == ROOT or tree.parent[at] in kept:
                kept.add(at)
        return kept

    def _way(self, at: int, kept: set[int], far: set[int], most: int) -> list[int] | None:
        """The span and what is above it up to a row that is kept; None when that is too far."""
        way: list[int] = []
        while at != ROOT and at not in kept:
            way.append(at)
            if at in far or len(way) > most:
                far.update(way)
                return None
            at = self._tree.parent[at]
        return way


def deepest_failure(tree: Tree) -> int | None:
    """The failed span that is furthest from its root, the earliest of several: what failed first, most likely."""
    failed = (at for at, span in enumerate(tree.spans) if span.status == "error")
    return min(failed, key=lambda at: (-tree.depth[at], tree.start[at]), default=None)


def _longest_wait(tree: Tree, path: dict[int, list[Stretch]]) -> tuple[int | None, int]:
    """The deepest call to another party under which at least half of the critical path lies, and how long that is.

    Calls of one span to the same party count together; the longest of them is named.
    """
    total = dict.fromkeys(path, 0)
    for at in reversed(tree.order):
        if at in path:
            total[at] += length(path[at])
            if tree.parent[at] in total:
                total[tree.parent[at]] += total[at]
    whole = tree.spans[tree.main].duration
    together: dict[tuple[object, ...], list[int]] = {}
    for at in path:
        if tree.spans[at].kind in _CALLING:
            together.setdefault(_party(tree, at), []).append(at)
    most = [calls for calls in together.values() if 2 * sum(total[at] for at in calls) >= whole > 0]
    deepest = max(most, key=lambda calls: tree.depth[calls[0]], default=None)
    if deepest is None:
        return None, 0
    return max(deepest, key=lambda at: total[at]), sum(total[at] for at in deepest)


def _party(tree: Tree, at: int) -> tuple[object, ...]:
    """Who calls and who is called, as far as the calling span tells; one that does not tell stands alone."""
    told = tree.spans[at].attributes
    called = tuple(str(told[key]) for key in PEER if told.get(key))
    return (tree.parent[at], called or at)
