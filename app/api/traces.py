"""Example traces of services and edges, and single traces with their critical path."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Response

from app.api import answer, trace_shapes
from app.api.fleet import cluster_of
from app.api.operation import api_blueprint, operation
from app.api.query import CLUSTER, FROM, LIMIT, TO, choice, duration, text
from app.errors import BadInput, NotFound
from app.model.span import Attributes, Span
from app.store.traces import KeptTrace
from app.understand.trace_words import answer as sentence
from app.understand.waterfall import Row, RowKind, Waterfall, waterfall
from app.web.access import requires
from app.web.services import services
from app.web.traces import Shown, Unknown, trace_id_of

blueprint = api_blueprint("traces")

_MIN = duration(
    "min_duration", "Only calls that took at least this long.", None, timedelta(0), timedelta(days=1)
)
_ERROR = choice("error", "true: only failed calls.", ("true", "false"), "false")
_EDGE = text("edge", "Only calls of the edge with this id.")
_ID = text("id", "Id of the node.", required=True)
_QUERY = (_MIN, _ERROR, _EDGE, FROM, TO, LIMIT)


@blueprint.get("/services/<path:service_id>/traces")
@requires("read")
@operation("Example traces of a service", query=_QUERY, answer=trace_shapes.KeptTraces)
def of_service(service_id: str, query: dict[str, Any]) -> Response:
    """Traces kept for calls to or from a service, the newest first."""
    return _kept(service_id, query)


@blueprint.get("/nodes/traces")
@requires("read")
@operation("Example traces of a node of any kind", query=(_ID, *_QUERY), answer=trace_shapes.KeptTraces)
def of_node(query: dict[str, Any]) -> Response:
    """Traces kept for calls to or from a node."""
    return _kept(query["id"], query)


@blueprint.get("/traces/<trace_id>")
@requires("read")
@operation("One trace with its critical path", query=(CLUSTER,), answer=trace_shapes.TraceAnswer)
def one_trace(trace_id: str, query: dict[str, Any]) -> Response:
    """A kept trace, else one that a trace backend has."""
    wanted = trace_id_of(trace_id)
    if wanted is None:
        raise BadInput("trace_id: is not 32 hexadecimal digits", field="trace_id")
    found = services().traces.find(services().config, wanted, query["cluster"] or None)
    if isinstance(found, Unknown):
        raise NotFound(found.sentence)
    return answer.reading(_trace(found), cluster=None)


def _kept(node: str, query: dict[str, Any]) -> Response:
    cluster = cluster_of(node)
    if query["from"] and query["to"] and query["from"] >= query["to"]:
        raise BadInput("from: must lie before `to`", field="from")
    wanted: dict[str, Any] = {
        "min_duration": query["min_duration"].total_seconds() if query["min_duration"] else 0.0,
        "failed": query["error"] == "true",
        "start": query["from"],
        "end": query["to"],
        "limit": query["limit"],
    }
    ends = _ends(cluster, node, query["edge"]) if query["edge"] else None
    reader = services().traces
    found = reader.of_edge(*ends, **wanted) if ends else reader.of_service(node, **wanted)
    return answer.listing([_row(one) for one in found], None)


def _ends(cluster: str, node: str, named: str) -> tuple[str, str]:
    """Caller and callee of an edge given by its id; raises NotFound for one that is not seen or of another node."""
    edges = services().reader.topology(cluster).edges
    found = next((one for one in edges if one.id == named and node in (one.source, one.target)), None)
    if found is None:
        raise NotFound("No edge with this id is seen at this node.")
    return found.source, found.target


def _row(one: KeptTrace) -> dict[str, Any]:
    return {
        "cluster": one.cluster,
        "trace_id": one.trace_id,
        "start": one.start,
        "duration": one.duration,
        "failed": one.failed,
        "spans": one.spans,
        "services": one.services,
        "root": one.root,
        "calls": [_call(call) for call in one.calls],
    }


def _call(call: Any) -> dict[str, Any]:
    return {
        name: getattr(call, name) for name in ("span_id", "caller", "callee", "why", "duration", "failed")
    }


def _trace(found: Shown) -> dict[str, Any]:
    fall = waterfall(found.trace)
    return {
        "cluster": found.trace.cluster,
        "trace_id": found.trace.trace_id,
        "start": fall.start,
        "duration": fall.duration,
        "answer": sentence(fall, lambda seconds: f"{seconds:.3g} s"),
        "failed_span": fall.failed_at,
        "link": found.link,
        "kept_for": [_call(call) for call in found.kept_for],
        "spans": [_span(fall, row, row.span) for row in fall.rows if row.kind is RowKind.SPAN and row.span],
        "hidden": fall.hidden,
        "cut": fall.cut,
    }


def _span(fall: Waterfall, row: Row, span: Span) -> dict[str, Any]:
    begin = fall.start.timestamp()
    return {
        "span_id": span.span_id,
        "parent_id": span.parent_id or None,
        "depth": row.depth,
        "name": span.name,
        "kind": span.kind.name.lower(),
        "service": span.service,
        "namespace": span.namespace or None,
        "offset": row.start,
        "duration": row.duration,
        "self_time": row.own,
        "critical": row.critical,
        "clock_shift": row.shift,
        "status": span.status,
        "status_message": span.status_message,
        "attributes": _plain(span.attributes),
        "resource": _plain(span.resource),
        "events": [
            {
                "name": one.name,
                "offset": one.at / 1e9 - begin + row.shift,
                "attributes": _plain(one.attributes),
            }
            for one in span.events
        ],
        "links": [{"trace_id": one.trace_id, "span_id": one.span_id} for one in span.links],
    }


def _plain(attributes: Attributes) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in attributes.items()}
