"""Search: services, inferred nodes, pages, settings and actions by their words. The palette shows the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, current_app, redirect, render_template, request
from flask.typing import ResponseReturnValue

from app.model.fleet import HealthStatus, Node, NodeKind
from app.pages import timerange
from app.pages.fragments import fragment
from app.pages.shell import node_href, places
from app.web import access
from app.web.access import requires
from app.web.services import services
from app.web.traces import trace_id_of

blueprint = Blueprint("search", __name__)

SHOWN = 40
_LONGEST = 200
_SETTINGS = (
    ("Sources", "/settings/sources"),
    ("Preferences", "/settings/me"),
    ("API tokens", "/settings/tokens"),
    ("API documentation", "/api/docs"),
)


@dataclass(frozen=True, slots=True)
class Hit:
    """One result. `status` is None for what has no health; `note` says why or where."""

    group: str
    label: str
    href: str
    note: str = ""
    status: HealthStatus | None = None


@blueprint.get("/search")
@requires("read")
def page() -> ResponseReturnValue:
    """The page; without scripts it is all there is. The id of a trace leads to the trace."""
    timerange.requested()
    trace = trace_id_of(_asked())
    if trace is not None and not trace.startswith("0" * 16):
        return redirect(f"/traces/{trace}", code=302)
    return render_template("pages/search.html", q=_asked())


@fragment(blueprint, "search-results", topics=("fleet",))
def results() -> dict[str, Any]:
    """Hits for `q`, grouped; without a `q` the pages and what is unhealthy."""
    found = hits(_asked())
    groups: dict[str, list[Hit]] = {}
    for hit in found[:SHOWN]:
        groups.setdefault(hit.group, []).append(hit)
    return {"groups": groups, "total": len(found), "cut": max(0, len(found) - SHOWN), "q": _asked()}


def hits(text: str) -> list[Hit]:
    """Everything that holds all words of `text`, best first: names that begin with it, then worst health."""
    words = text.casefold().split()
    nodes = services().reader.topology().nodes
    if not words:
        loud = (HealthStatus.FAILING, HealthStatus.DEGRADED, HealthStatus.UNKNOWN)
        return [*(_node_hit(node) for node in nodes if node.health.status in loud), *_pages()]
    matching = [
        node
        for node in nodes
        if _holds(f"{node.name} {node.namespace or ''} {node.owner or ''} {node.kind}", words)
    ]
    matching.sort(
        key=lambda node: (not node.name.casefold().startswith(words[0]), node.health.status.rank, node.name)
    )
    others = [hit for hit in [*_actions(nodes, words), *_pages()] if _holds(f"{hit.label} {hit.note}", words)]
    return [*_trace(text), *(_node_hit(node) for node in matching), *others]


def _trace(text: str) -> list[Hit]:
    """The page of a trace when its id was pasted."""
    found = trace_id_of(text)
    return [Hit("Traces", f"Trace {found}", f"/traces/{found}")] if found is not None else []


def _asked() -> str:
    return request.args.get("q", "")[:_LONGEST]


def _holds(text: str, words: list[str]) -> bool:
    folded = text.casefold()
    return all(word in folded for word in words)


def _node_hit(node: Node) -> Hit:
    service = node.kind is NodeKind.SERVICE
    reason = node.health.reasons[0].message if node.health.reasons else ""
    where = node.namespace or "" if service else str(node.kind)
    return Hit(
        "Services" if service else "Inferred nodes",
        node.name,
        node_href(node),
        reason or where,
        node.health.status,
    )


def _pages() -> list[Hit]:
    rules = {rule.rule for rule in current_app.url_map.iter_rules()}
    known = [(place.label, place.path) for place in places() if place.label != "Settings"]
    return [Hit("Pages", label, path) for label, path in (*known, *_SETTINGS) if path in rules]


def _actions(nodes: tuple[Node, ...], words: list[str]) -> list[Hit]:
    """Entries that open an action's dialog (none of them runs anything)."""
    rules = {rule.rule for rule in current_app.url_map.iter_rules()}
    if "/actions/new" not in rules or not access.current().allows("act"):
        return []
    return [
        Hit("Actions", f"Scale {node.name}…", f"/actions/new?{_target(node)}", node.namespace or "")
        for node in nodes
        if node.workload is not None and _holds(f"scale {node.name}", words)
    ]


def _target(node: Node) -> str:
    kind, name = node.workload or ("", "")
    return urlencode(
        {
            "kind": "scale",
            "cluster": node.cluster,
            "namespace": node.namespace or "",
            "workload": f"{kind}/{name}",
        }
    )
