"""The Deployment controller: ReplicaSets per template, rolling updates within surge and unavailability, history.

The order of writes is the recorded one: first the new ReplicaSet and the revision annotation, then the status
with observedGeneration, about 0.1 s after the write of the spec.
"""

from __future__ import annotations

from demo.controllers import Engine
from demo.kube_kinds import DEPLOYMENT, REPLICA_SET, Key, Obj, key_of
from demo.kube_objects import (
    APPLIED_NOTE,
    DESIRED_NOTE,
    HASH_LABEL,
    HISTORY_NOTE,
    MAX_NOTE,
    REVISION_NOTE,
    condition,
    hash_of,
    is_leaving,
    owner_reference,
    with_labels,
)
from demo.kube_progress import Reporter
from demo.kube_replicaset import deployment_of, put_status
from demo.kube_rollout import Limits, complete, limits_of, merged_status, shrink_plan, spread
from demo.kube_store import Change

NOT_COPIED = {
    APPLIED_NOTE,
    REVISION_NOTE,
    HISTORY_NOTE,
    DESIRED_NOTE,
    MAX_NOTE,
    "deprecated.deployment.rollback.to",
}


class Deployments:
    """One Deployment at a time."""

    name = "deployment"

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.reporter = Reporter(engine, self.name)
        self._names: dict[
            str, tuple[int, str]
        ] = {}  # uid -> (generation, name of the ReplicaSet it asks for)

    def react(self, change: Change) -> None:
        """A Deployment or one of its ReplicaSets changed."""
        if change.entry.kind is DEPLOYMENT:
            if change.type == "DELETED":
                uid = change.entry.obj["metadata"]["uid"]
                self.reporter.forget(uid)
                self._names.pop(uid, None)
            else:
                self.engine.wake(self.name, change.entry.key)
        elif change.entry.kind is REPLICA_SET:
            owner = deployment_of(change.entry.obj)
            if owner:
                self.engine.wake(self.name, owner, 0.02)

    def sync(self, key: Key) -> None:
        """One step of a Deployment."""
        deployment = self.engine.store.get(DEPLOYMENT, key)
        if deployment is None or is_leaving(deployment):
            return
        olds, new = self._replica_sets(deployment)
        if deployment["spec"].get("paused"):
            self._pause(deployment, olds, new)
            return
        if new is None or self._announce(deployment, new, olds):
            self._begin(deployment, olds, new)
            return
        if self._scale_all(deployment, olds, new):
            return
        if self._roll(deployment, olds, new):
            self.engine.wake(self.name, key)
        self._write_status(deployment)
        self._prune(key)

    def _replica_sets(self, deployment: Obj) -> tuple[list[Obj], Obj | None]:
        wanted = self._name(deployment)
        owned = self.engine.store.owned(deployment["metadata"]["uid"], REPLICA_SET)
        new = next((one for one in owned if one["metadata"]["name"] == wanted), None)
        return [one for one in owned if one is not new], new

    def _name(self, deployment: Obj) -> str:
        meta = deployment["metadata"]
        generation, name = self._names.get(meta["uid"], (0, ""))
        if generation != meta["generation"]:
            name = f"{meta['name']}-{hash_of(deployment['spec']['template'])}"
            self._names[meta["uid"]] = (meta["generation"], name)
        return name

    def _announce(self, deployment: Obj, new: Obj, olds: list[Obj]) -> bool:
        """Whether the new ReplicaSet is not yet the newest revision, or its annotations are not the Deployment's."""
        notes = new["metadata"].get("annotations") or {}
        newest = max((revision(one) for one in olds), default=0)
        if revision(new) <= newest:
            return True
        wanted = _copied(deployment)
        own = deployment["metadata"].get("annotations") or {}
        stale = any(notes.get(name) != value for name, value in wanted.items())
        return stale or own.get(REVISION_NOTE) != notes.get(REVISION_NOTE)

    def _begin(self, deployment: Obj, olds: list[Obj], new: Obj | None) -> None:
        """Make or take up the ReplicaSet of the present template, and say its revision on the Deployment."""
        engine, meta = self.engine, deployment["metadata"]
        newest = max((revision(one) for one in olds), default=0)
        number = max(newest + 1, revision(new) if new else 0)
        fresh = new is None
        if new is None:
            new = self._make(deployment, olds, number)
        else:
            new = engine.store.put(REPLICA_SET, _renumbered(new, number, _copied(deployment)))
        notes = {**(meta.get("annotations") or {}), REVISION_NOTE: str(number)}
        status = dict(deployment.get("status") or {})
        if fresh:
            message = f'Created new replica set "{new["metadata"]["name"]}"'
            status["conditions"] = condition(
                list(status.get("conditions") or ()), "Progressing", "True", "NewReplicaSetCreated", message,
                engine.stamp(), updated=True,
            )  # fmt: skip
        self.reporter.begin(meta["uid"])
        engine.store.put(
            DEPLOYMENT, {**deployment, "metadata": {**meta, "annotations": notes}, "status": status}
        )

    def _make(self, deployment: Obj, olds: list[Obj], number: int) -> Obj:
        limits = limits_of(deployment)
        name = self._name(deployment)
        label = {HASH_LABEL: name.rpartition("-")[2]}
        template = with_labels(deployment["spec"]["template"], label)
        count = self._room(limits, olds, 0)
        selector = {"matchLabels": {**(deployment["spec"]["selector"].get("matchLabels") or {}), **label}}
        made = {
            "metadata": {
                "name": name,
                "namespace": deployment["metadata"]["namespace"],
                "labels": template["metadata"]["labels"],
                "annotations": {**limits.notes(), REVISION_NOTE: str(number), **_copied(deployment)},
                "ownerReferences": [owner_reference(DEPLOYMENT, deployment)],
            },
            "spec": {"replicas": count, "selector": selector, "template": template},
            "status": {"replicas": 0},
        }
        filed = self.engine.made(REPLICA_SET, made)
        if count:
            self._tell(deployment, f"Scaled up replica set {name} from 0 to {count}")
        return filed

    def _room(self, limits: Limits, olds: list[Obj], present: int) -> int:
        """How many replicas the new ReplicaSet may have now."""
        total = present + sum(one["spec"].get("replicas", 0) for one in olds)
        if limits.recreate:
            busy = any(one["spec"].get("replicas", 0) or one["status"].get("replicas", 0) for one in olds)
            terminating = any(one["status"].get("terminatingReplicas", 0) for one in olds)
            return present if busy or terminating else limits.desired
        room = limits.desired + limits.surge - total
        return (
            max(min(limits.desired, present + room), present) if present <= limits.desired else limits.desired
        )

    def _scale_all(self, deployment: Obj, olds: list[Obj], new: Obj) -> bool:
        """Share out a change of spec.replicas over the ReplicaSets that have pods; says whether it wrote."""
        limits = limits_of(deployment)
        active = [one for one in (*olds, new) if one["spec"].get("replicas", 0) > 0]
        stale = [
            one for one in active if one["metadata"]["annotations"].get(DESIRED_NOTE) != str(limits.desired)
        ]
        if not stale:
            return False
        if len(active) == 1 and active[0] is new:
            shares = {new["metadata"]["name"]: limits.desired}
        else:
            shares = spread(active, limits)
        for one in active:
            self._resize(deployment, one, shares[one["metadata"]["name"]])
        return True

    def _roll(self, deployment: Obj, olds: list[Obj], new: Obj) -> bool:
        limits = limits_of(deployment)
        present = new["spec"].get("replicas", 0)
        if present != limits.desired:
            count = self._room(limits, olds, present)
            if count != present:
                self._resize(deployment, new, count)
                return True
        moved = False
        for one, count in shrink_plan(limits, olds, new):
            self._resize(deployment, one, count)
            moved = True
        return moved

    def _resize(self, deployment: Obj, replica_set: Obj, count: int) -> None:
        meta, before = replica_set["metadata"], replica_set["spec"].get("replicas", 0)
        notes = {**(meta.get("annotations") or {}), **limits_of(deployment).notes()}
        if before == count and notes == meta.get("annotations"):
            return
        grown = {**meta, "annotations": notes, "generation": meta["generation"] + (before != count)}
        self.engine.store.put(
            REPLICA_SET,
            {**replica_set, "metadata": grown, "spec": {**replica_set["spec"], "replicas": count}},
        )
        if before != count:
            way = "up" if count > before else "down"
            self._tell(deployment, f"Scaled {way} replica set {meta['name']} from {before} to {count}")

    def _pause(self, deployment: Obj, olds: list[Obj], new: Obj | None) -> None:
        active = [one for one in (*olds, *([new] if new else ())) if one["spec"].get("replicas", 0) > 0]
        limits = limits_of(deployment)
        if any(one["metadata"]["annotations"].get(DESIRED_NOTE) != str(limits.desired) for one in active):
            shares = spread(active, limits)
            for one in active:
                self._resize(deployment, one, shares[one["metadata"]["name"]])
            return
        self._write_status(deployment)

    def _write_status(self, seen: Obj) -> None:
        engine = self.engine
        deployment = engine.store.get(DEPLOYMENT, key_of(seen))
        if deployment is None:
            return
        olds, new = self._replica_sets(deployment)
        status = merged_status(deployment, olds, new)
        sets = [*([new] if new else ()), *olds]
        status["conditions"] = self.reporter.conditions(deployment, sets, self._name(deployment), status)
        put_status(engine, DEPLOYMENT, deployment, status)

    def _prune(self, key: Key) -> None:
        deployment = self.engine.store.get(DEPLOYMENT, key)
        if deployment is None or not complete(deployment, deployment.get("status") or {}):
            return
        olds, _ = self._replica_sets(deployment)
        idle = [
            one for one in olds
            if not one["spec"].get("replicas", 0) and not one["status"].get("replicas", 0)
            and one["status"].get("observedGeneration") == one["metadata"]["generation"]
        ]  # fmt: skip
        surplus = len(idle) - deployment["spec"].get("revisionHistoryLimit", 10)
        for one in sorted(idle, key=revision)[: max(surplus, 0)]:
            self.engine.store.delete(REPLICA_SET, key_of(one))

    def _tell(self, deployment: Obj, message: str) -> None:
        self.engine.event(
            DEPLOYMENT, deployment, "ScalingReplicaSet", message, component="deployment-controller"
        )


def revision(replica_set: Obj) -> int:
    """A ReplicaSet's revision number; 0 when it has none that is a number."""
    text = (replica_set["metadata"].get("annotations") or {}).get(REVISION_NOTE, "0")
    return int(text) if text.isdigit() else 0


def _copied(deployment: Obj) -> Obj:
    notes = deployment["metadata"].get("annotations") or {}
    return {name: value for name, value in notes.items() if name not in NOT_COPIED}


def _renumbered(replica_set: Obj, number: int, notes: Obj) -> Obj:
    meta = replica_set["metadata"]
    old = meta.get("annotations") or {}
    merged = {**old, **notes, REVISION_NOTE: str(number)}
    former = old.get(REVISION_NOTE)
    if former and former != str(number):
        past = [one for one in (old.get(HISTORY_NOTE) or "").split(",") if one]
        merged[HISTORY_NOTE] = ",".join([*past, former])
    return {**replica_set, "metadata": {**meta, "annotations": merged}}
