"""The last hour of a cluster, minute by minute, and what follows from it: the recent usual and the counts that
judge low traffic and slow burns.

`Past` keeps minute frames in columns (one row per id). Minutes in which an element was unhealthy are no example
of its usual latency; while there are too few others the old usual stays. `season` knows the same hour of former days.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from app.model.fleet import Frame, HealthStatus
from app.model.series import Floats, quantiles
from app.understand.robust import median, spread
from app.understand.usual import Baseline, Basis, Usual

__all__ = ["ENOUGH", "HORIZON", "RECENT", "Baseline", "Past"]

HORIZON = 60  # minutes looked back
RECENT = 3  # newest minutes left out: they may already be part of the trouble
ENOUGH = 4  # minutes that make a baseline (reference: topology 9.4, "preceding 4x window")
NOISE = 3.0  # standard deviations that noise alone does not leave
_MINUTE = timedelta(minutes=1)
_UNHEALTHY = frozenset({HealthStatus.DEGRADED.value, HealthStatus.FAILING.value})


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
        self._frozen_spread: Floats = np.zeros(0)

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

    def baselines(self) -> Usual:
        """A Baseline per id that was seen in the horizon."""
        seen = slice(0, HORIZON - RECENT)
        p95, noise, basis = self._usual_p95(seen)
        rate = median(self._requests[:, seen], ENOUGH)
        floor = rate - NOISE * spread(self._requests[:, seen], rate, ENOUGH)
        columns = {
            "p95": p95,
            "p95_spread": noise,
            "p95_basis": basis,
            "rps": rate / 60.0,
            "rps_floor": floor / 60.0,
            "rps_basis": np.full(len(rate), float(Basis.HOUR_AGO)),
        }
        for name, minutes in (("5m", 5), ("15m", 15), ("1h", HORIZON)):
            counts = _sums(self._requests[:, -minutes:], self._failed[:, -minutes:])
            columns[f"requests_{name}"], columns[f"failed_{name}"] = counts
        columns["p95_5m"] = median(self._p95[:, -5:], 3)
        columns["p95_15m"] = median(self._p95[:, -15:], 8)
        return Usual(dict(self._row), np.column_stack([columns[name] for name in Baseline._fields]))

    def _usual_p95(self, seen: slice) -> tuple[Floats, Floats, Floats]:
        """p95, spread and basis from the healthy minutes; the old ones stay while there are too few of them."""
        healthy = np.where(self._unhealthy, np.nan, self._p95)[:, seen]
        usual = median(healthy, ENOUGH)
        known = ~np.isnan(usual)
        self._frozen = np.where(known, usual, self._frozen)
        self._frozen_spread = np.where(known, spread(healthy, usual, ENOUGH), self._frozen_spread)
        ill = self._unhealthy[:, seen].any(axis=1) | ~known
        basis = np.where(ill, float(Basis.BEFORE), float(Basis.HOUR_AGO))
        return self._frozen, self._frozen_spread, basis

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
        self._unhealthy = self._unhealthy[kept]
        self._frozen, self._frozen_spread = self._frozen[kept], self._frozen_spread[kept]

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
            self._frozen_spread = np.concatenate([self._frozen_spread, np.zeros(len(new))])
        return np.array([self._row[key] for key in ids], dtype=np.int64)


def _sums(requests: Floats, failed: Floats) -> tuple[Floats, Floats]:
    """Sums per row over the minutes in which both counts are known."""
    known = np.isfinite(requests) & np.isfinite(failed)
    return np.where(known, requests, 0.0).sum(axis=1), np.where(known, failed, 0.0).sum(axis=1)
