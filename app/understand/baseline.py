"""What is usual for a node or edge: the preceding hour, robustly, and the wider counts for low traffic.

`Past` keeps the last hour of minute frames in columns (one row per id) and answers with `Baseline`s. A
baseline is frozen while its element is unhealthy, because unhealthy minutes are no example of the usual.
Another horizon (same hour of former days) can stand beside `Past`: whoever judges sees only `Baseline`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from app.model.fleet import Frame, HealthStatus
from app.model.series import Floats, quantiles

HORIZON = 60  # minutes looked back
RECENT = 3  # newest minutes left out: they may already be part of the trouble
ENOUGH = 4  # minutes that make a baseline (reference: topology 9.4, "preceding 4x window")
_MINUTE = timedelta(minutes=1)
_UNHEALTHY = frozenset({HealthStatus.DEGRADED.value, HealthStatus.FAILING.value})


@dataclass(frozen=True, slots=True)
class Baseline:
    """The usual of one element: p95 (seconds), requests per second, and counts of the last 15 and 60 minutes."""

    p95: float = float("nan")
    rps: float = float("nan")
    requests_15m: float = 0.0
    failed_15m: float = 0.0
    requests_1h: float = 0.0
    failed_1h: float = 0.0


Baselines = Mapping[str, Baseline]


class Past:
    """A ring of the last HORIZON minutes of one cluster. `last` = start of the newest minute it has."""

    def __init__(self) -> None:
        self.last: datetime | None = None
        self._row: dict[str, int] = {}
        self._p95: Floats = np.full((0, HORIZON), np.nan)
        self._requests: Floats = np.full((0, HORIZON), np.nan)
        self._failed: Floats = np.full((0, HORIZON), np.nan)
        self._unhealthy: NDArray[np.bool_] = np.zeros((0, HORIZON), bool)
        self._frozen: Floats = np.full(0, np.nan)

    def missing(self, now: datetime) -> list[datetime]:
        """Starts of the full minutes before `now` that a catch-up has still to add, oldest first."""
        newest = now.replace(second=0, microsecond=0) - _MINUTE
        oldest = newest - (HORIZON - 1) * _MINUTE
        first = oldest if self.last is None else max(oldest, self.last + _MINUTE)
        return [first + i * _MINUTE for i in range(max(0, round((newest - first) / _MINUTE) + 1))]

    def add(self, start: datetime, frame: Frame | None) -> None:
        """Take in the minute that began at `start` (later than any before); None = there is no frame of it."""
        gap = HORIZON if self.last is None else round((start - self.last) / _MINUTE)
        self._shift(min(max(gap, 1), HORIZON))
        self.last = start
        if frame is None:
            return
        if len(self._row) > 2 * (len(frame.node_ids) + len(frame.edge_ids)) + 1000:
            self._drop_silent()
        self._put(
            frame.node_ids, frame.node_requests, frame.node_failed, frame.node_latency, frame.node_health
        )
        self._put(
            frame.edge_ids, frame.edge_requests, frame.edge_failed, frame.edge_latency, frame.edge_health
        )

    def baselines(self) -> dict[str, Baseline]:
        """A Baseline per id that was seen in the horizon."""
        self._freeze()
        seen = slice(0, HORIZON - RECENT)
        rate = _median(self._requests[:, seen]) / 60.0
        n15, k15 = _sums(self._requests[:, -15:], self._failed[:, -15:])
        n60, k60 = _sums(self._requests, self._failed)
        columns = zip(
            self._row,
            self._frozen.tolist(),
            rate.tolist(),
            n15.tolist(),
            k15.tolist(),
            n60.tolist(),
            k60.tolist(),
            strict=True,
        )
        return {key: Baseline(p95, rps, n15, k15, n60, k60) for key, p95, rps, n15, k15, n60, k60 in columns}

    def _freeze(self) -> None:
        """The usual p95 from the healthy minutes; the old one stays while there are too few of them."""
        healthy = np.where(self._unhealthy, np.nan, self._p95)[:, : HORIZON - RECENT]
        usual = _median(healthy)
        self._frozen = np.where(np.isnan(usual), self._frozen, usual)

    def _shift(self, minutes: int) -> None:
        for ring in (self._p95, self._requests, self._failed):
            ring[:, :-minutes] = ring[:, minutes:].copy()
            ring[:, -minutes:] = np.nan
        self._unhealthy[:, :-minutes] = self._unhealthy[:, minutes:].copy()
        self._unhealthy[:, -minutes:] = False

    def _drop_silent(self) -> None:
        """Forget ids without any known minute, so that a fleet of passing names does not grow for ever."""
        kept = np.flatnonzero(np.isfinite(self._requests).any(axis=1))
        names = list(self._row)
        self._row = {names[old]: new for new, old in enumerate(kept.tolist())}
        self._p95, self._requests, self._failed = self._p95[kept], self._requests[kept], self._failed[kept]
        self._unhealthy, self._frozen = self._unhealthy[kept], self._frozen[kept]

    def _put(
        self, ids: tuple[str, ...], requests: Floats, failed: Floats, latency: Floats, health: tuple[str, ...]
    ) -> None:
        if not ids:
            return
        rows = self._rows(ids)
        self._p95[rows, -1] = quantiles(latency, (0.95,))[:, 0]
        self._requests[rows, -1] = requests
        self._failed[rows, -1] = failed
        if health:
            self._unhealthy[rows, -1] = [status in _UNHEALTHY for status in health]

    def _rows(self, ids: tuple[str, ...]) -> NDArray[np.int64]:
        new = [key for key in ids if key not in self._row]
        for key in new:
            self._row[key] = len(self._row)
        if new:
            blank = np.full((len(new), HORIZON), np.nan)
            self._p95 = np.vstack([self._p95, blank])
            self._requests = np.vstack([self._requests, blank])
            self._failed = np.vstack([self._failed, blank])
            self._unhealthy = np.vstack([self._unhealthy, np.zeros((len(new), HORIZON), bool)])
            self._frozen = np.concatenate([self._frozen, np.full(len(new), np.nan)])
        return np.array([self._row[key] for key in ids], dtype=np.int64)


def _median(minutes: Floats) -> Floats:
    """Median per row over the known minutes; NaN for rows with fewer than ENOUGH of them."""
    known = np.isfinite(minutes)
    count = known.sum(axis=1)
    ordered = np.sort(np.where(known, minutes, np.inf), axis=1)
    middle = np.maximum(count - 1, 0)
    rows = np.arange(len(minutes))
    if not len(minutes):
        return np.zeros(0)
    value = (ordered[rows, middle // 2] + ordered[rows, (middle + 1) // 2]) / 2
    return np.where(count >= ENOUGH, value, np.nan)


def _sums(requests: Floats, failed: Floats) -> tuple[Floats, Floats]:
    """Sums per row over the minutes in which both counts are known."""
    known = np.isfinite(requests) & np.isfinite(failed)
    return np.where(known, requests, 0.0).sum(axis=1), np.where(known, failed, 0.0).sum(axis=1)
