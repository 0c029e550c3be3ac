"""Pods that are always ready and never change: the fleet without a cluster, for history and benchmarks."""

from __future__ import annotations

from demo.catalog import Catalog
from demo.seam import PodView

PODS_PER_NODE = 40


class StillPods:
    """Implements `demo.seam.PodsOf`; whatever is asked of it, nothing happens."""

    def __init__(self, catalog: Catalog) -> None:
        self._pods: dict[tuple[str, str], list[PodView]] = {}
        made = 0
        for service in catalog.services:
            views = []
            for i in range(service.replicas):
                name, node = f"{service.name}-{i}", f"node-{made // PODS_PER_NODE:03d}"
                address = f"10.{made >> 16}.{made >> 8 & 255}.{made & 255}"
                uid = f"{service.namespace}/{name}"
                views.append(PodView(name, uid, address, node, service.version, 0.0, True))
                made += 1
            self._pods[(service.namespace, service.name)] = views

    def pods(self, namespace: str, workload: str) -> list[PodView]:
        """Always the same."""
        return self._pods.get((namespace, workload), [])

    def lose_node(self, node: str) -> None:
        """Nothing happens."""

    def restore_node(self, node: str) -> None:
        """Nothing happens."""

    def deploy(self, namespace: str, workload: str, version: str) -> None:
        """Nothing happens."""
