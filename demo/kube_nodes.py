"""Nodes: what they hold, where the scheduler puts a pod, and what happens when one stops answering.

Times after a loss are the recorded ones: Unknown after about 46 s, pods evicted 300 s later.
"""

from __future__ import annotations

from collections import Counter

from demo.controllers import LAG, Engine
from demo.kube_kinds import LEASE, NODE, POD, Key, Obj
from demo.kube_node import PODS_PER_NODE, asked_cpu, healthy_conditions
from demo.kube_objects import is_leaving, is_ready, milli_cpu
from demo.kube_pods import with_ready
from demo.kube_replicaset import mark_deleted
from demo.kube_store import Change

LEASE_NAMESPACE = "kube-node-lease"
HEARTBEAT_SECONDS = 10.0
REPORT_SECONDS = 300.0  # between two reports of an unchanged node status
UNKNOWN_AFTER_SECONDS = 46.0
EVICTED_AFTER_SECONDS = 300.0
UNREACHABLE = "node.kubernetes.io/unreachable"
_LOST = ("Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.")


class Nodes:
    """The node lifecycle, and the books that the scheduler reads."""

    name = "node"

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.pods: dict[str, dict[Key, int]] = {}  # node -> pod key -> milli CPU asked for
        self.cpu: dict[str, int] = {}
        self.capacity: dict[str, int] = {}
        self.closed: dict[str, str] = {}  # node -> why it takes no pods
        self.mates: Counter[tuple[str, str, str]] = Counter()  # (node, namespace, generateName)
        self.lost: dict[str, float] = {}  # node -> model time of the last heartbeat
        self._addresses: dict[str, int] = {}
        self._reported: dict[str, float] = {}
        self._index: dict[str, int] = {}

    def react(self, change: Change) -> None:
        """Keep the books; watch over nodes."""
        entry = change.entry
        if entry.kind is NODE:
            self.closed[entry.key[1]] = _closed(entry.obj)
            self.capacity[entry.key[1]] = milli_cpu(entry.obj["status"]["allocatable"]["cpu"])
        if entry.kind is NODE and change.type == "ADDED":
            self._index[entry.key[1]] = len(self._index)
            self.pods.setdefault(entry.key[1], {})
            self.cpu.setdefault(entry.key[1], 0)
            self.engine.wake(self.name, entry.key, HEARTBEAT_SECONDS)
        elif entry.kind is POD:
            self._book(change)

    def _book(self, change: Change) -> None:
        entry = change.entry
        node = entry.obj["spec"].get("nodeName")
        if not node or node not in self.pods:
            return
        if change.type == "DELETED":
            self.cpu[node] -= self.pods[node].pop(entry.key, 0)
            self.mates[node, entry.key[0], entry.obj["metadata"].get("generateName", "")] -= 1
        elif entry.key not in self.pods[node]:
            asked = asked_cpu(entry.obj)
            self.pods[node][entry.key] = asked
            self.cpu[node] += asked
            self.mates[node, entry.key[0], entry.obj["metadata"].get("generateName", "")] += 1

    def choose(self, pod: Obj) -> tuple[str | None, str]:
        """The node for a pod, or None and the scheduler's sentence. Spreads a workload over nodes."""
        asked, namespace = asked_cpu(pod), pod["metadata"]["namespace"]
        prefix = pod["metadata"].get("generateName", "")
        reasons: dict[str, int] = {}
        best: tuple[int, int, str] | None = None
        for name in self.pods:
            why = self._unfit(name, asked)
            if why:
                reasons[why] = reasons.get(why, 0) + 1
                continue
            rank = (self.mates[name, namespace, prefix], len(self.pods[name]), name)
            best = min(best, rank) if best else rank
        if best:
            return best[2], ""
        words = ", ".join(f"{count} {why}" for why, count in sorted(reasons.items()))
        total = len(self.pods)
        return None, (
            f"0/{total} nodes are available: {words}. no new claims to deallocate, preemption: 0/{total} nodes are "
            f"available: {total} Preemption is not helpful for scheduling."
        )

    def _unfit(self, name: str, asked: int) -> str:
        if self.closed[name]:
            return self.closed[name]
        if len(self.pods[name]) >= PODS_PER_NODE:
            return "Too many pods"
        return "Insufficient cpu" if self.cpu[name] + asked > self.capacity[name] else ""

    def address(self, node: str) -> str:
        """The next pod address on a node."""
        serial = self._addresses.get(node, 0) + 1
        self._addresses[node] = serial
        index = self._index.get(node, 0)
        third = (index + 256 * (serial // 250)) % 65536
        return f"10.{(244 + third // 256) % 256}.{third % 256}.{serial % 250 + 2}"

    def lose(self, node: str) -> None:
        """The node stops answering now."""
        if node not in self.pods:
            raise KeyError(node)
        self.lost.setdefault(node, self.engine.now)
        self.engine.wake(self.name, ("", node), UNKNOWN_AFTER_SECONDS)

    def restore(self, node: str) -> None:
        """The node answers again."""
        if self.lost.pop(node, None) is not None:
            self.engine.wake(self.name, ("", node), LAG)
            for key in list(self.pods.get(node, ())):
                self.engine.wake("pod", key, 0.4)

    def sync(self, key: Key) -> None:
        """Heartbeat of a node that lives; consequences for one that does not."""
        node = self.engine.store.get(NODE, key)
        if node is None:
            return
        since = self.lost.get(key[1])
        if since is None:
            self._beat(node)
            self.engine.wake(self.name, key, HEARTBEAT_SECONDS)
            return
        silent = self.engine.now - since
        if silent < UNKNOWN_AFTER_SECONDS - 0.001:
            self.engine.wake(self.name, key, UNKNOWN_AFTER_SECONDS - silent)
        elif not node["spec"].get("taints"):
            self._declare_lost(node)
            self.engine.wake(self.name, key, EVICTED_AFTER_SECONDS)
        elif silent >= UNKNOWN_AFTER_SECONDS + EVICTED_AFTER_SECONDS - 0.001:
            self._evict(key[1])
        else:
            self.engine.wake(self.name, key, UNKNOWN_AFTER_SECONDS + EVICTED_AFTER_SECONDS - silent)

    def _beat(self, node: Obj) -> None:
        store, name = self.engine.store, node["metadata"]["name"]
        lease = store.get(LEASE, (LEASE_NAMESPACE, name))
        if lease:
            store.put(LEASE, {**lease, "spec": {**lease["spec"], "renewTime": self.engine.precise()}})
        if node["spec"].get("taints"):
            self._declare_back(node)
        elif self.engine.now - self._reported.setdefault(name, self.engine.now) >= REPORT_SECONDS:
            self.report(node)

    def report(self, node: Obj) -> None:
        """The kubelet's report that all is as it was, with the time of the heartbeat."""
        self._reported[node["metadata"]["name"]] = self.engine.now
        conditions = healthy_conditions(self.engine.stamp(), node["status"]["conditions"])
        self.engine.store.put(NODE, {**node, "status": {**node["status"], "conditions": conditions}})

    def _declare_lost(self, node: Obj) -> None:
        engine, stamp = self.engine, self.engine.stamp()
        conditions = [
            {**one, "status": _LOST[0], "lastTransitionTime": stamp, "reason": _LOST[1], "message": _LOST[2]}
            for one in node["status"]["conditions"]
        ]
        taints = [{"key": UNREACHABLE, "effect": e, "timeAdded": stamp} for e in ("NoSchedule", "NoExecute")]
        node = engine.store.put(NODE, {**node, "status": {**node["status"], "conditions": conditions}})
        node = engine.store.put(NODE, {**node, "spec": {**node["spec"], "taints": taints}})
        name = node["metadata"]["name"]
        engine.event(
            NODE,
            node,
            "NodeNotReady",
            f"Node {name} status is now: NodeNotReady",
            component="node-controller",
        )
        for key in list(self.pods[name]):
            pod = engine.store.get(POD, key)
            if pod and is_ready(pod):
                pod = engine.store.put(POD, with_ready(pod, ready=False, stamp=stamp))
                engine.event(
                    POD, pod, "NodeNotReady", "Node is not ready", component="node-controller", type="Warning"
                )

    def _declare_back(self, node: Obj) -> None:
        stamp = self.engine.stamp()
        spec = {name: value for name, value in node["spec"].items() if name != "taints"}
        status = {**node["status"], "conditions": healthy_conditions(stamp, node["status"]["conditions"])}
        self.engine.store.put(NODE, {**node, "spec": spec, "status": status})
        for key in list(self.pods[node["metadata"]["name"]]):
            self.engine.wake("pod", key, 0.4)

    def _evict(self, name: str) -> None:
        for key in list(self.pods[name]):
            pod = self.engine.store.get(POD, key)
            if pod and not is_leaving(pod):
                message = f"Marking for deletion Pod {key[0]}/{key[1]}"
                self.engine.event(
                    POD, pod, "TaintManagerEviction", message, component="taint-eviction-controller"
                )
                mark_deleted(self.engine, pod)


def _closed(node: Obj) -> str:
    """Why a node takes no pods at all; empty when it does."""
    if node["spec"].get("unschedulable"):
        return "node(s) were unschedulable"
    if any(taint["effect"] == "NoSchedule" for taint in node["spec"].get("taints") or ()):
        return f"node(s) had untolerated taint(s) {{{UNREACHABLE}: }}"
    return ""
