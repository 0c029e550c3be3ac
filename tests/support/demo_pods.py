"""A cluster for the traffic model that does at once what it is told: no scheduler, no rollout, no kubelet."""

from dataclasses import replace

from demo.catalog import Catalog, shop
from demo.model import Fleet
from demo.seam import PodView

START = 1_790_000_000.0
NODES = 3


class InstantPods:
    """Implements `demo.seam.PodsOf`; pods are ready as soon as they exist."""

    def __init__(self, catalog: Catalog | None = None) -> None:
        self.catalog = catalog or shop()
        self.made = 0
        self.by_name: dict[tuple[str, str], list[PodView]] = {}
        for service in self.catalog.services:
            key = (service.namespace, service.name)
            self.by_name[key] = [self._pod(*key, service.version) for _ in range(service.replicas)]

    def _pod(self, namespace: str, workload: str, version: str) -> PodView:
        self.made += 1
        n = self.made
        address = f"10.0.{n // 250}.{n % 250}"
        return PodView(f"{workload}-{n:05d}", f"uid-{n}", address, f"node-{n % NODES}", version, START, True)

    def pods(self, namespace: str, workload: str) -> list[PodView]:
        return list(self.by_name.get((namespace, workload), []))

    def scale(self, workload: str, replicas: int, namespace: str = "shop") -> None:
        have = self.by_name[(namespace, workload)]
        version = have[0].version
        more = [self._pod(namespace, workload, version) for _ in range(replicas - len(have))]
        self.by_name[(namespace, workload)] = have[:replicas] + more

    def deploy(self, namespace: str, workload: str, version: str) -> None:
        """Raises KeyError for a workload that is not there, as the simulated cluster does."""
        have = self.by_name[(namespace, workload)]
        self.by_name[(namespace, workload)] = [self._pod(namespace, workload, version) for _ in have]

    def lose_node(self, node: str) -> None:
        pass

    def restore_node(self, node: str) -> None:
        pass

    def evict(self, node: str) -> None:
        """What the cluster does some time after a node was lost: its pods start on another one."""
        other = f"node-{(int(node.removeprefix('node-')) + 1) % NODES}"
        for (namespace, workload), have in self.by_name.items():
            moved = [
                replace(self._pod(namespace, workload, pod.version), node=other) if pod.node == node else pod
                for pod in have
            ]
            self.by_name[(namespace, workload)] = moved


def make_fleet(catalog: Catalog | None = None, *, seed: int = 1) -> tuple[Fleet, InstantPods]:
    """A fleet on instant pods, at model time START."""
    pods = InstantPods(catalog)
    return Fleet(pods.catalog, pods, seed=seed, start=START), pods
