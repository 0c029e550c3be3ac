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
from app.understand.columns import Bools, Columns, Index
from app.understand.disagreement import Disagreement, disagreement
from app.understand.health import Grades, Signals
from app.understand.limits import THRESHOLDS, Limits, Own, Thresholds, limits_of
from app.understand.memory import Mark
from app.understand.pods import PodsVerdict
from app.understand.reasons import count, reasons_at
from app.understand.testimony import Testimony
from app.understand.usual import Baselines, Basis, columns_of

_ORDER = (
    HealthStatus.HEALTHY,
    HealthStatus.DEGRADED,
    HealthStatus.FAILING,
    HealthStatus.UNKNOWN,
    HealthStatus.IDLE,
)
_WORDS = tuple(status.value for status in _ORDER)
_HEALTHY, _UNKNOWN, _IDLE = 0, 3, 4
_COUNTS = ("requests_15m", "failed_15m", "requests_1h", "failed_1h", "requests_5m", "failed_5m")


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


@dataclass(frozen=True, slots=True)
class Elements:
    """What is judged: n ids with their merged numbers and marks, and what is known beside the numbers.

    pods: what Kubernetes says. talks: calls others now. without_numbers: the verdict (index into the order
    healthy, degraded, failing, unknown, idle) where nobody gives numbers. server_fine: the callee's p95 where
    the callee is as quick as usual, else NaN. own: limits of the configuration, none or one per element.
    compared: sources count the same thing, so that they may be held against each other.
    """

    ids: Sequence[str]
    columns: Columns
    p95: Floats
    marks: Sequence[Mark]
    pods: Sequence[PodsVerdict | None]
    talks: Bools
    without_numbers: Index
    server_fine: Floats
    own: Sequence[Own] = ()
    compared: bool = True


@dataclass(frozen=True, slots=True)
class _Judgement:
    """Everything that the reasons of one evaluation are told from."""

    setting: Setting
    elements: Elements
    signals: Signals
    grades: Grades
    limits: Limits
    disagreement: Disagreement


@dataclass(frozen=True, slots=True)
class Judged:
    """Health per element; `slower`: whose latency is above its limit now, `usual_p95` NaN where not known."""

    health: list[Health]
    slower: Bools
    usual_p95: Floats


def judge(setting: Setting, elements: Elements) -> Judged:
    """Health of each element; moves its mark by one evaluation. Numbers of silent witnesses are never judged."""
    columns, marks, pods = elements.columns, elements.marks, elements.pods
    believed = (columns.chosen >= 0) & (columns.chosen < columns.fresh_count)
    _note_traffic(setting, columns, marks, believed)
    for i in np.flatnonzero(elements.talks).tolist():
        marks[i].seen = setting.at
    signals = _signals(setting, elements, believed)
    limits = limits_of(len(marks), setting.limits, elements.own)
    grades = health.grade(signals, limits, setting.limits)
    level = np.where(believed, grades.worst, 0)
    level = np.maximum(level, [verdict.severity if verdict else 0 for verdict in pods])
    verdicts = _verdicts(setting, columns, marks, level, pods, elements.without_numbers)
    held = _held(setting, marks, verdicts)
    disagreeing = disagreement(columns, setting.testimonies, setting.limits)
    disagreeing.found[:] &= elements.compared & signals.volume_judged  # counts in memory start from nothing
    made = _Judgement(setting, elements, signals, grades, limits, disagreeing)
    states = [
        Health(status, _moment(mark.since), _reasons(made, i, status))
        for i, (status, mark) in enumerate(zip(held, marks, strict=True))
    ]
    return Judged(states, believed & (grades.latency > 0), signals.usual["p95"])


def _held(setting: Setting, marks: Sequence[Mark], verdicts: Index) -> list[HealthStatus]:
    """Every mark moved by its verdict; those that have long been what they are need no look at their streak."""
    remembered = max(setting.limits.worse_after, setting.limits.better_after)
    steady = ["0" * remembered, "1" * remembered, "2" * remembered, "", "0" * remembered]
    return [
        _ORDER[verdict]
        if mark.status == _WORDS[verdict] and mark.recent == steady[verdict]
        else health.hold(mark, _ORDER[verdict], setting.at, setting.limits)
        for mark, verdict in zip(marks, verdicts.tolist(), strict=True)
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


def _signals(setting: Setting, elements: Elements, believed: Bools) -> Signals:
    columns, marks = elements.columns, elements.marks
    usual = _usual(setting, elements)
    window = max((t.seconds for t in setting.testimonies if t.fresh), default=60.0)
    full = setting.at - 2 * window  # rates are low until the window has filled again
    settled = setting.watching_since is None or setting.watching_since.timestamp() <= full
    return Signals(
        requests=np.where(believed, columns.raw, np.nan),
        failed=np.where(columns.raw > 0, columns.failed * columns.raw, 0.0),
        rps=columns.rps,
        p95=elements.p95,
        usual=usual,
        held=np.array([health.severity(mark.status) or 0 for mark in marks], dtype=np.int64),
        sampled=_sampled(setting.testimonies, columns),
        volume_judged=np.array([settled and 0 < mark.fresh_since <= full for mark in marks], dtype=bool),
        server_fine=elements.server_fine,
    )


def _usual(setting: Setting, elements: Elements) -> dict[str, Floats]:
    """Baselines as columns; what an unhealthy element was like before is remembered where no minute tells it."""
    usual = columns_of(setting.baselines, elements.ids)
    share = _looked_at(setting.testimonies, elements.columns)
    usual |= {name: usual[name] * share for name in _COUNTS}
    for i in np.flatnonzero(np.isnan(usual["p95"])).tolist():
        if elements.marks[i].usual_p95:
            usual["p95"][i] = elements.marks[i].usual_p95
            usual["p95_basis"][i] = Basis.BEFORE
    return usual


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


def _reasons(made: _Judgement, i: int, status: HealthStatus) -> tuple[Reason, ...]:
    mark, pods, columns = made.elements.marks[i], made.elements.pods[i], made.elements.columns
    if status in (HealthStatus.FAILING, HealthStatus.DEGRADED):
        return (*_unhealthy(made, i), *_apart(made, i))
    mark.reasons = []
    mild = tuple(reason for level, reason in pods.reasons if level == 0) if pods else ()
    if status is HealthStatus.UNKNOWN:
        return (_no_data(made.setting, i, columns, mark), *mild)
    mark.usual_p95 = 0.0
    if status is HealthStatus.IDLE:
        return mild or (_no_traffic(mark),)
    if made.grades.guarded[i] and columns.rps[i] >= 0:
        return (*mild, _low_traffic(made, i))
    return (*mild, *_apart(made, i))


def _apart(made: _Judgement, i: int) -> tuple[Reason, ...]:
    """The information that sources disagree."""
    if not made.disagreement.found[i]:
        return ()
    return (made.disagreement.reason(i, made.elements.columns, made.setting.testimonies),)


def _unhealthy(made: _Judgement, i: int) -> tuple[Reason, ...]:
    """The checks that fail now; while better numbers wait for their confirmation, the last ones that failed."""
    mark, pods, columns = made.elements.marks[i], made.elements.pods[i], made.elements.columns
    believed = 0 <= columns.chosen[i] < columns.fresh_count
    found = reasons_at(made.signals, made.grades, made.limits, i) if believed else []
    found += [entry for entry in pods.reasons if entry[0] > 0] if pods else []
    usual = float(made.signals.usual["p95"][i])
    mark.usual_p95 = 0.0 if usual != usual else usual
    if not found:
        return (*(Reason(*reason) for reason in mark.reasons), _recovering(mark, made.setting.limits))
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


def _low_traffic(made: _Judgement, i: int) -> Reason:
    total, failed = made.grades.counted[i], made.grades.counted_failed[i]
    told = f", {count(failed)} of them failed" if failed else ""
    limits = made.limits
    guard = (limits.guard_sampled if made.signals.sampled[i] else limits.guard)[i]
    text = f"low traffic: {count(total)} requests{told}; no verdict on errors"
    return Reason("low_traffic", text, float(total), float(guard))


def _clock(moment: datetime) -> str:
    return f"{moment:%H:%M:%S} UTC"


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
