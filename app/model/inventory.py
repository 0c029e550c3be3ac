"""What Kubernetes says exists: workloads, revisions, pods, nodes, autoscalers, Services, events.

Small frozen structs decoded and kept by the Kubernetes collector; literal environment values, managedFields
and everything the product does not use are left out at decode time. Missing counts mean 0, as the API says.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Container:
    """A container of a pod template: its image, and requests and limits as Kubernetes quantities."""

    name: str
    image: str
    requests: tuple[tuple[str, str], ...] = ()
    limits: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Condition:
    """A status condition; `status` is True, False or Unknown."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment, StatefulSet or DaemonSet."""

    namespace: str
    kind: str
    name: str
    uid: str
    resource_version: str
    generation: int
    observed_generation: int
    labels: tuple[tuple[str, str], ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    selector: tuple[tuple[str, str], ...] = ()
    containers: tuple[Container, ...] = ()
    desired: int = 0
    current: int = 0
    updated: int = 0
    ready: int = 0
    available: int = 0
    terminating: int = 0
    paused: bool = False
    strategy: str = ""
    max_unavailable: str = ""
    max_surge: str = ""
    revision: str = ""
    current_revision: str = ""
    update_revision: str = ""
    conditions: tuple[Condition, ...] = ()
    deleting: bool = False
    created: datetime | None = None


@dataclass(frozen=True, slots=True)
class Revision:
    """A ReplicaSet or ControllerRevision of a workload; identity is the uid, never the number."""

    namespace: str
    owner_uid: str
    name: str
    uid: str
    number: int
    template_hash: str
    containers: tuple[Container, ...] = ()
    change_cause: str = ""
    replicas: int = 0
    ready: int = 0
    created: datetime | None = None
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod; `ready` is its Ready condition, which alone can be trusted on a lost node."""

    namespace: str
    name: str
    uid: str
    owner_kind: str = ""
    owner_uid: str = ""
    template_hash: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    node: str = ""
    ip: str = ""
    host_network: bool = False
    phase: str = ""
    ready: bool = False
    reason: str = ""
    message: str = ""
    restarts: int = 0
    last_exit: str = ""
    images: tuple[str, ...] = ()
    started: datetime | None = None
    created: datetime | None = None
    deleting: bool = False


@dataclass(frozen=True, slots=True)
class ClusterNode:
    """A machine of the cluster."""

    name: str
    ready: str = "Unknown"
    unschedulable: bool = False
    zone: str = ""
    reason: str = ""
    message: str = ""
    kubelet: str = ""


@dataclass(frozen=True, slots=True)
class Autoscaler:
    """A HorizontalPodAutoscaler (autoscaling/v2)."""

    namespace: str
    name: str
    target_kind: str
    target_name: str
    minimum: int
    maximum: int
    current: int = 0
    desired: int = 0
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Disruption:
    """A PodDisruptionBudget."""

    namespace: str
    name: str
    selector: tuple[tuple[str, str], ...] = ()
    allowed: int = 0
    desired_healthy: int = 0


@dataclass(frozen=True, slots=True)
class Quota:
    """A ResourceQuota: (resource, used, hard) as Kubernetes quantities."""

    namespace: str
    name: str
    rows: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class KubeService:
    """A Kubernetes Service, the thing with a cluster IP; never called "service" alone.

    `addresses` are those its EndpointSlices call ready.
    """

    namespace: str
    name: str
    cluster_ip: str = ""
    selector: tuple[tuple[str, str], ...] = ()
    ports: tuple[int, ...] = ()
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KubeEvent:
    """An Event about an object, newest word kept."""

    namespace: str
    kind: str
    name: str
    reason: str
    message: str
    type: str
    count: int
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything one watch of a cluster knows at a moment. `kinds` = (kind, as_of, synced) per watched kind."""

    workloads: tuple[Workload, ...] = ()
    revisions: tuple[Revision, ...] = ()
    pods: tuple[Pod, ...] = ()
    nodes: tuple[ClusterNode, ...] = ()
    autoscalers: tuple[Autoscaler, ...] = ()
    disruptions: tuple[Disruption, ...] = ()
    quotas: tuple[Quota, ...] = ()
    services: tuple[KubeService, ...] = ()
    events: tuple[KubeEvent, ...] = ()
    kinds: tuple[tuple[str, datetime | None, bool], ...] = ()
