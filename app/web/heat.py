"""Stored latency histograms as the table behind a heatmap: how many requests per second took how long, per step."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from app.model.series import BOUNDS, BUCKETS
from app.web.lines import plain

if TYPE_CHECKING:
    from app.store.frames import Line

_JOINED = 2  # stored buckets per row: two rows an octave are as fine as an eye can use


@dataclass(frozen=True, slots=True)
class Heat:
    """`bounds`: edges of the rows in seconds, ascending, one more than rows. `rows[b][i]`: requests per second
    of bucket b in step i; None = nobody looked."""

    bounds: tuple[float, ...]
    rows: tuple[tuple[float | None, ...], ...]


def heat(line: Line, step: timedelta) -> Heat:
    """Only the rows between the fastest and the slowest request ever seen; none when there was no request."""
    rates = line.latency.reshape(len(line.latency), BUCKETS // _JOINED, _JOINED).sum(axis=2)
    used = np.flatnonzero(np.nan_to_num(rates).any(axis=0))
    if not len(used):
        return Heat((), ())
    first, last = int(used[0]), int(used[-1]) + 1
    known = np.where(np.isnan(line.requests)[:, None], np.nan, rates[:, first:last])
    bounds = plain(BOUNDS[first * _JOINED : last * _JOINED + 1 : _JOINED])
    rows = (plain(column) for column in (known / step.total_seconds()).T)
    return Heat(tuple(bound for bound in bounds if bound is not None), tuple(rows))
