"""The scale subresource: the small object over `spec.replicas`, and who is recorded as having set it."""

from __future__ import annotations

from demo import kube_managed
from demo.controllers import Engine
from demo.kube_kinds import Kind, Obj

REPLICAS_PATH = ("f:spec", "f:replicas")
_TREE: Obj = {"f:spec": {"f:replicas": {}}}


def scale_of(obj: Obj) -> Obj:
    """The autoscaling/v1 Scale of a workload; 0 replicas are left out of its spec, as recorded."""
    meta, spec = obj["metadata"], obj["spec"]
    shown = {
        name: meta[name] for name in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    }
    count = spec.get("replicas", 0)
    labels = (spec.get("selector") or {}).get("matchLabels") or {}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": shown,
        "spec": {"replicas": count} if count else {},
        "status": {
            "replicas": (obj.get("status") or {}).get("replicas", 0),
            "selector": ",".join(f"{name}={value}" for name, value in sorted(labels.items())),
        },
    }


def scaled(kind: Kind, obj: Obj, count: int, *, manager: str) -> Obj:
    """The workload with another number of replicas, its generation and the manager's entry moved.

    As recorded, the entry has no time; a scale to 0 leaves nobody as owner, and while nobody owns the field
    later scales leave no entry either.
    """
    meta = obj["metadata"]
    if obj["spec"].get("replicas", 0) == count:
        return obj
    entries = meta.get("managedFields") or []
    owned = kube_managed.owns(entries, *REPLICAS_PATH) is not None
    freed = [
        {**entry, "fieldsV1": rest}
        for entry in entries
        if (rest := kube_managed.remove(entry["fieldsV1"], _TREE))
    ]
    if owned and count:
        mine = kube_managed.entry_for(
            _TREE, manager=manager, api_version=kind.api_version, time=None, subresource="scale"
        )
        freed = [mine, *freed]
    moved = {**meta, "generation": meta.get("generation", 1) + 1, "managedFields": freed}
    return {**obj, "metadata": moved, "spec": {**obj["spec"], "replicas": count}}


def set_replicas(engine: Engine, kind: Kind, obj: Obj, count: int, *, manager: str) -> Obj:
    """Scale and file."""
    return engine.store.put(kind, scaled(kind, obj, count, manager=manager))
