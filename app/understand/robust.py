"""Middle and spread of a few values per row, some of them unknown, none of which a single outlier can move."""

from __future__ import annotations

import numpy as np

from app.model.series import Floats

SIGMA = 1.4826  # a normal distribution's, in median absolute deviations (Hampel, 1974; JASA 69, 383-393)


def median(values: Floats, enough: int) -> Floats:
    """Median per row over the known values; NaN for rows with fewer than `enough` of them."""
    if not len(values):
        return np.zeros(0)
    ordered = np.sort(values, axis=1)  # NaN comes last
    count = values.shape[1] - np.isnan(ordered).sum(axis=1)
    middle = np.maximum(count - 1, 0)
    rows = np.arange(len(values))
    value = (ordered[rows, middle // 2] + ordered[rows, (middle + 1) // 2]) / 2
    return np.where(count >= enough, value, np.nan)


def spread(values: Floats, middle: Floats, enough: int) -> Floats:
    """Standard deviation per row by the median absolute deviation; 0 where too little is known."""
    return np.nan_to_num(median(np.abs(values - middle[:, None]), enough) * SIGMA)
