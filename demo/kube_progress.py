"""What a Deployment says of itself: Available, Progressing (with its deadline) and ReplicaFailure."""

from __future__ import annotations

from demo.controllers import Engine
from demo.kube_kinds import Obj, key_of
from demo.kube_objects import condition, condition_of
from demo.kube_rollout import complete, limits_of, progressed

_ENOUGH = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
_TOO_FEW = ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")


class Reporter:
    """Conditions of Deployments; remembers when each rollout last came closer to its end (model seconds)."""

    def __init__(self, engine: Engine, controller: str) -> None:
        self.engine = engine
        self.controller = controller
        self._since: dict[str, float] = {}

    def begin(self, uid: str) -> None:
        """A rollout begins, or begins anew."""
        self._since[uid] = self.engine.now

    def forget(self, uid: str) -> None:
        """The Deployment is gone."""
        self._since.pop(uid, None)

    def conditions(self, deployment: Obj, sets: list[Obj], name: str, status: Obj) -> list[Obj]:
        """All conditions for a new `status`; `sets` are its ReplicaSets, `name` is that of the newest."""
        old = deployment.get("status") or {}
        stamp, limits = self.engine.stamp(), limits_of(deployment)
        conditions = list(old.get("conditions") or ())
        enough = status.get("availableReplicas", 0) >= limits.desired - limits.unavailable
        conditions = condition(
            conditions, "Available", *(_ENOUGH if enough else _TOO_FEW), stamp, updated=True
        )
        words = self._progressing(deployment, name, status)
        if words:
            conditions = condition(conditions, "Progressing", *words, stamp, updated=True)
        failure = next((found for one in sets if (found := _failure(one))), None)
        if failure is None:
            return [one for one in conditions if one["type"] != "ReplicaFailure"]
        return condition(
            conditions, "ReplicaFailure", "True", failure["reason"], failure["message"], stamp, updated=True
        )

    def _progressing(self, deployment: Obj, name: str, status: Obj) -> tuple[str, str, str] | None:
        """(status, reason, message), or None when the condition stays as it is."""
        uid = deployment["metadata"]["uid"]
        reason = condition_of(deployment, "Progressing").get("reason")
        if deployment["spec"].get("paused"):
            return ("Unknown", "DeploymentPaused", "Deployment is paused")
        if reason == "DeploymentPaused":
            self.begin(uid)
            return ("Unknown", "DeploymentResumed", "Deployment is resumed")
        if reason == "NewReplicaSetAvailable" and status["replicas"] == status.get("updatedReplicas", 0):
            return None  # a rollout that ended does not begin again because pods come and go
        if complete(deployment, status):
            return ("True", "NewReplicaSetAvailable", f'ReplicaSet "{name}" has successfully progressed.')
        if progressed(deployment.get("status") or {}, status):
            self.begin(uid)
            return ("True", "ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.')
        return self._late(deployment, name)

    def _late(self, deployment: Obj, name: str) -> tuple[str, str, str] | None:
        limit = deployment["spec"].get("progressDeadlineSeconds", 600)
        waited = self.engine.now - self._since.setdefault(deployment["metadata"]["uid"], self.engine.now)
        if waited < limit:
            self.engine.wake(self.controller, key_of(deployment), limit - waited + 0.01)
            return None
        return ("False", "ProgressDeadlineExceeded", f'ReplicaSet "{name}" has timed out progressing.')


def _failure(replica_set: Obj) -> Obj | None:
    found = condition_of(replica_set, "ReplicaFailure")
    return found if found.get("status") == "True" else None
