"""The topology page: who calls whom, where it hurts, what is the origin and what only suffers.

The map fetches its own document from the API; its table twin is rendered here from the same topology and is
never cut, only paged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from app import layouts
from app.errors import BadInput
from app.model.fleet import Edge, HealthStatus, Node, Topology
from app.pages import format as form
from app.pages import timerange
from app.pages.fragments import fragment
from app.pages.freshness import STALE_AFTER
from app.understand.origin import BAD, origins
from app.understand.view import ViewOptions, neighbourhood, select
from app.web.access import requires
from app.web.services import services

blueprint = Blueprint("topology", __name__)

VIEWS = ("graph", "table")
GROUPS = ("none", "namespace", "team")
HOPS = ("1", "2", "3")
ROWS = 100
_OWN = (
    "from",
    "to",
    "at",
    "tz",
    "cluster",
    "ns",
    "focus",
    "hops",
    "group",
    "q",
    "hide",
    "folded",
    "opened",
    "view",
)
SORTS = ("health", "name", "rate", "errors", "p95")


@dataclass(frozen=True, slots=True)
class Row:
    """A connection with its two ends."""

    edge: Edge
    source: Node
    target: Node


@blueprint.get("/topology")
@requires("read")
def page() -> ResponseReturnValue:
    """The page in either view."""
    timerange.requested()
    chosen = _chosen(request.args)
    return render_template(
        "pages/topology.html",
        map_source=_map_source(chosen),
        nodes=_names(),
        back=urlencode(_kept(request.args)),
        **chosen,
    )


@blueprint.post("/topology/tidy")
@requires("act")
def tidy() -> ResponseReturnValue:
    """Lay the shown view out anew, for everybody; `back` is the page's own query."""
    args = MultiDict(parse_qsl(request.form.get("back", "")))
    chosen = _chosen(args)
    topology = services().reader.topology(args.get("cluster") or None)
    options = ViewOptions(
        namespaces=frozenset({args["ns"]} if args.get("ns") else ()),
        focus=str(chosen["focus"]) or None,
        depth=int(chosen["hops"]),
        group=str(chosen["group"]),
        find=str(chosen["q"]),
        hide=str(chosen["hide"]),
        folded=frozenset(str(chosen["folded"]).split(",")) - {""},
        opened=frozenset(str(chosen["opened"]).split(",")) - {""},
    )
    view = select(topology, options)
    name = layouts.view_name(topology.cluster, options.group, options.focus)
    layouts.arrange(services().store, name, view.ids, view.pairs, tidy=True)
    query = urlencode(_kept(args))
    return redirect("/topology" + (f"?{query}" if query else ""), code=303)


@fragment(blueprint, "topology-answer", topics=("topology", "sources"))
def topology_answer() -> dict[str, Any]:
    """The sentence above the map."""
    topology = _topology()
    found = origins(topology)
    return {
        "older": _older(topology),
        "answer": answer(topology),
        "origins": found[:3],
        "more": max(0, len(found) - 3),
        "topology": topology,
    }


@fragment(blueprint, "topology-table", topics=("topology", "sources"))
def topology_table() -> dict[str, Any]:
    """Services and connections as two tables."""
    chosen = _chosen(request.args)
    topology = _near(_topology(), str(chosen["focus"]), int(chosen["hops"]))
    by_id = {node.id: node for node in topology.nodes}
    wanted = str(chosen["q"]).casefold()
    nodes = [node for node in topology.nodes if not wanted or wanted in node.name.casefold()]
    rows = [
        Row(edge, by_id[edge.source], by_id[edge.target])
        for edge in topology.edges
        if edge.source in by_id and edge.target in by_id
    ]
    rows = [row for row in rows if not wanted or wanted in f"{row.source.name} {row.target.name}".casefold()]
    nodes = sorted(nodes, key=lambda node: _order(node, node.name, str(chosen["sort"])))
    rows = sorted(rows, key=lambda row: _order(row.edge, row.source.name, str(chosen["sort"])))
    first = ROWS * _page()
    return {
        "rows": rows[first : first + ROWS],
        "nodes": nodes[first : first + ROWS],
        "rows_total": len(rows),
        "nodes_total": len(nodes),
        "pages": (max(len(rows), len(nodes)) + ROWS - 1) // ROWS,
        "page": _page(),
        "sort": chosen["sort"],
        "sorts": SORTS,
        "topology": topology,
    }


def answer(topology: Topology) -> str:
    """What is wrong on the map, as one sentence."""
    if not topology.edges:
        return "No connections seen: no traces, mesh or service-graph metrics."
    found = origins(topology)
    if not found:
        return _no_origin(topology)
    first = found[0]
    if first.affected:
        return (
            f"Origin is probably {form.cut(first.node.name, 60)}; "
            f"{form.plural(len(first.affected), 'upstream service')} affected."
        )
    word = form.mark(first.node.health.status).word
    return f"{form.cut(first.node.name, 60)} is {word}; nothing upstream is affected."


def _no_origin(topology: Topology) -> str:
    """The sentence while no node is known to be bad; what is not known is never called usual."""
    unknown = sum(edge.health.status is HealthStatus.UNKNOWN for edge in topology.edges)
    blind = f"; nothing is known of {unknown}" if unknown else ""
    bad = sum(edge.health.status in BAD for edge in topology.edges)
    if bad:
        rest = blind or "; every service is healthy"
        return f"{form.plural(bad, 'connection')} worse than usual{rest}."
    if unknown == len(topology.edges):
        return f"Nobody knows how the {form.plural(unknown, 'connection')} are."
    return f"{form.plural(len(topology.edges) - unknown, 'connection')} as usual{blind}."


def _order(one: Node | Edge, name: str, by: str) -> tuple[Any, ...]:
    """Worst or biggest first; unknown numbers last."""
    values = {"rate": one.rps, "errors": one.error_ratio, "p95": one.latency.p95}
    if by == "name":
        return (name.casefold(),)
    if by in values:
        value = values[by]
        return (value is None, -(value or 0.0), name.casefold())
    return (one.health.status.rank, -(one.rps or 0.0), name.casefold())


def _near(topology: Topology, focus: str, hops: int) -> Topology:
    """The part within `hops` of the focus node; everything without a focus."""
    return neighbourhood(topology, focus, hops) if focus else topology


def _chosen(args: Mapping[str, str]) -> dict[str, Any]:
    """The page's parameters, checked. Raises BadInput naming the field."""
    found: dict[str, Any] = {
        "view": _one_of(args, "view", VIEWS),
        "group": _one_of(args, "group", GROUPS),
        "hops": _one_of(args, "hops", HOPS),
        "sort": _one_of(args, "sort", SORTS),
        "focus": args.get("focus", "")[:1000],
        "q": args.get("q", "")[:100],
        "hide": args.get("hide", "")[:100],
        "folded": args.get("folded", "")[:1000],
        "opened": args.get("opened", "")[:1000],
    }
    return found


def _kept(args: Mapping[str, str]) -> dict[str, str]:
    """The part of a query that is this page's own."""
    return {name: args[name] for name in _OWN if args.get(name)}


def _older(topology: Topology) -> int:
    """Connections whose numbers are clearly older than the picture."""
    limit = topology.as_of - STALE_AFTER
    return sum(edge.as_of is not None and edge.as_of < limit for edge in topology.edges)


def _one_of(args: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str:
    value = args.get(name) or allowed[0]
    if value not in allowed:
        raise BadInput(f"{name} is one of {', '.join(allowed)}", field=name)
    return value


def _page() -> int:
    text = request.args.get("page", "0")
    if not text.isdigit() or len(text) > 4:
        raise BadInput("page is a number, counted from 0", field="page")
    return int(text)


def _topology() -> Topology:
    found = timerange.requested()
    return services().reader.topology(request.args.get("cluster") or None, at=found.moment)


def _names() -> list[tuple[str, str]]:
    """Nodes for the focus list: (id, name), by name."""
    return sorted(((node.id, node.name) for node in _topology().nodes), key=lambda one: one[1].casefold())


def _map_source(chosen: dict[str, Any]) -> str:
    query = {"view": "map", "format": "columnar", "find": chosen["q"]}
    query |= {name: chosen[name] for name in ("group", "hide", "folded", "opened")}
    if chosen["focus"]:
        query |= {"focus": chosen["focus"], "depth": chosen["hops"]}
    moment = timerange.requested().moment
    if moment is not None:
        query["at"] = moment.isoformat().replace("+00:00", "Z")
    for name in ("cluster", "ns"):
        if request.args.get(name):
            query["namespace" if name == "ns" else name] = request.args[name]
    return "/api/v1/topology?" + urlencode({key: value for key, value in query.items() if value})
