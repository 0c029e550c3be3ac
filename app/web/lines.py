"""Stored lines of traffic as the numbers that are drawn: rates, ratios and quantiles per step."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from app.model.series import Floats, quantiles

if TYPE_CHECKING:
    from app.store.frames import Line

Points = tuple[float | None, ...]

METRICS = ("rps", "error_ratio", "p50", "p95", "p99")
_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def points(line: Line, step: timedelta, metric: str) -> Points:
    """One of METRICS over a line's steps; None = nobody could look, or (ratios, quantiles) nothing was asked."""
    if metric == "rps":
        return plain(line.requests / step.total_seconds())
    if metric == "error_ratio":
        return plain(_ratio(line.failed, line.requests))
    return plain(quantiles(line.latency, (_QUANTILES[metric],))[:, 0])


def plain(column: Iterable[float]) -> Points:
    """A column as JSON can carry it: four significant digits, None for NaN."""
    return tuple(None if np.isnan(value) else float(f"{value:.4g}") for value in column)


def _ratio(part: Floats, whole: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(whole > 0, part / whole, np.nan)
