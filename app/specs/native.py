"""Our own short form: a list under `slos`, each with one indicator beside its name, objective and window."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

from app.model.slo import Calendar, CalendarUnit, Rolling
from app.model.slo_spec import (
    Alerting,
    Events,
    Indicator,
    Latency,
    Method,
    NativeLatency,
    Probe,
    RawRatio,
    Seen,
    Slo,
    SpecFormat,
    Threshold,
)
from app.specs import promql
from app.specs.common import name_of, objective_of, origin_of, rolling_of
from app.specs.cursor import Cursor, needed

INDICATORS = ("events", "ratio", "latency", "probe", "threshold", "seen")
_OTHERS = (
    "name",
    "service",
    "objective",
    "window",
    "description",
    "method",
    "slice",
    "slice_target",
    "group_by",
    "labels",
    "annotations",
    "alerting",
)


def read(document: Cursor, period: timedelta) -> list[Slo]:
    """A document with `slos`; `period` holds where a window is not given."""
    listed = document.fields(("slos",)).get("slos")
    made = [_slo(place, period) for place in (listed.items() if listed is not None else ())]
    return [one for one in made if one is not None]


def _slo(place: Cursor, period: timedelta) -> Slo | None:
    fields = place.fields((*_OTHERS, *INDICATORS))
    name, service = name_of(needed(fields, "name", place)), name_of(needed(fields, "service", place))
    objective = objective_of(needed(fields, "objective", place))
    window = _window(fields["window"]) if "window" in fields else Rolling(period)
    indicator = _indicator(place, fields)
    method, length, target = _method(place, fields)
    if name is None or service is None or objective is None or window is None or indicator is None:
        return None
    return Slo(
        name,
        service,
        objective,
        window,
        indicator,
        origin_of(place, SpecFormat.NATIVE),
        description=fields["description"].text() if "description" in fields else "",
        method=method,
        slice_length=length,
        slice_target=target,
        group_by=tuple(one.text() for one in fields["group_by"].items()) if "group_by" in fields else (),
        labels=fields["labels"].texts() if "labels" in fields else {},
        annotations=fields["annotations"].texts() if "annotations" in fields else {},
        alerting=_alerting(fields["alerting"]) if "alerting" in fields else Alerting(),
    )


def _window(place: Cursor) -> Rolling | Calendar | None:
    """`30d`, or `{calendar: month, zone: Europe/Berlin}`."""
    if not place.mapping:
        return rolling_of(place)
    fields = place.fields(("calendar", "zone"))
    unit = needed(fields, "calendar", place)
    word = unit.one_of(*CalendarUnit) if unit is not None else None
    zone = fields["zone"].text() if "zone" in fields else "UTC"
    return Calendar(CalendarUnit(word), zone) if word is not None and zone_known(fields.get("zone")) else None


def zone_known(place: Cursor | None) -> bool:
    """Whether a time zone of that name exists; it is a problem when not. No place = UTC."""
    if place is None:
        return True
    try:
        ZoneInfo(place.text())
    except (KeyError, ValueError, OSError):
        place.wrong(f"{place.text()[:60]!r} is no time zone, such as Europe/Berlin")
        return False
    return True


def _method(place: Cursor, fields: dict[str, Cursor]) -> tuple[Method, timedelta | None, Decimal | None]:
    word = fields["method"].one_of(*Method) if "method" in fields else None
    method = Method(word) if word is not None else Method.OCCURRENCES
    length = fields["slice"].duration() if "slice" in fields else None
    target = _slice_target(fields.get("slice_target"))
    if method is Method.OCCURRENCES and ("slice" in fields or "slice_target" in fields):
        place.wrong("slice and slice_target go with method timeslices or ratio-timeslices")
    if method is not Method.OCCURRENCES and "slice" not in fields:
        place.wrong(f"slice is missing: method {method} counts slices of time, such as 1m")
    if method is Method.TIMESLICES and "slice_target" not in fields:
        place.wrong("slice_target is missing: the percentage of good events that makes a slice good")
    return method, length, target


def _slice_target(place: Cursor | None) -> Decimal | None:
    if place is None:
        return None
    try:
        share = Decimal(place.text()) / 100
    except InvalidOperation:
        share = Decimal(-1)
    if 0 < share <= 1:
        return share
    place.wrong(f"{place.text()[:40]!r} is not a percentage above 0 and up to 100")
    return None


def _indicator(place: Cursor, fields: dict[str, Cursor]) -> Indicator | None:
    given = [name for name in INDICATORS if name in fields]
    if len(given) != 1:
        place.wrong(
            f"must hold exactly one of {', '.join(INDICATORS)}; it holds {' and '.join(given) or 'none'}"
        )
        return None
    readers: dict[str, Callable[[Cursor], Indicator | None]] = {
        "events": _events,
        "ratio": _ratio,
        "latency": _latency,
        "probe": _probe,
        "threshold": _threshold,
        "seen": _seen,
    }
    return readers[given[0]](fields[given[0]])


def _query(fields: dict[str, Cursor], name: str) -> str | None:
    return promql.query(fields[name]) if name in fields else None


def _events(place: Cursor) -> Indicator | None:
    fields = place.fields(("total", "bad", "good"))
    needed(fields, "total", place)
    if ("bad" in fields) is ("good" in fields):
        place.wrong("must hold either bad or good beside total")
    total, bad, good = (_query(fields, name) for name in ("total", "bad", "good"))
    return Events(total, bad, good) if total is not None and (bad is None) is not (good is None) else None


def _ratio(place: Cursor) -> Indicator | None:
    fields = place.fields(("bad", "good"))
    if len(fields) != 1:
        place.wrong("must hold either bad or good: an expression of 0 to 1")
        return None
    ((side, inner),) = fields.items()
    text = promql.query(inner, window=True)
    return RawRatio(text, "bad" if side == "bad" else "good") if text is not None else None


def _latency(place: Cursor) -> Indicator | None:
    """`{within: x_bucket{le="0.3"}, total: x_count}`, or `{histogram: x, threshold: 300ms}`."""
    fields = place.fields(("within", "total", "histogram", "threshold"))
    if "histogram" in fields:
        bound = needed(fields, "threshold", place)
        length, text = (
            bound.duration() if bound is not None else None,
            promql.query(fields["histogram"], window=False),
        )
        return (
            NativeLatency(text, length.total_seconds()) if length is not None and text is not None else None
        )
    needed(fields, "within", place)
    needed(fields, "total", place)
    within, total = _query(fields, "within"), _query(fields, "total")
    seconds = promql.bound_of(fields["within"]) if within is not None else None
    return Latency(within, total, seconds) if within and total and seconds is not None else None


def _probe(place: Cursor) -> Indicator | None:
    text = promql.query(place, window=False)
    return Probe(text) if text is not None else None


def _threshold(place: Cursor) -> Indicator | None:
    fields = place.fields(("metric", "op", "value"))
    metric, op, value = (needed(fields, name, place) for name in ("metric", "op", "value"))
    text = promql.query(metric, window=False) if metric is not None else None
    word = op.one_of("lt", "lte", "gt", "gte") if op is not None else None
    number = value.number() if value is not None else None
    return Threshold(text, word, number) if text and word and number is not None else None  # type: ignore[arg-type]


def _seen(place: Cursor) -> Indicator | None:
    """`{element: <id of a service or connection>, threshold: 300ms}`; without a threshold: not failed."""
    fields = place.fields(("element", "threshold"))
    element = needed(fields, "element", place)
    length = fields["threshold"].duration() if "threshold" in fields else None
    if element is None or not element.text() or ("threshold" in fields and length is None):
        return None
    return Seen(element.text(), length.total_seconds() if length is not None else None)


def _alerting(place: Cursor) -> Alerting:
    fields = place.fields(("page", "ticket", "on_absence", "name", "labels", "annotations"))
    return Alerting(
        name=fields["name"].text() if "name" in fields else "",
        page="page" not in fields or fields["page"].flag(),
        ticket="ticket" not in fields or fields["ticket"].flag(),
        on_absence="on_absence" in fields and fields["on_absence"].flag(),
        labels=fields["labels"].texts() if "labels" in fields else {},
        annotations=fields["annotations"].texts() if "annotations" in fields else {},
    )
