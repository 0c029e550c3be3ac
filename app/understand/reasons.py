"""What health says in words: a stable code, a sentence with the number and its measure, value and threshold."""

from __future__ import annotations

from app.model.fleet import Reason
from app.understand.health import LIVE, Grades, Signals
from app.understand.limits import Limits
from app.understand.usual import Basis

Found = list[tuple[int, Reason]]


def reasons_at(signals: Signals, grades: Grades, limits: Limits, i: int) -> Found:
    """(severity, reason) of every check that element `i` fails."""
    found: Found = []
    if grades.errors[i]:
        found.append(_errors(grades, limits, i))
    if grades.latency[i]:
        found.append(_latency(signals, grades, limits, i))
    if grades.volume[i]:
        found.append(_volume(signals, limits, i))
    return found


def _errors(grades: Grades, limits: Limits, i: int) -> tuple[int, Reason]:
    level, total, failed = int(grades.errors[i]), grades.counted[i], grades.counted_failed[i]
    when = _when(int(grades.errors_minutes[i]))
    if failed >= total:
        text = f"all {count(total)} requests failed{when}"
    else:
        text = f"errors {percent(failed / total)} ({count(failed)} of {count(total)} requests{when})"
    threshold = float(limits.errors[level - 1, i])
    text += f", own limit {percent(threshold)}" if limits.own[i] else ""
    return level, Reason("error_ratio_above_threshold", text, round(float(failed / total), 4), threshold)


def _latency(signals: Signals, grades: Grades, limits: Limits, i: int) -> tuple[int, Reason]:
    level, p95, server = int(grades.latency[i]), float(grades.p95[i]), float(signals.server_fine[i])
    threshold = float(grades.latency_limit[level - 1, i])
    fixed = limits.latency_fixed[level - 1, i] > 0
    against = threshold if fixed else float(signals.usual["p95"][i])
    known = server == server
    slow, measure, calm = durations(p95, against, server if known else 0.0)
    if fixed:
        measure = f"own limit {measure}"
    else:
        measure = f"usually {measure} {Basis(int(signals.usual['p95_basis'][i])).words}"
    when = _when(int(grades.latency_minutes[i]))
    if known:
        code = "caller_slow_server_fine"
        text = f"server unchanged (p95 {calm}), callers wait {slow}{when}, {measure}: network, queue or pool"
    else:
        code = "latency_p95_above_limit" if fixed else "latency_p95_above_baseline"
        text = f"p95 {slow}{when}, {measure}"
    return level, Reason(code, text, round(p95, 4), round(threshold, 4))


def _volume(signals: Signals, limits: Limits, i: int) -> tuple[int, Reason]:
    rps, usual = float(signals.rps[i]), float(signals.usual["rps"][i])
    basis = Basis(int(signals.usual["rps_basis"][i])).words
    text = f"{rate(rps)}, usually {rate(usual)} {basis}: callers stopped calling"
    threshold = min(usual * float(limits.volume_ratio[i]), float(signals.usual["rps_floor"][i]))
    return 1, Reason("volume_below_baseline", text, round(rps, 3), round(threshold, 3))


def _when(minutes: int) -> str:
    return "" if minutes == LIVE else " in the last hour" if minutes == 60 else f" in {minutes} min"


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
