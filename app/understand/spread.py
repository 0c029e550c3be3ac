"""A kept window piece by piece, and how much a number moves there anyway: what a real change must exceed.

The spread of one element in one window is the mean step between successive pieces, the single largest step left
out: a change that happens inside the window is one large step and no restlessness. Of two windows the calmer one
counts, so that trouble in one of them does not hide itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.model.series import BUCKETS, Floats, quantiles
from app.model.stretch import Stretch

_BATCH = 500  # ids looked at together: histograms of two hours in minutes are 60 MB
_ENOUGH = 4  # known pieces that tell a spread


def beyond(
    a: Stretch, b: Stretch, ids: Sequence[str], metric: str, signs: NDArray[np.int64], least: Floats
) -> NDArray[np.int64]:
    """`signs` (-1, 0, +1 per id), 0 where the spread of `metric` in the calmer window is not below `least`.

    metric: `errors` (shares), `latency` or `volume` (natural logarithms of p95 and rate). Where neither window has
    pieces enough, nothing is known of a spread and the signs stay.
    """
    kept = signs.copy()
    rows = np.flatnonzero(signs)
    for first in range(0, len(rows), _BATCH):
        part = rows[first : first + _BATCH]
        wanted = [ids[row] for row in part.tolist()]
        calm = np.fmin(spread(_values(a, wanted, metric)), spread(_values(b, wanted, metric)))
        kept[part[least[part] <= calm]] = 0  # NaN compares false
    return kept


def spread(values: Floats) -> Floats:
    """Per row of (n, pieces): mean step between successive known values without the largest; NaN = too few."""
    known = np.isfinite(values)
    count = known.sum(axis=1)
    order = np.argsort(~known, axis=1, kind="stable")
    steps = np.abs(np.diff(np.take_along_axis(values, order, axis=1), axis=1))
    steps[~np.isfinite(steps)] = 0.0
    largest = steps.max(axis=1, initial=0.0)
    mean = (steps.sum(axis=1) - largest) / np.maximum(count - 2, 1)
    return np.where(count >= _ENOUGH, np.maximum(mean, 0.0), np.nan)


def _values(stretch: Stretch, ids: Sequence[str], metric: str) -> Floats:
    """The metric of each id in each piece, shape (ids, pieces); NaN where there is nothing to tell."""
    paces = stretch.paces(ids, latency=metric == "latency")
    rows = [paces[name] for name in ids]
    if metric == "latency":
        cells = np.stack([row.latency for row in rows])
        found = quantiles(cells.reshape(-1, BUCKETS), (0.95,))[:, 0].reshape(cells.shape[:2])
        return np.asarray(np.log(found))
    requests = np.stack([row.requests for row in rows])
    with np.errstate(invalid="ignore", divide="ignore"):
        if metric == "errors":
            return np.where(requests > 0, np.stack([row.failed for row in rows]) / requests, np.nan)
        lengths = np.array([piece.seconds for piece in stretch.pieces])
        return np.where(requests > 0, np.log(requests / lengths), np.nan)
