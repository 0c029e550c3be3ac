"""The topology document: rows or columns, now or then, served from bytes made once per revision."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Response

from app.api import shapes
from app.api.operation import api_blueprint, operation
from app.api.query import AT, CLUSTER, NAMESPACE, choice, duration, expression, flag, integer, text
from app.understand.export import FORMATS
from app.understand.part import DIRECTIONS, FURTHEST, GROUPS, MODES
from app.web import etag
from app.web.access import current, requires
from app.web.documents import Question, download
from app.web.services import services

blueprint = api_blueprint("topology")

_WINDOW = duration(
    "window", "Length of the window that rates cover.", None, timedelta(minutes=1), timedelta(days=30)
)
_EXPRESSION = "An expression such as `checkout err > 5%` (docs/topology.md)."
_PART = (
    CLUSTER,
    NAMESPACE,
    AT,
    _WINDOW,
    text("focus", "Only the surroundings of this node id."),
    integer("depth", f"How many hops around `focus`; {FURTHEST}: as far as it goes.", 1, 1, FURTHEST),
    choice("dir", "Which way: any, up (callers), down (callees), both (the two trees).", DIRECTIONS, "any"),
    text("target", "With `focus`: only what lies on a path between the two."),
    choice(
        "mode",
        "problems: what is failing or degraded and what is within two hops; auto: so on a map that is too full.",
        MODES,
        "auto",
    ),
    flag("errors", "Only what is failing or degraded, and its ends."),
    expression("find", f"Only what this selects; on a map it is marked and never folded. {_EXPRESSION}"),
    expression("hide", f"Leave out what this selects; it wins over `find`. {_EXPRESSION}"),
)
_QUERY = (
    *_PART,
    choice("group", "Fold these; none: fold only what does not fit (map view).", GROUPS, "none"),
    text("folded", "Groups to fold, separated by commas (map view)."),
    text("opened", "Groups never to fold, separated by commas (map view)."),
    choice("view", "full: everything; map: what fits a drawing, with positions.", ("full", "map"), "full"),
    choice("format", "rows, or columnar: arrays per field.", ("rows", "columnar"), "rows"),
    text("since", "A version: only what changed since then; the full answer if it is too old.", longest=64),
)
_FORMAT = choice("format", "The form of the file.", FORMATS, "json")


@blueprint.get("/topology")
@requires("read")
@operation("Nodes and edges", query=_QUERY, answer=shapes.TopologyAnswer)
def topology(query: dict[str, Any]) -> Response:
    """Cached bytes with a strong entity tag per encoding."""
    question = _question(query)
    documents = services().documents
    return etag.serve(documents.topology(question, current().visibility, since=query["since"] or None))


@blueprint.get("/topology/export")
@requires("read")
@operation("Nodes and edges as a file", query=(*_PART, _FORMAT), answer=Any, media_type="*/*")
def export(query: dict[str, Any]) -> Response:
    """Never folded, never cut: DOT for Graphviz, CSV with a row per node and edge, or the JSON document."""
    file = services().documents.export(_question(query), current().visibility, query["format"])
    return download(file, query["format"])


def _question(query: dict[str, Any]) -> Question:
    return Question(
        cluster=query["cluster"] or None,
        namespace=query["namespace"] or None,
        at=query["at"],
        window=query["window"],
        focus=query["focus"] or None,
        depth=query["depth"],
        direction=query["dir"],
        target=(query["target"] or None) if query["focus"] else None,
        mode=query["mode"],
        errors=query["errors"],
        find=query["find"] or None,
        hide=query["hide"],
        group=query.get("group", "none"),
        folded=_names(query.get("folded")),
        opened=_names(query.get("opened")),
        view=query.get("view", "full"),
        columnar=query["format"] == "columnar",
    )


def _names(text: str | None) -> frozenset[str]:
    return frozenset(name for name in (text or "").split(",") if name)
