"""The pages of one service and of one inferred node: is it all right, since when not, why, and what can be done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from app.errors import NotFound
from app.model.fleet import Edge, HealthStatus, Node, NodeKind, Topology, service_id
from app.model.inventory import Autoscaler, Inventory, Pod, Revision, Workload
from app.pages import charts, freshness, timerange
from app.pages import format as form
from app.pages.fragments import fragment
from app.pages.impact import hanging_on
from app.pages.shell import node_href
from app.understand import limits
from app.web.access import requires
from app.web.headers import allow_charts
from app.web.services import services

blueprint = Blueprint("service", __name__)

SHOWN = 200


@dataclass(frozen=True, slots=True)
class Peer:
    """A connection seen from one of its ends."""

    edge: Edge
    node: Node | None


@blueprint.get("/services/<cluster>/<namespace>/<name>")
@requires("read")
def page(cluster: str, namespace: str, name: str) -> ResponseReturnValue:
    """Everything about one service."""
    timerange.requested()
    node = _node(service_id(cluster, namespace, name))
    allow_charts()
    return render_template("pages/service.html", node=node, figures=charts.figures(node), tab="overview")


@blueprint.get("/services/<cluster>/<namespace>/<name>/pods")
@requires("read")
def pods_page(cluster: str, namespace: str, name: str) -> ResponseReturnValue:
    """All its pods and revisions."""
    timerange.requested()
    node = _node(service_id(cluster, namespace, name))
    return render_template("pages/service_pods.html", node=node, tab="pods")


@blueprint.get("/nodes")
@requires("read")
def node_page() -> ResponseReturnValue:
    """An inferred node: who calls it, how it answers, who says so."""
    timerange.requested()
    node = _node(request.args.get("id", ""))
    if node.kind is NodeKind.SERVICE:
        return redirect(node_href(node), code=302)
    allow_charts()
    return render_template("pages/node.html", node=node, figures=charts.figures(node))


@fragment(blueprint, "service-verdict", topics=lambda: _topics())
def service_verdict() -> dict[str, Any]:
    """The sentence, the reasons, the buttons."""
    node = _node(_asked())
    workload = None if timerange.requested().frozen else _workload(node)  # nobody keeps those of the past
    return {
        "node": node,
        "answer": answer(node),
        "more_reasons": node.health.reasons[1:] if _told(node) else node.health.reasons,
        "numbers": _numbers(node),
        "stale": _is_stale(node),
        "workload": workload,
        "autoscaler": _autoscaler(node, workload),
        "scale": scale_address(node),
        "impact": hanging_on(node),
        "own_limits": _own_limits(node),
        "known_to_kubernetes": node.workload is not None,
    }


@fragment(blueprint, "service-deps", topics=("topology", "sources"))
def service_deps() -> dict[str, Any]:
    """Callers and callees, worst first."""
    topology = _topology()
    node = _node(_asked())
    by_id = {one.id: one for one in topology.nodes}
    upstream = [Peer(edge, by_id.get(edge.source)) for edge in topology.edges if edge.target == node.id]
    downstream = [Peer(edge, by_id.get(edge.target)) for edge in topology.edges if edge.source == node.id]
    return {"node": node, "upstream": upstream[:SHOWN], "downstream": downstream[:SHOWN]}


@fragment(blueprint, "service-pods", topics=lambda: ("fleet", "sources"))
def service_pods() -> dict[str, Any]:
    """Pods, those that are not ready first, and revisions, the newest first."""
    node = _node(_asked())
    workload, known = _workload(node), _inventory(node)
    if known is None or workload is None:
        return {"node": node, "workload": None, "pods": [], "revisions": [], "as_of": None, "total": 0}
    inventory, as_of = known
    pods = sorted(_pods(inventory, workload), key=lambda pod: (pod.ready, -pod.restarts, pod.name))
    revisions = [one for one in inventory.revisions if one.owner_uid == workload.uid]
    return {
        "node": node,
        "workload": workload,
        "pods": pods[:SHOWN],
        "total": len(pods),
        "revisions": sorted(revisions, key=lambda one: -one.number)[:20],
        "current": _current(workload, revisions),
        "as_of": as_of,
        "versions": _versions(pods),
    }


def answer(node: Node) -> str:
    """Health and its first reason as one sentence."""
    name, mark = form.cut(node.name, 80), form.mark(node.health.status)
    word = mark.many if node.health.status is HealthStatus.MAINTENANCE else mark.word
    if node.health.status is HealthStatus.UNKNOWN:
        return f"Nobody knows how {name} is."
    if _told(node):
        return f"{name} is {word}: {form.cut(node.health.reasons[0].message, 140)}"
    return f"{name} is {word}."


def _told(node: Node) -> bool:
    """Whether the sentence holds the first reason."""
    quiet = (HealthStatus.HEALTHY, HealthStatus.UNKNOWN)
    return bool(node.health.reasons) and node.health.status not in quiet


def _numbers(node: Node) -> list[tuple[str, str, str]]:
    """(label, value, health token where it is the reason)."""
    codes = " ".join(reason.code for reason in node.health.reasons)
    token = form.mark(node.health.status).token
    bad = token if token in ("crit", "warn") else ""
    late = node.latency
    return [
        ("rate in", form.about(node) + form.rate(node.rps), bad if "volume" in codes else ""),
        ("errors", form.ratio(node.error_ratio, requests=node.requests), bad if "error" in codes else ""),
        ("p50", form.quantile(late, "p50"), ""),
        ("p95", form.quantile(late, "p95"), bad if "latency" in codes else ""),
        ("p99", form.quantile(late, "p99"), ""),
    ]


def _own_limits(node: Node) -> list[str]:
    """What the configuration changes in the limits that this node is judged by."""
    book = limits.RuleBook(services().config.health.rules)
    subject = limits.Subject(node.cluster, node.namespace or "", node.name, node.kind.value)
    return limits.told(book.own(subject)) if book.rules else []


def _is_stale(node: Node) -> bool:
    """Whether the present values are too old to be taken as the present."""
    if timerange.requested().frozen:
        return False
    topology = _topology()
    lag = topology.as_of - node.as_of if node.as_of is not None else None
    return freshness.is_old(topology) or (lag is not None and lag > freshness.STALE_AFTER)


def _asked() -> str:
    """The node that a fragment's query, or the page's path, names."""
    view = request.view_args or {}
    given = view if "cluster" in view else request.args
    if "namespace" in given:
        return service_id(given.get("cluster", ""), given["namespace"], given.get("name", ""))
    return request.args.get("id", "")


def _topics() -> tuple[str, ...]:
    return (f"service:{_asked()}", "fleet", "sources")


def _topology() -> Topology:
    return services().reader.topology(at=timerange.requested().moment)


def _node(identity: str) -> Node:
    topology = _topology()
    node = next((one for one in topology.nodes if one.id == identity), None)
    if node is None and timerange.requested().frozen and not topology.nodes:
        raise NotFound("Nothing is stored for this time.")
    if node is None:
        raise NotFound("No service or node with this name is seen at this time.")
    return node


def _inventory(node: Node) -> tuple[Inventory, datetime] | None:
    return services().reader.inventory(node.cluster)


def _workload(node: Node) -> Workload | None:
    """The workload behind a service, as Kubernetes said last."""
    known = _inventory(node)
    if known is None or node.workload is None:
        return None
    wanted = (node.namespace, *node.workload)
    found = (one for one in known[0].workloads if (one.namespace, one.kind, one.name) == wanted)
    return next(found, None)


def _autoscaler(node: Node, workload: Workload | None) -> Autoscaler | None:
    known = _inventory(node)
    if known is None or workload is None:
        return None
    wanted = (workload.namespace, workload.kind, workload.name)
    found = (
        one for one in known[0].autoscalers if (one.namespace, one.target_kind, one.target_name) == wanted
    )
    return next(found, None)


def _pods(inventory: Inventory, workload: Workload) -> list[Pod]:
    owners = {workload.uid, *(one.uid for one in inventory.revisions if one.owner_uid == workload.uid)}
    return [pod for pod in inventory.pods if pod.owner_uid in owners]


def _current(workload: Workload, revisions: list[Revision]) -> str:
    """The uid of the revision that runs now."""
    if workload.kind == "Deployment":
        return next((one.uid for one in revisions if str(one.number) == workload.revision), "")
    return next((one.uid for one in revisions if one.name == workload.update_revision), "")


def _versions(pods: list[Pod]) -> list[tuple[str, int, int]]:
    """(image, pods, ready pods), the most used first."""
    counts: dict[str, list[int]] = {}
    for pod in pods:
        for image in pod.images[:1]:
            row = counts.setdefault(image, [0, 0])
            row[0] += 1
            row[1] += pod.ready
    return sorted(((image, *row) for image, row in counts.items()), key=lambda one: -one[1])  # type: ignore[misc]


def scale_address(node: Node) -> str:
    """The form that scales a service; "" when Kubernetes knows nothing of it that can be scaled."""
    workload = _workload(node)
    if workload is None or workload.kind not in ("Deployment", "StatefulSet"):
        return ""
    target = {"namespace": workload.namespace, "workload": workload.kind, "name": workload.name}
    return "/actions/new?" + urlencode({"kind": "scale", "cluster": node.cluster, **target})
