"""Writing: create, replace, patch and scale, each judged and filed under the store's lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from demo import kube_errors as errors
from demo.cluster import Cluster
from demo.kube_errors import Refusal
from demo.kube_kinds import (
    BUDGET,
    DAEMON_SET,
    DEPLOYMENT,
    NAMESPACE,
    SERVICE,
    STATEFUL_SET,
    Kind,
    Obj,
)
from demo.kube_objects import default_service, default_workload
from demo.kube_patch import (
    JSON_PATCH,
    MERGE_PATCH,
    STRATEGIC_PATCH,
    BadPatch,
    apply_json_patch,
    merge,
    merge_strategic,
)
from demo.kube_request import Answer, Request, Target, answer
from demo.kube_scale import scale_of, scaled
from demo.kube_schema import Mistyped, checked
from demo.kube_validate import count_fault, faults_of

Change = Callable[[Obj], Any]  # the present object -> the wanted one
_WORKLOADS = (DEPLOYMENT, STATEFUL_SET, DAEMON_SET)
_PATCHES: dict[str, Callable[[Any, Any], Any]] = {
    JSON_PATCH: apply_json_patch,
    MERGE_PATCH: merge,
    STRATEGIC_PATCH: merge_strategic,
}
_KEPT = (
    "uid",
    "creationTimestamp",
    "generation",
    "managedFields",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)


def patch(cluster: Cluster, request: Request, target: Target) -> Answer:
    """PATCH of an object, its status or its scale."""
    apply = _PATCHES.get(request.media_type())
    if apply is None:
        raise errors.unsupported_media_type()
    dry = request.dry_run("PatchOptions")
    try:
        body = orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise errors.bad_request(f"error decoding patch: {error}") from error

    def change(obj: Obj) -> Any:
        try:
            return apply(obj, body)
        except BadPatch as error:
            raise errors.rejected_patch() from error

    return _update(cluster, request, target, change, dry=dry, patched=True)


def put(cluster: Cluster, request: Request, target: Target) -> Answer:
    """PUT of an object, its status or its scale."""
    dry = request.dry_run("UpdateOptions")
    body = request.json()
    if not isinstance(body, dict):
        raise errors.bad_request("the body is no object")
    return _update(cluster, request, target, lambda _: body, dry=dry, patched=False)


def _update(
    cluster: Cluster, request: Request, target: Target, change: Change, *, dry: bool, patched: bool
) -> Answer:
    with cluster.lock:
        old = cluster.store.get(target.kind, (target.namespace, target.name))
        if old is None:
            raise errors.not_found(target.kind, target.name)
        if target.sub == "scale":
            return _scale(cluster, request, target, old, change, dry=dry, patched=patched)
        kind = target.kind
        whole = {"kind": kind.kind, "apiVersion": kind.api_version, **old}
        wanted, warnings = _judged(request, kind.kind, target, change(whole), whole, patched=patched)
        new = _prepared(kind, target.sub, old, wanted)
        faults = faults_of(kind, new, old)
        if faults:
            raise errors.invalid_object(kind, target.name, faults)
        if new != old:
            new = cluster.moved(kind, old, new, manager=request.manager(), subresource=target.sub)
            new = new if dry else cluster.store.put(kind, new)
        return answer({"kind": kind.kind, "apiVersion": kind.api_version, **new}, warnings=warnings)


def _judged(
    request: Request, shape: str, target: Target, wanted: Any, old: Obj, *, patched: bool
) -> tuple[Obj, list[str]]:
    """The wanted object without unknown fields, and warnings. Raises for what is no such object or is stale."""
    try:
        known, unknown = checked(shape, wanted)
    except Mistyped as error:
        raise _undecodable(target, wanted, str(error), patched=patched) from error
    validation = request.query.get("fieldValidation") or "Warn"
    if unknown and validation == "Strict":
        listed = ", ".join(f'unknown field "{path}"' for path in unknown)
        raise _undecodable(target, wanted, f"strict decoding error: {listed}", patched=patched)
    warnings = [f'unknown field "{path}"' for path in unknown] if validation == "Warn" else []
    meta = known.get("metadata")
    if not isinstance(meta, dict):
        raise errors.bad_request("metadata is missing")
    if meta.get("name", target.name) != target.name:
        named = (
            f"the name of the object ({meta.get('name')}) does not match the name on the URL ({target.name})"
        )
        raise errors.bad_request(named)
    version, uid = meta.get("resourceVersion"), meta.get("uid")
    if version not in (None, "", old["metadata"]["resourceVersion"]):
        raise errors.conflict(target.kind, target.name)
    if uid not in (None, "", old["metadata"]["uid"]):
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old['metadata']['uid']}"
        raise errors.conflict(target.kind, target.name, why)
    return known, warnings


def _undecodable(target: Target, wanted: Any, why: str, *, patched: bool) -> Refusal:
    if patched:
        return errors.undecodable_patch(orjson.dumps(wanted), why)
    kind = target.kind
    return errors.bad_request(
        f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {why}'
    )


def _prepared(kind: Kind, sub: str, old: Obj, wanted: Obj) -> Obj:
    """What would be filed: system fields as they were, status only through its subresource, defaults filled in."""
    old_meta = old["metadata"]
    if sub == "status":
        return {**old, "status": wanted.get("status") or {}}
    meta = {name: value for name, value in wanted["metadata"].items() if value is not None}
    meta.update({name: old_meta[name] for name in _KEPT if name in old_meta})
    meta["resourceVersion"] = old_meta["resourceVersion"]
    meta["name"] = old_meta["name"]
    if "namespace" in old_meta:
        meta["namespace"] = old_meta["namespace"]
    ordered = {name: meta[name] for name in old_meta if name in meta}
    new = {name: value for name, value in wanted.items() if name not in ("kind", "apiVersion", "status")}
    new["metadata"] = {**ordered, **meta}
    if "status" in old:
        new["status"] = old["status"]
    return default_workload(kind, new) if kind in _WORKLOADS else new


def _scale(
    cluster: Cluster, request: Request, target: Target, old: Obj, change: Change, *, dry: bool, patched: bool
) -> Answer:
    kind, present = target.kind, scale_of(old)
    wanted, warnings = _judged(request, "Scale", target, change(present), present, patched=patched)
    count = (wanted.get("spec") or {}).get("replicas") or 0
    faults = count_fault(count, "spec.replicas")
    if faults:
        details = {"name": target.name, "group": "autoscaling", "kind": "Scale"}
        raise errors.invalid("Scale.autoscaling", target.name, faults, details)
    new = scaled(kind, old, count, manager=request.manager())
    if new is not old and not dry:
        new = cluster.store.put(kind, new)
    return answer(scale_of(new), warnings=warnings)


def read_scale(cluster: Cluster, target: Target) -> Answer:
    """GET of a scale subresource."""
    obj = cluster.store.get(target.kind, (target.namespace, target.name))
    if obj is None:
        raise errors.not_found(target.kind, target.name)
    return answer(scale_of(obj))


def create(cluster: Cluster, request: Request, target: Target) -> Answer:
    """POST of a new object."""
    kind = target.kind
    dry = request.dry_run("CreateOptions")
    body = request.json()
    meta = body.get("metadata") if isinstance(body, dict) else None
    if not isinstance(meta, dict):
        raise errors.bad_request(f"Object 'Kind' is missing in {kind.kind}")
    with cluster.lock:
        if kind.namespaced and cluster.store.get(NAMESPACE, ("", target.namespace)) is None:
            raise errors.not_found(NAMESPACE, target.namespace)
        new, warnings = _born(cluster, request, target, body, meta)
        name = new["metadata"]["name"]
        if cluster.store.get(kind, (target.namespace, name)) is not None:
            raise errors.already_exists(kind, name)
        faults = faults_of(kind, new, None)
        if faults:
            raise errors.invalid_object(kind, name, faults)
        if dry:
            new = {**new, "metadata": {**new["metadata"], "creationTimestamp": cluster.engine.stamp()}}
        else:
            new = cluster.engine.made(kind, new, manager=request.manager())
        return answer({"kind": kind.kind, "apiVersion": kind.api_version, **new}, 201, warnings=warnings)


def _born(cluster: Cluster, request: Request, target: Target, body: Obj, meta: Obj) -> tuple[Obj, list[str]]:
    kind = target.kind
    if meta.get("namespace") not in (None, "", target.namespace):
        raise errors.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    try:
        known, unknown = checked(kind.kind, body)
    except Mistyped as error:
        raise _undecodable(target, body, str(error), patched=False) from error
    validation = request.query.get("fieldValidation") or "Warn"
    if unknown and validation == "Strict":
        listed = ", ".join(f'unknown field "{path}"' for path in unknown)
        raise _undecodable(target, body, f"strict decoding error: {listed}", patched=False)
    filled = {name: value for name, value in meta.items() if name not in _KEPT and value is not None}
    if not filled.get("name") and filled.get("generateName"):
        filled["name"] = filled["generateName"] + cluster.engine.suffix()
    if kind.namespaced:
        filled["namespace"] = target.namespace
    filled.setdefault("name", "")
    new = {name: value for name, value in known.items() if name not in ("kind", "apiVersion", "status")}
    new["metadata"] = filled
    if kind in _WORKLOADS or kind is BUDGET:
        new["status"] = {}
    if kind is SERVICE:
        new = default_service(new, cluster.engine.service_address())
    new = default_workload(kind, new) if kind in _WORKLOADS else new
    return new, [f'unknown field "{path}"' for path in unknown] if validation == "Warn" else []
