"""Where a rollout stands, from the workload's status and the state of its pods.

The table is kubectl's (pkg/polymorphichelpers/rollout_status.go; reference: actions, section 10), with the
gaps closed: pods that cannot be created, pulled, started or scheduled fail early, a pause is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.model.action import Progress

Obj = dict[str, Any]
_FATAL = (
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImagePull",
    "InvalidImageName",
    "CreateContainerConfigError",
)
_LONGEST = 300


def progress(live: Obj, pods: Sequence[Obj], failures: Sequence[Obj]) -> Progress:
    """One look. `pods` are the workload's, `failures` FailedCreate events of its namespace."""
    spec, status = live.get("spec") or {}, live.get("status") or {}
    desired, ready = int(spec.get("replicas") or 0), int(status.get("readyReplicas") or 0)
    stuck = _stuck(live, failures)
    waits = _waits(live)
    if stuck or (waits and (stuck := _broken_pod(pods))):
        return Progress(False, True, stuck, ready, desired)
    if waits:
        return Progress(False, False, waits, ready, desired)
    return Progress(True, False, f"{ready} of {desired} pods are ready", ready, desired)


def _waits(live: Obj) -> str:
    """What it waits for; empty = done."""
    spec, status, meta = live.get("spec") or {}, live.get("status") or {}, live.get("metadata") or {}
    if int(status.get("observedGeneration") or 0) < int(meta.get("generation") or 0):
        return "waiting: the controller has not seen the change yet"
    return _stateful_set(spec, status) if live.get("kind") == "StatefulSet" else _deployment(spec, status)


def _deployment(spec: Obj, status: Obj) -> str:
    desired = int(spec.get("replicas") or 0)
    updated, total = int(status.get("updatedReplicas") or 0), int(status.get("replicas") or 0)
    available = int(status.get("availableReplicas") or 0)
    if spec.get("paused"):  # the template does not roll out then, only the number of pods counts
        return "" if available >= desired else f"waiting: {available} of {desired} pods (rollout paused)"
    if updated < desired:
        return f"waiting: {updated} of {desired} pods made"
    if total > updated:
        return f"waiting: {total - updated} old pods terminating"
    if available < updated:
        return f"waiting: {available} of {updated} pods available"
    return ""


def _stateful_set(spec: Obj, status: Obj) -> str:
    desired, ready = int(spec.get("replicas") or 0), int(status.get("readyReplicas") or 0)
    if not status.get("observedGeneration"):
        return "waiting: the controller has not seen the change yet"
    if ready < desired:
        return f"waiting: {ready} of {desired} pods ready"
    if int(status.get("replicas") or 0) > desired:
        return f"waiting: {int(status.get('replicas') or 0) - desired} pods terminating"
    return ""


def _stuck(live: Obj, failures: Sequence[Obj]) -> str:
    """A reason the controller itself gives: its deadline, or pods that cannot be created."""
    conditions = (live.get("status") or {}).get("conditions") or []
    for condition in conditions:
        kind, value, reason = (condition.get(field) for field in ("type", "status", "reason"))
        if kind == "Progressing" and reason == "ProgressDeadlineExceeded":
            return _cut(f"the rollout exceeded its progress deadline: {condition.get('message', '')}")
        if kind == "ReplicaFailure" and value == "True":
            return _cut(f"pods cannot be created: {_newest(live, failures) or condition.get('message', '')}")
    if live.get("kind") == "StatefulSet" and _waits(live) and (said := _newest(live, failures)):
        return _cut(f"pods cannot be created: {said}")
    return ""


def _newest(live: Obj, failures: Sequence[Obj]) -> str:
    name = str((live.get("metadata") or {}).get("name") or "")
    mine = [event for event in failures if _concerns(event, name)]
    mine.sort(key=lambda event: str(event.get("lastTimestamp") or ""))
    return str(mine[-1].get("message") or "") if mine else ""


def _concerns(event: Obj, name: str) -> bool:
    about = event.get("involvedObject") or {}
    kind, who = about.get("kind"), str(about.get("name") or "")
    owned = kind == "ReplicaSet" and who.rsplit("-", 1)[0] == name
    return owned or (kind in ("StatefulSet", "Deployment") and who == name)


def _broken_pod(pods: Sequence[Obj]) -> str:
    for pod in pods:
        if (pod.get("metadata") or {}).get("deletionTimestamp"):
            continue
        status = pod.get("status") or {}
        name = (pod.get("metadata") or {}).get("name", "")
        for container in [
            *(status.get("initContainerStatuses") or []),
            *(status.get("containerStatuses") or []),
        ]:
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") in _FATAL:
                return _cut(f"pod {name}: {waiting['reason']}: {waiting.get('message', '')}")
        for condition in status.get("conditions") or []:
            if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
                return _cut(f"pod {name} cannot be scheduled: {condition.get('message', '')}")
    return ""


def _cut(text: str) -> str:
    line = "".join(c if c.isprintable() else " " for c in text).strip().rstrip(":")
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
