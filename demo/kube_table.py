"""The columns kubectl prints, by Accept header, as the API server fills them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from demo.kube_age import age
from demo.kube_kinds import Kind, Obj
from demo.kube_objects import is_leaving

Cells = Callable[[Obj, float], list[Any]]
_AGE = "CreationTimestamp is a timestamp representing the server time when this object was created."


def table(
    kind: Kind, objs: list[Obj], now: float, meta: Obj, *, headers: bool = True, include: str = "Metadata"
) -> Obj:
    """A Table of objects; `now` in epoch seconds for ages; a watch sends the headers only once.

    `include`: what a row carries of its object: None, Metadata or Object.
    """
    columns, cells = _TABLES.get(kind.kind, _PLAIN)
    rows = [{"cells": cells(obj, now), "object": _included(kind, obj, include)} for obj in objs]
    shown = [_column(text) for text in columns] if headers else None
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": meta,
        "columnDefinitions": shown,
        "rows": rows,
    }


def _included(kind: Kind, obj: Obj, include: str) -> Obj | None:
    if include == "None":
        return None
    if include == "Object":
        return {"kind": kind.kind, "apiVersion": kind.api_version, **obj}
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def _column(text: str) -> Obj:
    """`Name`, or `*Node` for one that only `-o wide` shows, or `#Desired` for a number."""
    wide, number = text.startswith("*"), text.lstrip("*").startswith("#")
    name = text.lstrip("*#")
    return {
        "name": name,
        "type": "integer" if number else "string",
        "format": "name" if name == "Name" else "",
        "description": _AGE if name == "Age" else "",
        "priority": 1 if wide else 0,
    }


def _name(obj: Obj) -> str:
    return str(obj["metadata"]["name"])


def _born(obj: Obj, now: float) -> str:
    return age(obj["metadata"].get("creationTimestamp"), now)


def _plain(obj: Obj, now: float) -> list[Any]:
    return [_name(obj), _born(obj, now)]


def _pod(obj: Obj, now: float) -> list[Any]:
    spec, status = obj["spec"], obj["status"]
    states = status.get("containerStatuses") or ()
    ready = sum(1 for one in states if one["ready"])
    return [
        _name(obj), f"{ready}/{len(spec['containers'])}", _pod_status(obj), _restarts(states, now), _born(obj, now),
        status.get("podIP") or "<none>", spec.get("nodeName") or "<none>", "<none>", "<none>",
    ]  # fmt: skip


def _pod_status(obj: Obj) -> str:
    if is_leaving(obj):
        return "Terminating"
    shown = str(obj["status"].get("reason") or obj["status"].get("phase", ""))
    for one in obj["status"].get("containerStatuses") or ():
        state = one["state"]
        for kind in ("waiting", "terminated"):
            if state.get(kind, {}).get("reason"):
                shown = state[kind]["reason"]
    return shown


def _restarts(states: Any, now: float) -> str:
    count = sum(one["restartCount"] for one in states)
    ended = [
        one["lastState"]["terminated"]["finishedAt"] for one in states if one["lastState"].get("terminated")
    ]
    return f"{count} ({age(max(ended), now)} ago)" if count and ended else str(count)


def _selector(obj: Obj) -> str:
    pairs = (obj["spec"].get("selector") or {}).get("matchLabels") or {}
    return ",".join(f"{name}={value}" for name, value in sorted(pairs.items())) or "<none>"


def _images(obj: Obj) -> list[str]:
    containers = obj["spec"]["template"]["spec"]["containers"]
    return [",".join(one["name"] for one in containers), ",".join(one["image"] for one in containers)]


def _deployment(obj: Obj, now: float) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    ready = f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
    numbers = [status.get("updatedReplicas", 0), status.get("availableReplicas", 0)]
    return [_name(obj), ready, *numbers, _born(obj, now), *_images(obj), _selector(obj)]


def _replica_set(obj: Obj, now: float) -> list[Any]:
    status = obj.get("status") or {}
    numbers = [obj["spec"].get("replicas", 0), status.get("replicas", 0), status.get("readyReplicas", 0)]
    return [_name(obj), *numbers, _born(obj, now), *_images(obj), _selector(obj)]


def _stateful_set(obj: Obj, now: float) -> list[Any]:
    ready = f"{(obj.get('status') or {}).get('readyReplicas', 0)}/{obj['spec'].get('replicas', 0)}"
    return [_name(obj), ready, _born(obj, now), *_images(obj)]


def _daemon_set(obj: Obj, now: float) -> list[Any]:
    status = obj.get("status") or {}
    names = (
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    )
    numbers = [status.get(name, 0) for name in names]
    return [_name(obj), *numbers, "<none>", _born(obj, now), *_images(obj), _selector(obj)]


def _service(obj: Obj, now: float) -> list[Any]:
    spec = obj["spec"]
    ports = (
        ",".join(f"{one['port']}/{one.get('protocol', 'TCP')}" for one in spec.get("ports") or ()) or "<none>"
    )
    pairs = ",".join(f"{name}={value}" for name, value in sorted((spec.get("selector") or {}).items()))
    return [
        _name(obj), spec.get("type", ""), spec.get("clusterIP", ""), "<none>", ports, _born(obj, now),
        pairs or "<none>",
    ]  # fmt: skip


def _node(obj: Obj, now: float) -> list[Any]:
    info = obj["status"]["nodeInfo"]
    ready = next((c["status"] for c in obj["status"]["conditions"] if c["type"] == "Ready"), "Unknown")
    shown = "Ready" if ready == "True" else "NotReady"
    if obj["spec"].get("unschedulable"):
        shown += ",SchedulingDisabled"
    address = next((a["address"] for a in obj["status"]["addresses"] if a["type"] == "InternalIP"), "<none>")
    return [
        _name(obj), shown, "worker", _born(obj, now), info["kubeletVersion"], address, "<none>", info["osImage"],
        info["kernelVersion"], info["containerRuntimeVersion"],
    ]  # fmt: skip


def _namespace(obj: Obj, now: float) -> list[Any]:
    return [_name(obj), (obj.get("status") or {}).get("phase", ""), _born(obj, now)]


def _autoscaler(obj: Obj, now: float) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    target = f"{spec['scaleTargetRef']['kind']}/{spec['scaleTargetRef']['name']}"
    counts = [spec.get("minReplicas", 1), spec["maxReplicas"], status.get("currentReplicas", 0)]
    return [_name(obj), target, _targets(spec, status), *[str(one) for one in counts], _born(obj, now)]


def _targets(spec: Obj, status: Obj) -> str:
    metrics = spec.get("metrics") or ()
    if not metrics or "resource" not in metrics[0]:
        return "<unknown>"
    wanted = metrics[0]["resource"]["target"].get("averageUtilization")
    current = "<unknown>"
    for one in status.get("currentMetrics") or ():
        if "resource" in one:
            current = f"{one['resource']['current'].get('averageUtilization')}%"
    return f"cpu: {current}/{wanted}%"


def _budget(obj: Obj, now: float) -> list[Any]:
    spec = obj["spec"]
    least, most = spec.get("minAvailable", "N/A"), spec.get("maxUnavailable", "N/A")
    return [
        _name(obj),
        str(least),
        str(most),
        (obj.get("status") or {}).get("disruptionsAllowed", 0),
        _born(obj, now),
    ]


def _event(obj: Obj, now: float) -> list[Any]:
    involved = obj["involvedObject"]
    seen = age(obj.get("lastTimestamp") or obj.get("eventTime"), now)
    where = f"{involved['kind'].lower()}/{involved['name']}"
    return [
        seen, obj["type"], obj["reason"], where, involved.get("fieldPath", ""), obj.get("reportingComponent", ""),
        obj["message"], age(obj.get("firstTimestamp") or obj.get("eventTime"), now), str(obj.get("count", 1)),
        _name(obj),
    ]  # fmt: skip


def _slice(obj: Obj, now: float) -> list[Any]:
    ports = ",".join(str(one["port"]) for one in obj.get("ports") or ()) or "<unset>"
    addresses = ",".join(one["addresses"][0] for one in obj.get("endpoints") or ()) or "<unset>"
    return [_name(obj), obj["addressType"], ports, addresses, _born(obj, now)]


def _lease(obj: Obj, now: float) -> list[Any]:
    return [_name(obj), obj["spec"].get("holderIdentity", ""), _born(obj, now)]


def _revision(obj: Obj, now: float) -> list[Any]:
    owners = obj["metadata"].get("ownerReferences") or ()
    owner = f"{owners[0]['kind'].lower()}.apps/{owners[0]['name']}" if owners else "<none>"
    return [_name(obj), owner, obj["revision"], _born(obj, now)]


def _quota(obj: Obj, now: float) -> list[Any]:
    status = obj.get("status") or {}
    used = status.get("used") or {}
    pairs = [
        f"{name}: {used.get(name, '0')}/{limit}" for name, limit in sorted((status.get("hard") or {}).items())
    ]
    return [_name(obj), ", ".join(pairs), "", _born(obj, now)]


_PLAIN: tuple[tuple[str, ...], Cells] = (("Name", "Age"), _plain)
_WORKLOAD = ("*Containers", "*Images", "*Selector")
_TABLES: dict[str, tuple[tuple[str, ...], Cells]] = {
    "Pod": (
        ("Name", "Ready", "Status", "Restarts", "Age", "*IP", "*Node", "*Nominated Node", "*Readiness Gates"),
        _pod,
    ),
    "Deployment": (("Name", "Ready", "#Up-to-date", "#Available", "Age", *_WORKLOAD), _deployment),
    "ReplicaSet": (("Name", "#Desired", "#Current", "#Ready", "Age", *_WORKLOAD), _replica_set),
    "StatefulSet": (("Name", "Ready", "Age", "*Containers", "*Images"), _stateful_set),
    "DaemonSet": (
        (
            "Name",
            "#Desired",
            "#Current",
            "#Ready",
            "#Up-to-date",
            "#Available",
            "Node Selector",
            "Age",
            *_WORKLOAD,
        ),
        _daemon_set,
    ),
    "Service": (("Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "*Selector"), _service),
    "Node": (
        (
            "Name",
            "Status",
            "Roles",
            "Age",
            "Version",
            "*Internal-IP",
            "*External-IP",
            "*OS-Image",
            "*Kernel-Version",
            "*Container-Runtime",
        ),
        _node,
    ),
    "Namespace": (("Name", "Status", "Age"), _namespace),
    "HorizontalPodAutoscaler": (
        ("Name", "Reference", "Targets", "MinPods", "MaxPods", "Replicas", "Age"),
        _autoscaler,
    ),
    "PodDisruptionBudget": (
        ("Name", "Min Available", "Max Unavailable", "#Allowed Disruptions", "Age"),
        _budget,
    ),
    "Event": (
        (
            "Last Seen",
            "Type",
            "Reason",
            "Object",
            "*Subobject",
            "*Source",
            "Message",
            "*First Seen",
            "*Count",
            "*Name",
        ),
        _event,
    ),
    "EndpointSlice": (("Name", "AddressType", "Ports", "Endpoints", "Age"), _slice),
    "Lease": (("Name", "Holder", "Age"), _lease),
    "ControllerRevision": (("Name", "Controller", "#Revision", "Age"), _revision),
    "ResourceQuota": (("Name", "Request", "Limit", "Age"), _quota),
}
