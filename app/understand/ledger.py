"""Good and total events of an objective as running sums, so that any window is the difference of two of them.

Counters are read raw and their increases taken per series before anything is summed: a restart of one process,
a series that appears late and a gap are then told apart, which no sum of counters allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from app.model.series import Floats
from app.model.slo import Counts

Bools = NDArray[np.bool_]


def increases(samples: Floats, *, before: Floats | None = None, born: Bools | None = None) -> Floats:
    """Increase of counters between samples, shape (series, times), like `samples` (NaN = not there).

    After a drop the counter began anew: its value counts in full. A counter that was absent for a while brings
    what it gained when it is back. `before` (series) is the last value known from earlier, NaN = never seen.
    `born` (series) says that a series which was never seen before is new although its target was already being
    looked at: it began at 0 and its first value counts. Else the first value is only where counting begins.
    """
    count = len(samples)
    earlier = np.full(count, np.nan) if before is None else before
    if born is not None:
        earlier = np.where(np.isnan(earlier) & born, 0.0, earlier)
    previous = _last_known(np.column_stack([earlier, samples]))[:, :-1]
    with np.errstate(invalid="ignore"):
        gained = np.where(samples < previous, samples, samples - previous)
    return np.where(np.isfinite(gained), gained, 0.0)


def _last_known(rows: Floats) -> Floats:
    """Each value, or the last one before it that is known."""
    columns = np.where(np.isnan(rows), 0, np.arange(rows.shape[1]))
    np.maximum.accumulate(columns, axis=1, out=columns)
    return np.asarray(np.take_along_axis(rows, columns, axis=1))


@dataclass(frozen=True, slots=True)
class Ledger:
    """Running sums of one objective (or one group of it) at moments of looking.

    times: Unix seconds, ascending, n + 1 of them: the first is where counting began. bad, total: sums at each
    time, shape (n + 1). seen: whether the step that ends at time i + 1 was looked at, shape (n).
    """

    times: Floats
    bad: Floats
    total: Floats
    seen: Bools

    @classmethod
    def of_steps(cls, times: Floats, bad: Floats, total: Floats, seen: Bools | None = None) -> Ledger:
        """From the events of each step (n) between n + 1 times; events of a step not seen are ignored."""
        looked = np.ones(len(bad), bool) if seen is None else seen
        return cls(
            times, _running(np.where(looked, bad, 0.0)), _running(np.where(looked, total, 0.0)), looked
        )

    def counts(self, now: datetime, window: timedelta) -> Counts:
        """Events of the window that ends at `now`; steps count with the moment they end at."""
        end = now.timestamp()
        first, last = (
            int(np.searchsorted(self.times, at, "right")) - 1 for at in (end - window.total_seconds(), end)
        )
        first, last = max(first, 0), max(last, 0)
        return Counts(
            bad=float(self.bad[last] - self.bad[first]),
            total=float(self.total[last] - self.total[first]),
            window=window,
            covered=timedelta(seconds=float((np.diff(self.times) * self.seen)[first:last].sum())),
        )

    def slices(self, length: int) -> tuple[Floats, Floats]:
        """Bad and total events of consecutive slices of `length` steps; an unfinished last slice is left out."""
        whole = (len(self.times) - 1) // length * length
        ends = np.arange(0, whole + 1, length)
        return np.diff(self.bad[ends]), np.diff(self.total[ends])


def _running(steps: Floats) -> Floats:
    return np.concatenate([[0.0], np.cumsum(steps)])


def ratio_of_slices(bad: Floats, total: Floats) -> float | None:
    """The mean of the slices' own shares of bad events (OpenSLO: RatioTimeslices); None without any event."""
    busy = total > 0
    return float(np.mean(bad[busy] / total[busy])) if busy.any() else None


def bad_slices(bad: Floats, total: Floats, target: float) -> int:
    """Slices whose share of good events lies below `target` (OpenSLO: Timeslices); an empty slice is good."""
    busy = total > 0
    return int(np.count_nonzero(total[busy] - bad[busy] < target * total[busy]))


def composite_ratio(ratios: Sequence[float], weights: Sequence[float] | None = None) -> float:
    """Bad share of an objective made of several (OpenSLO): the parts add up, each with its weight of 1 by default."""
    return min(
        1.0, sum(ratio * weight for ratio, weight in zip(ratios, weights or [1.0] * len(ratios), strict=True))
    )
