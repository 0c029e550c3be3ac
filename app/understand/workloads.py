"""The inventory, indexed by everything a source may know a workload by: uid, name, pod, address, label.

Ownership follows uids only; names are never cut with patterns (reference: topology 7.2).
"""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property

from app.model.inventory import Container, Inventory, KubeService, Pod, Revision, Workload

_APP_LABELS = ("app.kubernetes.io/name", "app", "k8s-app")
_OWNER_LABELS = ("team", "owner", "app.kubernetes.io/part-of")


class Workloads:
    """Lookups over one inventory; each index is built when it is first asked for."""

    def __init__(self, inventory: Inventory | None) -> None:
        self.inventory = inventory or Inventory()

    @cached_property
    def by_uid(self) -> dict[str, Workload]:
        """Workloads by their own uid."""
        return {workload.uid: workload for workload in self.inventory.workloads}

    @cached_property
    def by_name(self) -> dict[tuple[str, str], Workload]:
        """Workloads by (namespace, name); a Deployment wins over other kinds of the same name."""
        ordered = sorted(self.inventory.workloads, key=lambda w: w.kind == "Deployment")
        return {(workload.namespace, workload.name): workload for workload in ordered}

    @cached_property
    def revisions(self) -> dict[str, list[Revision]]:
        """Revisions by the uid of their workload, newest first."""
        found: dict[str, list[Revision]] = defaultdict(list)
        for revision in sorted(self.inventory.revisions, key=lambda r: r.number, reverse=True):
            found[revision.owner_uid].append(revision)
        return found

    @cached_property
    def _owner_of_revision(self) -> dict[str, str]:
        return {revision.uid: revision.owner_uid for revision in self.inventory.revisions}

    def of_pod(self, pod: Pod) -> Workload | None:
        """The workload a pod belongs to, through its ReplicaSet if it has one."""
        owner = self._owner_of_revision.get(pod.owner_uid, pod.owner_uid)
        return self.by_uid.get(owner)

    @cached_property
    def pods(self) -> dict[str, list[Pod]]:
        """Pods by the uid of their workload."""
        found: dict[str, list[Pod]] = defaultdict(list)
        for pod in self.inventory.pods:
            workload = self.of_pod(pod)
            if workload is not None:
                found[workload.uid].append(pod)
        return found

    @cached_property
    def pod_by_uid(self) -> dict[str, Pod]:
        """Pods by uid."""
        return {pod.uid: pod for pod in self.inventory.pods}

    @cached_property
    def pod_by_name(self) -> dict[tuple[str, str], Pod]:
        """Pods by (namespace, name)."""
        return {(pod.namespace, pod.name): pod for pod in self.inventory.pods}

    @cached_property
    def pod_by_ip(self) -> dict[str, Pod]:
        """Running pods by address; pods on the host's network share it with everything there and stay out."""
        return {
            pod.ip: pod
            for pod in self.inventory.pods
            if pod.ip and not pod.host_network and pod.phase not in ("Succeeded", "Failed")
        }

    @cached_property
    def kube_services(self) -> dict[tuple[str, str], KubeService]:
        """KubeServices by (namespace, name)."""
        return {(service.namespace, service.name): service for service in self.inventory.services}

    @cached_property
    def kube_service_by_ip(self) -> dict[str, KubeService]:
        """KubeServices by cluster IP; headless ones have none."""
        return {s.cluster_ip: s for s in self.inventory.services if s.cluster_ip and s.cluster_ip != "None"}

    @cached_property
    def namespaces_of(self) -> dict[str, set[str]]:
        """Namespaces in which a workload or KubeService of a name exists."""
        found: dict[str, set[str]] = defaultdict(set)
        for namespace, name in (*self.by_name, *self.kube_services):
            found[name].add(namespace)
        return found

    @cached_property
    def namespaces(self) -> frozenset[str]:
        """Every namespace that holds a workload."""
        return frozenset(workload.namespace for workload in self.inventory.workloads)

    @cached_property
    def _by_label(self) -> dict[tuple[str, str], list[Workload]]:
        found: dict[tuple[str, str], list[Workload]] = defaultdict(list)
        for workload in self.inventory.workloads:
            labels = dict(workload.labels)
            for value in {labels[key] for key in _APP_LABELS if key in labels}:
                found[(workload.namespace, value)].append(workload)
        return found

    def labelled(self, namespace: str, name: str) -> Workload | None:
        """The one workload of the namespace whose app label says `name`; None when there are several."""
        found = self._by_label.get((namespace, name), [])
        return found[0] if len(found) == 1 else None

    @cached_property
    def _by_term(self) -> dict[tuple[str, tuple[str, str]], list[Workload]]:
        """Workloads by namespace and one (key, value) of their selector or labels."""
        found: dict[tuple[str, tuple[str, str]], list[Workload]] = defaultdict(list)
        for workload in self.inventory.workloads:
            for term in {*workload.selector, *workload.labels}:
                found[(workload.namespace, term)].append(workload)
        return found

    @cached_property
    def _behind(self) -> dict[tuple[str, str], Workload | None]:
        return {}

    def behind(self, service: KubeService) -> Workload | None:
        """The workload a KubeService selects; None when it selects several or none."""
        key = (service.namespace, service.name)
        if key not in self._behind:
            self._behind[key] = self._selected(service)
        return self._behind[key]

    @cached_property
    def _services(self) -> dict[str, KubeService]:
        ordered = sorted(self.inventory.services, key=lambda s: (s.namespace, s.name), reverse=True)
        return {found.uid: service for service in ordered if (found := self.behind(service)) is not None}

    def service_of(self, workload: Workload) -> KubeService | None:
        """The KubeService in front of a workload, the first by name when there are several."""
        return self._services.get(workload.uid)

    def _selected(self, service: KubeService) -> Workload | None:
        if not service.selector:
            return None
        wanted = set(service.selector)
        rarest = min((self._by_term.get((service.namespace, term), []) for term in wanted), key=len)
        found = [w for w in rarest if wanted <= set(w.selector) | set(w.labels)]
        if len(found) == 1:
            return found[0]
        same_name = [w for w in found if w.name == service.name]
        return same_name[0] if len(same_name) == 1 else None


def owner_label(workload: Workload) -> str | None:
    """The team a workload's labels name."""
    labels = dict(workload.labels)
    return next((labels[key] for key in _OWNER_LABELS if labels.get(key)), None)


def image_version(image: str) -> str:
    """The tag of an image reference, a shortened digest, or `latest`."""
    name, _, digest = image.partition("@")
    last = name.rpartition("/")[2]
    if ":" in last:
        return last.partition(":")[2]
    return digest[:19] if digest else "latest"


def _version_of(containers: tuple[Container, ...], workload_name: str) -> str | None:
    if not containers:
        return None
    named = [container for container in containers if container.name == workload_name]
    return image_version((named or list(containers))[0].image)


def versions(workload: Workload, revisions: list[Revision]) -> tuple[str, ...]:
    """Versions of a workload, newest first: its newest revision's, then those that still have pods.

    Read from template images only; labels and change-cause lie after a rollback (reference: observed 4).
    """
    current = _version_of(workload.containers, workload.name)
    newest = _version_of(revisions[0].containers, workload.name) if revisions else None
    found = [newest or current]
    found += [_version_of(r.containers, workload.name) for r in revisions[1:] if r.replicas > 0]
    return tuple(dict.fromkeys(version for version in found if version))
