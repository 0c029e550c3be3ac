"""What is usual at this hour: the same hour of the last seven days, and of the same weekday of the last four weeks.

Latency is measured by the days. Volume is measured by the weeks, because week-ends differ; by the days only while
there are too few weeks, and then never above the least of them. Nothing here reads a store: whoever drives a Season
asks `wanted` and hands in the frames, one at a time.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np

from app.model.fleet import Frame
from app.model.series import Floats, quantiles
from app.understand.baseline import NOISE
from app.understand.robust import median, spread
from app.understand.usual import Baseline, Basis, Usual

DAYS, WEEKS = 7, 4
ENOUGH = 3  # days or weeks that make a usual: the median of three bears one that was bad
LEAST = timedelta(minutes=10)  # of an hour that somebody looked at; less says nothing about it
_HOUR, _DAY, _WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)


def hour_of(moment: datetime) -> datetime:
    """The start of the hour that holds a moment."""
    return moment.replace(minute=0, second=0, microsecond=0)


class Season:
    """The former hours that are like `hour`, in columns; complete once `wanted` is empty."""

    def __init__(self, hour: datetime) -> None:
        self.hour = hour
        days = [hour - i * _DAY for i in range(1, DAYS + 1)]
        weeks = [hour - i * _WEEK for i in range(1, WEEKS + 1)]
        self.wanted = sorted({*days, *weeks})  # newest last: `pop` begins with yesterday
        self._frames: dict[datetime, tuple[dict[str, int], Floats, Floats]] = {}

    def add(self, start: datetime, frame: Frame | None) -> None:
        """Take in the hour that began at `start`; None = nobody looked then."""
        self.wanted.remove(start)
        if frame is None or frame.length < LEAST or frame.length > _HOUR:
            return
        ids = (*frame.node_ids, *frame.edge_ids)
        latency = np.concatenate([frame.node_latency, frame.edge_latency])
        requests = np.concatenate([frame.node_requests, frame.edge_requests])
        p95 = quantiles(latency, (0.95,))[:, 0] if len(ids) else np.zeros(0)
        rates = requests / frame.length.total_seconds()
        self._frames[start] = ({key: row for row, key in enumerate(ids)}, p95, rates)

    def over(self, recent: Usual) -> Usual:
        """`recent` with the usual of this hour wherever there is one."""
        if not self._frames:
            return recent
        ids = list(dict.fromkeys([*recent, *(key for rows, _, _ in self._frames.values() for key in rows)]))
        p95, rates = self._matrix(ids)
        values = recent.take(ids)
        _put_p95(values, p95[:, :DAYS])
        same_weekday = [DAYS - 1, *range(DAYS, p95.shape[1])]
        _put_rate(values, rates[:, :DAYS], rates[:, same_weekday])
        return Usual({key: row for row, key in enumerate(ids)}, values)

    def _matrix(self, ids: list[str]) -> tuple[Floats, Floats]:
        """p95 and rate, shape (ids, days back then weeks back); NaN = not known."""
        days = [self.hour - i * _DAY for i in range(1, DAYS + 1)]
        starts = days + [self.hour - i * _WEEK for i in range(2, WEEKS + 1)]
        p95, rates = np.full((len(ids), len(starts)), np.nan), np.full((len(ids), len(starts)), np.nan)
        for column, start in enumerate(starts):
            if start not in self._frames:
                continue
            rows, late, rate = self._frames[start]
            at = np.array([rows.get(key, -1) for key in ids], dtype=np.int64)
            p95[:, column] = np.where(at >= 0, np.append(late, np.nan)[at], np.nan)
            rates[:, column] = np.where(at >= 0, np.append(rate, np.nan)[at], np.nan)
        return p95, rates


def _put_p95(values: Floats, days: Floats) -> None:
    column = Baseline._fields.index
    usual = median(days, ENOUGH)
    known = ~np.isnan(usual)
    values[known, column("p95")] = usual[known]
    recent = values[:, column("p95_spread")]
    noise = np.maximum(recent, spread(days, usual, ENOUGH))  # days are smoother than minutes
    values[known, column("p95_spread")] = noise[known]
    values[known, column("p95_basis")] = Basis.HOUR_OF_DAY


def _put_rate(values: Floats, days: Floats, weeks: Floats) -> None:
    column = Baseline._fields.index
    for found, basis in ((days, Basis.HOUR_OF_DAY), (weeks, Basis.HOUR_OF_WEEK)):
        usual = median(found, ENOUGH)
        known = ~np.isnan(usual)
        floor = usual - NOISE * spread(found, usual, ENOUGH)
        if basis is Basis.HOUR_OF_DAY:
            known &= ~np.isnan(days[:, -1])  # the same weekday is among them
            floor = np.minimum(floor, np.where(np.isnan(days), np.inf, days).min(axis=1))
        values[known, column("rps")] = usual[known]
        values[known, column("rps_floor")] = floor[known]
        values[known, column("rps_basis")] = basis
