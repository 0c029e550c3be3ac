"""Traffic over time as columns, ready to be drawn."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from flask import Response

from app import clock
from app.api import answer, shapes
from app.api.fleet import cluster_of
from app.api.operation import api_blueprint, operation
from app.api.query import FROM, TO, choice, duration, text
from app.config import format_duration
from app.errors import BadInput
from app.model.fleet import SourceStatus
from app.model.series import Window
from app.store.frames import Series
from app.web.access import requires
from app.web.heat import Heat, heat
from app.web.lines import METRICS, points
from app.web.services import services as parts

blueprint = api_blueprint("series")

MOST_POINTS = 11_000
_USUAL_POINTS = 360
_HOUR = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)
_LONGEST = timedelta(days=400)

# metric -> ((role, unit), …); without a metric all of them are answered.
_ROLES: dict[str, tuple[tuple[str, str], ...]] = {
    "rate": (("rps", "rps"),),
    "errors": (("error_ratio", "ratio"),),
    "latency": (("p50", "s"), ("p95", "s"), ("p99", "s")),
}
_WORDS = {"rps": "requests", "error_ratio": "errors", "p50": "p50", "p95": "p95", "p99": "p99"}
_HEATMAP = "heatmap"
_METRIC = choice(
    "metric",
    "rate, errors or latency; these three if absent. heatmap: requests per second by duration, in `heat`.",
    (*_ROLES, _HEATMAP),
)
_STEP = duration("step", "Length of a point.", None, _MINUTE, timedelta(days=30))
_QUERY = (_METRIC, FROM, TO, _STEP)
_ID = text("id", "Id of a node or edge.", required=True)


@blueprint.get("/services/<path:service_id>/series")
@requires("read")
@operation("Traffic of a service over time", query=_QUERY, answer=shapes.SeriesAnswer)
def of_service(service_id: str, query: dict[str, Any]) -> Response:
    """Columns of one service."""
    return _series(service_id, query)


@blueprint.get("/nodes/series")
@requires("read")
@operation("Traffic of a node or edge over time", query=(_ID, *_QUERY), answer=shapes.SeriesAnswer)
def of_node(query: dict[str, Any]) -> Response:
    """Columns of any node or edge."""
    return _series(query["id"], query)


def stretch(query: dict[str, Any]) -> tuple[Window, timedelta]:
    """The window and step that were asked for. Raises BadInput naming the parameter."""
    end = query["to"] or clock.now().replace(second=0, microsecond=0)
    start = query["from"] or end - _HOUR
    if start >= end:
        raise BadInput("from: must lie before `to`", field="from")
    if end - start > _LONGEST:
        raise BadInput(f"from: at most {format_duration(_LONGEST)} before `to`", field="from")
    step = query["step"] or _fitting_step(end - start)
    if (end - start) / step > MOST_POINTS:
        raise BadInput(f"step: gives more than {MOST_POINTS} points", field="step")
    return Window(start, end), step


def _fitting_step(length: timedelta) -> timedelta:
    minutes = -(-length // (_MINUTE * _USUAL_POINTS))
    return _MINUTE * max(1, minutes)


def _series(one: str, query: dict[str, Any]) -> Response:
    cluster = cluster_of(one)
    window, step = stretch(query)
    found = parts().reader.series(cluster, (one,), window, step)
    if query["metric"] == _HEATMAP:
        return _heatmap(found, one, window)
    metrics = (query["metric"],) if query["metric"] else tuple(_ROLES)
    rows = [_row(found, one, role, unit) for metric in metrics for role, unit in _ROLES[metric]]
    return _columns(found, cluster, window, n=len(rows[0]["y"]), series=rows, caption=caption(rows))


def _heatmap(found: Series, one: str, window: Window) -> Response:
    """Columns of durations: the same head, `heat` instead of lines."""
    line = found.lines.get(one)
    table = heat(line, found.step) if line is not None else Heat((), ())
    words = "No requests were timed."
    if table.bounds:
        words = f"From {_seconds(table.bounds[0])} to {_seconds(table.bounds[-1])}."
    drawn = {"bounds": table.bounds, "z": table.rows, "unit": "rps"}
    count = len(line.requests) if line is not None else 0
    return _columns(found, cluster_of(one), window, n=count, heat=drawn, caption=words)


def _columns(found: Series, cluster: str, window: Window, **more: Any) -> Response:
    value = {
        "t0": int(found.t0.timestamp()),
        "step_s": found.step.total_seconds(),
        "source": cluster,
        "stale": _stale(cluster, window.end),
        "series": [],
        "heat": None,
        "lines": [],
        "marks": [],
        **more,
    }
    return answer.reading(value, as_of=min(window.end, clock.now()), cluster=cluster)


def _row(found: Series, one: str, role: str, unit: str) -> dict[str, Any]:
    assert role in METRICS
    line = found.lines.get(one)
    values = list(points(line, found.step, role)) if line is not None else []
    return {"role": role, "name": _WORDS[role], "unit": unit, "y": values}


def _stale(cluster: str, end: datetime) -> bool:
    """Whether the newest points may be missing because a source is silent (history is never stale)."""
    if clock.now() - end > timedelta(minutes=5):
        return False
    return any(one.status is not SourceStatus.OK for one in parts().reader.freshness(cluster))


def caption(rows: list[dict[str, Any]]) -> str:
    """The answer in words: the last value of each line."""
    said = [f"{row['name']} {_said(row)}" for row in rows]
    return "Last: " + ", ".join(said) + "."


def _said(row: dict[str, Any]) -> str:
    last = next((value for value in reversed(row["y"]) if value is not None), None)
    if last is None:
        return "no data"
    if row["unit"] == "ratio":
        return f"{last * 100:.3g} %"
    return _seconds(last) if row["unit"] == "s" else f"{last:.3g} {row['unit']}"


def _seconds(value: float) -> str:
    return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s"
