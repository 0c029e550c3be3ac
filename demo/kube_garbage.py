"""The garbage collector: what is owned goes when its owner goes, at once or, in the foreground, before it."""

from __future__ import annotations

from demo.controllers import Engine
from demo.kube_kinds import (
    DEPLOYMENT,
    POD,
    REPLICA_SET,
    REVISION,
    SERVICE,
    SLICE,
    STATEFUL_SET,
    Key,
    Kind,
    Obj,
)
from demo.kube_objects import is_leaving
from demo.kube_replicaset import mark_deleted
from demo.kube_store import Change

OWNS: dict[Kind, tuple[Kind, ...]] = {
    DEPLOYMENT: (REPLICA_SET,),
    REPLICA_SET: (POD,),
    STATEFUL_SET: (POD, REVISION),
    SERVICE: (SLICE,),
}
FOREGROUND = "foregroundDeletion"


class Garbage:
    """Follows owners out."""

    name = "garbage"

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.orphaned: set[str] = set()  # uids whose dependents stay

    def react(self, change: Change) -> None:
        """An owner is gone, is to go, or lost a dependent while it waits to go."""
        kind, obj = change.entry.kind, change.entry.obj
        if kind in OWNS and change.type == "DELETED":
            self._collect(kind, obj)
        elif kind in OWNS and is_leaving(obj):
            self.engine.wake(f"{self.name}:{kind.plural}", change.entry.key)

    def sync(self, key: Key) -> None:
        """Nothing: its work is done when it hears of a change."""

    def _collect(self, kind: Kind, owner: Obj) -> None:
        uid = owner["metadata"]["uid"]
        if uid in self.orphaned:
            self.orphaned.discard(uid)
            return
        for dependent in OWNS[kind]:
            for obj in self.engine.store.owned(uid, dependent):
                self.remove(dependent, obj)

    def begin(self, kind: Kind, obj: Obj) -> Obj:
        """Begin a deletion in the foreground: the object stays, marked, until what it owns is gone."""
        meta = obj["metadata"]
        if is_leaving(obj):
            return obj
        leaving: Obj = {
            "deletionTimestamp": self.engine.stamp(),
            "deletionGracePeriodSeconds": 0,
            "finalizers": [*(meta.get("finalizers") or ()), FOREGROUND],
        }
        if "generation" in meta:
            leaving["generation"] = meta["generation"] + 1
        return self.engine.store.put(kind, {**obj, "metadata": {**meta, **leaving}})

    def remove(self, kind: Kind, obj: Obj) -> None:
        """Delete one object the way its kind goes: pods terminate, the rest vanishes."""
        if kind is POD:
            mark_deleted(self.engine, obj)
            return
        self.engine.store.delete(kind, (obj["metadata"].get("namespace", ""), obj["metadata"]["name"]))

    def waiter(self, kind: Kind) -> Waiting:
        """The controller that finishes foreground deletions of a kind."""
        return Waiting(self, kind)


class Waiting:
    """Takes an owner away once everything it owns, and what that owns, is gone."""

    def __init__(self, garbage: Garbage, kind: Kind) -> None:
        self.garbage = garbage
        self.kind = kind
        self.name = f"{garbage.name}:{kind.plural}"

    def react(self, change: Change) -> None:
        """Nothing: `Garbage` wakes it."""

    def sync(self, key: Key) -> None:
        """Delete what is left of the dependents, or the owner."""
        engine = self.garbage.engine
        owner = engine.store.get(self.kind, key)
        if owner is None or not is_leaving(owner):
            return
        uid = owner["metadata"]["uid"]
        left = [(kind, obj) for kind in OWNS[self.kind] for obj in engine.store.owned(uid, kind)]
        for kind, obj in left:
            if kind in OWNS:
                self.garbage.begin(kind, obj)
            else:
                self.garbage.remove(kind, obj)
        if left:
            engine.wake(self.name, key, 0.5)
        else:
            engine.store.delete(self.kind, key)
