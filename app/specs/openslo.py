"""OpenSLO v1: objects of seven kinds that refer to each other by name, also across files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation

from app.model.slo import Calendar, CalendarUnit, Objective, Rolling
from app.model.slo_spec import (
    Alerting,
    Condition,
    Events,
    Indicator,
    Method,
    RawRatio,
    Slo,
    SpecFormat,
    Threshold,
)
from app.specs import promql
from app.specs.common import objective_of, origin_of, rolling_of
from app.specs.cursor import Cursor, needed
from app.specs.native import zone_known

KINDS = ("SLO", "SLI", "Service", "DataSource", "AlertPolicy", "AlertCondition", "AlertNotificationTarget")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SHORTHAND = re.compile(r"([1-9][0-9]*)([mhdwMQY])")
_OBJECTIVE = (
    "displayName",
    "op",
    "value",
    "target",
    "targetPercent",
    "timeSliceTarget",
    "timeSliceWindow",
    "compositeWeight",
)
_LENGTHS = {
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_UNITS = {
    "d": CalendarUnit.DAY,
    "w": CalendarUnit.WEEK,
    "M": CalendarUnit.MONTH,
    "Q": CalendarUnit.QUARTER,
    "Y": CalendarUnit.YEAR,
}
_ROLLING = {"M": timedelta(days=30), "Q": timedelta(days=90), "Y": timedelta(days=365)}
_METHODS = {
    "Occurrences": Method.OCCURRENCES,
    "Timeslices": Method.TIMESLICES,
    "RatioTimeslices": Method.RATIO_TIMESLICES,
}


@dataclass(slots=True)
class Objects:
    """All OpenSLO objects of some files, by kind and name."""

    named: dict[tuple[str, str], Cursor] = field(default_factory=dict)
    documents: dict[tuple[str, str], Cursor] = field(default_factory=dict)

    def add(self, document: Cursor) -> list[Slo]:
        """Take one object; objectives come from `slos`, when all objects are known."""
        top = document.fields(("apiVersion", "kind", "metadata", "spec"))
        kind, metadata, spec = (needed(top, name, document) for name in ("kind", "metadata", "spec"))
        word = kind.one_of(*KINDS) if kind is not None else None
        name = needed(metadata.fields(), "name", metadata) if metadata is not None else None
        if word is None or name is None or spec is None:
            return []
        if not _NAME.fullmatch(name.text()):
            name.wrong(f"{name.text()[:70]!r} is no name: lower-case letters, digits and dashes, at most 63")
        elif (word, name.text()) in self.named:
            name.wrong(f"a {word} of this name is there twice")
        else:
            self.named[word, name.text()], self.documents[word, name.text()] = spec, document
        return []

    def slos(self) -> list[Slo]:
        """The objectives of all SLO objects; several objectives of one object are numbered from 0."""
        return [
            slo
            for (kind, name), spec in self.named.items()
            if kind == "SLO"
            for slo in _Reading(self, name, spec, self.documents[kind, name]).slos()
        ]

    def find(self, kind: str, place: Cursor) -> Cursor | None:
        """The spec of the object that `place` names; None when there is none, which is a problem."""
        found = self.named.get((kind, place.text()))
        if found is None:
            place.wrong(f"names {kind} {place.text()!r}, which is in none of the files")
        return found


@dataclass(frozen=True, slots=True)
class _Reading:
    objects: Objects
    name: str
    spec: Cursor
    document: Cursor

    def slos(self) -> Iterator[Slo]:
        fields = self.spec.fields(
            (
                "description",
                "service",
                "indicator",
                "indicatorRef",
                "timeWindow",
                "budgetingMethod",
                "objectives",
                "alertPolicies",
            )
        )
        service = needed(fields, "service", self.spec)
        way = needed(fields, "budgetingMethod", self.spec)
        word = way.one_of(*_METHODS) if way is not None else None
        window = needed(fields, "timeWindow", self.spec)
        period = _period(window) if window is not None else None
        shared = self._indicator(fields, self.spec)
        listed = needed(fields, "objectives", self.spec)
        places = list(listed.items()) if listed is not None else []
        alerting = self._alerting(fields.get("alertPolicies"))
        if any("indicator" in one or "indicatorRef" in one for one in (_keys(place) for place in places)):
            self.spec.wrong(
                "composite objectives (an indicator in each objective) are not read yet: write one SLO each"
            )
            return
        for number, place in enumerate(places):
            made = _objective(place, shared, word)
            if made is None or period is None or service is None or shared is None or word is None:
                continue
            objective, indicator, length, target = made
            yield Slo(
                self.name if len(places) == 1 else f"{self.name}-{number}",
                service.text(),
                objective,
                period,
                indicator,
                origin_of(self.document, SpecFormat.OPENSLO),
                description=fields["description"].text() if "description" in fields else "",
                method=_METHODS[word],
                slice_length=length,
                slice_target=target,
                alerting=alerting,
            )

    def _indicator(self, fields: dict[str, Cursor], parent: Cursor) -> Indicator | None:
        if ("indicator" in fields) is ("indicatorRef" in fields):
            parent.wrong("must hold either indicator or indicatorRef")
            return None
        if "indicatorRef" in fields:
            spec = self.objects.find("SLI", fields["indicatorRef"])
        else:
            spec = needed(fields["indicator"].fields(("metadata", "spec")), "spec", fields["indicator"])
        return _sli(spec) if spec is not None else None

    def _alerting(self, place: Cursor | None) -> Alerting:
        made = Alerting(name=self.name, style=SpecFormat.OPENSLO)
        if place is None:
            return made
        for entry in place.items():
            policy = self._spec_of("AlertPolicy", entry, "alertPolicyRef")
            if policy is not None:
                made = self._policy(policy, made)
        return made

    def _spec_of(self, kind: str, entry: Cursor, reference: str) -> Cursor | None:
        """An object given inline (kind, metadata, spec) or by its name."""
        fields = entry.fields(("kind", "metadata", "spec", reference))
        if reference in fields:
            return self.objects.find(kind, fields[reference])
        return needed(fields, "spec", entry)

    def _policy(self, policy: Cursor, made: Alerting) -> Alerting:
        fields = policy.fields(
            (
                "description",
                "alertWhenNoData",
                "alertWhenResolved",
                "alertWhenBreaching",
                "conditions",
                "notificationTargets",
            )
        )
        conditions = list(made.conditions)
        for entry in fields["conditions"].items() if "conditions" in fields else ():
            spec = self._spec_of("AlertCondition", entry, "conditionRef")
            found = _condition(spec) if spec is not None else None
            conditions += [found] if found is not None else []
        targets = [*made.receivers]
        for entry in fields["notificationTargets"].items() if "notificationTargets" in fields else ():
            spec = self._spec_of("AlertNotificationTarget", entry, "targetRef")
            target = (
                needed(spec.fields(("target", "description")), "target", spec) if spec is not None else None
            )
            targets += [target.text()] if target is not None else []
        absent = "alertWhenNoData" in fields and fields["alertWhenNoData"].flag()
        return replace(
            made, conditions=tuple(conditions), receivers=tuple(targets), on_absence=made.on_absence or absent
        )


def _keys(place: Cursor) -> set[str]:
    return set(place.fields()) if place.mapping else set()


def _period(place: Cursor) -> Rolling | Calendar | None:
    windows = list(place.items())
    if len(windows) != 1:
        place.wrong("must hold exactly one window")
        return None
    fields = windows[0].fields(("duration", "isRolling", "calendar"))
    length = needed(fields, "duration", windows[0])
    rolling = needed(fields, "isRolling", windows[0])
    if length is None or rolling is None:
        return None
    match = _SHORTHAND.fullmatch(length.text())
    if match is None:
        length.wrong(f"{length.text()[:40]!r} is not a duration: a whole number and one of m h d w M Q Y")
        return None
    count, unit = int(match[1]), match[2]
    if rolling.flag():
        if "calendar" in fields:
            fields["calendar"].wrong("goes with isRolling: false")
        return rolling_of(length, count * (_LENGTHS.get(unit) or _ROLLING[unit]))
    return _calendar(windows[0], fields, count, unit)


def _calendar(place: Cursor, fields: dict[str, Cursor], count: int, unit: str) -> Calendar | None:
    inner = needed(fields, "calendar", place)
    if inner is None:
        return None
    told = inner.fields(("startTime", "timeZone"))
    start, zone = needed(told, "startTime", inner), needed(told, "timeZone", inner)
    if unit not in _UNITS:
        fields["duration"].wrong("a calendar period is counted in d, w, M, Q or Y")
        return None
    if start is None or zone is None or not zone_known(zone):
        return None
    try:
        anchor = date.fromisoformat(start.text()[:10])
    except ValueError:
        start.wrong(f"{start.text()[:40]!r} is not a time such as 2020-01-21 12:30:00")
        return None
    return Calendar(_UNITS[unit], zone.text(), count, anchor)


def _objective(
    place: Cursor, indicator: Indicator | None, method: str | None
) -> tuple[Objective, Indicator, timedelta | None, Decimal | None] | None:
    fields = place.fields(
        (
            "displayName",
            "op",
            "value",
            "target",
            "targetPercent",
            "timeSliceTarget",
            "timeSliceWindow",
            "compositeWeight",
        )
    )
    if ("target" in fields) is ("targetPercent" in fields):
        place.wrong("must hold either target or targetPercent")
        return None
    share = "target" in fields
    objective = objective_of(fields["target" if share else "targetPercent"], share=share)
    length = _slice_length(fields.get("timeSliceWindow"))
    target = _share(fields.get("timeSliceTarget"))
    if method in ("Timeslices", "RatioTimeslices"):
        needed(fields, "timeSliceWindow", place)
    if method == "Timeslices":
        needed(fields, "timeSliceTarget", place)
    if isinstance(indicator, Threshold):
        op, value = needed(fields, "op", place), needed(fields, "value", place)
        word = op.one_of("lte", "gte", "lt", "gt") if op is not None else None
        number = value.number() if value is not None else None
        if word is None or number is None:
            return None
        indicator = replace(indicator, op=word, value=number)  # type: ignore[arg-type]
    return (objective, indicator, length, target) if objective is not None and indicator is not None else None


def _slice_length(place: Cursor | None) -> timedelta | None:
    """Minutes as a number, or a duration."""
    if place is None:
        return None
    text = place.text()
    if text.isascii() and text.isdecimal() and 0 < len(text) < 7:
        return timedelta(minutes=int(text))
    return place.duration()


def _share(place: Cursor | None) -> Decimal | None:
    if place is None:
        return None
    try:
        share = Decimal(place.text())
    except InvalidOperation:
        share = Decimal(-1)
    if 0 < share <= 1:
        return share
    place.wrong("must be a share above 0 and up to 1")
    return None


def _sli(spec: Cursor) -> Indicator | None:
    fields = spec.fields(("description", "thresholdMetric", "ratioMetric"))
    if ("thresholdMetric" in fields) is ("ratioMetric" in fields):
        spec.wrong("must hold exactly one of thresholdMetric and ratioMetric")
        return None
    if "thresholdMetric" in fields:
        text = _source(fields["thresholdMetric"], window=False)
        return Threshold(text, "lte", 0.0) if text is not None else None
    return _ratio(fields["ratioMetric"])


def _ratio(place: Cursor) -> Indicator | None:
    fields = place.fields(("counter", "good", "bad", "total", "rawType", "raw"))
    if "raw" in fields:
        kind = needed(fields, "rawType", place)
        word = kind.one_of("success", "failure") if kind is not None else None
        text = _source(fields["raw"], window=True)
        return RawRatio(text, "good" if word == "success" else "bad") if text is not None and word else None
    total = needed(fields, "total", place)
    if ("good" in fields) is ("bad" in fields):
        place.wrong("must hold either good or bad beside total")
        return None
    if "counter" in fields and not fields["counter"].flag():
        fields["counter"].wrong("gauges of events are not read: count them with a counter")
        return None
    side = "good" if "good" in fields else "bad"
    part, whole = _source(fields[side]), _source(total) if total is not None else None
    if part is None or whole is None:
        return None
    return Events(whole, good=part) if side == "good" else Events(whole, bad=part)


def _source(place: Cursor, *, window: bool | None = None) -> str | None:
    """The query of a metric source, as the specification's examples place it."""
    source = needed(place.fields(("metricSource",)), "metricSource", place)
    spec = (
        needed(source.fields(("metricSourceRef", "type", "spec")), "spec", source)
        if source is not None
        else None
    )
    query = needed(spec.fields(), "query", spec) if spec is not None else None
    return promql.query(query, window=window) if query is not None else None


def _condition(spec: Cursor) -> Condition | None:
    fields = spec.fields(("description", "severity", "condition"))
    severity, inner = needed(fields, "severity", spec), needed(fields, "condition", spec)
    if severity is None or inner is None:
        return None
    told = inner.fields(("kind", "op", "threshold", "lookbackWindow", "alertAfter"))
    if "kind" in told:
        told["kind"].one_of("burnrate")
    op, threshold, back = (needed(told, name, inner) for name in ("op", "threshold", "lookbackWindow"))
    word = op.one_of("lte", "gte", "lt", "gt") if op is not None else None
    if op is not None and word in ("lt", "lte"):
        op.note("is read as 'burns faster than': the specification's own examples write it so")
    factor = threshold.number() if threshold is not None else None
    window = back.duration() if back is not None else None
    after = told.get("alertAfter")
    wait = timedelta(0) if after is None or after.text() in ("0", "0m") else after.duration()
    if factor is None or window is None or wait is None:
        return None
    inner.note("one window alone pages late or long: the standard pairs are the better condition")
    return Condition(factor, window, severity.text(), wait)
