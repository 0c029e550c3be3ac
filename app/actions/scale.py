"""Scale: another number of replicas, through the scale subresource.

PUT with the resourceVersion the user saw; on a conflict the object is read again and the write repeated only
while spec.replicas still is what the user saw (only status moved). Reference: actions, section 6.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any, ClassVar

import orjson

from app.actions import forecast, guardrails, rollout, verify
from app.actions.base import Obj, World
from app.errors import ActionConflict, ActionFailed, ActionRefused, BadInput
from app.model.action import Applied, DiffLine, Plan, Progress, Target

MOST_REPLICAS = 1_000
_KINDS = {"Deployment": "deployments", "StatefulSet": "statefulsets"}
_TRIES = 3


class ScaleAction:
    """`params`: `replicas`, a whole number from 0 to 1,000."""

    kind: ClassVar[str] = "scale"

    def check(self, target: Target, params: dict[str, Any]) -> None:
        """Raises BadInput."""
        if target.kind not in _KINDS:
            raise BadInput("only Deployments and StatefulSets can be scaled", field="target.kind")
        wanted = params.get("replicas")
        if not isinstance(wanted, int) or isinstance(wanted, bool) or not 0 <= wanted <= MOST_REPLICAS:
            raise BadInput(f"replicas is a whole number from 0 to {MOST_REPLICAS}", field="params.replicas")
        if unknown := sorted(params.keys() - {"replicas"}):
            raise BadInput(f"scale knows no parameter {unknown[0]}", field=f"params.{unknown[0]}")

    def plan(self, target: Target, params: dict[str, Any], world: World) -> Plan:
        """Live object, permission, dry run, diff, guardrails, forecasts, capacity, disruption."""
        wanted, objects = int(params["replicas"]), world.objects
        allowed, _ = objects.may(target.namespace, "update", "apps", _KINDS[target.kind], "scale")
        permission = guardrails.permission(allowed, "update", f"{_KINDS[target.kind]}/scale")
        live = objects.workload(target.namespace, target.kind, target.name)
        scale = objects.scale(target.namespace, target.kind, target.name)
        now = _replicas(scale)
        autoscaler = forecast.autoscaler_of(objects.autoscalers(target.namespace), target)
        checks = (
            permission,
            *guardrails.standing(live, others=world.others_in_flight()),
            *guardrails.step(now, wanted),
            *guardrails.autoscaling(autoscaler, wanted),
            *guardrails.quota(objects.quotas(target.namespace), live, wanted - now),
        )
        plan = Plan(
            summary=f"Scale {target.name} from {now} to {wanted} replicas",
            diff=(DiffLine(forecast.REPLICAS, str(now), str(wanted)),),
            guardrails=checks,
            forecast=forecast.of_replicas(live, autoscaler, wanted, target),
            capacity=_capacity(world, target, live, now, wanted),
            disruption=_disruption(live, now, wanted),
            needs_approval=wanted == 0,
            confirmation=guardrails.confirmation(now, wanted),
        )
        return plan if guardrails.refused(checks) else _tried(plan, target, scale, wanted, world)

    def apply(self, plan: Plan, target: Target, world: World) -> Applied:
        """PUT the Scale."""
        at, objects, seen = world.now, world.objects, plan.seen
        version = str(seen["resource_version"])
        for _ in range(_TRIES):
            try:
                body = _body(target, seen["uid"], version, plan.write["replicas"])
                answer = objects.put_scale(target.namespace, target.kind, target.name, body, dry_run=False)
                return Applied(at, self._generation(target, world), _version(answer))
            except ActionConflict:
                version = _still_as_seen(plan, target, world)
        raise ActionConflict("it keeps changing while we write: review again")

    def landed(self, plan: Plan, target: Target, world: World) -> Applied | None:
        """Whether a write without an answer took effect: uid, value and field manager say so."""
        try:
            live = world.objects.workload(target.namespace, target.kind, target.name)
        except ActionRefused as error:
            raise ActionFailed(f"it cannot be looked at again: {error}") from error
        meta = live.get("metadata") or {}
        if meta.get("uid") != plan.seen["uid"]:
            raise ActionFailed("the object was replaced by another one of the same name")
        manager = forecast.manager_of_replicas(live)
        ours = manager in ("quarterdeck", "")  # after a scale from 0 nobody is recorded (observed S6)
        if int((live.get("spec") or {}).get("replicas") or 0) != plan.write["replicas"] or not ours:
            return None
        return Applied(world.now, int(meta.get("generation") or 0), str(meta.get("resourceVersion") or ""))

    def taken_back(self, plan: Plan, live: Obj) -> str | None:
        """Whether somebody set another number since."""
        found, wanted = int((live.get("spec") or {}).get("replicas") or 0), plan.write["replicas"]
        if found == wanted:
            return None
        manager = forecast.manager_of_replicas(live)
        who = {"kube-controller-manager": "the autoscaler (kube-controller-manager)", "": "somebody"}.get(
            manager, manager
        )
        return f"taken back: {who} set {found} replicas instead of {wanted}"

    def progress(self, plan: Plan, applied: Applied, target: Target, live: Obj, world: World) -> Progress:
        """The rollout table, with the reasons of pods while it is not done."""
        seen = rollout.progress(live, (), ())
        if seen.done:
            return seen
        selector = ((live.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
        labels = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
        pods = world.objects.pods(target.namespace, labels) if labels else []
        return rollout.progress(live, pods, world.objects.events(target.namespace, "FailedCreate"))

    def _generation(self, target: Target, world: World) -> int:
        try:
            live = world.objects.workload(target.namespace, target.kind, target.name)
        except (ActionFailed, ActionRefused):
            return 0  # the write stands; the rollout is followed by observedGeneration anyway
        return int((live.get("metadata") or {}).get("generation") or 0)


def _tried(plan: Plan, target: Target, scale: Obj, wanted: int, world: World) -> Plan:
    """The plan with the server's dry run in it, bound by its hash."""
    meta = scale.get("metadata") or {}
    uid, version = str(meta.get("uid") or ""), _version(scale)
    body = _body(target, uid, version, wanted)
    try:
        answer = world.objects.put_scale(target.namespace, target.kind, target.name, body, dry_run=True)
    except (
        ActionConflict
    ):  # only status moved between the two reads, or somebody was quicker: take the newest
        again = world.objects.scale(target.namespace, target.kind, target.name)
        if _replicas(again) != _replicas(scale):
            raise
        version = _version(again)
        body = _body(target, uid, version, wanted)
        answer = world.objects.put_scale(target.namespace, target.kind, target.name, body, dry_run=True)
    now, after = _replicas(scale), _replicas(answer)
    write = {"method": "PUT", "subresource": "scale", "replicas": wanted}
    result = {"from": now, "to": after, "uid": uid, "target": str(target), "write": write}
    digest = hashlib.sha256(orjson.dumps(result, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return replace(
        plan,
        diff=(DiffLine(forecast.REPLICAS, str(now), str(after)),),
        warnings=tuple(dict.fromkeys(world.objects.warnings)),
        seen={"uid": uid, "resource_version": version, "replicas": now},
        write=write,
        plan_hash=f"sha256:{digest}",
    )


def _still_as_seen(plan: Plan, target: Target, world: World) -> str:
    """The newest resourceVersion if nobody touched the number; raises ActionConflict with what changed."""
    scale = world.objects.scale(target.namespace, target.kind, target.name)
    meta = scale.get("metadata") or {}
    if meta.get("uid") != plan.seen["uid"]:
        raise ActionConflict("changed since you looked: it was replaced by another object: review again")
    if _replicas(scale) != plan.seen["replicas"]:
        raise ActionConflict(
            f"changed since you looked: replicas are {_replicas(scale)}, you saw {plan.seen['replicas']}: review again"
        )
    return _version(scale)


def _body(target: Target, uid: str, version: str, replicas: int) -> Obj:
    meta = {"name": target.name, "namespace": target.namespace, "uid": uid, "resourceVersion": version}
    return {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": meta, "spec": {"replicas": replicas}}


def _replicas(scale: Obj) -> int:
    """0 is left out of a Scale (recorded: hpa/scale_to_zero_disables.json)."""
    return int((scale.get("spec") or {}).get("replicas") or 0)


def _version(scale: Obj) -> str:
    return str((scale.get("metadata") or {}).get("resourceVersion") or "")


def _capacity(world: World, target: Target, live: Obj, now: int, wanted: int) -> dict[str, Any]:
    """Load per pod now and after; None = not known."""
    node = verify.node_of(world.topology(), target)
    rps = node.rps if node else None
    peak = world.peak_rps(node.id) if node else None
    ready = int((live.get("status") or {}).get("readyReplicas") or 0)
    return {
        "rps": rps,
        "rps_per_pod_now": _share(rps, ready),
        "rps_per_pod_after": _share(rps, wanted),
        "peak_rps_last_hour": peak,
        "peak_rps_per_pod_after": _share(peak, wanted),
        "ready": ready,
        "replicas_now": now,
        "replicas_after": wanted,
    }


def _share(rps: float | None, pods: int) -> float | None:
    return rps / pods if rps is not None and pods else None


def _disruption(live: Obj, now: int, wanted: int) -> dict[str, Any]:
    """Fewest ready pods on the way (a PodDisruptionBudget does not protect against scaling)."""
    ready = int((live.get("status") or {}).get("readyReplicas") or 0)
    return {"min_ready": min(ready, wanted), "of": max(now, wanted)}
