"""Decoded Kubernetes objects as nouns of the model: texts cut, missing counts 0, the applied manifest dropped."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.model.inventory import (
    Autoscaler,
    ClusterNode,
    Condition,
    Container,
    Disruption,
    KubeEvent,
    KubeService,
    Pod,
    Quota,
    Revision,
    Workload,
)
from collectors import kube_wire as wire

LONGEST = 1024
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_REVISION = "deployment.kubernetes.io/revision"
_CAUSE = "kubernetes.io/change-cause"
_ZONES = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Slice:
    """Ready addresses of one EndpointSlice, folded into its KubeService when the inventory is made."""

    namespace: str
    service: str
    addresses: tuple[str, ...]


def _cut(text: str | None) -> str:
    return (text or "")[:LONGEST]


def _pairs(labels: dict[str, str] | None) -> Pairs:
    return tuple(labels.items()) if labels else ()  # the API server writes keys in order


def _annotations(given: dict[str, str] | None) -> Pairs:
    """All but the applied manifest (it repeats the object, environment included) and those that are too long."""
    kept = ((k, v) for k, v in (given or {}).items() if k != _LAST_APPLIED and len(v) <= LONGEST)
    return tuple(sorted(kept))


def _quantities(given: dict[str, str | int | float] | None) -> Pairs:
    return tuple(sorted((name, str(value)) for name, value in given.items())) if given else ()


def _containers(template: wire.Template | None) -> tuple[Container, ...]:
    found = (template.spec.containers if template and template.spec else None) or ()
    return tuple(
        Container(
            one.name,
            one.image,
            _quantities(one.resources.requests if one.resources else None),
            _quantities(one.resources.limits if one.resources else None),
        )
        for one in found
    )


def _conditions(given: Iterable[wire.ConditionStatus] | None) -> tuple[Condition, ...]:
    return tuple(
        Condition(one.type, one.status, _cut(one.reason), _cut(one.message), one.last_transition_time)
        for one in given or ()
    )


def _owner(meta: Any) -> wire.Owner:
    for one in meta.owner_references or ():
        if one.controller:
            found: wire.Owner = one
            return found
    return _NO_OWNER


_NO_OWNER = wire.Owner()


def workload(kind: str) -> Callable[[wire.WorkloadObject], Workload]:
    """Makes workloads of one kind."""

    def make(one: wire.WorkloadObject) -> Workload:
        meta, spec, status = one.metadata, one.spec, one.status
        strategy = spec.strategy or spec.update_strategy or wire.Strategy()
        rolling = strategy.rolling_update or wire.RollingUpdate()
        daemon = kind == "DaemonSet"
        return Workload(
            namespace=meta.namespace,
            kind=kind,
            name=meta.name,
            uid=meta.uid,
            resource_version=meta.resource_version,
            generation=meta.generation,
            observed_generation=status.observed_generation,
            labels=_pairs(meta.labels),
            annotations=_annotations(meta.annotations),
            selector=_pairs(spec.selector.match_labels if spec.selector else None),
            containers=_containers(spec.template),
            desired=status.desired_number_scheduled if daemon else _replicas(spec.replicas),
            current=status.current_number_scheduled if daemon else status.replicas,
            updated=status.updated_number_scheduled if daemon else status.updated_replicas,
            ready=status.number_ready if daemon else status.ready_replicas,
            available=status.number_available if daemon else status.available_replicas,
            terminating=status.terminating_replicas or 0,
            paused=spec.paused,
            strategy=strategy.type,
            max_unavailable=_text(rolling.max_unavailable),
            max_surge=_text(rolling.max_surge),
            revision=(meta.annotations or {}).get(_REVISION, ""),
            current_revision=status.current_revision,
            update_revision=status.update_revision,
            conditions=_conditions(status.conditions),
            deleting=meta.deletion_timestamp is not None,
            created=meta.creation_timestamp,
        )

    return make


def _replicas(given: int | None) -> int:
    return 1 if given is None else given  # the API's default; 0 is always written out in a spec


def _text(given: int | str | None) -> str:
    return "" if given is None else str(given)


def replica_set(one: wire.WorkloadObject) -> Revision:
    """A revision of a Deployment."""
    meta, annotations = one.metadata, one.metadata.annotations or {}
    number = annotations.get(_REVISION, "")
    return Revision(
        namespace=meta.namespace,
        owner_uid=_owner(meta).uid,
        name=meta.name,
        uid=meta.uid,
        number=int(number) if number.isdecimal() else 0,
        template_hash=(meta.labels or {}).get("pod-template-hash", ""),
        containers=_containers(one.spec.template),
        change_cause=_cut(annotations.get(_CAUSE)),
        replicas=one.status.replicas,
        ready=one.status.ready_replicas,
        created=meta.creation_timestamp,
        conditions=_conditions(one.status.conditions),
    )


def controller_revision(one: wire.RevisionObject) -> Revision:
    """The hash as pods carry it: its name for a StatefulSet, its hash label for a DaemonSet (K11)."""
    meta, owner = one.metadata, _owner(one.metadata)
    labelled = (meta.labels or {}).get("controller-revision-hash", "")
    patched = one.data.spec.template if one.data and one.data.spec else None
    return Revision(
        namespace=meta.namespace,
        owner_uid=owner.uid,
        name=meta.name,
        uid=meta.uid,
        number=one.revision,
        template_hash=meta.name if owner.kind == "StatefulSet" else labelled,
        containers=_containers(patched),
        change_cause=_cut((meta.annotations or {}).get(_CAUSE)),
        created=meta.creation_timestamp,
    )


class PodMaker:
    """Makes pods. Pods of one workload come one after the other and carry equal labels: they share one tuple."""

    def __init__(self) -> None:
        self._last: tuple[dict[str, str], Pairs] = ({}, ())

    def __call__(self, one: wire.PodObject) -> Pod:
        """A pod of the model."""
        labels = one.metadata.labels or {}
        last = self._last
        if last[0] != labels:
            last = self._last = (labels, tuple(labels.items()))
        return _pod(one, labels, last[1])


def _pod(one: wire.PodObject, labels: dict[str, str], pairs: Pairs) -> Pod:
    """Written for speed: there are ten thousand of them."""
    meta, spec, status = one.metadata, one.spec, one.status
    owner, states = _owner(meta), status.container_statuses or ()
    is_ready, reason, message = _readiness(status)
    restarts, last_exit = 0, ""
    for state in states:
        restarts += state.restart_count
        if (state.restart_count or not is_ready) and not last_exit:
            last_exit = _last_exit(state)
    return Pod(
        meta.namespace,
        meta.name,
        meta.uid,
        owner.kind,
        owner.uid,
        labels.get("pod-template-hash") or labels.get("controller-revision-hash", ""),
        pairs,
        spec.node_name,
        status.pod_ip,
        spec.host_network,
        status.phase,
        is_ready,
        reason,
        message,
        restarts,
        last_exit,
        tuple([container.image for container in spec.containers or ()]),
        status.start_time,
        meta.creation_timestamp,
        meta.deletion_timestamp is not None,
    )


def _readiness(status: wire.PodStatus) -> tuple[bool, str, str]:
    """Whether a pod is ready, and if not why, in the most telling words."""
    ready = None
    for condition in status.conditions or ():
        if condition.type == "Ready":
            if condition.status == "True":
                return True, "", ""
            ready = condition
            break
    return False, *_pod_trouble(status, ready)


def _pod_trouble(status: wire.PodStatus, ready: wire.PodCondition | None) -> tuple[str, str]:
    """Its own word first, then a container's, scheduling's, readiness'."""
    if status.reason:
        return _cut(status.reason), _cut(status.message)
    for container in (*(status.init_container_statuses or ()), *(status.container_statuses or ())):
        state = container.state
        if state and state.waiting and state.waiting.reason not in {None, "PodInitializing"}:
            return _cut(state.waiting.reason), _cut(state.waiting.message)
        if state and state.terminated and state.terminated.exit_code:
            return _cut(state.terminated.reason), _cut(state.terminated.message)
    for condition in status.conditions or ():
        if condition.type == "PodScheduled" and condition.status == "False":
            return _cut(condition.reason), _cut(condition.message)
    return (_cut(ready.reason), _cut(ready.message)) if ready is not None else ("", "")


def _last_exit(state: wire.ContainerStatus) -> str:
    """How a container last ended, as `OOMKilled (137)`; empty when it never did."""
    for at in (state.state, state.last_state):
        if at is not None and at.terminated is not None:
            return f"{_cut(at.terminated.reason) or 'ended'} ({at.terminated.exit_code})"
    return ""


def node(one: wire.NodeObject) -> ClusterNode:
    """A machine."""
    ready = next((c for c in one.status.conditions or () if c.type == "Ready"), wire.ConditionStatus())
    labels = one.metadata.labels or {}
    return ClusterNode(
        name=one.metadata.name,
        ready=ready.status or "Unknown",
        unschedulable=one.spec.unschedulable,
        zone=next((labels[zone] for zone in _ZONES if zone in labels), ""),
        reason=_cut(ready.reason),
        message=_cut(ready.message),
        kubelet=one.status.node_info.kubelet_version if one.status.node_info else "",
    )


def autoscaler(one: wire.AutoscalerObject) -> Autoscaler:
    """An autoscaler."""
    spec, status = one.spec, one.status
    return Autoscaler(
        namespace=one.metadata.namespace,
        name=one.metadata.name,
        target_kind=spec.scale_target_ref.kind,
        target_name=spec.scale_target_ref.name,
        minimum=1 if spec.min_replicas is None else spec.min_replicas,
        maximum=spec.max_replicas,
        current=status.current_replicas,
        desired=status.desired_replicas,
        conditions=_conditions(status.conditions),
    )


def disruption(one: wire.DisruptionObject) -> Disruption:
    """A disruption budget."""
    selector = one.spec.selector.match_labels if one.spec.selector else None
    return Disruption(
        namespace=one.metadata.namespace,
        name=one.metadata.name,
        selector=_pairs(selector),
        allowed=one.status.disruptions_allowed,
        desired_healthy=one.status.desired_healthy,
    )


def quota(one: wire.QuotaObject) -> Quota:
    """Used and hard by resource."""
    used = one.status.used or {}
    rows = sorted((name, str(used.get(name, 0)), str(hard)) for name, hard in (one.status.hard or {}).items())
    return Quota(one.metadata.namespace, one.metadata.name, tuple(rows))


def kube_service(one: wire.ServiceObject) -> KubeService:
    """A Kubernetes Service; headless has no address."""
    address = one.spec.cluster_ip
    return KubeService(
        namespace=one.metadata.namespace,
        name=one.metadata.name,
        cluster_ip="" if address == "None" else address,
        selector=_pairs(one.spec.selector),
        ports=tuple(port.port for port in one.spec.ports or ()),
    )


def endpoint_slice(one: wire.SliceObject) -> Slice:
    """Addresses that are ready, or do not say."""
    ready = [e for e in one.endpoints or () if e.conditions is None or e.conditions.ready is not False]
    return Slice(
        namespace=one.metadata.namespace,
        service=(one.metadata.labels or {}).get("kubernetes.io/service-name", ""),
        addresses=tuple(address for endpoint in ready for address in endpoint.addresses or ()),
    )


def event(one: wire.EventObject) -> KubeEvent:
    """An event about its object."""
    count = one.count or (one.series.count if one.series else 0) or 1
    return KubeEvent(
        namespace=one.involved_object.namespace or one.metadata.namespace,
        kind=one.involved_object.kind,
        name=one.involved_object.name,
        reason=_cut(one.reason),
        message=_cut(one.message),
        type=_cut(one.type),
        count=count,
        at=_event_time(one),
    )


def _event_time(one: wire.EventObject) -> datetime | None:
    seen = one.series.last_observed_time if one.series else None
    return (
        seen or one.event_time or one.last_timestamp or one.first_timestamp or one.metadata.creation_timestamp
    )
