"""The charts of a node: where their numbers are, what they say without scripts, and the same numbers as a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from app.errors import BadInput, NotFound
from app.model.fleet import Node
from app.model.series import Window
from app.pages import format as form
from app.pages import spark, timerange
from app.pages.fragments import fragment
from app.web.access import requires
from app.web.heat import heat
from app.web.lines import points
from app.web.services import services

blueprint = Blueprint("charts", __name__)

Words = Callable[[float | None], str]
_MINUTE = timedelta(minutes=1)
_ROWS = 200

# Metric of the series API -> figure template, heading, metric of its sparkline ("" = it has no line to show).
FIGURES: dict[str, tuple[str, str, str]] = {
    "rate": ("rate", "Rate", "rps"),
    "errors": ("errors", "Errors", "error_ratio"),
    "latency": ("latency", "Latency", "p95"),
    "heatmap": ("latency_heatmap", "Latency of all requests", ""),
}

# Metric -> the columns of its table: heading, line, how a value is written.
_COLUMNS: dict[str, tuple[tuple[str, str, Words], ...]] = {
    "rate": (("Rate", "rps", form.rate),),
    "errors": (("Errors", "error_ratio", form.ratio),),
    "latency": tuple((line, line, form.latency) for line in ("p50", "p95", "p99")),
}
_SPARK: dict[str, Words] = {"rps": form.rate, "error_ratio": form.ratio, "p95": form.latency}


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart: where its data are, and what it says without scripts. `seconds` back from now; 0 = fixed range."""

    kind: str
    title: str
    source: str
    table: str
    seconds: int
    spark: spark.Spark | None
    caption: str


def figures(node: Node) -> list[Figure]:
    """Rate, errors and latency of a node over the page's time range."""
    found = timerange.requested()
    made = []
    for metric, (kind, title, line) in FIGURES.items():
        query = {"id": node.id, "metric": metric}
        fixed = {"from": _text(found.start), "to": _text(found.end)} if found.frozen else {}
        shown = fixed or {"from": found.start_text, "to": found.end_text}
        made.append(
            Figure(
                kind=kind,
                title=title,
                source="/api/v1/nodes/series?" + urlencode(query | fixed),
                table="/series?" + urlencode(query | shown),
                seconds=0 if found.frozen else int(found.window.seconds),
                spark=_spark(node, line, title) if line else None,
                caption=_caption(node, metric),
            )
        )
    return made


@blueprint.get("/series")
@requires("read")
def page() -> ResponseReturnValue:
    """The numbers behind one chart as a page."""
    timerange.requested()
    return render_template("pages/series.html", title=FIGURES[_metric()][1])


@fragment(blueprint, "series-table", topics=("fleet", "sources"))
def series_table() -> dict[str, Any]:
    """One row per step, the newest first; None = nobody looked."""
    identity, metric, found = request.args.get("id", ""), _metric(), timerange.requested()
    node = _node(identity)
    # A whole number of minutes, so that a row is a minute or several.
    minutes = max(1, -(-int(found.window.seconds) // (60 * _ROWS)))
    end = found.end.replace(second=0, microsecond=0)
    window = Window(min(found.start.replace(second=0, microsecond=0), end - _MINUTE), end)
    series = services().reader.series(node.cluster, (identity,), window, timedelta(minutes=minutes))
    line = series.lines.get(identity)
    headings, columns = ([], []) if line is None else _table(line, series.step, metric)
    rows = list(zip(series.times, *columns, strict=True)) if columns else []
    return {
        "node": node,
        "title": FIGURES[metric][1],
        "headings": headings,
        "rows": rows[::-1][:_ROWS],
        "step": series.step.total_seconds(),
    }


def _table(line: Any, step: timedelta, metric: str) -> tuple[list[str], list[list[str]]]:
    if metric == "heatmap":
        found = heat(line, step)
        edges = list(zip(found.bounds, found.bounds[1:], strict=False))
        headings = [f"{form.latency(low)} to {form.latency(high)}" for low, high in edges]
        return headings, [[_count(value) for value in row] for row in found.rows]
    shown = _COLUMNS[metric]
    return [heading for heading, _, _ in shown], [
        [say(value) for value in points(line, step, name)] for _, name, say in shown
    ]


def _count(value: float | None) -> str:
    return "no data" if value is None else f"{value:.3g}"


def _metric() -> str:
    metric = request.args.get("metric", "rate")
    if metric not in FIGURES:
        raise BadInput(f"metric is one of {', '.join(FIGURES)}", field="metric")
    return metric


def _node(identity: str) -> Node:
    topology = services().reader.topology(at=timerange.requested().moment)
    node = next((one for one in topology.nodes if one.id == identity), None)
    if node is None:
        raise NotFound("No service or node with this name is seen at this time.")
    return node


def _spark(node: Node, metric: str, title: str) -> spark.Spark | None:
    values = services().reader.spark([node.id], metric).get(node.id)
    at = form.clock_time(node.as_of, timerange.requested().zone)
    return spark.draw(values, title, _SPARK[metric], span="last hour", at=at) if values else None


def _caption(node: Node, metric: str) -> str:
    if metric == "rate":
        return f"{form.rate(node.rps)} now"
    if metric == "errors":
        return f"{form.ratio(node.error_ratio, requests=node.requests)} now"
    if metric == "heatmap":
        return "requests per second by duration"
    return f"p95 {form.quantile(node.latency, 'p95')}, p50 {form.quantile(node.latency, 'p50')} now"


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
