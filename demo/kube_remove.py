"""Taking away: delete and evict, under the store's lock."""

from __future__ import annotations

from demo import kube_errors as errors
from demo.cluster import Cluster
from demo.kube_garbage import OWNS
from demo.kube_kinds import POD, Obj
from demo.kube_objects import is_leaving
from demo.kube_replicaset import mark_deleted
from demo.kube_request import Answer, Request, Target, answer


def delete(cluster: Cluster, request: Request, target: Target) -> Answer:
    """DELETE of one object: pods terminate, the rest goes at once or in the foreground."""
    kind = target.kind
    dry = request.dry_run("DeleteOptions")
    options = request.json() if request.body else {}
    options = options if isinstance(options, dict) else {}
    dry = dry or options.get("dryRun") == ["All"]
    with cluster.lock:
        obj = cluster.store.get(kind, (target.namespace, target.name))
        if obj is None:
            raise errors.not_found(kind, target.name)
        wanted = (options.get("preconditions") or {}).get("uid")
        if wanted and wanted != obj["metadata"]["uid"]:
            raise errors.conflict(kind, target.name, f"Precondition failed: UID in precondition: {wanted}")
        if kind is POD:
            gone = obj if dry else _delete_pod(cluster, request, options, obj)
            return answer({"kind": kind.kind, "apiVersion": kind.api_version, **gone})
        policy = options.get("propagationPolicy") or request.query.get("propagationPolicy")
        if policy == "Foreground" and not dry and kind in OWNS:
            marked = cluster.garbage.begin(kind, obj)
            return answer({"kind": kind.kind, "apiVersion": kind.api_version, **marked})
        if not dry:
            if policy == "Orphan":
                cluster.garbage.orphaned.add(obj["metadata"]["uid"])
            cluster.store.delete(kind, (target.namespace, target.name))
        details = {**errors.named(kind, target.name), "uid": obj["metadata"]["uid"]}
        return answer(
            {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        )


def _delete_pod(cluster: Cluster, request: Request, options: Obj, pod: Obj) -> Obj:
    text = request.query.get("gracePeriodSeconds", options.get("gracePeriodSeconds"))
    grace = int(text) if isinstance(text, int) or (isinstance(text, str) and text.isdigit()) else None
    if grace == 0:
        meta = pod["metadata"]
        cluster.store.delete(POD, (meta["namespace"], meta["name"]))
        return pod
    return mark_deleted(cluster.engine, pod, grace)


def evict(cluster: Cluster, request: Request, target: Target) -> Answer:
    """POST to pods/eviction: a delete that asks the disruption budget first, in a dry run too."""
    dry = request.dry_run("CreateOptions")
    body = request.json()
    options = body.get("deleteOptions") or {} if isinstance(body, dict) else {}
    dry = dry or options.get("dryRun") == ["All"]
    with cluster.lock:
        pod = cluster.store.get(POD, (target.namespace, target.name))
        if pod is None:
            raise errors.not_found(POD, target.name)
        budget = None if is_leaving(pod) else cluster.budgets.guards(pod)
        if budget is not None:
            status = budget.get("status") or {}
            if status.get("disruptionsAllowed", 0) < 1:
                name = budget["metadata"]["name"]
                raise errors.disruption_budget(
                    name, status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
                )
        if not dry:
            mark_deleted(cluster.engine, pod, options.get("gracePeriodSeconds"))
            if budget is not None:  # at once, so that a second eviction meets the new count
                cluster.budgets.sync((target.namespace, budget["metadata"]["name"]))
    return answer(
        {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}, 201
    )
