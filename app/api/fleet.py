"""Clusters, services and nodes: the inventory with health and traffic."""

from __future__ import annotations

from collections import Counter
from typing import Any

from flask import Response

from app.api import answer, cursor, shapes
from app.api.operation import api_blueprint, operation
from app.api.query import AT, CLUSTER, CURSOR, LIMIT, NAMESPACE, choice, text
from app.api.rows import call_row, node_row
from app.errors import NotFound
from app.model.fleet import HealthStatus, Node, NodeKind, Topology
from app.web.access import requires
from app.web.services import services as parts

blueprint = api_blueprint("fleet")

_HEALTH = choice("health", "Only services in this state.", tuple(HealthStatus))
_NAME = text("q", "Only services whose name contains this.")
_ID = text("id", "Id of the node.", required=True)
_KEY = (int, str, str)


@blueprint.get("/clusters")
@requires("read")
@operation("Clusters and what is seen of each", answer=shapes.Clusters)
def list_clusters() -> Response:
    """Configured clusters, also those that were never heard."""
    return answer.listing([_cluster_row(cluster.name) for cluster in parts().config.clusters], None)


@blueprint.get("/services")
@requires("read")
@operation(
    "Services, worst first",
    query=(CLUSTER, NAMESPACE, _HEALTH, _NAME, AT, LIMIT, CURSOR),
    answer=shapes.Services,
)
def list_services(query: dict[str, Any]) -> Response:
    """A page of services, sorted by health, then id."""
    topology = parts().reader.topology(query["cluster"], query["at"])
    found = sorted((node for node in topology.nodes if _wanted(node, query)), key=_sort_key)
    shown, following = cursor.page(found, _sort_key, _KEY, query["cursor"], query["limit"])
    return answer.listing(
        [node_row(node) for node in shown],
        following,
        as_of=topology.as_of,
        window_seconds=topology.window.total_seconds(),
    )


@blueprint.get("/services/<path:service_id>")
@requires("read")
@operation("One service with its callers and callees", query=(AT,), answer=shapes.ServiceDetail)
def one_service(service_id: str, query: dict[str, Any]) -> Response:
    """A service by its id `cluster:namespace:name`."""
    return _detail(service_id, query)


@blueprint.get("/nodes")
@requires("read")
@operation("One node of any kind with its callers and callees", query=(_ID, AT), answer=shapes.ServiceDetail)
def one_node(query: dict[str, Any]) -> Response:
    """A service or inferred node by its id."""
    return _detail(query["id"], query)


def find_node(node_id: str, topology: Topology) -> Node:
    """The node of that id. Raises NotFound."""
    found = next((node for node in topology.nodes if node.id == node_id), None)
    if found is None:
        raise NotFound("No service or node with this id is seen at that time.")
    return found


def _detail(node_id: str, query: dict[str, Any]) -> Response:
    topology = parts().reader.topology(cluster_of(node_id), query["at"])
    node = find_node(node_id, topology)
    names = {one.id: one.name for one in topology.nodes}
    callers = [call_row(edge, edge.source, names) for edge in topology.edges if edge.target == node_id]
    callees = [call_row(edge, edge.target, names) for edge in topology.edges if edge.source == node_id]
    value = {
        **node_row(node),
        "window_seconds": topology.window.total_seconds(),
        "callers": callers,
        "callees": callees,
    }
    return answer.reading(value, as_of=topology.as_of, cluster=node.cluster)


def cluster_of(node_id: str) -> str:
    """The cluster part of an id. Raises NotFound when it names no cluster we have data of."""
    cluster = node_id.partition(":")[0]
    if cluster not in parts().reader.clusters():
        raise NotFound("No service or node with this id is seen.")
    return cluster


def _wanted(node: Node, query: dict[str, Any]) -> bool:
    if node.kind is not NodeKind.SERVICE:
        return False
    if query["namespace"] and node.namespace != query["namespace"]:
        return False
    if query["health"] and node.health.status != query["health"]:
        return False
    return not query["q"] or query["q"].lower() in node.name.lower()


def _sort_key(node: Node) -> cursor.Key:
    return [node.health.status.rank, node.name, node.id]


def _cluster_row(name: str) -> dict[str, Any]:
    reader = parts().reader
    sources = [one.source for one in reader.freshness(name)]
    if name not in reader.clusters():
        return {
            "name": name,
            "sources": sources,
            "services": None,
            "nodes": None,
            "health": {},
            "as_of": None,
        }
    topology = reader.topology(name)
    kinds = [node for node in topology.nodes if node.kind is NodeKind.SERVICE]
    return {
        "name": name,
        "sources": sources,
        "services": len(kinds),
        "nodes": len(topology.nodes),
        "health": dict(Counter(str(node.health.status) for node in kinds)),
        "as_of": topology.as_of,
    }
