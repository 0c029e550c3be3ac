"""The pods of the fleet as columns, and the rows of counters that belong to them.

A row is a (pod, endpoint) or (pod, call) pair. When pods come and go, the rows of those that stay keep their
counters; a replaced or restarted pod begins at zero, as a real process does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.model.series import Floats
from demo.faults import BAD_VERSIONS, Faults
from demo.plan import Index, Plan
from demo.seam import PodView


@dataclass(frozen=True)
class Rows:
    """Pairs of pods and things, grouped by pod: `start[pod]` is a pod's first row, `offset` counts from there."""

    pod: Index
    thing: Index
    start: Index
    offset: Index

    def __len__(self) -> int:
        return len(self.pod)

    def of(self, pod: int) -> slice:
        """Rows of a pod."""
        end = int(self.start[pod + 1]) if pod + 1 < len(self.start) else len(self.pod)
        return slice(int(self.start[pod]), end)


@dataclass(frozen=True)
class Pods:
    """All pods in columns, ready or not; `service` is the plan's index."""

    views: tuple[PodView, ...]
    service: Index
    ready: NDArray[np.bool_]
    slower: Floats
    faulty: Floats
    endpoints: Rows
    calls: Rows

    def lost(self, faults: Faults) -> NDArray[np.bool_]:
        """Which stand on a node that does not answer."""
        if not faults.lost_nodes:
            return np.zeros(len(self.views), dtype=bool)
        return np.array([view.node in faults.lost_nodes for view in self.views], dtype=bool)


def columns(plan: Plan, views: list[list[PodView]]) -> Pods:
    """Columns of the pods of each service, in the plan's order."""
    flat = tuple(view for row in views for view in row)
    service = np.repeat(np.arange(len(views)), [len(row) for row in views])
    names = [s.name for s in plan.catalog.services]
    faults = [BAD_VERSIONS.get((names[s], v.version)) for s, v in zip(service.tolist(), flat, strict=True)]
    calls = {s: [c for e in ends for c in plan.calls_of.get(e, [])] for s, ends in plan.endpoints_of.items()}
    return Pods(
        views=flat,
        service=service,
        ready=np.array([view.ready for view in flat], dtype=bool),
        slower=np.array([f.slower if f else 1.0 for f in faults], dtype=np.float64),
        faulty=np.array([f.errors if f else 0.0 for f in faults], dtype=np.float64),
        endpoints=_rows(service, plan.endpoints_of),
        calls=_rows(service, calls),
    )


def _rows(service: Index, things: dict[int, list[int]]) -> Rows:
    each = [things.get(s, []) for s in service.tolist()]
    sizes = np.array([len(row) for row in each], dtype=np.int64)
    start = np.concatenate(([0], np.cumsum(sizes)[:-1])).astype(np.int64) if len(sizes) else sizes
    pod = np.repeat(np.arange(len(each)), sizes)
    thing = np.array([t for row in each for t in row], dtype=np.int64)
    return Rows(pod, thing, start, np.arange(len(pod)) - start[pod])


def survivors(old: Pods, new: Pods) -> Index:
    """For each new pod the index it had before, or -1; a restarted container counts as new."""
    known = {(view.uid, view.started): i for i, view in enumerate(old.views)}
    return np.array([known.get((view.uid, view.started), -1) for view in new.views], dtype=np.int64)


def carried(values: NDArray[Any], before: Index) -> NDArray[Any]:
    """`values` moved to new places: row i comes from `before[i]`, or is zero where that is -1."""
    moved = np.zeros((len(before), *values.shape[1:]), dtype=values.dtype)
    kept = before >= 0
    moved[kept] = values[before[kept]]
    return moved


def rows_before(old: Rows, new: Rows, pods_before: Index) -> Index:
    """For each new row the row it had before, or -1."""
    origin = pods_before[new.pod]
    return np.where(origin >= 0, old.start[origin] + new.offset, -1) if len(old) else np.full(len(new), -1)
