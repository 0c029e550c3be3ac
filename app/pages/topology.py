"""The topology page: who calls whom, where it hurts, what is the origin and what only suffers.

The map fetches its own document from the API; its table twin is rendered here from the same topology and is
never cut, only paged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from flask import Blueprint, Response, g, redirect, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from app import layouts
from app.errors import BadInput, NotFound
from app.model.fleet import Edge, HealthStatus, Node, Topology
from app.pages import format as form
from app.pages import timerange, topology_query
from app.pages.fragments import fragment
from app.pages.freshness import STALE_AFTER
from app.pages.topology_query import SORTS, TopologyQuery
from app.understand.export import FORMATS
from app.understand.fields import OWN
from app.understand.impact import crossing_words, impact_of_node
from app.understand.origin import BAD, Origin, origins
from app.understand.part import DIRECTIONS, GROUPS, Part, listed, mode_of, narrow
from app.understand.view import select
from app.web.access import current, requires
from app.web.documents import download
from app.web.facts import facts_for
from app.web.services import services

blueprint = Blueprint("topology", __name__)

ROWS = 100
OFFERED = 200  # names in the list of the focus field; any other may be typed
PRESETS = (
    ("errors only", {"errors": "1"}),
    ("slower than 1 s", {"find": "p95 > 1s OR edge.p95 > 1s"}),
    ("unknown", {"find": "unknown OR edge.unknown"}),
    ("changed in the last hour", {"find": "changed < 1h"}),
)


@dataclass(frozen=True, slots=True)
class Row:
    """A connection with its two ends. `apart`: its sources disagree by more than a factor of 2."""

    edge: Edge
    source: Node
    target: Node

    @property
    def apart(self) -> bool:
        """Whether two sources that correct for sampling differ on the rate (reference: topology 8.3)."""
        rates = [w.rps for w in self.edge.evidence if w.rps is not None and w.sampling_ratio is not None]
        return len(rates) > 1 and min(rates) >= 1 and max(rates) > 2 * min(rates)


@blueprint.get("/topology")
@requires("read")
def page() -> ResponseReturnValue:
    """The page in either view; what cannot be used is told beside its field, with 400 (404: not seen)."""
    timerange.requested()
    topology = _topology()
    asked = g.topology_query = topology_query.read(request.args, topology)
    body = render_template(
        "pages/topology.html",
        asked=asked,
        map_source=_map_source(asked),
        names=[node for node in topology.nodes if node.id != asked.focus][:OFFERED],
        focus_name=asked.typed["focus"]
        if not asked.focus
        else topology_query.shown_name(asked.focus, topology),
        target_name=asked.typed["target"] and topology_query.shown_name(asked.target, topology),
        hops=topology_query.HOPS,
        directions=DIRECTIONS,
        groups=GROUPS,
        presets=PRESETS,
        fields=[one.field for one in OWN.values() if one.field.known],
        mode=mode_of(_part(asked, topology).topology, asked.options),
        back=urlencode(topology_query.kept(request.args)),
    )
    return body, (404 if asked.missing else 400) if asked.faults else 200


@blueprint.post("/topology/tidy")
@requires("act")
def tidy() -> ResponseReturnValue:
    """Lay the shown view out anew, for everybody; `back` is the page's own query."""
    args = MultiDict(parse_qsl(request.form.get("back", "")))
    topology = services().reader.topology(args.get("cluster") or None)
    asked = topology_query.read(args, topology)
    for name, sentence in asked.faults.items():
        raise BadInput(sentence, field=name)
    view = select(topology, asked.options, facts_for(services().reader, topology, asked.options))
    name = layouts.name_of(topology.cluster, asked.options, view)
    changing = layouts.changes(asked.options, view)
    layouts.arrange(
        services().store, name, view.ids, view.pairs, tidy=True, changing=changing, ranks=view.ranks
    )
    query = urlencode(topology_query.kept(args))
    return redirect("/topology" + (f"?{query}" if query else ""), code=303)


@blueprint.get("/topology/export")
@requires("read")
def export() -> Response:
    """What the page is about as a file: `format` is dot, json or csv; never folded, never cut."""
    form_of = request.args.get("format", "")
    if form_of not in FORMATS:
        raise BadInput(f"format is one of {', '.join(FORMATS)}", field="format")
    asked = topology_query.read(request.args, _topology())
    for name, sentence in asked.faults.items():
        raise BadInput(sentence, field=name)
    question = asked.question(timerange.requested().moment)
    return download(services().documents.export(question, current().visibility, form_of), form_of)


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


@fragment(blueprint, "topology-filter", topics=("topology", "sources"))
def topology_filter() -> dict[str, Any]:
    """What find and hide came to: how much is found, what nothing is known of, what cannot be read."""
    topology = _topology()
    asked = _asked(topology)
    part = _part(asked, topology)
    return {
        "asked": asked,
        "found": part.found,
        "notes": part.notes,
        "shown": part.topology,
        "everything": topology,
    }


@fragment(blueprint, "topology-table", topics=("topology", "sources"))
def topology_table() -> dict[str, Any]:
    """Services and connections as two tables."""
    everything = _topology()
    asked = _asked(everything)
    shown = listed(_part(asked, everything), asked.options, touching=True)
    by_id = {node.id: node for node in everything.nodes}
    nodes = sorted(shown.nodes, key=lambda node: _order(node, node.name, asked.sort))
    edges = sorted(shown.edges, key=lambda edge: _order(edge, by_id[edge.source].name, asked.sort))
    first = ROWS * asked.page
    return {
        "rows": [Row(edge, by_id[edge.source], by_id[edge.target]) for edge in edges[first : first + ROWS]],
        "nodes": nodes[first : first + ROWS],
        "rows_total": len(edges),
        "nodes_total": len(nodes),
        "pages": (max(len(edges), len(nodes)) + ROWS - 1) // ROWS,
        "page": asked.page,
        "sort": asked.sort,
        "sorts": SORTS,
        "topology": everything,
    }


def answer(topology: Topology) -> str:
    """What is wrong on the map, as one sentence."""
    if not topology.edges:
        return "No connections seen: no traces, mesh or service-graph metrics."
    found = origins(topology)
    if not found:
        return _no_origin(topology)
    first, name = found[0], form.cut(found[0].node.name, 60)
    where, crossed = _between(first, topology), _crossed(first, topology)
    if first.affected:
        affected = form.plural(len(first.affected), "upstream service")
        return f"Origin is probably {where or name}; {affected} affected{crossed}."
    word = form.mark(first.node.health.status).word
    waits = f": it waits on {where}" if where else ""
    return f"{name} is {word}{waits}; nothing upstream is affected{crossed}."


def _between(origin: Origin, topology: Topology) -> str:
    """The way on which a call of the origin is slow although its callee is not; empty where there is none."""
    if origin.between is None:
        return ""
    names = {node.id: node.name for node in topology.nodes}
    callee = form.cut(names.get(origin.between.target, "?"), 60)
    return f"the way from {form.cut(origin.node.name, 60)} to {callee} (network, queue or pool)"


def _crossed(origin: Origin, topology: Topology) -> str:
    """How many of the entry requests cross the origin, as the end of a sentence."""
    share = impact_of_node(topology, origin.node.id).share
    return f"; {crossing_words(share)} cross it" if share else ""


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


def _asked(topology: Topology) -> TopologyQuery:
    """The parameters of this request. A part fetched by itself whose focus is not seen any longer is gone."""
    if "topology_query" not in g:
        g.topology_query = topology_query.read(request.args, topology)
        if g.topology_query.missing:
            raise NotFound("The node in focus is not seen at that time.")
    found: TopologyQuery = g.topology_query
    return found


def _part(asked: TopologyQuery, topology: Topology) -> Part:
    """The part of the fleet that is asked for, found once per request."""
    if "topology_part" not in g:
        g.topology_part = narrow(
            topology, asked.options, facts_for(services().reader, topology, asked.options)
        )
    found: Part = g.topology_part
    return found


def _older(topology: Topology) -> int:
    """Connections whose numbers are clearly older than the picture."""
    limit = topology.as_of - STALE_AFTER
    return sum(edge.as_of is not None and edge.as_of < limit for edge in topology.edges)


def _topology() -> Topology:
    found = timerange.requested()
    return services().reader.topology(request.args.get("cluster") or None, at=found.moment)


def _map_source(asked: TopologyQuery) -> str:
    query = asked.api(timerange.requested().moment, view="map", format="columnar")
    return f"/api/v1/topology?{query}"
