"""Pyrra's ServiceLevelObjective resource (pyrra.dev/v1alpha1). Its metrics are plain selectors."""

from __future__ import annotations

from decimal import Decimal

from app.model.slo_spec import Alerting, Events, Indicator, Latency, NativeLatency, Probe, Slo, SpecFormat
from app.specs import promql
from app.specs.common import name_of, objective_of, origin_of, rolling_of
from app.specs.cursor import Cursor, needed

_SPEC = (
    "description",
    "target",
    "window",
    "serviceLevel",
    "indicator",
    "alerting",
    "partial_response_strategy",
    "performanceOverAccuracy",
    "ruleOutput",
)
_KINDS = ("ratio", "latency", "latencyNative", "bool_gauge")
_PREFIX = "pyrra.dev/"
_UNUSUAL = Decimal("0.01")  # below 1 %: somebody wrote a share


def read(document: Cursor) -> list[Slo]:
    """One document; the service is that of the label pyrra.dev/service, else the namespace, else the name."""
    top = document.fields(("apiVersion", "kind", "metadata", "spec", "status"))
    if (kind := needed(top, "kind", document)) is not None and kind.text() != "ServiceLevelObjective":
        kind.wrong(f"{kind.text()!r} is not known: ServiceLevelObjective")
    metadata, spec = needed(top, "metadata", document), needed(top, "spec", document)
    if metadata is None or spec is None:
        return []
    told = metadata.fields()
    name = name_of(needed(told, "name", metadata))
    labels = told["labels"].texts() if "labels" in told else {}
    own = {key.removeprefix(_PREFIX): value for key, value in labels.items() if key.startswith(_PREFIX)}
    namespace = told["namespace"].text() if "namespace" in told else ""
    annotations = told["annotations"].texts() if "annotations" in told else {}
    made = _spec(spec, document, name, own.get("service") or namespace or name or "", own)
    if made is None:
        return []
    kept = {key.removeprefix(_PREFIX): text for key, text in annotations.items() if key.startswith(_PREFIX)}
    made.annotations.update(kept)
    return [made]


def _spec(
    place: Cursor, document: Cursor, name: str | None, service: str, labels: dict[str, str]
) -> Slo | None:
    fields = place.fields(_SPEC)
    target = needed(fields, "target", place)
    objective = objective_of(target)
    if objective is not None and target is not None and objective.target < _UNUSUAL:
        target.note(f"is {target.text()} %: percentages are meant, such as 99.5")
    period = rolling_of(needed(fields, "window", place))
    found = needed(fields, "indicator", place)
    indicator, group_by = _indicator(found) if found is not None else (None, ())
    alerting = _alerting(fields["alerting"]) if "alerting" in fields else _default()
    if name is None or objective is None or period is None or indicator is None:
        return None
    return Slo(
        name,
        service,
        objective,
        period,
        indicator,
        origin_of(document, SpecFormat.PYRRA),
        description=fields["description"].text() if "description" in fields else "",
        group_by=group_by,
        labels=labels,
        alerting=alerting,
    )


def _indicator(place: Cursor) -> tuple[Indicator | None, tuple[str, ...]]:
    fields = place.fields(_KINDS)
    if len(fields) != 1:
        place.wrong(f"must hold exactly one of {', '.join(_KINDS)}")
        return None, ()
    ((kind, inner),) = fields.items()
    known = {
        "ratio": ("errors", "total", "grouping"),
        "latency": ("success", "total", "grouping"),
        "latencyNative": ("latency", "total", "grouping"),
        "bool_gauge": ("metric", "grouping"),
    }[kind]
    parts = inner.fields(known)
    group_by = tuple(one.text() for one in parts["grouping"].items()) if "grouping" in parts else ()
    readers = {"ratio": _ratio, "latency": _latency, "latencyNative": _native, "bool_gauge": _probe}
    return readers[kind](inner, parts), group_by


def _metric(parts: dict[str, Cursor], name: str, parent: Cursor) -> str | None:
    """The plain selector under `name: {metric: …}`."""
    place = needed(parts, name, parent)
    metric = needed(place.fields(("metric",)), "metric", place) if place is not None else None
    return promql.query(metric, window=False) if metric is not None else None


def _ratio(place: Cursor, parts: dict[str, Cursor]) -> Indicator | None:
    bad, total = _metric(parts, "errors", place), _metric(parts, "total", place)
    return Events(total, bad=bad) if bad is not None and total is not None else None


def _latency(place: Cursor, parts: dict[str, Cursor]) -> Indicator | None:
    within, total = _metric(parts, "success", place), _metric(parts, "total", place)
    if within is None or total is None:
        return None
    seconds = promql.bound_of(parts["success"].fields()["metric"])
    return Latency(within, total, seconds) if seconds is not None else None


def _native(place: Cursor, parts: dict[str, Cursor]) -> Indicator | None:
    total = _metric(parts, "total", place)
    bound = needed(parts, "latency", place)
    length = bound.duration() if bound is not None else None
    return NativeLatency(total, length.total_seconds()) if total is not None and length is not None else None


def _probe(place: Cursor, parts: dict[str, Cursor]) -> Indicator | None:
    metric = needed(parts, "metric", place)
    text = promql.query(metric, window=False) if metric is not None else None
    return Probe(text) if text is not None else None


def _default() -> Alerting:
    return Alerting(name="ErrorBudgetBurn", style=SpecFormat.PYRRA, on_absence=True)


def _alerting(place: Cursor) -> Alerting:
    fields = place.fields(("disabled", "burnrates", "absent", "name", "absentName", "severities"))
    off = "disabled" in fields and fields["disabled"].flag()
    burns = not off and ("burnrates" not in fields or fields["burnrates"].flag())
    return Alerting(
        name=fields["name"].text() if "name" in fields else "ErrorBudgetBurn",
        page=burns,
        ticket=burns,
        on_absence=not off and ("absent" not in fields or fields["absent"].flag()),
        style=SpecFormat.PYRRA,
    )
