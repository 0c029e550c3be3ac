"""Workloads as Kubernetes knows them: live state, revisions with their difference to now, pods."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import Response

from app.api import answer, cursor, shapes
from app.api.operation import api_blueprint, operation
from app.api.query import CURSOR, LIMIT
from app.errors import NotFound
from app.model.inventory import Container, Inventory, Pod, Revision, Workload
from app.web.access import requires
from app.web.services import services

blueprint = api_blueprint("workloads")

_PATH = "/workloads/<cluster>/<namespace>/<kind>/<name>"
_PAGED = (LIMIT, CURSOR)


@blueprint.get(_PATH)
@requires("read")
@operation("Live state of a workload", answer=shapes.WorkloadAnswer)
def one_workload(cluster: str, namespace: str, kind: str, name: str) -> Response:
    """What Kubernetes said last about it."""
    inventory, workload, as_of = _find(cluster, namespace, kind, name)
    return answer.reading(_workload_row(cluster, workload, inventory), as_of=as_of, cluster=cluster)


@blueprint.get(f"{_PATH}/pods")
@requires("read")
@operation("Pods of a workload", query=_PAGED, answer=shapes.Pods)
def pods(cluster: str, namespace: str, kind: str, name: str, query: dict[str, Any]) -> Response:
    """Pods by name."""
    inventory, workload, as_of = _find(cluster, namespace, kind, name)
    found = sorted(pods_of(inventory, workload), key=lambda pod: pod.name)
    shown, following = cursor.page(found, lambda pod: [pod.name], (str,), query["cursor"], query["limit"])
    return answer.listing([_pod_row(pod) for pod in shown], following, as_of=as_of)


@blueprint.get(f"{_PATH}/revisions")
@requires("read")
@operation("Revisions of a workload, newest first", query=_PAGED, answer=shapes.Revisions)
def revisions(cluster: str, namespace: str, kind: str, name: str, query: dict[str, Any]) -> Response:
    """Revisions with images, age, and what differs from the present template."""
    inventory, workload, as_of = _find(cluster, namespace, kind, name)
    found = sorted((one for one in inventory.revisions if one.owner_uid == workload.uid), key=_newest_first)
    shown, following = cursor.page(found, _newest_first, (int, str), query["cursor"], query["limit"])
    return answer.listing([_revision_row(one, workload, as_of) for one in shown], following, as_of=as_of)


def pods_of(inventory: Inventory, workload: Workload) -> list[Pod]:
    """Pods owned by the workload itself or by one of its revisions (ReplicaSets)."""
    owners = {workload.uid, *(one.uid for one in inventory.revisions if one.owner_uid == workload.uid)}
    return [pod for pod in inventory.pods if pod.owner_uid in owners]


def _find(cluster: str, namespace: str, kind: str, name: str) -> tuple[Inventory, Workload, datetime]:
    known = services().reader.inventory(cluster)
    if known is None:
        raise NotFound("Kubernetes of this cluster was never heard.")
    inventory, as_of = known
    wanted = (namespace, kind.lower(), name)
    for workload in inventory.workloads:
        if (workload.namespace, workload.kind.lower(), workload.name) == wanted:
            return inventory, workload, as_of
    raise NotFound("Kubernetes knows no such workload.")


def _workload_row(cluster: str, workload: Workload, inventory: Inventory) -> dict[str, Any]:
    return {
        "target": {
            "cluster": cluster,
            "namespace": workload.namespace,
            "kind": workload.kind,
            "name": workload.name,
        },
        "uid": workload.uid,
        "resource_version": workload.resource_version,
        "generation": workload.generation,
        "observed_generation": workload.observed_generation,
        "paused": workload.paused,
        "deleting": workload.deleting,
        "strategy": workload.strategy,
        "replicas": _replicas(workload),
        "containers": [_container_row(one) for one in workload.containers],
        "conditions": [
            {
                "type": one.type,
                "status": one.status,
                "reason": one.reason,
                "message": one.message,
                "since": one.since,
            }
            for one in workload.conditions
        ],
        "autoscaler": _autoscaler(workload, inventory),
        "revision": workload.revision or workload.update_revision or None,
        "created": workload.created,
    }


def _replicas(workload: Workload) -> dict[str, int]:
    names = ("desired", "current", "updated", "ready", "available", "terminating")
    return {name: getattr(workload, name) for name in names}


def _container_row(one: Container) -> dict[str, Any]:
    return {"name": one.name, "image": one.image, "requests": dict(one.requests), "limits": dict(one.limits)}


def _autoscaler(workload: Workload, inventory: Inventory) -> dict[str, Any] | None:
    for one in inventory.autoscalers:
        if (one.namespace, one.target_kind, one.target_name) == (
            workload.namespace,
            workload.kind,
            workload.name,
        ):
            return {
                "name": one.name,
                "minimum": one.minimum,
                "maximum": one.maximum,
                "current": one.current,
                "desired": one.desired,
            }
    return None


def _pod_row(pod: Pod) -> dict[str, Any]:
    names = ("name", "uid", "node", "ip", "phase", "ready", "reason", "message", "restarts", "last_exit")
    row = {name: getattr(pod, name) for name in names}
    row |= {"images": list(pod.images), "started": pod.started, "created": pod.created}
    return row | {"deleting": pod.deleting}


def _newest_first(one: Revision) -> cursor.Key:
    return [-one.number, one.uid]


def _revision_row(one: Revision, workload: Workload, as_of: datetime) -> dict[str, Any]:
    age = (as_of - one.created).total_seconds() if one.created else None
    return {
        "uid": one.uid,
        "name": one.name,
        "number": one.number,
        "current": _is_current(one, workload),
        "images": [container.image for container in one.containers],
        "change_cause": one.change_cause,
        "replicas": one.replicas,
        "ready": one.ready,
        "created": one.created,
        "age_seconds": age,
        "diff": _diff(one.containers, workload.containers),
    }


def _is_current(one: Revision, workload: Workload) -> bool:
    if workload.kind == "StatefulSet":
        return one.name == workload.update_revision
    return str(one.number) == workload.revision


def _diff(then: tuple[Container, ...], now: tuple[Container, ...]) -> list[dict[str, str | None]]:
    """What a return to `then` would change: (path, now, then) where they differ."""
    before, after = _flat(now), _flat(then)
    return [
        {"path": path, "before": before.get(path), "after": after.get(path)}
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]


def _flat(containers: tuple[Container, ...]) -> dict[str, str]:
    flat: dict[str, str] = {}
    for one in containers:
        flat[f"{one.name}.image"] = one.image
        flat |= {f"{one.name}.requests.{key}": value for key, value in one.requests}
        flat |= {f"{one.name}.limits.{key}": value for key, value in one.limits}
    return flat
