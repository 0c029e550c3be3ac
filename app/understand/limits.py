"""The limits of health: where they start, and what the configuration says otherwise for some elements.

For each limit the first rule that fits an element and gives that limit counts; limits that no rule gives keep
their starting values. Rules become columns once per evaluation, so judging costs the same with and without them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.config import HealthRule
from app.model.series import Floats

Bools = NDArray[np.bool_]
CHECKS = ("errors", "latency", "volume")
_REMEMBERED = 100_000  # elements whose rules are kept at hand


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
    disagreement: float = 2.0
    exit_factor: float = 0.8
    worse_after: int = 2
    better_after: int = 4
    idle_after: timedelta = timedelta(minutes=5)


THRESHOLDS = Thresholds()


@dataclass(frozen=True, slots=True)
class Subject:
    """What rules are matched against; of a connection the one that is called, and `caller`."""

    cluster: str
    namespace: str
    name: str
    kind: str
    caller: str = ""


@dataclass(frozen=True, slots=True)
class Own:
    """The limits that rules give one element; None = the starting value. Latencies in seconds."""

    min_requests: float | None = None
    errors_degraded: float | None = None
    errors_failing: float | None = None
    latency_degraded: float | None = None
    latency_failing: float | None = None
    latency_ratio_degraded: float | None = None
    latency_ratio_failing: float | None = None
    volume_drop: float | None = None
    judge: tuple[str, ...] | None = None


NONE = Own()
_GIVEN = tuple(one.name for one in fields(Own))


class RuleBook:
    """The rules of a configuration with their regexes compiled once, and what they said of whom."""

    def __init__(self, rules: Sequence[HealthRule] = ()) -> None:
        self.rules = rules
        self._patterns = [
            {name: re.compile(pattern) for name, pattern in rule.match.items()} for rule in rules
        ]
        self._known: dict[Subject, Own] = {}

    def own(self, subject: Subject) -> Own:
        """The limits that rules give this element."""
        found = self._known.get(subject)
        if found is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            found = self._known[subject] = self._merged(subject)
        return found

    def _merged(self, subject: Subject) -> Own:
        fitting = [
            rule
            for rule, patterns in zip(self.rules, self._patterns, strict=True)
            if ("caller" in patterns) <= bool(subject.caller)
            and all(pattern.fullmatch(getattr(subject, name)) for name, pattern in patterns.items())
        ]
        values: dict[str, Any] = {}
        for name in _GIVEN:
            given = next((v for rule in fitting if (v := getattr(rule, name)) is not None), None)
            values[name] = given.total_seconds() if isinstance(given, timedelta) else given
        return Own(**values) if fitting else NONE


def told(own: Own) -> list[str]:
    """What rules changed, one phrase per limit: `errors degraded at 5 %`."""
    shares = (
        ("errors degraded at", own.errors_degraded),
        ("errors failing at", own.errors_failing),
        ("volume judged below", own.volume_drop),
    )
    seconds = (("p95 degraded at", own.latency_degraded), ("p95 failing at", own.latency_failing))
    times = (
        ("p95 degraded at", own.latency_ratio_degraded),
        ("p95 failing at", own.latency_ratio_failing),
    )
    found = [f"{words} {value * 100:g} %" for words, value in shares if value is not None]
    found += [f"{words} {value * 1000:g} ms" for words, value in seconds if value is not None]
    found += [f"{words} {value:g} times the usual" for words, value in times if value is not None]
    if own.min_requests is not None:
        found.append(f"judged from {own.min_requests:g} requests on")
    if own.judge is not None:
        found.append(f"judged by {', '.join(own.judge)}" if own.judge else "judged by its pods alone")
    return found


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of n elements in columns; those of two levels (degraded, failing) have shape (2, n).

    latency_fixed: seconds, whatever is usual; NaN = the usual is the measure. judged: check -> whether it counts.
    own: whose limits the configuration changed.
    """

    guard: Floats
    guard_sampled: Floats
    errors: Floats
    latency_ratio: Floats
    latency_fixed: Floats
    volume_ratio: Floats
    judged: dict[str, Bools]
    own: Bools


def limits_of(count: int, starting: Thresholds = THRESHOLDS, own: Iterable[Own] = ()) -> Limits:
    """Columns over `count` elements; `own` (none, or one per element) is what rules say of each."""

    def levels(pair: tuple[float, float]) -> Floats:
        return np.repeat(np.array(pair, dtype=np.float64)[:, None], count, axis=1)

    found = Limits(
        guard=np.full(count, starting.guard_requests),
        guard_sampled=np.full(count, starting.guard_sampled),
        errors=levels(starting.errors),
        latency_ratio=levels(starting.latency_ratio),
        latency_fixed=np.full((2, count), np.nan),
        volume_ratio=np.full(count, starting.volume_ratio),
        judged={check: np.ones(count, bool) for check in CHECKS},
        own=np.zeros(count, bool),
    )
    for i, given in enumerate(own):
        if given is not NONE:
            _override(found, i, given)
    return found


def _override(limits: Limits, i: int, own: Own) -> None:
    limits.own[i] = True
    if own.min_requests is not None:
        limits.guard[i] = limits.guard_sampled[i] = own.min_requests
    if own.volume_drop is not None:
        limits.volume_ratio[i] = own.volume_drop
    pairs = (
        (limits.errors, own.errors_degraded, own.errors_failing),
        (limits.latency_ratio, own.latency_ratio_degraded, own.latency_ratio_failing),
        (limits.latency_fixed, own.latency_degraded, own.latency_failing),
    )
    for column, degraded, failing in pairs:
        column[:, i] = _in_order(column[0, i], column[1, i], degraded, failing)
    for check in CHECKS if own.judge is not None else ():
        limits.judged[check][i] = check in (own.judge or ())


def _in_order(
    usual: float, worst: float, degraded: float | None, failing: float | None
) -> tuple[float, float]:
    """Degraded and failing, of which the one that is given pushes the other along so that failing is not milder."""
    if degraded is None:
        return (usual, worst) if failing is None else (min(usual, failing), failing)
    return degraded, max(worst if failing is None else failing, degraded)
