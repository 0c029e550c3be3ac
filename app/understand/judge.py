"""From merged columns and remembered marks to a health per element.

Everything that needs both numbers and memory happens here; the limits are in `health`, pods in `pods`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from app.model.fleet import Health, HealthStatus, Reason
from app.model.series import Floats, quantiles
from app.understand import health
from app.understand.baseline import Baseline, Baselines
from app.understand.columns import Bools, Columns, Index
from app.understand.health import THRESHOLDS, Grades, Signals, Thresholds
from app.understand.memory import Mark
from app.understand.pods import PodsVerdict
from app.understand.testimony import Testimony

_ORDER = (
    HealthStatus.HEALTHY,
    HealthStatus.DEGRADED,
    HealthStatus.FAILING,
    HealthStatus.UNKNOWN,
    HealthStatus.IDLE,
)
_WORDS = tuple(status.value for status in _ORDER)
_HEALTHY, _UNKNOWN, _IDLE = 0, 3, 4
_NO_BASELINE = Baseline()


@dataclass(frozen=True, slots=True)
class Setting:
    """What holds for all elements of one judgement: the witnesses, the moment, the usual, the limits.

    `watching_since` is when this process began to look: counts kept in memory start from nothing then.
    """

    testimonies: list[Testimony]
    now: datetime
    baselines: Baselines
    limits: Thresholds = THRESHOLDS
    watching_since: datetime | None = None

    @property
    def at(self) -> float:
        """The moment in Unix seconds."""
        return self.now.timestamp()


@dataclass(frozen=True, slots=True)
class Quantiles:
    """p50, p95, p99 in seconds, shape (n, 3), of the caller's and the callee's view; NaN = no data."""

    own: Floats
    server: Floats


def measured(columns: Columns) -> Quantiles:
    """Quantiles of merged histograms."""
    return Quantiles(_quantiles(columns.latency), _quantiles(columns.server_latency))


def _quantiles(latency: Floats) -> Floats:
    """Quantiles of the rows that hold anything; most fleets have a callee's view of few edges only."""
    told = latency.any(axis=1)
    found = np.full((len(latency), 3), np.nan)
    if told.any():
        found[told] = quantiles(latency if told.all() else latency[told])
    return found


def silence_is_zero(columns: Columns, marks: Sequence[Mark], testimonies: list[Testimony]) -> None:
    """An element nobody speaks of now, whose former witness is alive, has no traffic: 0, not unknown."""
    fresh: dict[str, int] = {}
    for number, testimony in enumerate(testimonies):
        if testimony.fresh:
            fresh.setdefault(testimony.kind.value, number)
    if not fresh:
        return
    for i in np.flatnonzero((columns.chosen < 0) & ~columns.doubted).tolist():
        number = fresh.get(marks[i].by, -1)
        if number >= 0:
            columns.chosen[i] = number
            columns.rps[i] = columns.raw[i] = 0.0


def judge(
    setting: Setting,
    ids: Sequence[str],
    columns: Columns,
    p95: Floats,
    marks: Sequence[Mark],
    *,
    pods: Sequence[PodsVerdict | None],
    talks: Bools,
    without_numbers: Index,
) -> list[Health]:
    """Health of each element; moves its mark by one evaluation. `talks` = it calls others now.

    `without_numbers` is the verdict (index into the order healthy, degraded, failing, unknown, idle) for an
    element that nobody gives numbers of. Numbers of silent witnesses are never judged.
    """
    believed = (columns.chosen >= 0) & (columns.chosen < columns.fresh_count)
    _note_traffic(setting, columns, marks, believed)
    for i in np.flatnonzero(talks).tolist():
        marks[i].seen = setting.at
    signals = _signals(setting, ids, columns, p95, marks, believed)
    grades = health.grade(signals, setting.limits)
    level = np.where(believed, grades.worst, 0)
    level = np.maximum(level, [verdict.severity if verdict else 0 for verdict in pods])
    verdicts = _verdicts(setting, columns, marks, level, pods, without_numbers)
    at = setting.at
    remembered = max(setting.limits.worse_after, setting.limits.better_after)
    steady = ["0" * remembered, "1" * remembered, "2" * remembered, "", "0" * remembered]
    held = [
        _ORDER[verdict]
        if mark.status == _WORDS[verdict] and mark.recent == steady[verdict]
        else health.hold(mark, _ORDER[verdict], at, setting.limits)
        for mark, verdict in zip(marks, verdicts.tolist(), strict=True)
    ]
    return [
        Health(
            status, _moment(mark.since), _reasons(setting, i, status, columns, mark, signals, grades, pods[i])
        )
        for i, (status, mark) in enumerate(zip(held, marks, strict=True))
    ]


def _note_traffic(setting: Setting, columns: Columns, marks: Sequence[Mark], believed: Bools) -> None:
    whole = believed & ~columns.doubted
    rows = zip(marks, columns.chosen.tolist(), columns.rps.tolist(), whole.tolist(), strict=True)
    for mark, chosen, rps, complete in rows:
        if chosen >= 0 and rps > 0:
            testimony = setting.testimonies[chosen]
            mark.seen = max(mark.seen, testimony.witness.as_of.timestamp())
            mark.by = testimony.kind.value
        if not complete:
            mark.fresh_since = 0.0
        elif not mark.fresh_since:
            mark.fresh_since = setting.at


def _signals(
    setting: Setting,
    ids: Sequence[str],
    columns: Columns,
    p95: Floats,
    marks: Sequence[Mark],
    believed: Bools,
) -> Signals:
    usual = [setting.baselines.get(key, _NO_BASELINE) for key in ids]
    share = _looked_at(setting.testimonies, columns)
    window = max((t.seconds for t in setting.testimonies if t.fresh), default=60.0)
    full = setting.at - 2 * window  # rates are low until the window has filled again
    settled = setting.watching_since is None or setting.watching_since.timestamp() <= full
    return Signals(
        requests=np.where(believed, columns.raw, np.nan),
        failed=np.where(columns.raw > 0, columns.failed * columns.raw, 0.0),
        rps=columns.rps,
        p95=p95,
        usual_p95=np.array([b.p95 for b in usual], dtype=np.float64),
        usual_rps=np.array([b.rps for b in usual], dtype=np.float64),
        requests_15m=np.array([b.requests_15m for b in usual], dtype=np.float64) * share,
        failed_15m=np.array([b.failed_15m for b in usual], dtype=np.float64) * share,
        requests_1h=np.array([b.requests_1h for b in usual], dtype=np.float64) * share,
        failed_1h=np.array([b.failed_1h for b in usual], dtype=np.float64) * share,
        held=np.array([health.severity(mark.status) or 0 for mark in marks], dtype=np.int64),
        sampled=_sampled(setting.testimonies, columns),
        volume_judged=np.array([settled and 0 < mark.fresh_since <= full for mark in marks], dtype=bool),
    )


def _sampled(testimonies: list[Testimony], columns: Columns) -> Bools:
    partly = [t.witness.sampling_ratio is None or t.witness.sampling_ratio < 1 for t in testimonies]
    partly.append(False)  # chosen -1: nobody
    return np.array(partly, dtype=bool)[columns.chosen]


def _looked_at(testimonies: list[Testimony], columns: Columns) -> Floats:
    """Share of the requests that the chosen witness really looked at."""
    seconds = np.array([t.seconds for t in testimonies] + [1.0])[columns.chosen]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = columns.raw / (columns.rps * seconds)
    return np.where(np.isfinite(share), np.clip(share, 0.0, 1.0), 1.0)


def _verdicts(
    setting: Setting,
    columns: Columns,
    marks: Sequence[Mark],
    level: Index,
    pods: Sequence[PodsVerdict | None],
    without_numbers: Index,
) -> Index:
    quiet_since = setting.at - setting.limits.idle_after.total_seconds()
    zero = columns.rps == 0
    quiet = zero & np.array([mark.seen < quiet_since for mark in marks], dtype=bool)
    empty = np.array([verdict is not None and verdict.scaled_to_zero for verdict in pods], dtype=bool)
    verdict = np.where(quiet | empty, _IDLE, _HEALTHY)
    verdict = np.where(np.isnan(columns.rps) & ~empty, without_numbers, verdict)
    verdict = np.where(columns.doubted, _UNKNOWN, verdict)
    return np.where(level > 0, level, verdict)


# Reasons -----------------------------------------------------------------------------------------


def _reasons(
    setting: Setting,
    i: int,
    status: HealthStatus,
    columns: Columns,
    mark: Mark,
    signals: Signals,
    grades: Grades,
    pods: PodsVerdict | None,
) -> tuple[Reason, ...]:
    if status in (HealthStatus.FAILING, HealthStatus.DEGRADED):
        return _unhealthy(setting, i, mark, signals, grades, pods, columns)
    mark.reasons = []
    mild = tuple(reason for level, reason in pods.reasons if level == 0) if pods else ()
    if status is HealthStatus.UNKNOWN:
        return (_no_data(setting, i, columns, mark), *mild)
    if status is HealthStatus.IDLE:
        return mild or (_no_traffic(mark),)
    if grades.guarded[i] and columns.rps[i] >= 0:
        return (*mild, _low_traffic(i, signals, grades, setting.limits))
    return mild


def _unhealthy(
    setting: Setting,
    i: int,
    mark: Mark,
    signals: Signals,
    grades: Grades,
    pods: PodsVerdict | None,
    columns: Columns,
) -> tuple[Reason, ...]:
    """The checks that fail now; while better numbers wait for their confirmation, the last ones that failed."""
    believed = 0 <= columns.chosen[i] < columns.fresh_count
    found = health.reasons_at(signals, grades, i, setting.limits) if believed else []
    found += [entry for entry in pods.reasons if entry[0] > 0] if pods else []
    if not found:
        return (*(Reason(*reason) for reason in mark.reasons), _recovering(mark, setting.limits))
    found.sort(key=lambda entry: -entry[0])
    reasons = tuple(reason for _, reason in found)
    mark.reasons = [(r.code, r.message, r.value, r.threshold) for r in reasons]
    return reasons


def _recovering(mark: Mark, limits: Thresholds) -> Reason:
    row = health.better_in_a_row(mark)
    text = f"better in {row} of {limits.better_after} evaluations in a row"
    return Reason("recovering", text, float(row), float(limits.better_after))


def _no_data(setting: Setting, i: int, columns: Columns, mark: Mark) -> Reason:
    silent = [
        testimony
        for number, testimony in enumerate(setting.testimonies)
        if not testimony.fresh and columns.seen[number, i]
    ]
    if not silent:
        return Reason("no_data", "no data about its traffic")
    newest = max(silent, key=lambda t: t.witness.as_of)
    was = f"; it was {mark.before}" if mark.before in ("failing", "degraded") else ""
    return Reason("no_data", f"no data from {newest.source} since {_clock(newest.witness.as_of)}{was}")


def _no_traffic(mark: Mark) -> Reason:
    seen = _moment(mark.seen) if mark.seen else None
    return Reason("no_traffic", f"no traffic since {_clock(seen)}" if seen else "no traffic seen", 0.0)


def _low_traffic(i: int, signals: Signals, grades: Grades, limits: Thresholds) -> Reason:
    total, failed = grades.counted[i], grades.counted_failed[i]
    told = f", {health.count(failed)} of them failed" if failed else ""
    guard = limits.guard_sampled if signals.sampled[i] else limits.guard_requests
    text = f"low traffic: {health.count(total)} requests{told}; no verdict on errors"
    return Reason("low_traffic", text, float(total), float(guard))


def _clock(moment: datetime) -> str:
    return f"{moment:%H:%M:%S} UTC"


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
