"""From the events of windows to a state: what is left of a budget, and whether it is worth waking somebody.

A pair of windows fires only on enough evidence: enough bad events, and a long window that would be beyond its
share even if whatever of it was not looked at had been clean. (SRE Workbook, chapter 5.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from app.model.slo import Counts, Objective, Pair, SloState, Tier

LEAST_BAD = 3  # a single failure, and its retry, wake nobody


class Lack(StrEnum):
    """Why a burn beyond its factor does not fire."""

    EVENTS = "events"
    HISTORY = "history"


@dataclass(frozen=True, slots=True)
class Reading:
    """What one pair of windows says: it fires, or it would but for a lack of evidence, or neither."""

    pair: Pair
    long: Counts
    short: Counts
    firing: bool
    lack: Lack | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How an objective stands. `tier` and `exhausted` may hold together; `state` is the more urgent of all.

    remaining: share of the budget left, 1 untouched, negative when overspent.
    """

    state: SloState
    remaining: float
    exhausted: bool
    tier: Tier | None
    readings: tuple[Reading, ...]


def read(
    objective: Objective, pair: Pair, long: Counts, short: Counts, *, least_bad: float = LEAST_BAD
) -> Reading:
    """Judge one pair."""
    beyond = objective.exceeds(long, pair.factor) and objective.exceeds(short, pair.factor)
    if not beyond:
        return Reading(pair, long, short, firing=False)
    if long.bad < least_bad:
        return Reading(pair, long, short, firing=False, lack=Lack.EVENTS)
    if not objective.exceeds(_filled(long), pair.factor):
        return Reading(pair, long, short, firing=False, lack=Lack.HISTORY)
    return Reading(pair, long, short, firing=True)


def _filled(counts: Counts) -> Counts:
    """As if the part of the window that nobody looked at had had the same traffic and no bad event."""
    if counts.whole or counts.covered <= timedelta(0):
        return counts
    return replace(counts, total=counts.total * (counts.window / counts.covered))


def stand(
    objective: Objective,
    pairs: Sequence[Pair],
    counts: Callable[[timedelta], Counts],
    period: Counts,
    *,
    present: bool = True,
    least_bad: float = LEAST_BAD,
) -> Standing:
    """The standing of an objective from the events of its windows (`counts`) and of its whole period.

    `present` = the series of all events is there now; without it nothing new can be said.
    """
    readings = tuple(
        read(objective, pair, counts(pair.long), counts(pair.short), least_bad=least_bad) for pair in pairs
    )
    left = objective.remaining(period)
    tiers = [reading.pair.tier for reading in readings if reading.firing]
    tier = min(tiers, key=list(Tier).index, default=None)
    exhausted = left <= 0 and period.total > 0
    state = _state(readings, tier, exhausted=exhausted, present=present)
    return Standing(state, float(left), exhausted, tier, readings)


def _state(readings: Sequence[Reading], tier: Tier | None, *, exhausted: bool, present: bool) -> SloState:
    if not present:
        return SloState.NO_DATA
    if tier is Tier.PAGE:
        return SloState.BURNING
    if exhausted:
        return SloState.EXHAUSTED
    if tier is not None:
        return SloState.BURNING
    if any(reading.lack is not None for reading in readings):
        return SloState.NOT_ENOUGH_DATA
    quietest = min((reading.short for reading in readings), key=lambda one: one.window, default=None)
    return SloState.NO_TRAFFIC if quietest is not None and quietest.total <= 0 else SloState.OK
