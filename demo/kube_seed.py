"""The cluster on the day the demo starts: nodes in zones, and a fleet that has been released before."""

from __future__ import annotations

import math
from collections.abc import Iterable

from demo.controllers import Engine
from demo.kube_kinds import (
    AUTOSCALER,
    BUDGET,
    DEPLOYMENT,
    LEASE,
    NAMESPACE,
    NODE,
    REPLICA_SET,
    REVISION,
    SERVICE,
    STATEFUL_SET,
    Kind,
    Obj,
)
from demo.kube_node import CPUS_PER_NODE, healthy_conditions, new_node
from demo.kube_nodes import LEASE_NAMESPACE
from demo.kube_objects import (
    CAUSE_NOTE,
    HASH_LABEL,
    REGISTRY,
    REVISION_NOTE,
    VERSION_LABEL,
    default_workload,
    hash_of,
    milli_cpu,
    owner_reference,
    with_labels,
)
from demo.kube_rollout import limits_of
from demo.kube_statefulset import HASH
from demo.seam import WorkloadSpec

DAY = 86_400.0
FLEET_AGE = 3 * DAY  # when the present versions were released
SETTLE_SECONDS = 60.0
PODS_PER_NODE = 40
ZONES = 3


def seed(engine: Engine, specs: Iterable[WorkloadSpec]) -> None:
    """Make everything and let the controllers bring it up, in the past and without Events."""
    specs = list(specs)
    engine.quiet = True
    engine.age = FLEET_AGE + 10 * DAY
    _nodes(engine, node_count(specs))
    for name in sorted(
        {"default", LEASE_NAMESPACE, "kube-public", "kube-system", *(s.namespace for s in specs)}
    ):
        engine.made(NAMESPACE, _namespace(name), manager="kube-apiserver")
    for spec in specs:
        _workload(engine, spec)
    engine.run_until(engine.now + SETTLE_SECONDS)
    for spec in specs:
        if spec.autoscale:
            engine.made(AUTOSCALER, autoscaler(spec), manager="ci")
    engine.age, engine.quiet = 0.0, False
    for node in engine.store.objects(NODE):
        conditions = healthy_conditions(engine.stamp(), node["status"]["conditions"])
        engine.store.put(NODE, {**node, "status": {**node["status"], "conditions": conditions}})
    for lease in engine.store.objects(LEASE):
        engine.store.put(LEASE, {**lease, "spec": {**lease["spec"], "renewTime": engine.precise()}})


def node_count(specs: Iterable[WorkloadSpec]) -> int:
    """At least three; else as many as leave a third of the CPUs and most pod places free."""
    specs = list(specs)
    pods = sum(spec.replicas for spec in specs)
    cpus = sum(spec.replicas * milli_cpu(spec.cpu_request) for spec in specs) / 1000
    return max(3, math.ceil(pods / PODS_PER_NODE), math.ceil(1.5 * cpus / CPUS_PER_NODE))


def _nodes(engine: Engine, count: int) -> None:
    width = max(2, len(str(count)))
    for index in range(count):
        name = f"node-{index + 1:0{width}d}"
        zone = f"zone-{index % ZONES + 1}"
        engine.made(NODE, new_node(name, index=index, zone=zone, stamp=engine.stamp()), manager="kubelet")
        lease = {
            "metadata": {"name": name, "namespace": LEASE_NAMESPACE},
            "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": engine.precise()},
        }
        engine.made(LEASE, lease, manager="kubelet")


def _namespace(name: str) -> Obj:
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }


def _workload(engine: Engine, spec: WorkloadSpec) -> None:
    kind = STATEFUL_SET if spec.kind == "StatefulSet" else DEPLOYMENT
    engine.age = FLEET_AGE + (len(spec.previous) + 1) * DAY
    engine.made(SERVICE, service(engine, spec), manager="ci")
    made = engine.made(kind, workload(spec), manager="ci")
    for number, version in enumerate(spec.previous, start=1):
        engine.age = FLEET_AGE + (len(spec.previous) + 1 - number) * DAY
        if kind is DEPLOYMENT:
            _old_replica_set(engine, made, version, number)
        else:
            _old_revision(engine, made, version, number)
    engine.age = FLEET_AGE
    if spec.min_available is not None:
        engine.made(BUDGET, budget(spec), manager="ci")


def workload(spec: WorkloadSpec) -> Obj:
    """The Deployment or StatefulSet of a spec, as CI applies it, with the API server's defaults."""
    labels = {
        "app": spec.name,
        "app.kubernetes.io/name": spec.name,
        "app.kubernetes.io/part-of": spec.namespace,
        VERSION_LABEL: spec.version,
        **spec.labels,
    }
    container = {
        "name": spec.name,
        "image": image_of(spec, spec.version),
        "ports": [{"name": "http", "containerPort": 8080}],
        "env": [{"name": "LOG_LEVEL", "value": "info"}],
        "resources": {
            "limits": {"memory": spec.memory_request},
            "requests": {"cpu": spec.cpu_request, "memory": spec.memory_request},
        },
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 5},
    }
    obj: Obj = {
        "metadata": {
            "name": spec.name,
            "namespace": spec.namespace,
            "labels": labels,
            "annotations": {CAUSE_NOTE: f"release {spec.version}"},
        },
        "spec": {
            "replicas": spec.replicas,
            "selector": {"matchLabels": {"app": spec.name}},
            "template": {
                "metadata": {"labels": labels, "annotations": {"prometheus.io/scrape": "true"}},
                "spec": {"containers": [container]},
            },
        },
        "status": {},
    }
    if spec.kind == "StatefulSet":
        obj["spec"]["serviceName"] = spec.name
    return default_workload(STATEFUL_SET if spec.kind == "StatefulSet" else DEPLOYMENT, obj)


def image_of(spec: WorkloadSpec, version: str) -> str:
    """The image of a version; the spec's own image without its tag where it names one."""
    if not spec.image:
        return f"{REGISTRY}/{spec.name}:{version}"
    name = spec.image.rpartition(":")[0] if ":" in spec.image.rpartition("/")[2] else spec.image
    return f"{name}:{version}"


def released(obj: Obj, version: str) -> Obj:
    """A workload after a release: image, version labels and change-cause, nothing else."""
    template = obj["spec"]["template"]
    first, *others = template["spec"]["containers"]
    name = first["image"].rpartition(":")[0]
    containers = [{**first, "image": f"{name}:{version}"}, *others]
    template = with_labels(
        {**template, "spec": {**template["spec"], "containers": containers}}, {VERSION_LABEL: version}
    )
    meta = obj["metadata"]
    labels = {**(meta.get("labels") or {}), VERSION_LABEL: version}
    notes = {**(meta.get("annotations") or {}), CAUSE_NOTE: f"release {version}"}
    return {
        **obj,
        "metadata": {**meta, "labels": labels, "annotations": notes},
        "spec": {**obj["spec"], "template": template},
    }


def _old_replica_set(engine: Engine, deployment: Obj, version: str, number: int) -> None:
    template = released(deployment, version)["spec"]["template"]
    digest = hash_of(template)
    template = with_labels(template, {HASH_LABEL: digest})
    meta = deployment["metadata"]
    selector = {**deployment["spec"]["selector"]["matchLabels"], HASH_LABEL: digest}
    notes = {**limits_of(deployment).notes(), REVISION_NOTE: str(number), CAUSE_NOTE: f"release {version}"}
    made = {
        "metadata": {
            "name": f"{meta['name']}-{digest}",
            "namespace": meta["namespace"],
            "labels": template["metadata"]["labels"],
            "annotations": notes,
            "ownerReferences": [owner_reference(DEPLOYMENT, deployment)],
        },
        "spec": {"replicas": 0, "selector": {"matchLabels": selector}, "template": template},
        "status": {"replicas": 0, "observedGeneration": 1},
    }
    engine.made(REPLICA_SET, made)


def _old_revision(engine: Engine, stateful: Obj, version: str, number: int) -> None:
    template = released(stateful, version)["spec"]["template"]
    digest = hash_of(template)
    meta = stateful["metadata"]
    made = {
        "metadata": {
            "name": f"{meta['name']}-{digest}",
            "namespace": meta["namespace"],
            "labels": {**template["metadata"]["labels"], HASH: digest},
            "annotations": {CAUSE_NOTE: f"release {version}"},
            "ownerReferences": [owner_reference(STATEFUL_SET, stateful)],
        },
        "data": {"spec": {"template": {"$patch": "replace", **template}}},
        "revision": number,
    }
    engine.made(REVISION, made)


def service(engine: Engine, spec: WorkloadSpec) -> Obj:
    """The KubeService in front of a workload; headless for a StatefulSet."""
    headless = spec.kind == "StatefulSet"
    address = "None" if headless else engine.service_address()
    return {
        "metadata": {"name": spec.name, "namespace": spec.namespace, "labels": {"app": spec.name}},
        "spec": {
            "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": "http"}],
            "selector": {"app": spec.name},
            "clusterIP": address,
            "clusterIPs": [address],
            "type": "ClusterIP",
            "sessionAffinity": "None",
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "internalTrafficPolicy": "Cluster",
        },
        "status": {"loadBalancer": {}},
    }


def autoscaler(spec: WorkloadSpec) -> Obj:
    """An HPA on CPU at 70 % of the request."""
    low, high = spec.autoscale or (1, 1)
    target = {"type": "Utilization", "averageUtilization": 70}
    kind: Kind = STATEFUL_SET if spec.kind == "StatefulSet" else DEPLOYMENT
    return {
        "metadata": {"name": spec.name, "namespace": spec.namespace},
        "spec": {
            "scaleTargetRef": {"kind": kind.kind, "name": spec.name, "apiVersion": kind.api_version},
            "minReplicas": low,
            "maxReplicas": high,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
        "status": {"desiredReplicas": 0, "currentMetrics": None},
    }


def budget(spec: WorkloadSpec) -> Obj:
    """A PodDisruptionBudget with minAvailable."""
    return {
        "metadata": {"name": spec.name, "namespace": spec.namespace},
        "spec": {"selector": {"matchLabels": {"app": spec.name}}, "minAvailable": spec.min_available},
        "status": {},
    }
