"""How a pod looks from its template through every state the recordings show."""

from __future__ import annotations

import hashlib
from random import Random

from demo.kube_kinds import Obj
from demo.kube_objects import ALPHABET, with_labels

_TOLERATIONS = [
    {
        "key": f"node.kubernetes.io/{what}",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": 300,
    }
    for what in ("not-ready", "unreachable")
]
_TOKEN_SOURCES = [
    {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
    {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    {
        "downwardAPI": {
            "items": [
                {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
            ]
        }
    },
]
_STARTED = "PodReadyToStartContainers"


def pod_from(
    template: Obj,
    namespace: str,
    name: str,
    *,
    owner: Obj,
    rng: Random,
    labels: Obj | None = None,
    hostname: tuple[str, str] | None = None,
) -> Obj:
    """A pod as a controller creates it: nothing bound, nothing started. `hostname`: (hostname, subdomain)."""
    filled = with_labels(template, labels) if labels else template
    meta = {
        "name": name,
        "generateName": f"{owner['name']}-",
        "namespace": namespace,
        "labels": filled["metadata"].get("labels") or {},
    }
    if filled["metadata"].get("annotations"):
        meta["annotations"] = filled["metadata"]["annotations"]
    return {"metadata": {**meta, "ownerReferences": [owner]}, "spec": _spec(filled["spec"], rng, hostname),
            "status": {"phase": "Pending", "qosClass": "Burstable"}}  # fmt: skip


def _spec(spec: Obj, rng: Random, hostname: tuple[str, str] | None) -> Obj:
    volume = "kube-api-access-" + "".join(rng.choice(ALPHABET) for _ in range(5))
    mount = {"name": volume, "readOnly": True, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    containers = [
        {**one, "volumeMounts": [*(one.get("volumeMounts") or ()), mount]} for one in spec["containers"]
    ]
    projected = {"name": volume, "projected": {"sources": _TOKEN_SOURCES, "defaultMode": 420}}
    filled = {"volumes": [*(spec.get("volumes") or ()), projected], **spec}
    filled.update(
        containers=containers,
        serviceAccountName="default",
        serviceAccount="default",
        tolerations=_TOLERATIONS,
        priority=0,
        enableServiceLinks=True,
        preemptionPolicy="PreemptLowerPriority",
    )
    if hostname:
        filled["hostname"], filled["subdomain"] = hostname
    return filled


def bound(pod: Obj, node: str, zone: Obj, stamp: str) -> Obj:
    """A pod that the scheduler gave to a node; the zone labels of the node come along."""
    meta = pod["metadata"]
    labels = {**meta["labels"], **zone}
    scheduled = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": stamp}
    status = {
        "phase": "Pending",
        "conditions": [scheduled],
        "qosClass": pod["status"].get("qosClass", "Burstable"),
    }
    spec = {**pod["spec"], "nodeName": node}
    return {**pod, "metadata": {**meta, "labels": labels}, "spec": spec, "status": status}


def unschedulable(pod: Obj, message: str, stamp: str) -> Obj:
    """A pod that no node can take, with the scheduler's words."""
    refused = {
        "type": "PodScheduled",
        "observedGeneration": 1,
        "status": "False",
        "lastProbeTime": None,
        "lastTransitionTime": stamp,
        "reason": "Unschedulable",
        "message": message,
    }
    return {**pod, "status": {**pod["status"], "conditions": [refused]}}


def with_containers(
    pod: Obj,
    *,
    state: Obj,
    last: Obj,
    ready: bool,
    restarts: int,
    stamp: str,
    addresses: tuple[str, str],
    container_id: str,
) -> Obj:
    """A pod whose kubelet reports a container state. `addresses`: (host, pod; "" while it has none)."""
    running = "waiting" not in state or bool(last) or restarts > 0
    container = pod["spec"]["containers"][0]
    host, address = addresses
    status: Obj = {"observedGeneration": 1, "phase": "Running" if running else "Pending"}
    status["conditions"] = _conditions(pod, container["name"], running=running, ready=ready, stamp=stamp)
    status.update({"hostIP": host, "hostIPs": [{"ip": host}]})
    if address and running:
        status.update({"podIP": address, "podIPs": [{"ip": address}]})
    status["startTime"] = pod["status"].get("startTime") or stamp
    image = container["image"]
    shown: Obj = {
        "name": container["name"],
        "state": state,
        "lastState": last,
        "ready": ready,
        "restartCount": restarts,
        "image": image,
        "imageID": f"{image.rpartition(':')[0]}@sha256:{_hex(image)}" if running else "",
    }
    if container_id and running:
        shown["containerID"] = container_id
    shown["started"] = "running" in state
    status["containerStatuses"] = [shown]
    status["qosClass"] = pod["status"].get("qosClass", "Burstable")
    return {**pod, "status": status}


def container_id(pod: Obj, restarts: int) -> str:
    """An id for the n-th start of the container."""
    return f"containerd://{_hex(pod['metadata']['uid'] + str(restarts))}"


def _hex(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _conditions(pod: Obj, container: str, *, running: bool, ready: bool, stamp: str) -> list[Obj]:
    old = {one["type"]: one for one in pod["status"].get("conditions") or ()}
    unready = {"reason": "ContainersNotReady", "message": f"containers with unready status: [{container}]"}
    made = [
        _condition(old, _STARTED, running, stamp, {}),
        _condition(old, "Initialized", True, stamp, {}),
        _condition(old, "Ready", ready, stamp, unready),
        _condition(old, "ContainersReady", ready, stamp, unready),
    ]
    return [*made, old["PodScheduled"]] if "PodScheduled" in old else made


def _condition(old: dict[str, Obj], kind: str, holds: bool, stamp: str, why_not: Obj) -> Obj:
    status = "True" if holds else "False"
    before = old.get(kind)
    moved = before["lastTransitionTime"] if before and before["status"] == status else stamp
    one: Obj = {"type": kind, "observedGeneration": 1, "status": status, "lastProbeTime": None}
    return {**one, "lastTransitionTime": moved, **({} if holds else why_not)}


def with_ready(pod: Obj, *, ready: bool, stamp: str) -> Obj:
    """Only the Ready condition changed, as the node controller does when a node is lost (no reason given)."""
    conditions = []
    for one in pod["status"].get("conditions") or ():
        status = "True" if ready else "False"
        if one["type"] == "Ready" and one["status"] != status:
            one = {**one, "status": status, "lastTransitionTime": stamp}
        conditions.append(one)
    return {**pod, "status": {**pod["status"], "conditions": conditions}}
