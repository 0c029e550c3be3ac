"""The spans of a trace as a tree, whatever came: duplicates, cycles, missing parents, clocks that differ.

Everything is by number: span `i` has a parent, children in the order of their starts, and times on the clock of its
root. Nothing here recurses; a trace may be a chain of any length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from app.model.span import Span, Trace
from app.model.trace import SpanKind

ROOT = -1


@dataclass(slots=True)
class Tree:
    """`order` = all spans, parents before children. `start` in ns on the root's clock, `shift` = what was added to it.

    `missing` names the parents that never came: roots -> id of the parent. `looped` are roots cut out of a circle.
    """

    spans: list[Span]
    parent: list[int]
    children: list[list[int]]
    depth: list[int]
    start: list[int]
    shift: list[int]
    order: list[int] = field(default_factory=list)
    missing: dict[int, str] = field(default_factory=dict)
    looped: set[int] = field(default_factory=set)
    doubles: int = 0

    def end(self, at: int) -> int:
        """When span `at` ended, on the root's clock."""
        return self.start[at] + self.spans[at].duration

    @property
    def roots(self) -> list[int]:
        """Spans without a parent among those that came, the earliest first."""
        found = [at for at, parent in enumerate(self.parent) if parent == ROOT]
        return sorted(found, key=lambda at: (self.start[at], -self.spans[at].duration))

    @property
    def main(self) -> int:
        """The root that the trace is about: one that has no parent at all if there is one, else the longest."""
        return min(
            self.roots, key=lambda at: (at in self.missing or at in self.looped, -self.spans[at].duration)
        )

    def is_call(self, at: int) -> bool:
        """Whether this span was waited for by its parent: not handed over through a queue, not left running."""
        parent = self.parent[at]
        if parent == ROOT or _is_handed_over(self.spans[parent], self.spans[at]):
            return False
        late = self.end(at) > self.end(parent)
        return self.start[at] < self.end(parent) and (not late or self.spans[parent].status == "error")

    def above(self, at: int) -> Iterator[int]:
        """The parent, its parent and so on."""
        at = self.parent[at]
        while at != ROOT:
            yield at
            at = self.parent[at]


def tree_of(trace: Trace) -> Tree:
    """The tree of a trace with at least one span."""
    spans, doubles = _distinct(trace.spans)
    parent, missing = _parents(spans)
    looped = _break_circles(spans, parent)
    count = len(spans)
    children: list[list[int]] = [[] for _ in range(count)]
    for at in sorted(
        range(count), key=lambda one: (spans[one].start, -spans[one].duration, spans[one].span_id)
    ):
        if parent[at] != ROOT:
            children[parent[at]].append(at)
    tree = Tree(
        spans=spans,
        parent=parent,
        children=children,
        depth=[0] * count,
        start=[span.start for span in spans],
        shift=[0] * count,
        missing=missing,
        looped=looped,
        doubles=doubles,
    )
    _walk(tree)
    return tree


def _walk(tree: Tree) -> None:
    """Depths, order and clocks, from the roots down."""
    todo = tree.roots[::-1]
    while todo:
        at = todo.pop()
        tree.order.append(at)
        for child in tree.children[at]:
            tree.depth[child] = tree.depth[at] + 1
            _set_clock(tree, at, child)
        tree.children[at].sort(key=lambda one: (tree.start[one], -tree.spans[one].duration))
        todo.extend(reversed(tree.children[at]))


def _set_clock(tree: Tree, parent: int, child: int) -> None:
    """Put the child on its parent's clock: that of one process is one clock, another one shows when it is off."""
    one, other = tree.spans[parent], tree.spans[child]
    if _process(one) == _process(other):
        shift = tree.shift[parent]
    else:
        shift = skew((tree.start[parent], tree.end(parent)), one, other)
    tree.shift[child], tree.start[child] = shift, other.start + shift


def skew(held: tuple[int, int], parent: Span, child: Span) -> int:
    """What to add to the child's times (ns) so that it lies within its parent, `held` = the parent's (start, end).

    Only where the clocks must differ: a call cannot begin before it was made, nor end after its answer arrived. A
    caller that failed may have stopped waiting, and what is handed over or goes on by itself may end at any time. The
    answer then took as long as the way there, for want of anything better (as Jaeger's clock skew adjuster).
    """
    if not (parent.kind is SpanKind.CLIENT and child.kind is SpanKind.SERVER):
        return 0
    early = child.start < held[0]
    late = child.end > held[1] and parent.status != "error" and child.duration <= parent.duration
    if not early and not late:
        return 0
    spare = held[1] - held[0] - child.duration
    return held[0] + max(spare, 0) // 2 - child.start


def _distinct(given: Sequence[Span]) -> tuple[list[Span], int]:
    """Spans without repetitions. Both halves of a call under one id (Zipkin's way) are two spans, not one."""
    found: dict[tuple[str, SpanKind, str], Span] = {}
    for span in given:
        key = (span.span_id, span.kind, span.service)
        have = found.get(key)
        if have is None or (span.duration, len(span.attributes)) > (have.duration, len(have.attributes)):
            found[key] = span
    return list(found.values()), len(given) - len(found)


def _parents(spans: Sequence[Span]) -> tuple[list[int], dict[int, str]]:
    """The number of each span's parent, and which parents are missing."""
    by_id: dict[str, int] = {}
    for at, span in enumerate(spans):  # children of a shared id belong to its server half
        if span.span_id not in by_id or span.kind is SpanKind.SERVER:
            by_id[span.span_id] = at
    callers = {span.span_id: at for at, span in enumerate(spans) if span.kind is SpanKind.CLIENT}
    parent, missing = [], {}
    for at, span in enumerate(spans):
        shared = callers.get(span.span_id) if span.kind is SpanKind.SERVER else None
        found = shared if shared is not None else by_id.get(span.parent_id) if span.parent_id else None
        if found is None and span.parent_id:
            missing[at] = span.parent_id
        parent.append(ROOT if found is None or found == at else found)
    return parent, missing


def _break_circles(spans: Sequence[Span], parent: list[int]) -> set[int]:
    """Cut every circle of parents at its earliest span, which becomes a root; those roots."""
    state = [0] * len(spans)  # 0 = not seen, 1 = on the way, 2 = leads to a root
    cut = set()
    for first in range(len(spans)):
        way, at = [], first
        while at != ROOT and state[at] == 0:
            state[at] = 1
            way.append(at)
            at = parent[at]
        if at != ROOT and state[at] == 1:
            circle = way[way.index(at) :]
            root = min(circle, key=lambda one: spans[one].start)
            parent[root] = ROOT
            cut.add(root)
        for one in way:
            state[one] = 2
    cut.update(at for at, span in enumerate(spans) if parent[at] == ROOT and span.parent_id == span.span_id)
    return cut


def _process(span: Span) -> tuple[str, str, str]:
    """What shares one clock, as far as a span tells."""
    told = span.resource
    host = told.get("host.name") or told.get("k8s.node.name") or told.get("k8s.pod.name") or ""
    return span.namespace, span.service, str(told.get("service.instance.id") or host)


def _is_handed_over(parent: Span, child: Span) -> bool:
    return parent.kind is SpanKind.PRODUCER or child.kind is SpanKind.CONSUMER
