"""Windows of time and mergeable log-histograms of durations.

A histogram row has BUCKETS columns, four per octave: bucket i holds durations d with
BOUNDS[i] <= d < BOUNDS[i + 1]. The index is read from the exponent and the two highest mantissa
bits of the float64, so binning is one shift and merging is addition. Relative bucket width is
25 % at the low end of an octave and 14 % at its high end.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BUCKETS = 128
_LOWEST_EXPONENT = -20  # 2**-20 s is about one microsecond; 32 octaves reach 4,096 s
_SHIFT = np.uint64(50)
_OFFSET = (1023 + _LOWEST_EXPONENT) * 4

BOUNDS: Floats = np.array(
    [2.0 ** (_LOWEST_EXPONENT + i // 4) * (1 + (i % 4) / 4) for i in range(BUCKETS + 1)], dtype=np.float64
)


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open stretch of time [start, end), aware UTC."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        """How long the window is."""
        return self.end - self.start

    @property
    def seconds(self) -> float:
        """The length in seconds."""
        return self.length.total_seconds()


def bucket_of(seconds: Floats) -> NDArray[np.int64]:
    """Bucket index of each duration (seconds); below and above the range go to the outermost buckets."""
    bits = np.ascontiguousarray(np.maximum(seconds, 0.0)).view(np.uint64) >> _SHIFT
    return np.clip(bits.astype(np.int64) - _OFFSET, 0, BUCKETS - 1)


def histogram(seconds: Floats) -> Floats:
    """Counts per bucket (shape (BUCKETS,)) of the given durations (seconds)."""
    return np.bincount(bucket_of(seconds), minlength=BUCKETS).astype(np.float64)


def quantiles(counts: Floats, wanted: tuple[float, ...] = (0.5, 0.95, 0.99)) -> Floats:
    """Quantiles in seconds, shape (n, len(wanted)), of histogram rows of shape (n, BUCKETS).

    Linear inside the bucket, as Prometheus' histogram_quantile does; NaN for an empty row.
    """
    rows, buckets = _filled(np.atleast_2d(counts))
    cumulative = np.cumsum(rows, axis=1)
    total = cumulative[:, -1:]
    ranks = np.asarray(wanted)[None, :] * total
    reached = [(cumulative >= ranks[:, i : i + 1]).argmax(axis=1) for i in range(len(wanted))]
    index = np.stack(reached, axis=1) if reached else np.zeros((len(rows), 0), np.int64)
    at = np.take_along_axis(cumulative, index, axis=1)
    inside = np.take_along_axis(rows, index, axis=1)
    bucket = np.take_along_axis(buckets, index, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(inside > 0, (ranks - (at - inside)) / inside, 0.0)
    low, high = BOUNDS[bucket], BOUNDS[bucket + 1]
    return np.where(total > 0, low + np.clip(share, 0.0, 1.0) * (high - low), np.nan)


def _filled(rows: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """The filled buckets of each row moved to its front, and which they are: few of BUCKETS ever are."""
    cells = np.flatnonzero(rows != 0)  # of truth values: a third of the time that numbers take
    row, bucket = cells // BUCKETS, cells % BUCKETS
    per_row = np.bincount(row, minlength=len(rows))
    place = np.arange(len(cells)) - (np.cumsum(per_row) - per_row)[row]
    shape = (len(rows), max(int(per_row.max(initial=0)), 1))
    counts, buckets = np.zeros(shape), np.zeros(shape, np.int64)
    counts[row, place] = rows.ravel()[cells]
    buckets[row, place] = bucket
    return counts, buckets


def rebin(upper_bounds: Floats, counts: Floats) -> Floats:
    """Classic buckets to log-histogram rows.

    `upper_bounds` are the finite `le` bounds in seconds, ascending, shape (m,). `counts` are the
    *non-cumulative* counts per classic bucket, shape (n, m + 1); the last column is the +Inf bucket and
    is put just above the highest finite bound. Within a classic bucket the counts are spread evenly,
    so quantiles agree with histogram_quantile to within one log bucket.
    """
    edges = np.concatenate(([0.0], upper_bounds))
    spread = np.zeros((len(upper_bounds) + 1, BUCKETS))
    for i in range(len(upper_bounds)):
        width = max(edges[i + 1] - edges[i], 1e-12)
        overlap = np.clip(np.minimum(BOUNDS[1:], edges[i + 1]) - np.maximum(BOUNDS[:-1], edges[i]), 0.0, None)
        overlap[0] += max(0.0, min(BOUNDS[0], edges[i + 1]) - edges[i])
        spread[i] = overlap / width
    above = np.array([upper_bounds[-1] if len(upper_bounds) else BOUNDS[0]])
    spread[-1, int(bucket_of(above)[0])] = 1.0
    return np.asarray(counts @ spread)
