"""Sloth's `prometheus/v1` files and its PrometheusServiceLevel resource. Both carry no period: the caller gives it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from app.model.slo import Rolling
from app.model.slo_spec import Alerting, Events, Indicator, RawRatio, Slo, SpecFormat
from app.specs import promql
from app.specs.common import name_of, objective_of, origin_of
from app.specs.cursor import Cursor, needed


@dataclass(frozen=True, slots=True)
class _Words:
    """The same names as the file writes them and as the resource does."""

    plugins: str = "slo_plugins"
    errors: str = "error_query"
    total: str = "total_query"
    ratio: str = "error_ratio_query"
    page: str = "page_alert"
    ticket: str = "ticket_alert"


_RESOURCE = _Words("sloPlugins", "errorQuery", "totalQuery", "errorRatioQuery", "pageAlert", "ticketAlert")


def read_file(document: Cursor, period: timedelta) -> list[Slo]:
    """A document with `version: prometheus/v1`."""
    words = _Words()
    fields = document.fields(("version", "service", "labels", words.plugins, "slos"))
    return _service(document, fields, words, period)


def read_resource(document: Cursor, period: timedelta) -> list[Slo]:
    """A Kubernetes resource of kind PrometheusServiceLevel."""
    top = document.fields(("apiVersion", "kind", "metadata", "spec", "status"))
    if (kind := needed(top, "kind", document)) is not None and kind.text() != "PrometheusServiceLevel":
        kind.wrong(f"{kind.text()!r} is not known: PrometheusServiceLevel")
    spec = needed(top, "spec", document)
    if spec is None:
        return []
    return _service(spec, spec.fields(("service", "labels", _RESOURCE.plugins, "slos")), _RESOURCE, period)


def _service(parent: Cursor, fields: dict[str, Cursor], words: _Words, period: timedelta) -> list[Slo]:
    service = name_of(needed(fields, "service", parent))
    labels = fields["labels"].texts() if "labels" in fields else {}
    _plugins(fields.get(words.plugins))
    listed = needed(fields, "slos", parent)
    found = [
        _slo(place, service or "", labels, words, period) for place in (listed.items() if listed else ())
    ]
    return [one for one in found if one is not None and service]


def _slo(place: Cursor, service: str, labels: dict[str, str], words: _Words, period: timedelta) -> Slo | None:
    fields = place.fields(("name", "description", "objective", "plugins", "labels", "sli", "alerting"))
    _plugins(fields.get("plugins"))
    name = name_of(needed(fields, "name", place))
    objective = objective_of(needed(fields, "objective", place))
    sli = needed(fields, "sli", place)
    indicator = _indicator(sli, words) if sli is not None else None
    alerts = needed(fields, "alerting", place)
    alerting = _alerting(alerts, words) if alerts is not None else Alerting()
    if name is None or objective is None or indicator is None:
        return None
    own = fields["labels"].texts() if "labels" in fields else {}
    return Slo(
        name,
        service,
        objective,
        Rolling(period),
        indicator,
        origin_of(place, SpecFormat.SLOTH),
        description=fields["description"].text() if "description" in fields else "",
        labels={**labels, **own},
        alerting=alerting,
    )


def _indicator(place: Cursor, words: _Words) -> Indicator | None:
    fields = place.fields(("events", "raw", "plugin"))
    if len(fields) != 1:
        place.wrong("must hold exactly one of events, raw and plugin")
        return None
    if "plugin" in fields:
        fields["plugin"].wrong("plugins are code of Sloth: write the queries that it makes, as events or raw")
        return None
    if "raw" in fields:
        inner = fields["raw"].fields((words.ratio,))
        ratio = needed(inner, words.ratio, fields["raw"])
        text = promql.query(ratio, window=True) if ratio is not None else None
        return RawRatio(text) if text is not None else None
    inner = fields["events"].fields((words.errors, words.total))
    both = [needed(inner, key, fields["events"]) for key in (words.errors, words.total)]
    bad, total = (promql.query(one, window=True) if one is not None else None for one in both)
    return Events(total, bad=bad) if bad is not None and total is not None else None


def _alerting(place: Cursor, words: _Words) -> Alerting:
    fields = place.fields(("name", "labels", "annotations", words.page, words.ticket))
    made = Alerting(
        name=fields["name"].text() if "name" in fields else "",
        style=SpecFormat.SLOTH,
        labels=fields["labels"].texts() if "labels" in fields else {},
        annotations=fields["annotations"].texts() if "annotations" in fields else {},
    )
    on, labels, annotations = _tier(fields.get(words.page))
    made = replace(made, page=on, page_labels=labels, page_annotations=annotations)
    on, labels, annotations = _tier(fields.get(words.ticket))
    made = replace(made, ticket=on, ticket_labels=labels, ticket_annotations=annotations)
    if not made.name and (made.page or made.ticket):
        place.wrong("name is missing: it is needed unless both alerts are disabled")
    return made


def _tier(place: Cursor | None) -> tuple[bool, dict[str, str], dict[str, str]]:
    fields = place.fields(("disable", "labels", "annotations")) if place is not None else {}
    on = not fields["disable"].flag() if "disable" in fields else True
    labels, annotations = (fields[key].texts() if key in fields else {} for key in ("labels", "annotations"))
    return on, labels, annotations


def _plugins(place: Cursor | None) -> None:
    if place is not None and "chain" in place.fields():
        place.note("plugins are code of Sloth: they are not run here")
