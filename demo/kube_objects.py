"""How objects of the simulated cluster look: builders over plain dicts, and the defaults the API server fills in."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from demo.kube_kinds import Kind, Obj

ALPHABET = (
    "bcdfghjklmnpqrstvwxz2456789"  # what Kubernetes draws name suffixes from: no vowels, no look-alikes
)
REVISION_NOTE = "deployment.kubernetes.io/revision"
HISTORY_NOTE = "deployment.kubernetes.io/revision-history"
DESIRED_NOTE = "deployment.kubernetes.io/desired-replicas"
MAX_NOTE = "deployment.kubernetes.io/max-replicas"
CAUSE_NOTE = "kubernetes.io/change-cause"
APPLIED_NOTE = "kubectl.kubernetes.io/last-applied-configuration"
HASH_LABEL = "pod-template-hash"
REVISION_LABEL = "controller-revision-hash"
VERSION_LABEL = "app.kubernetes.io/version"
REGISTRY = "registry.example"


def hash_of(value: Any) -> str:
    """Ten letters that stand for a pod template."""
    digest = hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).digest()
    return "".join(ALPHABET[byte % len(ALPHABET)] for byte in digest[:10])


def version_of(template: Obj) -> str:
    """The tag of the first container's image, which is what runs, whatever the labels say."""
    image: str = template["spec"]["containers"][0].get("image", "")
    return image.rpartition(":")[2] if ":" in image else ""


def owner_reference(kind: Kind, owner: Obj) -> Obj:
    """A controller's reference for the metadata of what it makes."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def with_labels(template: Obj, extra: Obj) -> Obj:
    """A template with labels added."""
    labels = {**(template["metadata"].get("labels") or {}), **extra}
    return {**template, "metadata": {**template["metadata"], "labels": labels}}


def default_container(container: Obj) -> Obj:
    """A container with what the API server adds."""
    filled = dict(container)
    if "ports" in filled:
        filled["ports"] = [
            {**port, "protocol": port.get("protocol") or "TCP"} for port in filled["ports"] or ()
        ]
    for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
        if filled.get(probe):
            filled[probe] = _default_probe(filled[probe])
    filled.setdefault("resources", {})
    filled.setdefault("terminationMessagePath", "/dev/termination-log")
    filled.setdefault("terminationMessagePolicy", "File")
    image = str(filled.get("image") or "")
    latest = ":" not in image or image.endswith(":latest")
    filled.setdefault("imagePullPolicy", "Always" if latest else "IfNotPresent")
    return filled


def _default_probe(probe: Obj) -> Obj:
    filled = {**probe}
    if filled.get("httpGet"):
        filled["httpGet"] = {**filled["httpGet"], "scheme": filled["httpGet"].get("scheme") or "HTTP"}
    for name, value in (
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ):
        filled.setdefault(name, value)
    return filled


def default_template(template: Obj) -> Obj:
    """A pod template with what the API server adds."""
    spec = dict(template.get("spec") or {})
    containers = spec.get("containers")
    if isinstance(containers, list):
        spec["containers"] = [default_container(one) if isinstance(one, dict) else one for one in containers]
    defaults = {
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "securityContext": {},
        "schedulerName": "default-scheduler",
    }
    for name, value in defaults.items():
        if spec.get(name) is None:
            spec[name] = value
    return {**template, "metadata": template.get("metadata") or {}, "spec": spec}


def default_workload(kind: Kind, obj: Obj) -> Obj:
    """A Deployment, StatefulSet or DaemonSet with what the API server adds."""
    spec = dict(obj.get("spec") or {})
    if isinstance(spec.get("template"), dict):
        spec["template"] = default_template(spec["template"])
    if spec.get("revisionHistoryLimit") is None:
        spec["revisionHistoryLimit"] = 10
    if kind.kind != "DaemonSet" and spec.get("replicas") is None:
        spec["replicas"] = 1
    if kind.kind == "Deployment":
        spec["strategy"] = _default_strategy(
            spec.get("strategy") or {}, {"maxUnavailable": "25%", "maxSurge": "25%"}
        )
        if spec.get("progressDeadlineSeconds") is None:
            spec["progressDeadlineSeconds"] = 600
    elif kind.kind == "StatefulSet":
        spec.setdefault("podManagementPolicy", "OrderedReady")
        spec["updateStrategy"] = _default_strategy(spec.get("updateStrategy") or {}, {"partition": 0})
        keep = {"whenDeleted": "Retain", "whenScaled": "Retain"}
        spec.setdefault("persistentVolumeClaimRetentionPolicy", keep)
    return {**obj, "spec": {name: value for name, value in spec.items() if value is not None}}


def _default_strategy(strategy: Obj, rolling: Obj) -> Obj:
    kind = strategy.get("type") or "RollingUpdate"
    if kind != "RollingUpdate":
        return {**strategy, "type": kind}
    return {"type": kind, "rollingUpdate": {**rolling, **(strategy.get("rollingUpdate") or {})}}


def default_service(obj: Obj, address: str) -> Obj:
    """A KubeService with what the API server adds; `address` is its cluster address unless it has one."""
    spec = {"type": "ClusterIP", "sessionAffinity": "None", "clusterIP": address, **(obj.get("spec") or {})}
    spec.setdefault("clusterIPs", [spec["clusterIP"]])
    spec["ports"] = [
        {
            **port,
            "protocol": port.get("protocol") or "TCP",
            "targetPort": port.get("targetPort", port.get("port")),
        }
        for port in spec.get("ports") or ()
    ]
    return {**obj, "spec": spec, "status": {"loadBalancer": {}}}


def condition(
    conditions: list[Obj],
    kind: str,
    status: str,
    reason: str,
    message: str,
    stamp: str,
    *,
    updated: bool = False,
) -> list[Obj]:
    """Conditions with one set; lastTransitionTime moves only with the status (`updated` adds lastUpdateTime)."""
    fresh: Obj = {"type": kind, "status": status}
    old = next((one for one in conditions if one["type"] == kind), None)
    if old and old["status"] == status and old.get("reason") == reason and old.get("message") == message:
        return conditions
    moved = old["lastTransitionTime"] if old and old["status"] == status else stamp
    if updated:
        fresh["lastUpdateTime"] = stamp
    fresh.update({"lastTransitionTime": moved, "reason": reason, "message": message})
    return [*(one for one in conditions if one["type"] != kind), fresh]


def condition_of(obj: Obj, kind: str) -> Obj:
    """One condition of an object, or an empty one."""
    for one in (obj.get("status") or {}).get("conditions") or ():
        if one["type"] == kind:
            return dict(one)
    return {}


def is_ready(pod: Obj) -> bool:
    """The pod's Ready condition, the only thing that says it may get traffic."""
    for one in pod["status"].get("conditions") or ():
        if one["type"] == "Ready":
            return bool(one["status"] == "True")
    return False


def is_leaving(obj: Obj) -> bool:
    """Whether deletion was asked for."""
    return bool(obj["metadata"].get("deletionTimestamp"))


def milli_cpu(quantity: Any) -> int:
    """`250m` -> 250, `2` -> 2000. Raises ValueError for what is no CPU quantity."""
    text = str(quantity)
    return int(text[:-1]) if text.endswith("m") else round(float(text) * 1000)


def matches(selector: Obj | None, labels: Obj) -> bool:
    """Whether labels fulfil a plain map selector; an absent or empty one matches nothing."""
    return bool(selector) and all(labels.get(name) == value for name, value in (selector or {}).items())
