"""What changed between two windows: counts, ranked rows with both values, or the map of both."""

from __future__ import annotations

from typing import Any

from flask import Response

from app import clock
from app.api import answer, diff_shapes, shapes
from app.api.operation import api_blueprint, operation
from app.api.query import CLUSTER, Parameter, duration, integer, text
from app.model.series import Window
from app.understand import diff_words, document
from app.understand.diff import Mark
from app.understand.diff_rows import Change, Difference, NewVersion, Told, Value
from app.web import etag
from app.web.access import requires
from app.web.diffs import Asked, Found
from app.web.services import services
from app.web.windows import LENGTH, LONGEST, MINUTE, pair, written

blueprint = api_blueprint("topology_diff")

_CHANGED = tuple(mark for mark in Mark if mark not in (Mark.SAME, Mark.INCOMPARABLE))


def _classes() -> Parameter:
    def parse(value: str) -> tuple[Mark, ...]:
        names = [name for name in value.split(",") if name]
        if unknown := [name for name in names if name not in list(Mark)]:
            raise ValueError(f"{unknown[0][:40]!r} is none of {', '.join(Mark)}")
        return tuple(Mark(name) for name in dict.fromkeys(names))

    schema = {"type": "string", "examples": ["worse,new,gone"]}
    told = f"Classes of the rows, separated by commas, of {', '.join(Mark)}; without it all that changed."
    return Parameter("class", told, parse, schema, _CHANGED)


_FORM = "`<from>/<to>` with RFC 3339 times, `now` or `now-15m`; or the other window moved, as `{}`."
_WINDOWS = (
    text("a", "The window before: " + _FORM.format("b-1d") + " Without it as long as b, just before it."),
    text("b", "The window after: " + _FORM.format("a+1h") + " Without it the last `window`."),
    duration("window", "Length of b where it is not given.", LENGTH, MINUTE, LONGEST),
    CLUSTER,
    text("focus", "Only the surroundings of this node id."),
    integer("hops", "How many hops around `focus`, along the connections of either window.", 1, 0, 5),
)
_ROWS = (*_WINDOWS, _classes(), integer("limit", "How many rows at most.", 100, 1, 1000))


@blueprint.get("/topology/diff")
@requires("read")
@operation("What changed between two windows", query=_ROWS, answer=diff_shapes.DiffAnswer)
def diff(query: dict[str, Any]) -> Response:
    """Compared once per revision and pair of windows."""
    asked = _asked(query)
    found = services().diffs.found(asked)
    rows, total = found.rows(query["class"], query["limit"])
    value = {
        "answer": diff_words.answer(found.parts),
        "notices": _notices(found),
        "a": _ends(asked.pair.a),
        "b": _ends(asked.pair.b),
        "windows": [
            _window(part, letter, told)
            for part in found.parts
            for letter, told in zip("ab", part.told, strict=True)
        ],
        "counts": {"nodes": _counts(found, edges=False), "edges": _counts(found, edges=True)},
        "versions": [_version(one) for part in found.parts for one in part.versions],
        "items": [_row(row) for row in rows],
        "total": total,
    }
    return answer.reading(value, as_of=min(asked.pair.b.end, clock.now()), cluster=asked.cluster)


@blueprint.get("/topology/diff/map")
@requires("read")
@operation(
    "Both windows as one map, with the class as column `mark`", query=_WINDOWS, answer=shapes.TopologyAnswer
)
def diff_map(query: dict[str, Any]) -> Response:
    """Positions are those of the topology's own map."""
    return etag.serve(services().diffs.map(_asked(query)))


def _asked(query: dict[str, Any]) -> Asked:
    windows = pair(query["a"] or "", query["b"] or "", query["window"], clock.now())
    return Asked(windows, query["cluster"] or None, query["focus"] or None, query["hops"])


def _ends(window: Window) -> dict[str, Any]:
    return {
        "from": document.instant(window.start),
        "to": document.instant(window.end),
        "text": written(window),
    }


def _version(one: NewVersion) -> dict[str, Any]:
    since = document.instant(one.since)
    return {"id": one.node, "name": one.name, "before": one.before, "after": one.after, "since": since}


def _notices(found: Found) -> list[str]:
    absent = [f"{name}: nothing is kept of one of the windows." for name in found.missing]
    return [*absent, *diff_words.notices(found.parts)]


def _window(part: Difference, letter: str, told: Told) -> dict[str, Any]:
    return {
        "cluster": part.cluster,
        "window": letter,
        "covered_seconds": told.covered,
        "evidence": list(told.alive),
        "blind": [
            {"evidence": kind, "from": document.instant(gap.start), "to": document.instant(gap.end)}
            for kind, gaps in told.blind.items()
            for gap in gaps
        ],
    }


def _counts(found: Found, *, edges: bool) -> dict[str, int]:
    counted = [part.edge_counts if edges else part.node_counts for part in found.parts]
    return {mark.value: sum(one[mark] for one in counted) for mark in Mark}


def _row(row: Change) -> dict[str, Any]:
    return {
        "what": "edge" if row.is_edge else "node",
        "id": row.id,
        "cluster": row.cluster,
        "name": row.name,
        "kind": row.kind,
        "source": row.source or None,
        "target": row.target or None,
        "class": row.mark.value,
        "said": diff_words.said(row),
        "why": row.why or None,
        "impact": row.impact,
        "begins": row.begins,
        "errors": row.errors,
        "latency": row.latency,
        "volume": row.volume,
        "a": _value(row.a),
        "b": _value(row.b),
        "since": document.instant(row.since),
        "versions": {"before": row.versions[0], "after": row.versions[1]} if row.versions else None,
    }


def _value(value: Value) -> dict[str, Any]:
    return {
        "rps": document.rounded(value.rps),
        "error_ratio": document.rounded(value.error_ratio, 6),
        "p95_seconds": document.rounded(value.p95, 6),
        "requests": document.rounded(value.requests, 1),
        "evidence": [kind.value for kind in value.evidence],
    }
