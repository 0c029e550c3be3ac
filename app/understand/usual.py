"""What is usual for a node or edge, as whoever judges sees it: one Baseline per id, kept as a table of columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from app.model.series import Floats

_NAN = float("nan")


class Basis(IntEnum):
    """What a usual rests on; kept as a number in a column."""

    HOUR_AGO = 0
    BEFORE = 1
    HOUR_OF_DAY = 2
    HOUR_OF_WEEK = 3

    @property
    def words(self) -> str:
        """How a sentence says it, after "usually 180 ms"."""
        return _WORDS[self]


_WORDS = {
    Basis.HOUR_AGO: "in the last hour",
    Basis.BEFORE: "before it got worse",
    Basis.HOUR_OF_DAY: "at this hour",
    Basis.HOUR_OF_WEEK: "at this hour of the week",
}


class Baseline(NamedTuple):
    """The usual of one element, and what its last minutes were like.

    p95: seconds, p95_spread: its standard deviation, estimated robustly. rps: requests per second, rps_floor:
    what noise alone does not fall below. requests, failed: counts of the last full minutes; p95_5m, p95_15m: the
    median of their p95. NaN = not known; p95_basis, rps_basis: a Basis.
    """

    p95: float = _NAN
    p95_spread: float = 0.0
    p95_basis: float = float(Basis.HOUR_AGO)
    rps: float = _NAN
    rps_floor: float = _NAN
    rps_basis: float = float(Basis.HOUR_AGO)
    requests_5m: float = 0.0
    failed_5m: float = 0.0
    p95_5m: float = _NAN
    requests_15m: float = 0.0
    failed_15m: float = 0.0
    p95_15m: float = _NAN
    requests_1h: float = 0.0
    failed_1h: float = 0.0


Baselines = Mapping[str, Baseline]
NOTHING = Baseline()


class Usual(Mapping[str, Baseline]):
    """Baselines of many elements in one array; `rows` says which row is whose."""

    def __init__(self, rows: Mapping[str, int], values: Floats) -> None:
        self._rows = rows
        self._values = values

    def __getitem__(self, key: str) -> Baseline:
        return Baseline(*self._values[self._rows[key]].tolist())

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, ids: Sequence[str]) -> Floats:
        """Rows of these ids, shape (n, fields of Baseline); who is not known has the row of NOTHING."""
        row = self._rows.get
        padded = np.vstack([self._values, NOTHING])
        return np.asarray(padded[[row(key, -1) for key in ids]])


def columns_of(baselines: Baselines, ids: Sequence[str]) -> dict[str, Floats]:
    """Field of Baseline -> one column over `ids`."""
    if isinstance(baselines, Usual):
        values = baselines.take(ids)
    else:
        values = np.array([baselines.get(key, NOTHING) for key in ids], dtype=np.float64)
    values = values.reshape(len(ids), len(Baseline._fields))
    return dict(zip(Baseline._fields, values.T, strict=True))
