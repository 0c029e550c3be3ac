"""The kinds the simulated cluster knows: names, scope and what each subresource and selector may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Obj = dict[str, Any]  # a Kubernetes object as JSON has it
Key = tuple[str, str]  # (namespace, name); the namespace is "" for cluster-wide kinds

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True, eq=False)  # one object a kind: identity is quick to hash
class Kind:
    """One resource type. `fields` are the field selectors beside metadata.name and metadata.namespace."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    short: tuple[str, ...] = ()
    in_all: bool = False
    subresources: tuple[str, ...] = ()
    counts_generations: bool = False
    fields: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        """`apps/v1`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """`deployments.apps`, as error messages name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def title(self) -> str:
        """`Deployment.apps`, as validation messages name it."""
        return f"{self.kind}.{self.group}" if self.group else self.kind


_POD_FIELDS = (
    "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
    "spec.hostNetwork", "status.phase", "status.podIP", "status.nominatedNodeName",
)  # fmt: skip
_EVENT_FIELDS = (
    "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
    "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath",
    "reason", "reportingComponent", "source", "type",
)  # fmt: skip

NAMESPACE = Kind(
    "", "v1", "namespaces", "Namespace", namespaced=False, short=("ns",), fields=("status.phase",)
)
NODE = Kind(
    "",
    "v1",
    "nodes",
    "Node",
    namespaced=False,
    short=("no",),
    fields=("spec.unschedulable",),
    subresources=("status",),
)
POD = Kind(
    "",
    "v1",
    "pods",
    "Pod",
    short=("po",),
    in_all=True,
    fields=_POD_FIELDS,
    subresources=("eviction", "log", "status"),
)
SERVICE = Kind(
    "", "v1", "services", "Service", short=("svc",), in_all=True, fields=("spec.clusterIP", "spec.type")
)
EVENT = Kind("", "v1", "events", "Event", short=("ev",), fields=_EVENT_FIELDS)
QUOTA = Kind("", "v1", "resourcequotas", "ResourceQuota", short=("quota",), subresources=("status",))
SECRET = Kind("", "v1", "secrets", "Secret", fields=("type",))
CONFIG_MAP = Kind("", "v1", "configmaps", "ConfigMap", short=("cm",))
DEPLOYMENT = Kind(
    "apps", "v1", "deployments", "Deployment", short=("deploy",), in_all=True, subresources=("scale", "status"),
    counts_generations=True,
)  # fmt: skip
REPLICA_SET = Kind(
    "apps", "v1", "replicasets", "ReplicaSet", short=("rs",), in_all=True, subresources=("scale", "status"),
    counts_generations=True, fields=("status.replicas",),
)  # fmt: skip
STATEFUL_SET = Kind(
    "apps", "v1", "statefulsets", "StatefulSet", short=("sts",), in_all=True, subresources=("scale", "status"),
    counts_generations=True,
)  # fmt: skip
DAEMON_SET = Kind(
    "apps", "v1", "daemonsets", "DaemonSet", short=("ds",), in_all=True, subresources=("status",),
    counts_generations=True,
)  # fmt: skip
REVISION = Kind("apps", "v1", "controllerrevisions", "ControllerRevision")
AUTOSCALER = Kind(
    "autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", short=("hpa",), in_all=True,
    subresources=("status",),
)  # fmt: skip
BUDGET = Kind(
    "policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", short=("pdb",), subresources=("status",),
    counts_generations=True,
)  # fmt: skip
SLICE = Kind("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", counts_generations=True)
LEASE = Kind("coordination.k8s.io", "v1", "leases", "Lease")

KINDS: tuple[Kind, ...] = (
    CONFIG_MAP, EVENT, NAMESPACE, NODE, POD, QUOTA, SECRET, SERVICE, REVISION, DAEMON_SET, DEPLOYMENT, REPLICA_SET,
    STATEFUL_SET, AUTOSCALER, BUDGET, SLICE, LEASE,
)  # fmt: skip

BY_RESOURCE: dict[tuple[str, str, str], Kind] = {(k.group, k.version, k.plural): k for k in KINDS}
REVIEWS: dict[tuple[str, str], str] = {
    ("authorization.k8s.io", "selfsubjectaccessreviews"): "SelfSubjectAccessReview",
    ("authorization.k8s.io", "selfsubjectrulesreviews"): "SelfSubjectRulesReview",
    ("authentication.k8s.io", "selfsubjectreviews"): "SelfSubjectReview",
}
GROUP_VERSIONS: tuple[tuple[str, str], ...] = (
    ("apps", "v1"), ("authentication.k8s.io", "v1"), ("authorization.k8s.io", "v1"), ("autoscaling", "v2"),
    ("policy", "v1"), ("coordination.k8s.io", "v1"), ("discovery.k8s.io", "v1"),
)  # fmt: skip


def key_of(obj: Obj) -> Key:
    """Where an object is filed."""
    meta = obj["metadata"]
    return (meta.get("namespace", ""), meta["name"])


def controller_of(obj: Obj) -> Obj | None:
    """The owner reference of the controller, if there is one."""
    for owner in obj["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            return dict(owner)
    return None
