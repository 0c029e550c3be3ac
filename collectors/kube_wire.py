"""Kubernetes' JSON, decoded by kind into small structs that hold only what the product uses.

Undeclared fields are skipped by the decoder, so managedFields and literal environment values are never built.
Missing numbers mean 0, list items carry no kind (reference: observed K1, K5). What the structs become is
`collectors.kube_model`'s affair.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

Text = str | None
Number = int | None
Labels = dict[str, str] | None
Quantities = dict[str, str | int | float] | None


class Owner(msgspec.Struct, gc=False):
    """An owner reference."""

    kind: str = ""
    uid: str = ""
    controller: bool | None = None


class Meta(msgspec.Struct, gc=False, rename="camel"):
    """Object metadata without managedFields."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: Labels = None
    annotations: Labels = None
    owner_references: list[Owner] | None = None


class PodMeta(msgspec.Struct, gc=False, rename="camel"):
    """The metadata of a pod: no annotations, there are too many pods for them."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    creation_timestamp: datetime | None = None
    deletion_timestamp: Text = None
    labels: Labels = None
    owner_references: list[Owner] | None = None


class Resources(msgspec.Struct, gc=False):
    """Requests and limits."""

    requests: Quantities = None
    limits: Quantities = None


class ContainerSpec(msgspec.Struct, gc=False):
    """A container of a template: name, image, resources, nothing else."""

    name: str = ""
    image: str = ""
    resources: Resources | None = None


class TemplateSpec(msgspec.Struct, gc=False):
    """The spec inside a template."""

    containers: list[ContainerSpec] | None = None


class Template(msgspec.Struct, gc=False):
    """A pod template."""

    spec: TemplateSpec | None = None


class Selector(msgspec.Struct, gc=False, rename="camel"):
    """A label selector; only equality is used."""

    match_labels: Labels = None


class ConditionStatus(msgspec.Struct, gc=False, rename="camel"):
    """A status condition."""

    type: str = ""
    status: str = ""
    reason: Text = None
    message: Text = None
    last_transition_time: datetime | None = None


class RollingUpdate(msgspec.Struct, gc=False, rename="camel"):
    """Numbers or percentages."""

    max_unavailable: int | str | None = None
    max_surge: int | str | None = None


class Strategy(msgspec.Struct, gc=False, rename="camel"):
    """How a workload replaces its pods."""

    type: str = ""
    rolling_update: RollingUpdate | None = None


class WorkloadSpec(msgspec.Struct, gc=False, rename="camel"):
    """Spec of a Deployment, StatefulSet, DaemonSet or ReplicaSet."""

    replicas: Number = None
    paused: bool = False
    selector: Selector | None = None
    template: Template | None = None
    strategy: Strategy | None = None
    update_strategy: Strategy | None = None


class WorkloadStatus(msgspec.Struct, gc=False, rename="camel"):
    """Counts of all workload kinds; those of other kinds stay 0."""

    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    terminating_replicas: Number = None
    desired_number_scheduled: int = 0
    current_number_scheduled: int = 0
    updated_number_scheduled: int = 0
    number_ready: int = 0
    number_available: int = 0
    current_revision: str = ""
    update_revision: str = ""
    conditions: list[ConditionStatus] | None = None


class WorkloadObject(msgspec.Struct, gc=False):
    """A Deployment, StatefulSet, DaemonSet or ReplicaSet."""

    metadata: Meta
    spec: WorkloadSpec = msgspec.field(default_factory=WorkloadSpec)
    status: WorkloadStatus = msgspec.field(default_factory=WorkloadStatus)


class _Patched(msgspec.Struct, gc=False):
    template: Template | None = None


class RevisionData(msgspec.Struct, gc=False):
    """The patch inside a ControllerRevision, as far as it names containers."""

    spec: _Patched | None = None


class RevisionObject(msgspec.Struct, gc=False):
    """A ControllerRevision."""

    metadata: Meta
    data: RevisionData | None = None
    revision: int = 0


class Waiting(msgspec.Struct, gc=False):
    """Why a container waits."""

    reason: Text = None
    message: Text = None


class Terminated(msgspec.Struct, gc=False, rename="camel"):
    """How a container ended."""

    reason: Text = None
    message: Text = None
    exit_code: int = 0


class ContainerState(msgspec.Struct, gc=False):
    """At most one of these is set."""

    waiting: Waiting | None = None
    terminated: Terminated | None = None


class ContainerStatus(msgspec.Struct, gc=False, rename="camel"):
    """State of a container of a pod."""

    restart_count: int = 0
    state: ContainerState | None = None
    last_state: ContainerState | None = None


class PodContainer(msgspec.Struct, gc=False):
    """A container of a pod: its image."""

    image: str = ""


class PodSpec(msgspec.Struct, gc=False, rename="camel"):
    """The spec of a pod, without what its workload's template says already."""

    containers: list[PodContainer] | None = None
    node_name: str = ""
    host_network: bool = False


class PodCondition(msgspec.Struct, gc=False):
    """A condition of a pod without its times: there are five per pod."""

    type: str = ""
    status: str = ""
    reason: Text = None
    message: Text = None


class PodStatus(msgspec.Struct, gc=False, rename="camel"):
    """State of a pod."""

    phase: str = ""
    reason: Text = None
    message: Text = None
    pod_ip: str = msgspec.field(default="", name="podIP")
    start_time: datetime | None = None
    conditions: list[PodCondition] | None = None
    container_statuses: list[ContainerStatus] | None = None
    init_container_statuses: list[ContainerStatus] | None = None


class PodObject(msgspec.Struct, gc=False):
    """A pod."""

    metadata: PodMeta
    spec: PodSpec = msgspec.field(default_factory=PodSpec)
    status: PodStatus = msgspec.field(default_factory=PodStatus)


class _NodeSpec(msgspec.Struct, gc=False):
    unschedulable: bool = False


class _NodeInfo(msgspec.Struct, gc=False, rename="camel"):
    kubelet_version: str = ""


class _NodeStatus(msgspec.Struct, gc=False, rename="camel"):
    conditions: list[ConditionStatus] | None = None
    node_info: _NodeInfo | None = None


class NodeObject(msgspec.Struct, gc=False):
    """A machine."""

    metadata: Meta
    spec: _NodeSpec = msgspec.field(default_factory=_NodeSpec)
    status: _NodeStatus = msgspec.field(default_factory=_NodeStatus)


class _ScaleTarget(msgspec.Struct, gc=False):
    kind: str = ""
    name: str = ""


class _AutoscalerSpec(msgspec.Struct, gc=False, rename="camel"):
    scale_target_ref: _ScaleTarget = msgspec.field(default_factory=_ScaleTarget)
    min_replicas: Number = None
    max_replicas: int = 0


class _AutoscalerStatus(msgspec.Struct, gc=False, rename="camel"):
    current_replicas: int = 0
    desired_replicas: int = 0
    conditions: list[ConditionStatus] | None = None


class AutoscalerObject(msgspec.Struct, gc=False):
    """A HorizontalPodAutoscaler (autoscaling/v2)."""

    metadata: Meta
    spec: _AutoscalerSpec = msgspec.field(default_factory=_AutoscalerSpec)
    status: _AutoscalerStatus = msgspec.field(default_factory=_AutoscalerStatus)


class _DisruptionSpec(msgspec.Struct, gc=False):
    selector: Selector | None = None


class _DisruptionStatus(msgspec.Struct, gc=False, rename="camel"):
    disruptions_allowed: int = 0
    desired_healthy: int = 0


class DisruptionObject(msgspec.Struct, gc=False):
    """A PodDisruptionBudget."""

    metadata: Meta
    spec: _DisruptionSpec = msgspec.field(default_factory=_DisruptionSpec)
    status: _DisruptionStatus = msgspec.field(default_factory=_DisruptionStatus)


class _QuotaStatus(msgspec.Struct, gc=False):
    hard: Quantities = None
    used: Quantities = None


class QuotaObject(msgspec.Struct, gc=False):
    """A ResourceQuota."""

    metadata: Meta
    status: _QuotaStatus = msgspec.field(default_factory=_QuotaStatus)


class _Port(msgspec.Struct, gc=False):
    port: int = 0


class _ServiceSpec(msgspec.Struct, gc=False):
    cluster_ip: str = msgspec.field(default="", name="clusterIP")
    selector: Labels = None
    ports: list[_Port] | None = None


class ServiceObject(msgspec.Struct, gc=False):
    """A Kubernetes Service."""

    metadata: Meta
    spec: _ServiceSpec = msgspec.field(default_factory=_ServiceSpec)


class _EndpointConditions(msgspec.Struct, gc=False):
    ready: bool | None = None


class Endpoint(msgspec.Struct, gc=False):
    """Addresses behind a Service; ready unless it says otherwise."""

    addresses: list[str] | None = None
    conditions: _EndpointConditions | None = None


class SliceObject(msgspec.Struct, gc=False):
    """An EndpointSlice."""

    metadata: Meta
    endpoints: list[Endpoint] | None = None


class _Involved(msgspec.Struct, gc=False):
    kind: str = ""
    namespace: str = ""
    name: str = ""


class _Series(msgspec.Struct, gc=False, rename="camel"):
    count: int = 0
    last_observed_time: datetime | None = None


class EventObject(msgspec.Struct, gc=False, rename="camel"):
    """An Event of core/v1; its time is the first of four fields that is there (observed K6)."""

    metadata: Meta
    involved_object: _Involved = msgspec.field(default_factory=_Involved)
    reason: Text = None
    message: Text = None
    type: Text = None
    count: Number = None
    series: _Series | None = None
    event_time: datetime | None = None
    last_timestamp: datetime | None = None
    first_timestamp: datetime | None = None
