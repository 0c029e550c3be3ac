"""Where two live sources tell clearly different rates of one thing (reference: topology 8.3). It changes no status."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from app.model.fleet import Reason
from app.model.series import Floats
from app.understand.columns import Bools, Columns, Index
from app.understand.limits import THRESHOLDS, Thresholds
from app.understand.reasons import rate
from app.understand.testimony import Testimony


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Of n elements: whether sources disagree, and which testimonies say most and least."""

    found: Bools
    high: Index
    low: Index

    def reason(self, i: int, columns: Columns, testimonies: list[Testimony]) -> Reason:
        """The sentence about element `i`; value is the factor between the two."""
        high, low = int(self.high[i]), int(self.low[i])
        most, least = float(columns.rates[high, i]), float(columns.rates[low, i])
        ordered = sorted(((low, least), (high, most)))  # the more trusted one first
        said = ", ".join(f"{testimonies[number].kind} {rate(rps)}" for number, rps in ordered)
        return Reason(
            "sources_disagree", f"{said}: sources disagree", round(most / least, 2), THRESHOLDS.disagreement
        )


def disagreement(
    columns: Columns, testimonies: list[Testimony], limits: Thresholds = THRESHOLDS
) -> Disagreement:
    """Compare the rates, corrected for sampling, of live witnesses that each really saw enough requests."""
    count = len(columns)
    enough = np.full(columns.rates.shape, np.nan)
    for number, testimony in enumerate(testimonies):
        enough[number] = _seen_enough(columns.rates[number], testimony, limits)
    if len(testimonies) < 2 or not count:
        return Disagreement(np.zeros(count, bool), np.zeros(count, np.int64), np.zeros(count, np.int64))
    low, high = np.where(np.isnan(enough), np.inf, enough), np.where(np.isnan(enough), -np.inf, enough)
    found = np.isfinite(low.min(axis=0)) & (high.max(axis=0) > limits.disagreement * low.min(axis=0))
    return Disagreement(found, high.argmax(axis=0), low.argmin(axis=0))


def _seen_enough(rates: Floats, testimony: Testimony, limits: Thresholds) -> Floats:
    """Rates of a witness where they rest on enough requests really looked at; NaN elsewhere."""
    share = testimony.witness.sampling_ratio
    if not testimony.fresh or share is None:
        return np.full(len(rates), np.nan)
    guard = limits.guard_requests if share >= 1 else limits.guard_sampled
    with np.errstate(invalid="ignore"):
        return np.where(rates * testimony.seconds * share >= guard, rates, np.nan)
