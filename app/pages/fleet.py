"""The fleet page: is anything wrong, where, and how bad. Worst first; healthy services are one line each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, make_response, render_template, request
from flask.typing import ResponseReturnValue

from app.errors import BadInput, NotFound
from app.model.fleet import HealthStatus, Node, NodeKind, Topology
from app.pages import format as form
from app.pages import freshness, preference, timerange
from app.pages.fragments import fragment
from app.pages.tile import QUIET, Tile, tiles
from app.understand.origin import origins
from app.web.access import requires
from app.web.cookies import is_https
from app.web.services import services

blueprint = Blueprint("fleet", __name__)

GROUPS = ("none", "namespace", "team")
SHOWN = 200


@dataclass(frozen=True, slots=True)
class Group:
    """Services under one heading: those that need a look as tiles, the quiet ones as chips."""

    name: str
    tiles: tuple[Tile, ...]
    chips: tuple[Tile, ...]
    unknown: int


@blueprint.get("/")
@requires("read")
def page() -> ResponseReturnValue:
    """The page; `healthy=hide|show` is remembered."""
    timerange.requested()
    answer = make_response(render_template("pages/fleet.html", **_filters()))
    if request.args.get("healthy") in ("hide", "show"):
        chosen = preference.hiding(healthy=request.args["healthy"] == "hide")
        preference.keep(answer, chosen, secure=is_https(services().config))
    return answer


@fragment(blueprint, "sources-banner", topics=("sources",))
def sources_banner() -> dict[str, Any]:
    """Which source is late since when and why, and how old its values are."""
    return {"late": freshness.late_sources()}


@fragment(blueprint, "fleet-answer", topics=("fleet", "sources"))
def fleet_answer() -> dict[str, Any]:
    """The sentence above everything."""
    topology = _topology()
    found = _services(topology)
    sentence = answer(found)
    if not timerange.requested().frozen and freshness.is_old(topology):
        sentence = f"Last known: {sentence[0].lower()}{sentence[1:]}"
    first = worst(found)
    return {"answer": sentence, "worst": first, "origin": _origin(topology, first)}


@fragment(blueprint, "wall", topics=("fleet", "sources"))
def wall() -> dict[str, Any]:
    """Counts and the health wall."""
    topology, filters = _topology(), _filters()
    everything = _services(topology)
    shown = [node for node in everything if _matches(node, filters["q"], filters["status"])]
    if filters["quiet"] and not filters["status"]:
        shown = [node for node in shown if node.health.status not in QUIET]
    found = tiles(shown[:SHOWN], topology)
    return {
        "counts": counts(everything),
        "total": len(everything),
        "shown": len(shown),
        "cut": max(0, len(shown) - SHOWN),
        "hidden": sum(node.health.status in QUIET for node in everything) if filters["quiet"] else 0,
        "groups": grouped(found, filters["group"]),
        "without_data": sum(node.health.status is HealthStatus.UNKNOWN for node in everything),
        "sources": freshness.sources(),
        **filters,
    }


@fragment(blueprint, "node-panel", topics=("fleet", "sources"))
def node_panel() -> dict[str, Any]:
    """The drawer of one node: numbers, reasons, evidence. Raises NotFound."""
    topology = _topology()
    wanted = request.args.get("id", "")
    node = next((one for one in topology.nodes if one.id == wanted), None)
    if node is None:
        raise NotFound("No service or node with this id is seen now.")
    return {
        "tile": tiles([node], topology)[0],
        "callers": [edge for edge in topology.edges if edge.target == node.id][:8],
        "callees": [edge for edge in topology.edges if edge.source == node.id][:8],
        "by_id": {one.id: one for one in topology.nodes},
    }


def _origin(topology: Topology, first: Node | None) -> Node | None:
    """The node that the others probably suffer from, where it is not the one that is told first anyway."""
    found = origins(topology) if first else []
    node = found[0].node if found and found[0].affected else None
    return None if node is None or first is None or node.id == first.id else node


def answer(found: Sequence[Node]) -> str:
    """What is wrong, or that nothing is, as one sentence."""
    if not found:
        return "No services yet."
    parts = [f"{number} {form.mark(status).many}" for status, number in counts(found) if number]
    if all(node.health.status in QUIET for node in found):
        idle = sum(node.health.status is HealthStatus.IDLE for node in found)
        tail = f", {idle} of them idle" if idle else ""
        return f"All {form.plural(len(found), 'service')} healthy{tail}."
    return ", ".join(parts) + "."


def worst(found: Sequence[Node]) -> Node | None:
    """The node to look at first, if one is failing or degraded."""
    bad = (HealthStatus.FAILING, HealthStatus.DEGRADED)
    return next((node for node in found if node.health.status in bad), None)


def counts(found: Iterable[Node]) -> list[tuple[HealthStatus, int]]:
    """How many services are in each status, worst first, zeros included."""
    tally = Counter(node.health.status for node in found)
    return [(status, tally[status]) for status in HealthStatus]


def grouped(found: Sequence[Tile], by: str) -> list[Group]:
    """Tiles under their headings; the group with the worst member comes first."""
    members: dict[str, list[Tile]] = {}
    for tile in found:
        name = {"namespace": tile.node.namespace, "team": tile.node.owner}.get(by, "")
        members.setdefault(name or ("" if by == "none" else f"no {by}"), []).append(tile)
    return [
        Group(
            name,
            tuple(tile for tile in inside if not tile.quiet),
            tuple(tile for tile in inside if tile.quiet),
            sum(tile.node.health.status is HealthStatus.UNKNOWN for tile in inside),
        )
        for name, inside in members.items()
    ]


def _topology() -> Topology:
    return services().reader.topology(at=timerange.requested().moment)


def _services(topology: Topology) -> list[Node]:
    found = [node for node in topology.nodes if node.kind is NodeKind.SERVICE]
    return sorted(found, key=lambda node: (node.health.status.rank, -(node.rps or 0.0), node.name))


def _filters() -> dict[str, Any]:
    args = request.args
    status, group = args.get("status", ""), args.get("group", "namespace")
    if status and status not in list(HealthStatus):
        raise BadInput("This is no health status.", field="status")
    if group not in GROUPS:
        raise BadInput("Group by namespace, team or none.", field="group")
    remembered = preference.current().quiet
    quiet = {"hide": True, "show": False}.get(args.get("healthy", ""), remembered)
    return {"q": args.get("q", "")[:200], "status": status, "group": group, "quiet": quiet}


def _matches(node: Node, text: str, status: str) -> bool:
    if status and node.health.status != status:
        return False
    return text.casefold() in f"{node.namespace or ''}/{node.name} {node.owner or ''}".casefold()
