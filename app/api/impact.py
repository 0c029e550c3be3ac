"""What hangs on a node or connection: the share of entry requests that cross it, and who calls it."""

from __future__ import annotations

from typing import Any

from flask import Response

from app.api import answer, shapes
from app.api.fleet import cluster_of
from app.api.operation import api_blueprint, operation
from app.api.query import AT, text
from app.errors import BadInput
from app.understand.document import rounded
from app.understand.impact import Affected, Entry, Impact, impact_of_edge, impact_of_node, sentence
from app.web.access import requires
from app.web.services import services as parts

blueprint = api_blueprint("impact")

_QUERY = (text("node", "Id of a node."), text("edge", "Id of an edge; instead of a node."), AT)


@blueprint.get("/topology/impact")
@requires("read")
@operation("How much hangs on a node or an edge", query=_QUERY, answer=shapes.ImpactAnswer)
def impact(query: dict[str, Any]) -> Response:
    """Of one of the two."""
    node, edge = query["node"], query["edge"]
    if bool(node) == bool(edge):
        raise BadInput("Name either a node or an edge.", field="node")
    cluster = cluster_of(node or edge)
    topology = parts().reader.topology(cluster, query["at"])
    found = impact_of_node(topology, node) if node else impact_of_edge(topology, edge)
    return answer.reading(document(found), as_of=topology.as_of, cluster=cluster)


def document(found: Impact) -> dict[str, Any]:
    """An impact as JSON."""
    return {
        "share": rounded(found.share),
        "basis": found.basis,
        "sentence": sentence(found),
        "entries": [_entry(one) for one in found.entries],
        "callers": [_caller(one) for one in found.callers],
        "services": list(found.services),
    }


def _entry(one: Entry) -> dict[str, Any]:
    return {
        "id": one.node.id,
        "name": one.node.name,
        "rps": rounded(one.rps),
        "share": rounded(one.share),
    }


def _caller(one: Affected) -> dict[str, Any]:
    return {
        "id": one.node.id,
        "name": one.node.name,
        "kind": one.node.kind,
        "health": one.node.health.status,
        "share": rounded(one.share),
        "direct": one.direct,
        "waits": one.waits,
    }
