"""What the traffic model and the simulated cluster know of each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class WorkloadSpec:
    """A workload that the cluster is seeded with."""

    name: str
    namespace: str
    kind: str = "Deployment"
    replicas: int = 2
    image: str = ""
    version: str = "1.0.0"
    previous: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    cpu_request: str = "250m"
    memory_request: str = "256Mi"
    autoscale: tuple[int, int] | None = None
    min_available: int | None = None


@dataclass(frozen=True, slots=True)
class PodView:
    """What the traffic model needs of a pod."""

    name: str
    uid: str
    ip: str
    node: str
    version: str
    started: float
    ready: bool


class PodsOf(Protocol):
    """The cluster as the traffic model sees it."""

    def pods(self, namespace: str, workload: str) -> list[PodView]:
        """Pods of a workload, ready or not, oldest first."""
        ...

    def lose_node(self, node: str) -> None:
        """A node stops answering (scenario node-loss)."""
        ...

    def restore_node(self, node: str) -> None:
        """It comes back."""
        ...

    def deploy(self, namespace: str, workload: str, version: str) -> None:
        """A release as CI would do it: new image version, change-cause (scenario bad-deploy)."""
        ...


class LoadOf(Protocol):
    """The traffic model as the cluster's autoscaler and kubelet see it."""

    def cpu_usage(self, namespace: str, pod: str) -> float:
        """Share of the pod's CPU request in use, 0..n."""
        ...
