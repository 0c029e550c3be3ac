"""Example traces of a service or node, and one trace as a waterfall."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, render_template, request

from app.config import parse_duration
from app.errors import BadInput, NotFound
from app.model.fleet import Edge, Node, service_id
from app.model.span import Value
from app.pages import format as form
from app.pages import timerange
from app.pages.fragments import fragment
from app.pages.shell import node_href
from app.store.traces import KeptTrace
from app.understand import trace_words as words
from app.understand.waterfall import Row, RowKind, Waterfall, waterfall
from app.web.access import requires
from app.web.services import services
from app.web.traces import Unknown, trace_id_of

blueprint = Blueprint("traces", __name__)

SHOWN = 100
LEAST = ("100ms", "500ms", "1s", "5s")
WIDTH = 1000  # of a bar, in the units of its drawing
_FULL = 300  # rows whose details stand in the page; in longer traces those of one span at a time
_DEEPEST = 12  # steps a row is moved in
_FAILURES = 5
_LONGEST_DURATION = 86_400.0


@dataclass(frozen=True, slots=True)
class Line:
    """A row as it is drawn: `bar` and `path` in parts of WIDTH, `full` = with its details, `said` = for who listens."""

    row: Row
    anchor: str
    label: str
    service: str
    href: str | None
    inset: int
    bar: tuple[float, float]
    path: tuple[tuple[float, float], ...]
    full: bool
    open: bool
    status: str
    said: str


@blueprint.get("/services/<cluster>/<namespace>/<name>/traces")
@requires("read")
def of_service(cluster: str, namespace: str, name: str) -> str:
    """Example traces of a service."""
    return _list_page(service_id(cluster, namespace, name))


@blueprint.get("/nodes/traces")
@requires("read")
def of_node() -> str:
    """Example traces of an inferred node."""
    return _list_page(request.args.get("id", ""))


@blueprint.get("/traces/<trace_id>")
@requires("read")
def one_trace(trace_id: str) -> str:
    """One trace."""
    timerange.requested()
    wanted = trace_id_of(trace_id)
    if wanted is None:
        raise BadInput("This is not the id of a trace: it needs 32 hexadecimal digits.", field="trace_id")
    found = services().traces.find(services().config, wanted)
    if isinstance(found, Unknown):
        raise NotFound(found.sentence)
    fall = waterfall(found.trace)
    lines = _lines(fall, request.args.get("span", ""))
    failed = [line for line in lines if line.row.failed]
    failed.sort(key=lambda line: line.row.span is None or line.row.span.span_id != fall.failed_at)
    return render_template(
        "pages/trace.html",
        shown=found,
        fall=fall,
        lines=lines,
        answer=words.answer(fall, form.latency),
        shares=words.shares(fall),
        failed=failed[:_FAILURES],
        more_failed=fall.failed - min(len(failed), _FAILURES),
        nodes=_names(found.trace.cluster),
        ticks=[form.latency(fall.duration * part / 4) if part else "0" for part in range(5)],
        width=WIDTH,
    )


@fragment(blueprint, "service-traces", topics=("traces",))
def service_traces() -> dict[str, Any]:
    """Kept traces that fit the filter, the newest first."""
    node, shown = _node(), timerange.requested()
    wanted: dict[str, Any] = {
        "min_duration": _least(request.args.get("min_duration", "")),
        "failed": request.args.get("error") == "true",
        "start": shown.window.start,
        "end": shown.window.end if shown.frozen else None,
        "limit": SHOWN + 1,
    }
    edge, reader = _edge(node), services().traces
    found: list[KeptTrace] = (
        reader.of_edge(edge.source, edge.target, **wanted) if edge else reader.of_service(node.id, **wanted)
    )
    return {
        "node": node,
        "edge": edge,
        "names": _names(node.cluster),
        "traces": found[:SHOWN],
        "more": len(found) > SHOWN,
        "filtered": bool(wanted["min_duration"] or wanted["failed"] or edge),
        "hours": services().config.store.retention.traces.total_seconds(),
    }


def _list_page(identity: str) -> str:
    timerange.requested()
    node = _of(identity)
    _least(request.args.get("min_duration", ""))
    return render_template(
        "pages/service_traces.html",
        node=node,
        tab="traces",
        least=LEAST,
        chosen=request.args.get("min_duration", ""),
        only_failed=request.args.get("error") == "true",
        edge=request.args.get("edge", ""),
    )


def _node() -> Node:
    """The node that the fragment's query, or the page's path, names."""
    view = request.view_args or {}
    given = view if "cluster" in view else request.args
    if "namespace" in given:
        return _of(service_id(given.get("cluster", ""), given["namespace"], given.get("name", "")))
    return _of(request.args.get("id", ""))


def _of(identity: str) -> Node:
    topology = services().reader.topology(at=timerange.requested().moment)
    node = next((one for one in topology.nodes if one.id == identity), None)
    if node is None:
        raise NotFound("No service or node with this name is seen at this time.")
    return node


def _edge(node: Node) -> Edge | None:
    """The edge that the list is narrowed to. Raises BadInput for one that is not seen at this node."""
    wanted = request.args.get("edge", "")
    if not wanted:
        return None
    edges = services().reader.topology(at=timerange.requested().moment).edges
    found = next((one for one in edges if one.id == wanted and node.id in (one.source, one.target)), None)
    if found is None:
        raise BadInput("This connection is not seen at this time.", field="edge")
    return found


def _names(cluster: str) -> dict[str, Node]:
    reader = services().reader
    known = reader.topology(cluster).nodes if cluster in reader.clusters() else ()
    return {one.id: one for one in known}


def _least(text: str) -> float:
    """A least duration in seconds. Raises BadInput."""
    if not text:
        return 0.0
    try:
        seconds = parse_duration(text).total_seconds()
    except ValueError as error:
        raise BadInput(f"min_duration: {error}", field="min_duration") from error
    return min(seconds, _LONGEST_DURATION)


def _lines(fall: Waterfall, asked: str) -> list[Line]:
    pages = _pages(fall)
    short = len(fall.rows) <= _FULL
    lines, given = [], 0
    for number, row in enumerate(fall.rows):
        span = row.span if row.kind is RowKind.SPAN else None
        mine = span is not None and span.span_id == asked
        worth = row.failed or row.critical is not None
        full = span is not None and (short or mine or (worth and given < _FULL))
        given += full
        first = span is not None and span.span_id == fall.failed_at
        lines.append(_line(fall, row, number, pages, full=full, open_=bool(mine or (first and not asked))))
    return lines


def _line(
    fall: Waterfall, row: Row, number: int, pages: dict[tuple[str, str], str], *, full: bool, open_: bool
) -> Line:
    span = row.span
    whole = fall.duration or 1.0
    return Line(
        row=row,
        anchor=f"s-{span.span_id}" if span and row.kind is RowKind.SPAN else f"row-{number}",
        label=words.label(row),
        service=words.service_name(span) if span else "",
        href=pages.get((span.namespace, span.service)) if span else None,
        inset=min(row.depth, _DEEPEST),
        bar=_scaled(row.start, row.duration, whole),
        path=tuple(_scaled(start, length, whole) for start, length in row.path),
        full=full,
        open=open_,
        status=words.status(span) if span and row.kind is RowKind.SPAN else "",
        said=_said(row),
    )


def _scaled(start: float, duration: float, whole: float) -> tuple[float, float]:
    """(x, width) of a bar; never too thin to be seen, and never outside."""
    width = max(duration / whole * WIDTH, 2.0)
    return round(min(max(start / whole * WIDTH, 0.0), WIDTH - 2.0), 1), round(min(width, WIDTH), 1)


def _said(row: Row) -> str:
    parts = [f"level {row.depth + 1}", f"starts at {form.latency(row.start)}"]
    parts += ["failed"] if row.failed else []
    parts += ["on the critical path"] if row.critical is not None else []
    return ", ".join(parts)


def _pages(fall: Waterfall) -> dict[tuple[str, str], str]:
    """(namespace, service) of spans -> the service's page, for names that mean one service of the cluster."""
    found: dict[tuple[str, str], list[Node]] = {}
    for node in _names(fall.trace.cluster).values():
        for name in {node.name, node.workload[1] if node.workload else node.name}:
            for key in ((node.namespace or "", name), ("", name)):
                found.setdefault(key, []).append(node)
    return {key: node_href(nodes[0]) for key, nodes in found.items() if len({one.id for one in nodes}) == 1}


@blueprint.app_template_filter()
def attribute_rows(attributes: dict[str, Value]) -> Iterable[tuple[str, str]]:
    """Attributes as text, by name."""
    for key, value in sorted(attributes.items()):
        if isinstance(value, bool):
            yield key, "true" if value else "false"
        else:
            yield key, ", ".join(value) if isinstance(value, tuple) else str(value)


@blueprint.app_template_filter()
def event_offset(event: Any, fall: Waterfall) -> str:
    """When an event happened, counted from the trace's begin."""
    return form.latency(max(event.at / 1e9 - fall.start.timestamp(), 0.0))
