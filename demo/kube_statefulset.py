"""The StatefulSet controller: pods with fixed names, made and updated one after the other, and ControllerRevisions."""

from __future__ import annotations

from demo.controllers import Engine
from demo.kube_kinds import POD, REVISION, STATEFUL_SET, Key, Obj, controller_of, key_of
from demo.kube_objects import APPLIED_NOTE, REVISION_LABEL, hash_of, is_leaving, is_ready, owner_reference
from demo.kube_pods import pod_from
from demo.kube_replicaset import FINISHED, Quota, mark_deleted, put_status
from demo.kube_store import Change

HASH = "controller.kubernetes.io/hash"
RETRY_SECONDS = 5.0


class StatefulSets:
    """One StatefulSet at a time."""

    name = "statefulset"

    def __init__(self, engine: Engine, quota: Quota) -> None:
        self.engine = engine
        self.quota = quota

    def react(self, change: Change) -> None:
        """A StatefulSet or one of its pods changed."""
        if change.entry.kind is STATEFUL_SET:
            self.engine.wake(self.name, change.entry.key)
        elif change.entry.kind is POD:
            owner = controller_of(change.entry.obj)
            if owner and owner["kind"] == "StatefulSet":
                self.engine.wake(self.name, (change.entry.key[0], owner["name"]), 0.02)

    def sync(self, key: Key) -> None:
        """One step: revisions first, then at most one pod, then the status."""
        stateful = self.engine.store.get(STATEFUL_SET, key)
        if stateful is None or is_leaving(stateful):
            return
        update = self._revision(stateful)
        current = (stateful.get("status") or {}).get("currentRevision") or update
        pods = self.engine.store.owned(stateful["metadata"]["uid"], POD)
        if not self._grow(stateful, pods, update, current):
            self._shrink_or_update(stateful, pods, update)
        self._write_status(stateful, update, current)

    def _revision(self, stateful: Obj) -> str:
        """The name of the ControllerRevision of the present template: made, or numbered newest again."""
        store, meta = self.engine.store, stateful["metadata"]
        template = stateful["spec"]["template"]
        digest = hash_of(template)
        name = f"{meta['name']}-{digest}"
        known = store.owned(meta["uid"], REVISION)
        newest = max((one["revision"] for one in known), default=0)
        mine = next((one for one in known if one["metadata"]["name"] == name), None)
        if mine is None:
            self._record(stateful, name, digest, newest + 1)
            self._prune(stateful)
        elif mine["revision"] < newest:
            store.put(REVISION, {**mine, "revision": newest + 1})
        return name

    def _record(self, stateful: Obj, name: str, digest: str, number: int) -> None:
        meta = stateful["metadata"]
        template = stateful["spec"]["template"]
        labels = {**(template["metadata"].get("labels") or {}), HASH: digest}
        notes = {k: v for k, v in (meta.get("annotations") or {}).items() if k != APPLIED_NOTE}
        made = {
            "metadata": {
                "name": name,
                "namespace": meta["namespace"],
                "labels": labels,
                "annotations": notes,
                "ownerReferences": [owner_reference(STATEFUL_SET, stateful)],
            },
            "data": {"spec": {"template": {"$patch": "replace", **template}}},
            "revision": number,
        }
        self.engine.made(REVISION, made)

    def _prune(self, stateful: Obj) -> None:
        limit = stateful["spec"].get("revisionHistoryLimit", 10)
        status = stateful.get("status") or {}
        live = {status.get("currentRevision"), status.get("updateRevision")}
        known = sorted(
            self.engine.store.owned(stateful["metadata"]["uid"], REVISION),
            key=lambda one: int(one["revision"]),
        )
        spare = [one for one in known[:-1] if one["metadata"]["name"] not in live]
        for one in spare[: max(len(spare) - limit, 0)]:
            self.engine.store.delete(REVISION, key_of(one))

    def _grow(self, stateful: Obj, pods: list[Obj], update: str, current: str) -> bool:
        """Make missing pods in order; says whether the rest has to wait."""
        there = {ordinal(pod): pod for pod in pods}
        for number in range(stateful["spec"].get("replicas", 0)):
            pod = there.get(number)
            if pod is None:
                partition = _partition(stateful)
                self._create(
                    stateful, number, update if number >= partition or update == current else current
                )
                return True
            if stateful["spec"].get("podManagementPolicy") == "Parallel":
                continue
            if is_leaving(pod) or not is_ready(pod):
                # OrderedReady waits here, even for a broken pod of a template that was put back
                # (kubernetes/kubernetes#67250): only deleting that pod by hand helps.
                return True
        return False

    def _create(self, stateful: Obj, number: int, revision: str) -> None:
        engine, meta = self.engine, stateful["metadata"]
        name = f"{meta['name']}-{number}"
        refusal = self.quota.refusal(meta["namespace"])
        if refusal:
            message = (
                f'create Pod {name} in StatefulSet {meta["name"]} failed error: pods "{name}" is forbidden: '
            )
            self._tell(stateful, "FailedCreate", message + refusal, type="Warning")
            engine.wake(self.name, key_of(stateful), RETRY_SECONDS)
            return
        labels = {
            "apps.kubernetes.io/pod-index": str(number),
            REVISION_LABEL: revision,
            "statefulset.kubernetes.io/pod-name": name,
        }
        pod = pod_from(
            self._template(stateful, revision),
            meta["namespace"],
            name,
            owner=owner_reference(STATEFUL_SET, stateful),
            rng=engine.rng,
            labels=labels,
            hostname=(name, stateful["spec"].get("serviceName", "")),
        )
        engine.made(POD, pod)
        self._tell(
            stateful, "SuccessfulCreate", f"create Pod {name} in StatefulSet {meta['name']} successful"
        )

    def _template(self, stateful: Obj, revision: str) -> Obj:
        found = self.engine.store.get(REVISION, (stateful["metadata"]["namespace"], revision))
        if found is None:
            return dict(stateful["spec"]["template"])
        template = found["data"]["spec"]["template"]
        return {name: value for name, value in template.items() if name != "$patch"}

    def _shrink_or_update(self, stateful: Obj, pods: list[Obj], update: str) -> None:
        """Highest ordinal first: take away what is too much, else replace one pod of another revision."""
        wanted = stateful["spec"].get("replicas", 0)
        ordered = sorted(pods, key=ordinal, reverse=True)
        surplus = [pod for pod in ordered if ordinal(pod) >= wanted]
        if surplus:
            if not any(is_leaving(pod) for pod in surplus):
                self._delete(stateful, surplus[0])
            return
        if (stateful["spec"].get("updateStrategy") or {}).get("type") == "OnDelete":
            return
        for pod in ordered:
            if ordinal(pod) < _partition(stateful):
                return
            if is_leaving(pod) or not is_ready(pod):
                return
            if pod["metadata"]["labels"].get(REVISION_LABEL) != update:
                self._delete(stateful, pod)
                return

    def _delete(self, stateful: Obj, pod: Obj) -> None:
        mark_deleted(self.engine, pod)
        name, owner = pod["metadata"]["name"], stateful["metadata"]["name"]
        self._tell(stateful, "SuccessfulDelete", f"delete Pod {name} in StatefulSet {owner} successful")

    def _tell(self, stateful: Obj, reason: str, message: str, **more: str) -> None:
        self.engine.event(STATEFUL_SET, stateful, reason, message, component="statefulset-controller", **more)

    def _write_status(self, seen: Obj, update: str, current: str) -> None:
        engine = self.engine
        stateful = engine.store.get(STATEFUL_SET, key_of(seen))
        if stateful is None:
            return
        pods = [
            p
            for p in engine.store.owned(stateful["metadata"]["uid"], POD)
            if p["status"]["phase"] not in FINISHED
        ]
        staying = [pod for pod in pods if not is_leaving(pod)]
        ready = sum(1 for pod in staying if is_ready(pod))
        updated = _of_revision(staying, update)
        wanted = stateful["spec"].get("replicas", 0)
        if updated == wanted and ready == wanted and len(pods) == wanted:
            current = update
        numbers = {
            "readyReplicas": ready,
            "currentReplicas": _of_revision(staying, current),
            "updatedReplicas": updated,
        }
        status: Obj = {"observedGeneration": stateful["metadata"]["generation"], "replicas": len(pods)}
        status.update({name: number for name, number in numbers.items() if number})
        status.update({"currentRevision": current, "updateRevision": update, "collisionCount": 0})
        status["availableReplicas"] = ready
        put_status(engine, STATEFUL_SET, stateful, status)


def ordinal(pod: Obj) -> int:
    """The number at the end of a pod's name."""
    return int(pod["metadata"]["name"].rpartition("-")[2])


def _partition(stateful: Obj) -> int:
    rolling = (stateful["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}
    return int(rolling.get("partition") or 0)


def _of_revision(pods: list[Obj], revision: str) -> int:
    return sum(1 for pod in pods if pod["metadata"]["labels"].get(REVISION_LABEL) == revision)
