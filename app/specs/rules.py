"""Prometheus rules of an objective, under the names and labels that Sloth's dashboards and alert routes know.

Two things differ on purpose: the ratio of the whole period is that of its events, not the mean of short ratios,
and an alert needs enough bad events. (Names: Sloth 0.16, conventions of its recording rules.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from app.config import format_duration
from app.model.slo import Pair, Rolling, Tier, standard_pairs
from app.model.slo_spec import RawRatio, Slo
from app.specs.expressions import Unsayable, bad, ratio

LEAST_BAD = 3
_DAY = timedelta(days=1)


def rules(slos: Iterable[Slo]) -> dict[str, Any]:
    """A rule file's content: three groups per objective. Raises Unsayable."""
    return {"groups": [group for slo in slos for group in _groups(slo)]}


def _groups(slo: Slo) -> list[dict[str, Any]]:
    if not isinstance(slo.period, Rolling):
        raise Unsayable(f"{slo.id}: rules of Prometheus know no calendar: give it a rolling window")
    name = f"{slo.service}-{slo.name}"
    pairs = standard_pairs(slo.period.length)
    windows = sorted({window for pair in pairs for window in (pair.short, pair.long)})
    found = [
        {"name": f"sloth-slo-sli-recordings-{name}", "rules": _ratios(slo, [*windows, slo.period.length])},
        {"name": f"sloth-slo-meta-recordings-{name}", "rules": _meta(slo, slo.period.length, min(windows))},
    ]
    alerts = [
        _alert(slo, tier, [p for p in pairs if p.tier is tier]) for tier in Tier if _wanted(slo, tier, pairs)
    ]
    return [*found, {"name": f"sloth-slo-alerts-{name}", "rules": alerts}] if alerts else found


def _wanted(slo: Slo, tier: Tier, pairs: Sequence[Pair]) -> bool:
    on = slo.alerting.page if tier is Tier.PAGE else slo.alerting.ticket
    return on and any(pair.tier is tier for pair in pairs)


def _labels(slo: Slo) -> dict[str, str]:
    ids = {"sloth_id": f"{slo.service}-{slo.name}", "sloth_service": slo.service, "sloth_slo": slo.name}
    return {**slo.labels, **ids}


def _matchers(slo: Slo) -> str:
    return f'sloth_id="{slo.service}-{slo.name}", sloth_service="{slo.service}", sloth_slo="{slo.name}"'


def _series(window: timedelta) -> str:
    return f"slo:sli_error:ratio_rate{format_duration(window)}"


def _ratios(slo: Slo, windows: Sequence[timedelta]) -> list[dict[str, Any]]:
    return [
        {
            "record": _series(window),
            "expr": ratio(slo, format_duration(window)),
            "labels": {**_labels(slo), "sloth_window": format_duration(window)},
        }
        for window in windows
    ]


def _meta(slo: Slo, period: timedelta, shortest: timedelta) -> list[dict[str, Any]]:
    ids, match = _matchers(slo), "on(sloth_id, sloth_slo, sloth_service) group_left"
    budget = f"{float(slo.objective.budget):.12g}"
    expressions = {
        "slo:objective:ratio": f"vector({float(slo.objective.target):.12g})",
        "slo:error_budget:ratio": f"vector({budget})",
        "slo:time_period:days": f"vector({period / _DAY:g})",
        "slo:current_burn_rate:ratio": f"{_series(shortest)}{{{ids}}} / {match} slo:error_budget:ratio{{{ids}}}",
        "slo:period_burn_rate:ratio": f"{_series(period)}{{{ids}}} / {match} slo:error_budget:ratio{{{ids}}}",
        "slo:period_error_budget_remaining:ratio": f"1 - slo:period_burn_rate:ratio{{{ids}}}",
        "sloth_slo_info": "vector(1)",
    }
    info = {
        "sloth_version": "quarterdeck",
        "sloth_mode": "cli-gen-prom",
        "sloth_spec": "prometheus/v1",
        "sloth_objective": f"{slo.objective}".removesuffix(" %"),
    }
    return [
        {
            "record": name,
            "expr": text,
            "labels": {**_labels(slo), **(info if name == "sloth_slo_info" else {})},
        }
        for name, text in expressions.items()
    ]


def _alert(slo: Slo, tier: Tier, pairs: Sequence[Pair]) -> dict[str, Any]:
    alerting = slo.alerting
    own = (alerting.page_labels, alerting.page_annotations)
    labels, annotations = own if tier is Tier.PAGE else (alerting.ticket_labels, alerting.ticket_annotations)
    title = f"({tier}) {{{{$labels.sloth_service}}}} {{{{$labels.sloth_slo}}}} SLO error budget burn rate is too fast."
    summary = "{{$labels.sloth_service}} {{$labels.sloth_slo}} SLO error budget burn rate is over expected."
    return {
        "alert": alerting.name or "SloBurn",
        "expr": "\nor\n".join(_burning(slo, pair) for pair in pairs),
        "labels": {**alerting.labels, **labels, "sloth_severity": str(tier)},
        "annotations": {"title": title, "summary": summary, **alerting.annotations, **annotations},
    }


def _burning(slo: Slo, pair: Pair) -> str:
    ids = _matchers(slo)
    bound = f"({float(pair.factor):.12g} * {float(slo.objective.budget):.12g})"
    both = [f"max{_by(slo)} ({_series(window)}{{{ids}}} > {bound})" for window in (pair.short, pair.long)]
    text = f"({both[0]} and {both[1]})"
    if isinstance(slo.indicator, RawRatio):
        return text
    seconds = pair.long.total_seconds()
    enough = f"({bad(slo, format_duration(pair.long))}) * {seconds:g} >= {LEAST_BAD}"
    return f"({text}\n  and{_on(slo)} ({enough}))"


def _by(slo: Slo) -> str:
    return f" by ({', '.join(('sloth_id', 'sloth_service', 'sloth_slo', *slo.group_by))})"


def _on(slo: Slo) -> str:
    return f" on ({', '.join(slo.group_by)})"
