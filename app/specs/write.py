"""Objectives as a file of any of the formats, or as rules for a Prometheus."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import yaml

from app.config import format_duration
from app.model.slo import Rolling
from app.model.slo_spec import (
    WINDOW,
    Events,
    Indicator,
    Latency,
    Method,
    NativeLatency,
    Probe,
    RawRatio,
    Seen,
    Slo,
    Threshold,
)
from app.specs.expressions import Unsayable, bad, ratio, total
from app.specs.rules import rules

__all__ = ["FORMATS", "Unsayable", "write"]


def write(slos: Sequence[Slo], form: str) -> str:
    """YAML of these objectives in a format of FORMATS. Raises Unsayable when the format has no words for one."""
    documents = FORMATS[form](slos)
    return "---\n".join(
        yaml.dump(one, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120) for one in documents
    )


class _Dumper(yaml.SafeDumper):
    """Texts of several lines stand as blocks."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def _filled(**fields: Any) -> dict[str, Any]:
    """Only what is there."""
    return {name: value for name, value in fields.items() if value not in (None, "", {}, [], ())}


def _percent(slo: Slo) -> int | float:
    value = float(slo.objective.target * 100)
    return int(value) if value == int(value) else value


# Our own -----------------------------------------------------------------------------------------


def _native(slos: Sequence[Slo]) -> list[Any]:
    return [{"slos": [_own(slo) for slo in slos]}]


def _own(slo: Slo) -> dict[str, Any]:
    window: Any = (
        format_duration(slo.period.length)
        if isinstance(slo.period, Rolling)
        else {"calendar": str(slo.period.unit), "zone": slo.period.zone}
    )
    if not isinstance(slo.period, Rolling) and slo.period.count != 1:
        raise Unsayable(
            f"{slo.id}: a calendar window of {slo.period.count} {slo.period.unit}s is not in our form yet"
        )
    alerting = slo.alerting
    alerts = _filled(name=alerting.name, labels=alerting.labels, annotations=alerting.annotations)
    switches = {"page": alerting.page, "ticket": alerting.ticket}
    return _filled(
        name=slo.name,
        service=slo.service,
        objective=_percent(slo),
        window=window,
        description=slo.description,
        **_indicator(slo.indicator),
        method=str(slo.method) if slo.method is not Method.OCCURRENCES else None,
        slice=format_duration(slo.slice_length) if slo.slice_length is not None else None,
        slice_target=float(slo.slice_target * 100) if slo.slice_target is not None else None,
        group_by=list(slo.group_by),
        labels=slo.labels,
        annotations=slo.annotations,
        alerting={
            **alerts,
            **{tier: on for tier, on in switches.items() if not on},
            **({"on_absence": True} if alerting.on_absence else {}),
        },
    )


def _indicator(indicator: Indicator) -> dict[str, Any]:
    if isinstance(indicator, Events):
        return {"events": _filled(**asdict(indicator))}
    if isinstance(indicator, RawRatio):
        return {"ratio": {indicator.of: indicator.ratio}}
    if isinstance(indicator, Latency):
        return {"latency": {"within": indicator.within, "total": indicator.total}}
    if isinstance(indicator, NativeLatency):
        return {"latency": {"histogram": indicator.histogram, "threshold": _length(indicator.seconds)}}
    if isinstance(indicator, Probe):
        return {"probe": indicator.gauge}
    if isinstance(indicator, Threshold):
        return {"threshold": asdict(indicator)}
    threshold = _length(indicator.seconds) if indicator.seconds is not None else None
    return {"seen": _filled(element=indicator.element, threshold=threshold)}


def _length(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms" if seconds * 1000 % 1000 else f"{round(seconds)}s"


# Others ------------------------------------------------------------------------------------------


def _sloth(slos: Sequence[Slo]) -> list[Any]:
    by_service: dict[str, list[Slo]] = defaultdict(list)
    for slo in slos:
        by_service[slo.service].append(slo)
    return [
        {"version": "prometheus/v1", "service": service, "slos": [_sloth_slo(slo) for slo in members]}
        for service, members in by_service.items()
    ]


def _sloth_slo(slo: Slo) -> dict[str, Any]:
    _must_count_events(slo, "Sloth")
    alerting = slo.alerting
    sli: dict[str, Any] = (
        {"raw": {"error_ratio_query": ratio(slo, WINDOW)}}
        if isinstance(slo.indicator, RawRatio)
        else {"events": {"error_query": bad(slo, WINDOW), "total_query": total(slo, WINDOW)}}
    )
    return _filled(
        name=slo.name,
        objective=_percent(slo),
        description=slo.description,
        labels=slo.labels,
        sli=sli,
        alerting=_filled(
            name=alerting.name or ("SloBurn" if alerting.page or alerting.ticket else ""),
            labels=alerting.labels,
            annotations=alerting.annotations,
            page_alert=_tier(alerting.page, alerting.page_labels, alerting.page_annotations),
            ticket_alert=_tier(alerting.ticket, alerting.ticket_labels, alerting.ticket_annotations),
        ),
    )


def _tier(on: bool, labels: dict[str, str], annotations: dict[str, str]) -> dict[str, Any]:
    return _filled(disable=None if on else True, labels=labels, annotations=annotations)


def _pyrra(slos: Sequence[Slo]) -> list[Any]:
    return [_pyrra_slo(slo) for slo in slos]


def _pyrra_slo(slo: Slo) -> dict[str, Any]:
    _must_count_events(slo, "Pyrra")
    if not isinstance(slo.period, Rolling):
        raise Unsayable(f"{slo.id}: Pyrra knows rolling windows only")
    labels = {f"pyrra.dev/{name}": value for name, value in {**slo.labels, "service": slo.service}.items()}
    alerting = _filled(
        name=slo.alerting.name,
        burnrates=None if slo.alerting.page or slo.alerting.ticket else False,
        absent=None if slo.alerting.on_absence else False,
    )
    return {
        "apiVersion": "pyrra.dev/v1alpha1",
        "kind": "ServiceLevelObjective",
        "metadata": _filled(
            name=slo.name,
            labels=labels,
            annotations={f"pyrra.dev/{k}": v for k, v in slo.annotations.items()},
        ),
        "spec": _filled(
            target=f"{_percent(slo)}",
            window=format_duration(slo.period.length),
            description=slo.description,
            indicator=_pyrra_indicator(slo),
            alerting=alerting,
        ),
    }


def _pyrra_indicator(slo: Slo) -> dict[str, Any]:
    indicator, grouping = slo.indicator, list(slo.group_by)
    if (
        isinstance(indicator, Events)
        and indicator.bad is not None
        and WINDOW not in indicator.bad + indicator.total
    ):
        parts = {"errors": {"metric": indicator.bad}, "total": {"metric": indicator.total}}
        return {"ratio": _filled(**parts, grouping=grouping)}
    if isinstance(indicator, Latency) and WINDOW not in indicator.within + indicator.total:
        parts = {"success": {"metric": indicator.within}, "total": {"metric": indicator.total}}
        return {"latency": _filled(**parts, grouping=grouping)}
    if isinstance(indicator, NativeLatency):
        length, metric = _length(indicator.seconds), {"metric": indicator.histogram}
        return {"latencyNative": _filled(latency=length, total=metric, grouping=grouping)}
    if isinstance(indicator, Probe):
        return {"bool_gauge": _filled(metric=indicator.gauge, grouping=grouping)}
    raise Unsayable(f"{slo.id}: Pyrra needs plain selectors of errors and of the total, a latency or a probe")


def _must_count_events(slo: Slo, form: str) -> None:
    if slo.method is not Method.OCCURRENCES:
        raise Unsayable(f"{slo.id}: {form} knows no time slices")


def _openslo(slos: Sequence[Slo]) -> list[Any]:
    return [_openslo_slo(slo) for slo in slos]


def _openslo_slo(slo: Slo) -> dict[str, Any]:
    name = f"{slo.service}-{slo.name}".lower().replace("_", "-").replace(".", "-")[:63]
    words = {
        Method.OCCURRENCES: "Occurrences",
        Method.TIMESLICES: "Timeslices",
        Method.RATIO_TIMESLICES: "RatioTimeslices",
    }
    objective = _filled(
        target=float(slo.objective.target),
        timeSliceTarget=float(slo.slice_target) if slo.slice_target is not None else None,
        timeSliceWindow=format_duration(slo.slice_length) if slo.slice_length is not None else None,
    )
    if isinstance(slo.indicator, Threshold):
        objective = {"op": slo.indicator.op, "value": slo.indicator.value, **objective}
    return {
        "apiVersion": "openslo/v1",
        "kind": "SLO",
        "metadata": {"name": name},
        "spec": _filled(
            description=slo.description,
            service=slo.service,
            indicator={"metadata": {"name": name}, "spec": _openslo_indicator(slo)},
            timeWindow=[_openslo_window(slo)],
            budgetingMethod=words[slo.method],
            objectives=[objective],
        ),
    }


def _openslo_window(slo: Slo) -> dict[str, Any]:
    if isinstance(slo.period, Rolling):
        minutes = round(slo.period.length.total_seconds() / 60)
        size, unit = next(
            (size, unit) for size, unit in ((1440, "d"), (60, "h"), (1, "m")) if minutes % size == 0
        )
        return {"duration": f"{minutes // size}{unit}", "isRolling": True}
    unit = {"day": "d", "week": "w", "month": "M", "quarter": "Q", "year": "Y"}[slo.period.unit]
    start = f"{slo.period.anchor.isoformat()} 00:00:00"
    calendar = {"startTime": start, "timeZone": slo.period.zone}
    return {"duration": f"{slo.period.count}{unit}", "calendar": calendar, "isRolling": False}


def _openslo_indicator(slo: Slo) -> dict[str, Any]:
    indicator = slo.indicator
    if isinstance(indicator, Seen):
        raise Unsayable(f"{slo.id}: OpenSLO has no word for what Quarterdeck's own topology sees")
    if isinstance(indicator, Threshold):
        return {"thresholdMetric": _source(indicator.metric)}
    if isinstance(indicator, RawRatio):
        kind = "success" if indicator.of == "good" else "failure"
        return {"ratioMetric": {"rawType": kind, "raw": _source(indicator.ratio)}}
    if isinstance(indicator, Events):
        side, part = ("bad", indicator.bad) if indicator.bad is not None else ("good", indicator.good)
        return {
            "ratioMetric": {"counter": True, side: _source(part or ""), "total": _source(indicator.total)}
        }
    if isinstance(indicator, Latency):
        parts = {"good": _source(indicator.within), "total": _source(indicator.total)}
        return {"ratioMetric": {"counter": True, **parts}}
    return {
        "ratioMetric": {
            "counter": True,
            "bad": _source(bad(slo, WINDOW)),
            "total": _source(total(slo, WINDOW)),
        }
    }


def _source(query: str) -> dict[str, Any]:
    return {"metricSource": {"type": "Prometheus", "spec": {"query": query}}}


FORMATS: dict[str, Callable[[Sequence[Slo]], list[Any]]] = {
    "quarterdeck": _native,
    "sloth": _sloth,
    "pyrra": _pyrra,
    "openslo": _openslo,
    "prometheus": lambda slos: [rules(slos)],
}
