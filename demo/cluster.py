"""The simulated cluster: one store, its controllers, and what the traffic model may see and do of it.

`step` moves model time; writes of the API land between steps under the same lock.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterable

from demo import kube_managed
from demo.controllers import Controller, Engine
from demo.kube_autoscaler import Autoscalers
from demo.kube_deployment import Deployments
from demo.kube_endpoints import Budgets, Endpoints, PodIndex
from demo.kube_garbage import OWNS, Garbage
from demo.kube_kinds import DEPLOYMENT, NODE, POD, STATEFUL_SET, Key, Kind, Obj, controller_of
from demo.kube_kubelet import Kubelet
from demo.kube_nodes import Nodes
from demo.kube_objects import HASH_LABEL, is_leaving, is_ready, version_of
from demo.kube_replicaset import Quota, ReplicaSets
from demo.kube_seed import released, seed
from demo.kube_statefulset import StatefulSets
from demo.kube_store import Change, Store
from demo.seam import LoadOf, PodView, WorkloadSpec


class Cluster:
    """Implements `demo.seam.PodsOf`.

    `specs` is the fleet, `seed` makes names and delays repeatable, `clock` gives epoch seconds for stamps (wall
    time, also when the model runs faster).
    """

    def __init__(self, specs: Iterable[WorkloadSpec], *, seed: int, clock: Callable[[], float]) -> None:
        self.store = Store(clock)
        self.engine = Engine(self.store, seed=seed, clock=clock)
        self.nodes = Nodes(self.engine)
        self.kubelet = Kubelet(self.engine, self.nodes)
        self.index = PodIndex(self.engine)
        self.budgets = Budgets(self.engine, self.index)
        self.quota = Quota(self.engine)
        self.garbage = Garbage(self.engine)
        self._pods: dict[tuple[str, str], dict[Key, None]] = {}
        self._views: dict[tuple[str, str], list[PodView]] = {}
        self._shift: float | None = None
        self._start(list(specs))

    def _start(self, specs: list[WorkloadSpec]) -> None:
        engine = self.engine
        controllers: list[Controller] = [
            self.nodes,
            self.kubelet,
            self.quota,
            ReplicaSets(engine, self.quota),
            Deployments(engine),
            StatefulSets(engine, self.quota),
            Endpoints(engine, self.index),
            self.budgets,
            Autoscalers(engine, self.index),
            self.garbage,
            *(self.garbage.waiter(kind) for kind in OWNS),
        ]
        for controller in controllers:
            engine.add(controller)
        self.store.reactions.append(self._follow)
        collecting = gc.isenabled()
        gc.disable()  # nothing made here is garbage, and looking for some doubles the time
        try:
            with self.lock:
                seed(engine, specs)
                self.store.compact()
        finally:
            if collecting:
                gc.enable()

    @property
    def lock(self) -> threading.RLock:
        """Held for every write and every step."""
        return self.store.lock

    def attach(self, load: LoadOf) -> None:
        """Give the autoscaler its CPU figures."""
        self.engine.load = load

    def step(self, now_seconds: float) -> None:
        """Let the cluster live until this moment of model time (the first call sets its origin)."""
        with self.lock:
            if self._shift is None:
                self._shift = self.engine.now - now_seconds
            self.engine.run_until(now_seconds + self._shift)

    def pods(self, namespace: str, workload: str) -> list[PodView]:
        """Pods of a workload, oldest first; a terminating one is not ready. `started` is model time."""
        views = self._views.get((namespace, workload))
        if views is not None:
            return views
        with self.lock:
            keys = self._pods.get((namespace, workload), ())
            entries = self.store.shelves[POD].entries
            views = [self._view(entries[key].obj) for key in keys]
            self._views[namespace, workload] = views
            return views

    def _view(self, pod: Obj) -> PodView:
        meta = pod["metadata"]
        life = self.kubelet.lives.get(meta["uid"])
        return PodView(
            name=meta["name"],
            uid=meta["uid"],
            ip=pod["status"].get("podIP", ""),
            node=pod["spec"].get("nodeName", ""),
            version=version_of(pod),
            started=(life.started if life else 0.0) - (self._shift or 0.0),
            ready=is_ready(pod) and not is_leaving(pod),
        )

    def node_names(self) -> list[str]:
        """Nodes, in name order."""
        with self.lock:
            return [node["metadata"]["name"] for node in self.store.objects(NODE)]

    def lose_node(self, node: str) -> None:
        """A node stops answering. Raises KeyError for a name that is none."""
        with self.lock:
            self.nodes.lose(node)

    def restore_node(self, node: str) -> None:
        """It comes back."""
        with self.lock:
            self.nodes.restore(node)

    def deploy(self, namespace: str, workload: str, version: str) -> None:
        """A release as CI does it. Raises KeyError for a workload that is not there."""
        with self.lock:
            kind, obj = self.workload(namespace, workload)
            self.write(kind, obj, released(obj, version), manager="ci")

    def workload(self, namespace: str, name: str) -> tuple[Kind, Obj]:
        """The Deployment or StatefulSet of a name. Raises KeyError."""
        for kind in (DEPLOYMENT, STATEFUL_SET):
            obj = self.store.get(kind, (namespace, name))
            if obj is not None:
                return kind, obj
        raise KeyError(f"{namespace}/{name}")

    def workload_keys(self) -> list[Key]:
        """Keys of all Deployments and StatefulSets; the caller holds the lock."""
        return [key for kind in (DEPLOYMENT, STATEFUL_SET) for key in self.store.shelves[kind].keys]

    def write(self, kind: Kind, old: Obj, new: Obj, *, manager: str) -> Obj:
        """File a changed object with its generation and managedFields moved; the caller holds the lock."""
        if old == new:
            return old
        return self.store.put(kind, self.moved(kind, old, new, manager=manager))

    def moved(self, kind: Kind, old: Obj, new: Obj, *, manager: str, subresource: str = "") -> Obj:
        """`new` with the generation and managedFields it would have after the write, not filed."""
        meta = new["metadata"]
        changed = kube_managed.changed_fields(old, new)
        fields = kube_managed.record(
            meta.get("managedFields"),
            changed,
            manager=manager,
            api_version=kind.api_version,
            time=self.engine.stamp(),
            subresource=subresource,
        )
        system: Obj = {"managedFields": fields}
        if kind.counts_generations and old.get("spec") != new.get("spec"):
            system["generation"] = meta.get("generation", 1) + 1
        return {**new, "metadata": {**meta, **system}}

    def _follow(self, change: Change) -> None:
        if change.entry.kind is not POD:
            return
        at = workload_of(change.entry.obj)
        if at is None:
            return
        if change.type == "ADDED":
            self._pods.setdefault(at, {})[change.entry.key] = None
        elif change.type == "DELETED":
            self._pods.get(at, {}).pop(change.entry.key, None)
        self._views.pop(at, None)


def workload_of(pod: Obj) -> tuple[str, str] | None:
    """(namespace, name of the Deployment or StatefulSet) a pod belongs to."""
    owner = controller_of(pod)
    if owner is None:
        return None
    digest = pod["metadata"]["labels"].get(HASH_LABEL)
    name: str = owner["name"]
    if owner["kind"] == "ReplicaSet" and digest:
        name = name.removesuffix(f"-{digest}")
    return (pod["metadata"]["namespace"], name)
