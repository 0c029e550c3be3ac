"""Traffic to severity and held status, with reasons (reference: topology 9.4).

Two steps, both over columns or single marks and without I/O: `grade` says how bad this evaluation's numbers
are; `hold` moves the held status, worse after `worse_after` evaluations in a row, better after `better_after`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from app.model.fleet import HealthStatus, Reason
from app.model.series import Floats
from app.understand.memory import Mark
from app.understand.wilson import lower_bound

Levels = NDArray[np.int64]
_STATUS = (HealthStatus.HEALTHY, HealthStatus.DEGRADED, HealthStatus.FAILING)
_SEVERITY = {"healthy": 0, "idle": 0, "maintenance": 0, "degraded": 1, "failing": 2}


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Every limit of health in one place; all are starting values (reference: topology 9.4, "proposal").

    Requests guard against verdicts on a handful; ratios are shares, latencies seconds, rates per second.
    """

    guard_requests: float = 20
    guard_sampled: float = 30  # below 30 raw spans sampled traces do not judge errors (reference 4.4)
    all_failed_requests: float = 5
    errors: tuple[float, float] = (0.01, 0.10)
    latency_ratio: tuple[float, float] = (1.5, 3.0)
    latency_above: tuple[float, float] = (0.050, 0.200)
    volume_ratio: float = 0.3
    volume_baseline_rps: float = 1.0
    exit_factor: float = 0.8
    worse_after: int = 2
    better_after: int = 4
    idle_after: timedelta = timedelta(minutes=5)


THRESHOLDS = Thresholds()


@dataclass(frozen=True, slots=True)
class Signals:
    """What n elements show, in columns: raw requests and failed ones of the window, rate, p95, the usual
    p95 and rate, counts of the last 15 and 60 minutes, the severity held until now (0, 1, 2), whether the
    numbers are sampled, and whether the volume may be judged (fresh without a gap for long enough).
    """

    requests: Floats
    failed: Floats
    rps: Floats
    p95: Floats
    usual_p95: Floats
    usual_rps: Floats
    requests_15m: Floats
    failed_15m: Floats
    requests_1h: Floats
    failed_1h: Floats
    held: Levels
    sampled: NDArray[np.bool_]
    volume_judged: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Grades:
    """Severity (0 fine, 1 degraded, 2 failing) per check; `counted`, `counted_failed`: what errors were judged on."""

    errors: Levels
    latency: Levels
    volume: Levels
    counted: Floats
    counted_failed: Floats
    guarded: NDArray[np.bool_]

    @property
    def worst(self) -> Levels:
        """The worst of the checks per element."""
        return np.asarray(np.maximum(np.maximum(self.errors, self.latency), self.volume))


def grade(signals: Signals, limits: Thresholds = THRESHOLDS) -> Grades:
    """Judge this evaluation's numbers; NaN anywhere means "no verdict from this check"."""
    guard = np.where(signals.sampled, limits.guard_sampled, limits.guard_requests)
    counted, failed = _widened(signals, guard)
    enough = counted >= guard
    errors = _errors(
        signals.held, np.where(enough, failed, np.nan), np.where(enough, counted, np.nan), limits
    )
    with np.errstate(invalid="ignore"):
        all_failed = (signals.requests >= limits.all_failed_requests) & (signals.failed >= signals.requests)
        errors = np.maximum(errors, np.where(all_failed & ~enough, 1, 0))
        latency = np.where(signals.requests >= guard, _latency(signals, limits), 0)
        dropped = signals.rps < limits.volume_ratio * signals.usual_rps
    usual = signals.usual_rps >= limits.volume_baseline_rps
    volume = np.where(dropped & usual & signals.volume_judged, 1, 0)
    return Grades(errors, latency, volume, counted, failed, ~enough)


def _widened(signals: Signals, guard: Floats) -> tuple[Floats, Floats]:
    """Counts of the narrowest of window, 15 minutes, 1 hour that holds enough requests (else the widest)."""
    requests = np.nan_to_num(signals.requests)
    failed = np.where(np.isnan(signals.failed), 0.0, signals.failed)
    for wider, wider_failed in (
        (signals.requests_15m, signals.failed_15m),
        (signals.requests_1h, signals.failed_1h),
    ):
        widen = (requests < guard) & (wider > requests)
        requests = np.where(widen, wider, requests)
        failed = np.where(widen, wider_failed, failed)
    return requests, failed


def _errors(held: Levels, failed: Floats, total: Floats, limits: Thresholds) -> Levels:
    surely = lower_bound(failed, total)
    found = np.zeros(len(held), np.int64)
    for level, limit in enumerate(limits.errors, start=1):
        threshold = np.where(held >= level, limit * limits.exit_factor, limit)
        with np.errstate(invalid="ignore"):
            found[surely > threshold] = level
    return found


def _latency(signals: Signals, limits: Thresholds) -> Levels:
    found = np.zeros(len(signals.held), np.int64)
    for level, (ratio, above) in enumerate(
        zip(limits.latency_ratio, limits.latency_above, strict=True), start=1
    ):
        ease = np.where(signals.held >= level, limits.exit_factor, 1.0)
        with np.errstate(invalid="ignore"):
            slower = signals.p95 > signals.usual_p95 * np.maximum(ratio * ease, 1.0)
            found[slower & (signals.p95 > signals.usual_p95 + above * ease)] = level
    return found


# Reasons -----------------------------------------------------------------------------------------


def reasons_at(
    signals: Signals, grades: Grades, i: int, limits: Thresholds = THRESHOLDS
) -> list[tuple[int, Reason]]:
    """(severity, reason) of every check that element `i` fails."""
    found: list[tuple[int, Reason]] = []
    if grades.errors[i]:
        level = int(grades.errors[i])
        found.append(
            (level, _errors_reason(grades.counted[i], grades.counted_failed[i], limits.errors[level - 1]))
        )
    if grades.latency[i]:
        level = int(grades.latency[i])
        found.append((level, _latency_reason(signals.p95[i], signals.usual_p95[i], level, limits)))
    if grades.volume[i]:
        found.append((1, _volume_reason(signals.rps[i], signals.usual_rps[i], limits)))
    return found


def _errors_reason(total: float, failed: float, threshold: float) -> Reason:
    ratio = failed / total
    if failed >= total:
        text = f"all {count(total)} requests failed"
    else:
        text = f"errors {percent(ratio)} ({count(failed)} of {count(total)} requests)"
    return Reason("error_ratio_above_threshold", text, round(float(ratio), 4), threshold)


def _latency_reason(p95: float, usual: float, level: int, limits: Thresholds) -> Reason:
    threshold = max(usual * limits.latency_ratio[level - 1], usual + limits.latency_above[level - 1])
    text = "p95 {}, usually {}".format(*durations(float(p95), float(usual)))
    return Reason("latency_p95_above_baseline", text, round(float(p95), 4), round(float(threshold), 4))


def _volume_reason(rps: float, usual: float, limits: Thresholds) -> Reason:
    text = f"{rate(float(rps))}, usually {rate(float(usual))}: callers stopped calling"
    return Reason(
        "volume_below_baseline", text, round(float(rps), 3), round(float(usual * limits.volume_ratio), 3)
    )


def percent(ratio: float) -> str:
    """`12 %`, `1.2 %`, `0.03 %`."""
    value = ratio * 100
    return f"{value:.0f} %" if value >= 10 else f"{value:.2g} %"


def count(number: float) -> str:
    """A count of requests with a thin grouping of thousands."""
    return f"{round(number):,}".replace(",", "\u202f")


def rate(rps: float) -> str:
    """`41 rps`, `0.31 rps`."""
    return f"{rps:.0f} rps" if rps >= 10 else f"{rps:.2g} rps"


def durations(*seconds: float) -> list[str]:
    """Durations in one common unit, so that they can be compared at a glance: `1.9 s` and `0.3 s`."""
    if max(seconds) >= 1:
        return [f"{value:.1f} s" for value in seconds]
    return [f"{value * 1000:.0f} ms" if value >= 0.01 else f"{value * 1000:.1f} ms" for value in seconds]


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
