"""A pod's life on its node: scheduled, pulled, started, ready; crashing or never pulled if its image says so.

What an image does is told by its tag: `*-crash` exits after two seconds, `*-nopull` cannot be pulled,
`*-notready` runs and never becomes ready, everything else works (which does not mean that it works well).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from demo.controllers import Engine, stamp_of
from demo.kube_kinds import NODE, POD, Key, Obj
from demo.kube_node import zone_labels
from demo.kube_nodes import Nodes
from demo.kube_objects import is_leaving, is_ready, version_of
from demo.kube_pods import bound, container_id, unschedulable, with_containers, with_ready
from demo.kube_store import Change

SCHEDULE_SECONDS = 0.03
CREATE_SECONDS = 0.4
PULL_SECONDS = 0.9
STOP_SECONDS = 2.2
CRASH_SECONDS = 2.0
RESCHEDULE_SECONDS = 5.0


@dataclass(slots=True)
class Life:
    """Where a pod stands; `due` is the model time of the next step."""

    stage: str = "new"
    due: float = 0.0
    restarts: int = 0
    address: str = ""
    started: float = 0.0  # model time of the container's last start
    started_stamp: str = ""
    last: Obj = field(default_factory=dict)
    leaving: bool = False
    waited: float = 0.0  # seconds between the last two attempts to schedule


class Kubelet:
    """Scheduler and kubelets in one: moves every pod through its stages."""

    name = "pod"

    def __init__(self, engine: Engine, nodes: Nodes) -> None:
        self.engine = engine
        self.nodes = nodes
        self.lives: dict[str, Life] = {}

    def react(self, change: Change) -> None:
        """A pod is new, or is to go."""
        if change.entry.kind is not POD:
            return
        if change.type == "ADDED":
            self.engine.wake(self.name, change.entry.key, SCHEDULE_SECONDS)
        elif change.type == "DELETED":
            self.lives.pop(change.entry.obj["metadata"]["uid"], None)
        elif is_leaving(change.entry.obj):
            self.engine.wake(self.name, change.entry.key, 0.01)

    def sync(self, key: Key) -> None:
        """The next step of one pod, if its time has come and its node answers."""
        pod = self.engine.store.get(POD, key)
        if pod is None:
            return
        life = self.lives.setdefault(pod["metadata"]["uid"], Life())
        if is_leaving(pod) and not life.leaving:
            self._begin_to_leave(pod, life)
        node = pod["spec"].get("nodeName")
        if node in self.nodes.lost:
            return  # woken again when the node is back
        if self.engine.now + 1e-6 < life.due:
            self.engine.wake(self.name, key, life.due - self.engine.now)
            return
        if life.leaving:
            self._stop(pod)
            return
        self._steps[life.stage](self, pod, life)
        if key in self.engine.store.shelves[POD].entries and life.due > self.engine.now:
            self.engine.wake(self.name, key, life.due - self.engine.now)

    def _begin_to_leave(self, pod: Obj, life: Life) -> None:
        life.leaving = True
        bound_to = pod["spec"].get("nodeName")
        grace = pod["metadata"].get("deletionGracePeriodSeconds", 30)
        life.due = self.engine.now + (min(STOP_SECONDS, grace) if bound_to else 0.0)
        if bound_to:
            name = pod["spec"]["containers"][0]["name"]
            self._tell(pod, "Killing", f"Stopping container {name}")

    def _stop(self, pod: Obj) -> None:
        meta = {
            **pod["metadata"],
            "deletionTimestamp": stamp_of(self.engine.moment()),
            "deletionGracePeriodSeconds": 0,
        }
        self.engine.store.put(POD, {**pod, "metadata": meta})
        self.engine.store.delete(POD, (meta["namespace"], meta["name"]))

    def _schedule(self, pod: Obj, life: Life) -> None:
        engine, meta = self.engine, pod["metadata"]
        name, why = self.nodes.choose(pod)
        if name is None:
            life.waited = min(2 * life.waited, 60.0) if life.waited else RESCHEDULE_SECONDS
            life.due = engine.now + life.waited
            if not pod["status"].get("conditions"):
                pod = engine.store.put(POD, unschedulable(pod, why, engine.stamp()))
            engine.event(POD, pod, "FailedScheduling", why, component="default-scheduler", type="Warning")
            return
        node = engine.store.get(NODE, ("", name)) or {}
        pod = engine.store.put(POD, bound(pod, name, zone_labels(node), engine.stamp()))
        message = f"Successfully assigned {meta['namespace']}/{meta['name']} to {name}"
        engine.event(POD, pod, "Scheduled", message, component="default-scheduler")
        life.stage, life.due = "bound", engine.now + CREATE_SECONDS

    def _create(self, pod: Obj, life: Life) -> None:
        life.address = self.nodes.address(pod["spec"]["nodeName"])
        pod = self._report(pod, life, {"waiting": {"reason": "ContainerCreating"}})
        self._tell(pod, "Pulling", f'Pulling image "{_image(pod)}"')
        life.stage, life.due = "creating", self.engine.now + PULL_SECONDS * self.engine.rng.uniform(0.8, 1.2)

    def _pull(self, pod: Obj, life: Life) -> None:
        image = _image(pod)
        if not version_of(pod).endswith("-nopull"):
            self._tell(pod, "Pulled", f'Successfully pulled image "{image}" in 512ms')
            self._start(pod, life)
            return
        failed = life.stage == "pull-failed"
        if failed:
            waiting = {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{image}"'}
            self._tell(pod, "BackOff", f'Back-off pulling image "{image}"', type="Warning")
        else:
            message = f'failed to pull and unpack image "{image}": not found'
            waiting = {"reason": "ErrImagePull", "message": message}
            self._tell(pod, "Failed", f'Failed to pull image "{image}": not found', type="Warning")
        self._report(pod, life, {"waiting": waiting})
        life.stage = "creating" if failed else "pull-failed"
        life.due = self.engine.now + (14.0 if failed else 1.0)

    def _start(self, pod: Obj, life: Life) -> None:
        engine, name = self.engine, pod["spec"]["containers"][0]["name"]
        if life.stage == "backing-off":
            life.restarts += 1
        life.started, life.started_stamp = engine.now, engine.stamp()
        pod = self._report(pod, life, {"running": {"startedAt": life.started_stamp}})
        self._tell(pod, "Created", f"Container created: {name}")
        self._tell(pod, "Started", "Container started")
        version = version_of(pod)
        crashing = version.endswith("-crash")
        life.stage = "failing" if crashing else "starting"
        life.due = engine.now + (CRASH_SECONDS if crashing else engine.rng.uniform(0.9, 1.9))
        if version.endswith("-notready"):
            life.stage = "unready"

    def _become_ready(self, pod: Obj, life: Life) -> None:
        self._report(pod, life, {"running": {"startedAt": life.started_stamp}}, ready=True)
        life.stage = "running"

    def _stay(self, pod: Obj, life: Life) -> None:
        if not is_ready(pod):  # its node was lost and is back
            self.engine.store.put(POD, with_ready(pod, ready=True, stamp=self.engine.stamp()))

    def _probe(self, pod: Obj, life: Life) -> None:
        message = "Readiness probe failed: HTTP probe failed with statuscode: 503"
        self._tell(pod, "Unhealthy", message, type="Warning")
        life.due = self.engine.now + 10.0

    def _crash(self, pod: Obj, life: Life) -> None:
        ended = {
            "exitCode": 1,
            "reason": "Error",
            "startedAt": life.started_stamp,
            "finishedAt": self.engine.stamp(),
            "containerID": container_id(pod, life.restarts),
        }
        self._report(pod, life, {"terminated": ended})
        life.last = {"terminated": ended}
        life.stage, life.due = "crashed", self.engine.now + 0.9

    def _back_off(self, pod: Obj, life: Life) -> None:
        meta = pod["metadata"]
        seconds = min(10 * 2**life.restarts, 300)
        container = pod["spec"]["containers"][0]["name"]
        who = f"{meta['name']}_{meta['namespace']}({meta['uid']})"
        message = f"back-off {seconds}s restarting failed container={container} pod={who}"
        self._report(pod, life, {"waiting": {"reason": "CrashLoopBackOff", "message": message}})
        self._tell(
            pod, "BackOff", f"Back-off restarting failed container {container} in pod {who}", type="Warning"
        )
        life.stage, life.due = "backing-off", self.engine.now + seconds

    def _report(self, pod: Obj, life: Life, state: Obj, *, ready: bool = False) -> Obj:
        return self.engine.store.put(
            POD,
            with_containers(
                pod,
                state=state,
                last=life.last,
                ready=ready,
                restarts=life.restarts,
                stamp=self.engine.stamp(),
                addresses=("127.0.0.1", life.address),
                container_id=container_id(pod, life.restarts),
            ),
        )

    def _tell(self, pod: Obj, reason: str, message: str, **more: str) -> None:
        where = {"field_path": f"spec.containers{{{pod['spec']['containers'][0]['name']}}}"}
        host = pod["spec"].get("nodeName", "")
        self.engine.event(POD, pod, reason, message, component="kubelet", host=host, **where, **more)

    _steps = {  # noqa: RUF012 - a table of methods, made once
        "new": _schedule,
        "bound": _create,
        "creating": _pull,
        "pull-failed": _pull,
        "starting": _become_ready,
        "unready": _probe,
        "running": _stay,
        "failing": _crash,
        "crashed": _back_off,
        "backing-off": _start,
    }


def _image(pod: Obj) -> str:
    return str(pod["spec"]["containers"][0]["image"])
