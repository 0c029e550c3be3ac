"""Traffic to severity and held status (reference: topology 9.4); the words for it are in `reasons`.

Two steps, both over columns or single marks and without I/O: `grade` says how bad this evaluation's numbers
are; `hold` moves the held status, worse after `worse_after` evaluations in a row, better after `better_after`.

The live window decides at once. The last 5 and 15 minutes stand beside it for what it is too short to be sure of:
they count while the live window does not surely refute them, so they never hold a status up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.model.fleet import HealthStatus
from app.model.series import Floats
from app.understand.baseline import NOISE
from app.understand.limits import THRESHOLDS, Bools, Limits, Thresholds, limits_of
from app.understand.memory import Mark
from app.understand.wilson import lower_bound, upper_bound

Levels = NDArray[np.int64]
LIVE, SLOW, HOUR = 0, 15, 60  # minutes that a verdict rests on; LIVE = the window of the source
_STATUS = (HealthStatus.HEALTHY, HealthStatus.DEGRADED, HealthStatus.FAILING)
_SEVERITY = {"healthy": 0, "idle": 0, "maintenance": 0, "degraded": 1, "failing": 2}


@dataclass(frozen=True, slots=True)
class Signals:
    """What n elements show, in columns: raw requests and failed ones of the window, rate, p95; their `usual`
    (field of Baseline -> column, counts as far as the witness looked at them); the severity held until now
    (0, 1, 2), whether the numbers are sampled, whether the volume may be judged (fresh without a gap for
    long enough), and the callee's own p95 where it is as usual (else NaN).
    """

    requests: Floats
    failed: Floats
    rps: Floats
    p95: Floats
    usual: dict[str, Floats]
    held: Levels
    sampled: Bools
    volume_judged: Bools
    server_fine: Floats


@dataclass(frozen=True, slots=True)
class Grades:
    """Severity (0 fine, 1 degraded, 2 failing) per check, and what each was judged on.

    counted, counted_failed: requests of `errors_minutes` (LIVE or minutes); p95 of `latency_minutes`; guarded:
    too few requests for a verdict on errors. latency_limit, shape (2, n): seconds above which p95 is too slow.
    """

    errors: Levels
    latency: Levels
    volume: Levels
    counted: Floats
    counted_failed: Floats
    errors_minutes: Levels
    p95: Floats
    latency_minutes: Levels
    latency_limit: Floats
    guarded: Bools

    @property
    def worst(self) -> Levels:
        """The worst of the checks per element."""
        return np.asarray(np.maximum(np.maximum(self.errors, self.latency), self.volume))


def grade(signals: Signals, limits: Limits | None = None, starting: Thresholds = THRESHOLDS) -> Grades:
    """Judge this evaluation's numbers; NaN anywhere means "no verdict from this check"."""
    limits = limits or limits_of(len(signals.held), starting)
    guard = np.where(signals.sampled, limits.guard_sampled, limits.guard)
    with np.errstate(invalid="ignore", divide="ignore"):
        errors, counted, failed, minutes = _errors(signals, limits, guard, starting)
        guarded = counted < guard
        all_failed = (signals.requests >= starting.all_failed_requests) & (signals.failed >= signals.requests)
        errors = np.maximum(errors, np.where(all_failed & guarded, 1, 0))
        at = _latency_limits(signals, limits, starting)
        latency, p95, late_minutes = _latency(signals, at, guard, starting)
        floor = np.fmin(limits.volume_ratio * signals.usual["rps"], signals.usual["rps_floor"])
        dropped = (signals.rps < floor) & (signals.usual["rps"] >= starting.volume_baseline_rps)
    judged = limits.judged
    return Grades(
        errors=errors * judged["errors"],
        latency=latency * judged["latency"],
        volume=np.where(dropped & signals.volume_judged & judged["volume"], 1, 0),
        counted=counted,
        counted_failed=failed,
        errors_minutes=minutes,
        p95=p95,
        latency_minutes=late_minutes,
        latency_limit=at,
        guarded=guarded & judged["errors"],
    )


def _errors(
    signals: Signals, limits: Limits, guard: Floats, starting: Thresholds
) -> tuple[Levels, Floats, Floats, Levels]:
    """Severity, the requests and failures it rests on, and the minutes they are of."""
    counted, failed, minutes = _widened(signals, guard)
    enough = counted >= guard
    surely = np.where(enough, lower_bound(failed, counted), np.nan)
    usual, slow_n, slow_k = signals.usual, signals.usual["requests_15m"], signals.usual["failed_15m"]
    slowly = np.where(slow_n >= guard, lower_bound(slow_k, slow_n), np.nan)
    still = usual["failed_5m"] / usual["requests_5m"]
    live = np.where(signals.requests >= guard, upper_bound(signals.failed, signals.requests), np.inf)
    fast, slow = np.zeros(len(surely), np.int64), np.zeros(len(surely), np.int64)
    for level in (1, 2):
        ease = np.where(signals.held >= level, starting.exit_factor, 1.0)
        threshold = limits.errors[level - 1] * ease
        fast[surely > threshold] = level
        slow[(slowly > threshold) & (still > threshold) & (live >= threshold)] = level
    more = slow > fast
    counted, failed = np.where(more, slow_n, counted), np.where(more, slow_k, failed)
    return np.maximum(fast, slow), counted, failed, np.where(more, SLOW, minutes)


def _widened(signals: Signals, guard: Floats) -> tuple[Floats, Floats, Levels]:
    """Counts of the narrowest of window, 15 minutes, 1 hour that holds enough requests (else the widest)."""
    requests = np.nan_to_num(signals.requests)
    failed = np.nan_to_num(signals.failed)
    minutes = np.full(len(requests), LIVE)
    for name, length in (("15m", SLOW), ("1h", HOUR)):
        wider = signals.usual[f"requests_{name}"]
        widen = (requests < guard) & (wider > requests)
        requests = np.where(widen, wider, requests)
        failed = np.where(widen, signals.usual[f"failed_{name}"], failed)
        minutes = np.where(widen, length, minutes)
    return requests, failed, minutes


def _latency_limits(signals: Signals, limits: Limits, starting: Thresholds) -> Floats:
    """Seconds above which p95 is degraded and failing, shape (2, n): the fixed ones, else those of the usual.

    What is held ends only below `exit_factor` of the way. Failing is never milder than degraded.
    """
    usual, noise = signals.usual["p95"], NOISE * signals.usual["p95_spread"]
    found = np.empty((2, len(usual)))
    for level in (1, 2):
        ease = np.where(signals.held >= level, starting.exit_factor, 1.0)
        ratio = np.maximum(limits.latency_ratio[level - 1] * ease, 1.0)
        above = np.maximum(starting.latency_above[level - 1], noise) * ease
        relative = np.maximum(usual * ratio, usual + above)
        fixed = limits.latency_fixed[level - 1]
        found[level - 1] = np.where(np.isnan(fixed), relative, fixed * ease)
    only_failing = np.isnan(limits.latency_fixed[0]) & ~np.isnan(limits.latency_fixed[1])
    found[0] = np.where(only_failing, np.fmin(found[0], found[1]), found[0])
    found[1] = np.where(only_failing, found[1], np.maximum(found[1], found[0]))
    return found


def _latency(
    signals: Signals, limit: Floats, guard: Floats, starting: Thresholds
) -> tuple[Levels, Floats, Levels]:
    """Severity, the p95 it rests on, and the minutes that is of."""
    usual = signals.usual
    live = signals.requests >= guard
    fast, slow = np.zeros(len(live), np.int64), np.zeros(len(live), np.int64)
    for level in (1, 2):
        at = limit[level - 1]
        fast[live & (signals.p95 > at)] = level
        refuted = live & (signals.p95 <= at * starting.exit_factor)
        slow[
            (usual["requests_15m"] >= guard) & (usual["p95_15m"] > at) & (usual["p95_5m"] > at) & ~refuted
        ] = level
    more = slow > fast
    p95 = np.where(more, usual["p95_15m"], signals.p95)
    return np.maximum(fast, slow), p95, np.where(more, SLOW, LIVE)


# Holding -----------------------------------------------------------------------------------------


def severity(status: str) -> int | None:
    """0 for healthy, idle and maintenance, 1 degraded, 2 failing; None when nothing is held yet."""
    return _SEVERITY.get(status)


def hold(mark: Mark, verdict: HealthStatus, at: float, limits: Thresholds = THRESHOLDS) -> HealthStatus:
    """Move `mark` by one evaluation (Unix seconds) and say which status now holds.

    Unknown comes and goes at once: hysteresis must neither hide an outage nor prolong it. A status gets
    worse by one step at a time, so that degraded is always seen before failing.
    """
    now, before = severity(verdict), severity(mark.status)
    if now is None or before is None:
        if now is None and before is not None:
            mark.before = mark.status
        mark.recent = "" if now is None else str(now)
        return _settle(mark, verdict, at)
    mark.recent = (mark.recent + str(now))[-max(limits.worse_after, limits.better_after) :]
    if now == before:
        return _settle(mark, verdict, at)
    if _all_beyond(mark.recent, limits.worse_after, before, worse=True):
        return _settle(mark, _STATUS[before + 1], at)
    if _all_beyond(mark.recent, limits.better_after, before, worse=False):
        best = int(max(mark.recent[-limits.better_after :]))
        return _settle(mark, verdict if now == best else _STATUS[best], at)
    return HealthStatus(mark.status)


def better_in_a_row(mark: Mark) -> int:
    """How many evaluations in a row have been better than what is held."""
    held = severity(mark.status) or 0
    row = 0
    while row < len(mark.recent) and int(mark.recent[-1 - row]) < held:
        row += 1
    return row


def _all_beyond(recent: str, wanted: int, held: int, *, worse: bool) -> bool:
    last = recent[-wanted:]
    return len(last) == wanted and all((int(one) > held) if worse else (int(one) < held) for one in last)


def _settle(mark: Mark, status: HealthStatus, at: float) -> HealthStatus:
    if mark.status != status:
        mark.status, mark.since = status.value, at
    return status
