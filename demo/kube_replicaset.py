"""The ReplicaSet controller: makes and removes pods until as many are there as asked for."""

from __future__ import annotations

from demo import kube_managed
from demo.controllers import Engine, stamp_of
from demo.kube_kinds import DEPLOYMENT, POD, QUOTA, REPLICA_SET, Key, Kind, Obj, controller_of, key_of
from demo.kube_objects import (
    condition,
    is_leaving,
    is_ready,
    owner_reference,
)
from demo.kube_pods import pod_from
from demo.kube_store import Change

FINISHED = ("Succeeded", "Failed")
RETRY_SECONDS = 5.0  # after a refused creation


class Quota:
    """Says why a namespace may not get one more pod, and keeps the `used` of ResourceQuotas true."""

    name = "quota"

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def react(self, change: Change) -> None:
        """Count again when pods come and go."""
        kind, namespace = change.entry.kind, change.entry.key[0]
        if kind is QUOTA or (kind is POD and change.type != "MODIFIED"):
            for quota in self.engine.store.shelves[QUOTA].present(namespace):
                self.engine.wake(self.name, quota.key)

    def sync(self, key: Key) -> None:
        """Write status.used."""
        store = self.engine.store
        quota = store.get(QUOTA, key)
        if quota is None:
            return
        hard = quota["spec"].get("hard") or {}
        status = {"hard": hard, "used": {"pods": str(self._pods(key[0]))} if "pods" in hard else {}}
        if quota.get("status") != status:
            store.put(QUOTA, {**quota, "status": status})

    def refusal(self, namespace: str) -> str | None:
        """The quota admission's sentence when one more pod would be too much."""
        for quota in self.engine.store.objects(QUOTA, namespace):
            limit = (quota["spec"].get("hard") or {}).get("pods")
            used = self._pods(namespace)
            if limit is not None and used + 1 > int(limit):
                name = quota["metadata"]["name"]
                return f"exceeded quota: {name}, requested: pods=1, used: pods={used}, limited: pods={limit}"
        return None

    def _pods(self, namespace: str) -> int:
        return sum(
            1 for entry in self.engine.store.shelves[POD].present(namespace)
            if entry.obj["status"].get("phase") not in FINISHED
        )  # fmt: skip


class ReplicaSets:
    """One ReplicaSet at a time."""

    name = "replicaset"

    def __init__(self, engine: Engine, quota: Quota) -> None:
        self.engine = engine
        self.quota = quota
        self._last_failure: dict[str, str] = {}
        self._fields: dict[str, Obj] = {}  # the managedFields tree of a ReplicaSet's pods

    def react(self, change: Change) -> None:
        """A ReplicaSet or one of its pods changed."""
        if change.entry.kind is REPLICA_SET:
            self.engine.wake(self.name, change.entry.key)
            if change.type == "DELETED":
                self._fields.pop(change.entry.obj["metadata"]["uid"], None)
        elif change.entry.kind is POD:
            owner = controller_of(change.entry.obj)
            if owner and owner["kind"] == "ReplicaSet":
                self.engine.wake(self.name, (change.entry.key[0], owner["name"]), 0.02)

    def sync(self, key: Key) -> None:
        """Create or delete the difference, then write the status."""
        store = self.engine.store
        replica_set = store.get(REPLICA_SET, key)
        if replica_set is None:
            return
        uid = replica_set["metadata"]["uid"]
        pods = store.owned(uid, POD)
        active = [pod for pod in pods if not is_leaving(pod) and pod["status"].get("phase") not in FINISHED]
        missing = replica_set["spec"].get("replicas", 0) - len(active)
        if is_leaving(replica_set):
            missing = 0
        if missing > 0:
            self._create(replica_set, missing)
        elif missing < 0:
            self._remove(replica_set, active, -missing)
            self._last_failure.pop(uid, None)
        elif missing == 0:
            self._last_failure.pop(uid, None)
        self._write_status(replica_set)

    def _create(self, replica_set: Obj, count: int) -> None:
        meta = replica_set["metadata"]
        for _ in range(count):
            name = f"{meta['name']}-{self.engine.suffix()}"
            refusal = self.quota.refusal(meta["namespace"])
            if refusal:
                message = f'pods "{name}" is forbidden: {refusal}'
                self._last_failure[meta["uid"]] = message
                self._tell(replica_set, "FailedCreate", f"Error creating: {message}", type="Warning")
                self.engine.wake(self.name, key_of(replica_set), RETRY_SECONDS)
                return
            owner = owner_reference(REPLICA_SET, replica_set)
            pod = pod_from(
                replica_set["spec"]["template"], meta["namespace"], name, owner=owner, rng=self.engine.rng
            )
            if meta["uid"] not in self._fields:
                self._fields[meta["uid"]] = kube_managed.fields_of(pod)
            self.engine.made(POD, pod, fields=self._fields[meta["uid"]])
            self._tell(replica_set, "SuccessfulCreate", f"Created pod: {name}")
        self._last_failure.pop(meta["uid"], None)

    def _remove(self, replica_set: Obj, active: list[Obj], count: int) -> None:
        for pod in sorted(active, key=_rank_for_removal)[:count]:
            mark_deleted(self.engine, pod)
            self._tell(replica_set, "SuccessfulDelete", f"Deleted pod: {pod['metadata']['name']}")

    def _tell(self, replica_set: Obj, reason: str, message: str, **more: str) -> None:
        self.engine.event(
            REPLICA_SET, replica_set, reason, message, component="replicaset-controller", **more
        )

    def _write_status(self, replica_set: Obj) -> None:
        store, engine = self.engine.store, self.engine
        meta = replica_set["metadata"]
        pods = store.owned(meta["uid"], POD)
        status = count_pods(pods)
        status["observedGeneration"] = meta["generation"]
        old = replica_set.get("status") or {}
        conditions = [one for one in old.get("conditions") or () if one["type"] != "ReplicaFailure"]
        failure = self._last_failure.get(meta["uid"])
        if failure:
            conditions = condition(
                list(old.get("conditions") or ()),
                "ReplicaFailure",
                "True",
                "FailedCreate",
                failure,
                engine.stamp(),
            )
        if conditions:
            status["conditions"] = conditions
        put_status(engine, REPLICA_SET, replica_set, status)


def count_pods(pods: list[Obj]) -> Obj:
    """replicas, fullyLabeled, ready, available and terminating; zeros are left out as the API server does."""
    staying = [pod for pod in pods if not is_leaving(pod) and pod["status"].get("phase") not in FINISHED]
    ready = sum(1 for pod in staying if is_ready(pod))
    counts: Obj = {"replicas": len(staying)}
    for name, number in (
        ("fullyLabeledReplicas", len(staying)), ("readyReplicas", ready), ("availableReplicas", ready),
    ):  # fmt: skip
        if number:
            counts[name] = number
    counts["terminatingReplicas"] = sum(1 for pod in pods if is_leaving(pod))
    return counts


def put_status(engine: Engine, kind: Kind, obj: Obj, status: Obj) -> bool:
    """File a new status with its managedFields entry if it differs; says whether it did."""
    if obj.get("status") == status:
        return False
    shape = (tuple(status), tuple(one["type"] for one in status.get("conditions") or ()))
    tree = engine.status_trees.get(shape)
    if tree is None:
        tree = engine.status_trees[shape] = {"f:status": kube_managed.changed_fields({}, status)}
    meta = obj["metadata"]
    fields = kube_managed.with_status_entry(
        meta.get("managedFields"),
        tree,
        api_version=kind.api_version,
        time=engine.stamp(),
        manager="kube-controller-manager",
    )
    engine.store.put(kind, {**obj, "metadata": {**meta, "managedFields": fields}, "status": status})
    return True


def mark_deleted(engine: Engine, pod: Obj, grace: int | None = None) -> Obj:
    """Ask for a pod's deletion: it stays, terminating, until its node has stopped it."""
    meta = pod["metadata"]
    if is_leaving(pod):
        return pod
    seconds = pod["spec"].get("terminationGracePeriodSeconds", 30) if grace is None else grace
    leaving = {
        **meta,
        "generation": meta.get("generation", 1) + 1,
        "deletionTimestamp": stamp_of(engine.moment() + seconds),
        "deletionGracePeriodSeconds": seconds,
    }
    return engine.store.put(POD, {**pod, "metadata": leaving})


def _rank_for_removal(pod: Obj) -> tuple[bool, bool, bool, str]:
    # Unbound before bound, pending before running, not ready before ready, younger before older.
    status = pod["status"]
    return (
        bool(pod["spec"].get("nodeName")),
        status.get("phase") == "Running",
        is_ready(pod),
        _inverted(pod["metadata"]["creationTimestamp"]),
    )


def _inverted(stamp: str) -> str:
    return "".join(chr(0x7F - ord(letter) % 0x7F) for letter in stamp)


def deployment_of(replica_set: Obj) -> Key | None:
    """The key of the Deployment that owns a ReplicaSet."""
    owner = controller_of(replica_set)
    if owner is None or owner["kind"] != DEPLOYMENT.kind:
        return None
    return (replica_set["metadata"]["namespace"], owner["name"])
