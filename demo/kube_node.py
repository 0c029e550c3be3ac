"""How a node looks: its size, its labels and the four conditions its kubelet reports."""

from __future__ import annotations

from demo.kube_kinds import Obj
from demo.kube_objects import milli_cpu

PODS_PER_NODE = 110
CPUS_PER_NODE = 16
_HEALTHY = {
    "MemoryPressure": ("False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    "DiskPressure": ("False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    "PIDPressure": ("False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    "Ready": ("True", "KubeletReady", "kubelet is posting ready status"),
}


def asked_cpu(pod: Obj) -> int:
    """Milli CPU that a pod's containers ask for."""
    total = 0
    for container in pod["spec"]["containers"]:
        requests = (container.get("resources") or {}).get("requests") or {}
        total += milli_cpu(requests.get("cpu", 0))
    return total


def healthy_conditions(stamp: str, old: list[Obj] | None = None) -> list[Obj]:
    """The four conditions of a node that is well."""
    moved = {one["type"]: one["lastTransitionTime"] for one in old or () if one["status"] != "Unknown"}
    return [
        {
            "type": kind,
            "status": status,
            "lastHeartbeatTime": stamp,
            "lastTransitionTime": moved.get(kind, stamp),
            "reason": reason,
            "message": message,
        }
        for kind, (status, reason, message) in _HEALTHY.items()
    ]


def new_node(name: str, *, index: int, zone: str, stamp: str) -> Obj:
    """A healthy node with 16 CPUs and 64 GiB."""
    size = {
        "cpu": str(CPUS_PER_NODE),
        "ephemeral-storage": "100Gi",
        "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
        "memory": "64Gi",
        "pods": str(PODS_PER_NODE),
    }
    cidr = f"10.{244 + index // 256}.{index % 256}.0/24"
    address = f"192.168.{index // 250}.{index % 250 + 2}"
    return {
        "metadata": {
            "name": name,
            "labels": {
                "beta.kubernetes.io/arch": "amd64",
                "beta.kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "node-role.kubernetes.io/worker": "",
                "topology.kubernetes.io/region": "region-1",
                "topology.kubernetes.io/zone": zone,
            },
            "annotations": {"node.alpha.kubernetes.io/ttl": "0"},
        },
        "spec": {"podCIDR": cidr, "podCIDRs": [cidr], "providerID": f"example://{name}"},
        "status": {
            "capacity": size,
            "allocatable": size,
            "conditions": healthy_conditions(stamp),
            "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {
                "machineID": f"{index:032x}",
                "systemUUID": f"{index + 1:032x}",
                "bootID": f"boot-{name}",
                "kernelVersion": "6.12.0",
                "osImage": "Debian GNU/Linux 12 (bookworm)",
                "containerRuntimeVersion": "containerd://2.1.4",
                "kubeletVersion": "v1.36.2",
                "kubeProxyVersion": "",
                "operatingSystem": "linux",
                "architecture": "amd64",
            },
        },
    }


def zone_labels(node: Obj) -> Obj:
    """The topology labels that a pod takes over from its node."""
    return {
        name: value
        for name, value in node["metadata"]["labels"].items()
        if name.startswith("topology.kubernetes.io/")
    }
