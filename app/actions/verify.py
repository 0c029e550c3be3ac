"""Did it help: the service's own latency and errors, and its callers' view of it, before against after.

"Before" is the window that ends at the write; "after" must lie wholly behind the rollout, so for about the
length of the window the answer is "waiting for the window to clear" (observed V8). Too little traffic, no data
or silent sources end inconclusive, never succeeded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.model.action import ActionState, Judgement, Target
from app.model.fleet import Edge, HealthStatus, Node, NodeKind, SourceStatus, Topology

MIN_REQUESTS = 20.0
"""Fewer requests in the window after are no evidence."""

HEARING = timedelta(seconds=60)
"""Numbers older than the live topology by more than this come from a source that fell silent."""

PATIENCE = timedelta(minutes=5)
"""After the rollout; a verdict that is not clear by then is inconclusive."""

SETTLING = timedelta(minutes=2)
"""After the rollout; queues drain and health has hysteresis, so nothing is called useless or worse before."""

_WORSE_ERRORS = 0.02
_WORSE_LATENCY = 1.5
_BETTER = 0.7
_SICK = (HealthStatus.FAILING, HealthStatus.DEGRADED)
_WELL = (HealthStatus.HEALTHY, HealthStatus.IDLE)

Numbers = dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Sight:
    """A service at one moment: its health, its numbers, and the window they cover."""

    start: datetime
    end: datetime
    health: HealthStatus
    numbers: Numbers
    silent: tuple[str, ...] = ()


def node_of(topology: Topology | None, target: Target) -> Node | None:
    """The service that this workload runs: by workload, otherwise by name in the namespace."""
    services = [node for node in topology.nodes if node.kind is NodeKind.SERVICE] if topology else []
    here = [node for node in services if node.namespace in (target.namespace, None)]
    by_workload = [node for node in here if node.workload == (target.kind, target.name)]
    by_name = [node for node in here if node.name == target.name]
    return next(iter(by_workload or by_name), None)


def look(topology: Topology | None, target: Target) -> Sight | None:
    """The service in the live topology; None = it is not there."""
    node = node_of(topology, target)
    if topology is None or node is None:
        return None
    calls = [edge for edge in topology.edges if edge.target == node.id]
    seconds = topology.window.total_seconds()
    numbers: Numbers = {
        "requests": node.requests if node.requests is not None else _times(node.rps, seconds),
        "rps": node.rps,
        "error_ratio": node.error_ratio,
        "p50_seconds": node.latency.p50,
        "p95_seconds": node.latency.p95,
        "p99_seconds": node.latency.p99,
        "callers_error_ratio": _callers_errors(calls),
        "callers_p95_seconds": max((e.latency.p95 for e in calls if e.latency.p95 is not None), default=None),
    }
    end = _heard(node) or topology.as_of
    silent = _silent(topology) if topology.as_of - end > HEARING or not node.evidence else ()
    return Sight(end - topology.window, end, node.health.status, numbers, silent)


def judge(
    before: Mapping[str, float | None],
    sick: bool,
    after: Sight | None,
    *,
    rolled_out: datetime,
    now: datetime,
) -> Judgement:
    """A verdict, or one of state verifying with what it waits for. `sick`: it was not well before the write."""
    late = now - rolled_out >= PATIENCE
    waits = _waits(after, rolled_out)
    kept = dict(before)
    seen = dict(after.numbers) if after else {}
    if waits or after is None:
        state = ActionState.INCONCLUSIVE if late else ActionState.VERIFYING
        return Judgement(state, f"inconclusive: {waits}" if late else waits, kept, seen)
    settled = now - rolled_out >= SETTLING
    told = _compared(before, after.numbers)
    worse = _worse(before, after.numbers)
    if after.health in _WELL and not worse:
        took = _spoken(after.end - rolled_out)
        words = f"recovered within {took} of the rollout: {told}" if sick else f"stayed healthy: {told}"
        return Judgement(ActionState.SUCCEEDED, words, kept, seen)
    if not settled:
        return Judgement(ActionState.VERIFYING, f"waiting for it to settle: {told}", kept, seen)
    if worse or (not sick and after.health in _SICK):
        return Judgement(ActionState.FAILED, f"worse: {told}", kept, seen)
    return _still_sick(before, after, told, late=late)


def _heard(node: Node) -> datetime | None:
    """When anybody last counted its traffic; a source that is silent leaves old numbers behind."""
    return max((word.as_of for word in node.evidence if word.rps is not None), default=None)


def _silent(topology: Topology) -> tuple[str, ...]:
    """The sources to name: those that are not well."""
    ill = (SourceStatus.LATE, SourceStatus.DOWN, SourceStatus.REFUSED, SourceStatus.NONSENSE)
    return tuple(word.source for word in topology.freshness if word.status in ill)


def _still_sick(before: Mapping[str, float | None], after: Sight, told: str, *, late: bool) -> Judgement:
    kept, seen = dict(before), dict(after.numbers)
    if not late:
        return Judgement(ActionState.VERIFYING, f"not well yet: {told}", kept, seen)
    if _better(before, after.numbers):
        return Judgement(ActionState.INCONCLUSIVE, f"inconclusive: better, but not well: {told}", kept, seen)
    return Judgement(ActionState.FAILED, f"no effect: {told}", kept, seen)


def _waits(after: Sight | None, rolled_out: datetime) -> str:
    if after is None:
        return "no data: the service is not in the live topology"
    if after.silent:
        return f"sources are silent: {', '.join(after.silent)}"
    if after.start < rolled_out:
        return "waiting for the window to clear"
    requests = after.numbers["requests"]
    if requests is None:
        return "no data: nobody saw its traffic"
    if requests < MIN_REQUESTS:
        return f"too little traffic ({requests:.0f} requests)"
    return "its health is unknown" if after.health is HealthStatus.UNKNOWN else ""


def _worse(before: Mapping[str, float | None], after: Mapping[str, float | None]) -> bool:
    errors = [(before.get(key), after.get(key)) for key in ("error_ratio", "callers_error_ratio")]
    grown = any(a is not None and a > (b or 0.0) + _WORSE_ERRORS for b, a in errors if b is not None or a)
    slow = any(
        b is not None and a is not None and a > b * _WORSE_LATENCY and a - b > 0.05
        for b, a in [(before.get(key), after.get(key)) for key in ("p95_seconds", "callers_p95_seconds")]
    )
    return grown or slow


def _better(before: Mapping[str, float | None], after: Mapping[str, float | None]) -> bool:
    pairs = [(before.get(key), after.get(key)) for key in ("error_ratio", "p95_seconds")]
    return any(b and a is not None and a <= b * _BETTER for b, a in pairs)


def _compared(before: Mapping[str, float | None], after: Mapping[str, float | None]) -> str:
    p95 = f"p95 {_seconds(before.get('p95_seconds'))} -> {_seconds(after.get('p95_seconds'))}"
    errors = f"errors {_percent(before.get('error_ratio'))} -> {_percent(after.get('error_ratio'))}"
    return f"{p95}, {errors}"


def _callers_errors(calls: list[Edge]) -> float | None:
    known = [(e.error_ratio, e.rps or 0.0) for e in calls if e.error_ratio is not None]
    weight = sum(rps for _, rps in known)
    if not known:
        return None
    return sum(ratio * rps for ratio, rps in known) / weight if weight else max(ratio for ratio, _ in known)


def _times(rps: float | None, seconds: float) -> float | None:
    return None if rps is None else rps * seconds


def _seconds(value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value * 100:.1f} %"


def _spoken(length: timedelta) -> str:
    minutes, seconds = divmod(max(0, int(length.total_seconds())), 60)
    return f"{minutes} m {seconds} s" if minutes else f"{seconds} s"
