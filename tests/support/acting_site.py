"""A fleet whose Kubernetes can be acted on: a fake cluster that takes writes, and what is known of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from app import clock
from app.config import Cluster, KubeAccess, Kubernetes
from app.model.fleet import HealthStatus, Snapshot
from app.model.inventory import Container, Inventory, Pod, Revision, Workload
from app.store import snapshots
from app.store.engine import Store
from tests.support.fake_kubernetes_writes import FakeKubernetesWrites
from tests.support.shown import answered, make_fleet, remember, show

NEW = "/actions/new?kind=scale&cluster=demo&namespace=shop&workload=Deployment&name=checkout"


@contextmanager
def writable(directory: Path) -> Iterator[tuple[FakeKubernetesWrites, tuple[Cluster, ...]]]:
    """A fake cluster with the Deployment checkout of 3 replicas, and the configuration that may write to it."""
    cluster = FakeKubernetesWrites()
    access = KubeAccess(kubeconfig=cluster.kubeconfig(directory))
    try:
        yield cluster, (Cluster(name="demo", kubernetes=Kubernetes(act=access)),)
    finally:
        cluster.close()


def make_workload(name: str = "checkout", **over: Any) -> Workload:
    fields: dict[str, Any] = {
        "namespace": "shop",
        "kind": "Deployment",
        "name": name,
        "uid": f"uid-{name}",
        "resource_version": "7",
        "generation": 1,
        "observed_generation": 1,
        "containers": (Container("app", f"registry.example/{name}:v43"),),
        "desired": 3,
        "current": 3,
        "updated": 3,
        "ready": 3,
        "revision": "2",
    }
    return Workload(**(fields | over))


def make_revision(number: int, name: str = "checkout", **over: Any) -> Revision:
    fields: dict[str, Any] = {
        "namespace": "shop",
        "owner_uid": f"uid-{name}",
        "name": f"{name}-{number}",
        "uid": f"uid-{name}-{number}",
        "number": number,
        "template_hash": f"h{number}",
        "containers": (Container("app", f"registry.example/{name}:v{41 + number}"),),
        "replicas": 3 if number == 2 else 0,
        "ready": 3 if number == 2 else 0,
    }
    return Revision(**(fields | over))


def make_pod(number: int, name: str = "checkout", **over: Any) -> Pod:
    fields: dict[str, Any] = {
        "namespace": "shop",
        "name": f"{name}-2-{number}",
        "uid": f"uid-pod-{name}-{number}",
        "owner_kind": "ReplicaSet",
        "owner_uid": f"uid-{name}-2",
        "node": f"node-0{number}",
        "phase": "Running",
        "ready": True,
        "images": (f"registry.example/{name}:v43",),
        "started": datetime.fromisoformat("2026-11-20T09:00:00+00:00"),
    }
    return Pod(**(fields | over))


def make_inventory(**over: Any) -> Inventory:
    """checkout with two revisions and three pods."""
    fields: dict[str, Any] = {
        "workloads": (make_workload(),),
        "revisions": (make_revision(1), make_revision(2)),
        "pods": tuple(make_pod(number) for number in range(1, 4)),
    }
    return Inventory(**(fields | over))


def know(store: Store, inventory: Inventory, at: datetime | None = None) -> None:
    """What Kubernetes said last."""
    with store.begin() as session:
        snapshots.put(session, Snapshot("demo", "kubernetes", at or clock.now(), inventory=inventory))


def seed_checkout(store: Store, status: HealthStatus = HealthStatus.HEALTHY) -> None:
    """The shop with a service checkout, its workload and an hour of history."""
    fleet = make_fleet(clock.now(), checkout=status)
    remember(store, fleet)
    answered(store, fleet.as_of)
    show(store, fleet)
    know(store, make_inventory(), fleet.as_of)
