"""The kinds that are watched: where they are listed, how their objects are read, what they become in the model.

One bad object is a reject, never the end of a page: `read_page` falls back to reading item by item.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from collectors import kube_model as model
from collectors import kube_protocol as protocol
from collectors import kube_wire as wire

_NOT_SERVED = (msgspec.ValidationError, msgspec.DecodeError, ValueError, TypeError)

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind: its API path (without the namespace), and the two steps from bytes to model."""

    name: str
    api: str
    plural: str
    object: Any
    page: Any
    make: Callable[[Any], Any]
    namespaced: bool = True
    bookmarks: bool = True
    vital: bool = False

    def path(self, namespace: str = "") -> str:
        """Where the kind is listed, in one namespace or in all."""
        middle = f"/namespaces/{namespace}" if namespace and self.namespaced else ""
        return f"{self.api}{middle}/{self.plural}"


@dataclass(frozen=True, slots=True)
class Listed:
    """A page as read: objects by key, position, the next page's token, how many could not be read."""

    objects: dict[Key, Any]
    resource_version: str
    next_page: str
    rejects: int = 0


def read_page(kind: Kind, body: bytes) -> Listed:
    """One page of a list. Raises msgspec.DecodeError or ValidationError when it is no list at all."""
    try:
        page = kind.page.decode(body)
        make = kind.make
        made = {((meta := one.metadata).namespace, meta.name): make(one) for one in page.items or ()}
        return Listed(made, page.metadata.resource_version, page.metadata.next_page)
    except (msgspec.ValidationError, ValueError, TypeError):
        return _read_one_by_one(kind, protocol.RAW_PAGE.decode(body))


def _read_one_by_one(kind: Kind, page: protocol.RawPage) -> Listed:
    objects: dict[Key, Any] = {}
    rejects = 0
    for item in page.items or ():
        try:
            key, made, _ = read_object(kind, item)
            objects[key] = made
        except _NOT_SERVED:
            rejects += 1
    return Listed(objects, page.metadata.resource_version, page.metadata.next_page, rejects)


def read_object(kind: Kind, body: bytes | msgspec.Raw) -> tuple[Key, Any, str]:
    """One object: its (namespace, name), what it becomes, its resourceVersion.

    Raises msgspec's errors or ValueError when it cannot be read.
    """
    one = kind.object.decode(body)
    meta = one.metadata
    if not meta.name:
        raise ValueError("an object without a name")
    return (meta.namespace, meta.name), kind.make(one), meta.resource_version


def _kind(name: str, api: str, plural: str, struct: Any, make: Callable[[Any], Any], **more: bool) -> Kind:
    page = msgspec.json.Decoder(protocol.Page[struct])
    return Kind(name, api, plural, msgspec.json.Decoder(struct), page, make, **more)


_APPS, _CORE = "/apis/apps/v1", "/api/v1"

KINDS: tuple[Kind, ...] = (
    _kind("Deployment", _APPS, "deployments", wire.WorkloadObject, model.workload("Deployment"), vital=True),
    _kind(
        "StatefulSet", _APPS, "statefulsets", wire.WorkloadObject, model.workload("StatefulSet"), vital=True
    ),
    _kind("DaemonSet", _APPS, "daemonsets", wire.WorkloadObject, model.workload("DaemonSet"), vital=True),
    _kind("ReplicaSet", _APPS, "replicasets", wire.WorkloadObject, model.replica_set, vital=True),
    _kind("ControllerRevision", _APPS, "controllerrevisions", wire.RevisionObject, model.controller_revision),
    _kind("Pod", _CORE, "pods", wire.PodObject, model.PodMaker(), vital=True),
    _kind("Node", _CORE, "nodes", wire.NodeObject, model.node, namespaced=False),
    _kind(
        "HorizontalPodAutoscaler",
        "/apis/autoscaling/v2",
        "horizontalpodautoscalers",
        wire.AutoscalerObject,
        model.autoscaler,
    ),
    _kind(
        "PodDisruptionBudget",
        "/apis/policy/v1",
        "poddisruptionbudgets",
        wire.DisruptionObject,
        model.disruption,
    ),
    _kind("ResourceQuota", _CORE, "resourcequotas", wire.QuotaObject, model.quota),
    _kind("Service", _CORE, "services", wire.ServiceObject, model.kube_service),
    _kind(
        "EndpointSlice", "/apis/discovery.k8s.io/v1", "endpointslices", wire.SliceObject, model.endpoint_slice
    ),
    _kind("Event", _CORE, "events", wire.EventObject, model.event, bookmarks=False),
)
