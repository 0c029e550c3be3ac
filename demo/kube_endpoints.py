"""What follows from pods being ready: EndpointSlices of Services, and the room PodDisruptionBudgets leave."""

from __future__ import annotations

import math
from typing import Any

from demo.controllers import Engine
from demo.kube_kinds import BUDGET, NODE, POD, SERVICE, SLICE, Key, Kind, Obj, controller_of
from demo.kube_objects import condition, is_leaving, is_ready, matches, owner_reference
from demo.kube_store import Change

ZONE = "topology.kubernetes.io/zone"


class Selectors:
    """Finds the objects of a kind whose selector takes a pod, by their first pair."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._by_pair: dict[tuple[str, str, str], dict[Key, None]] = {}

    def keep(self, change: Change) -> None:
        """Follow an object of the kind."""
        if change.previous:
            self._by_pair.get(self._pair(change.previous.obj), {}).pop(change.entry.key, None)
        if change.type != "DELETED":
            self._by_pair.setdefault(self._pair(change.entry.obj), {})[change.entry.key] = None

    def of(self, pod: Obj) -> list[Key]:
        """Keys of the objects that may select a pod (their remaining pairs are checked by whoever acts)."""
        namespace = pod["metadata"]["namespace"]
        found: list[Key] = []
        for name, value in pod["metadata"]["labels"].items():
            found.extend(self._by_pair.get((namespace, name, value), ()))
        return found

    def _pair(self, obj: Obj) -> tuple[str, str, str]:
        selector = selector_of(self.kind, obj) or {"": ""}
        name, value = min(selector.items())
        return (obj["metadata"].get("namespace", ""), name, value)


def selector_of(kind: Kind, obj: Obj) -> Obj | None:
    """The plain map of a Service's selector, or the matchLabels of the others."""
    selector = obj["spec"].get("selector")
    return selector if kind is SERVICE else (selector or {}).get("matchLabels")


class Endpoints:
    """One EndpointSlice for each Service with a selector."""

    name = "endpoints"

    def __init__(self, engine: Engine, pods: PodIndex) -> None:
        self.engine = engine
        self.pods = pods
        self.services = Selectors(SERVICE)

    def react(self, change: Change) -> None:
        """A Service changed, or a pod that one selects."""
        if change.entry.kind is SERVICE:
            self.services.keep(change)
            self.engine.wake(self.name, change.entry.key)
        elif change.entry.kind is POD and _routing_changed(change):
            for key in self.services.of(change.entry.obj):
                self.engine.wake(self.name, key)

    def sync(self, key: Key) -> None:
        """Write the slice of one Service."""
        store = self.engine.store
        service = store.get(SERVICE, key)
        if service is None or not service["spec"].get("selector"):
            return
        endpoints = [
            self._endpoint(pod)
            for pod in self.pods.selected(key[0], service["spec"]["selector"])
            if pod["status"].get("podIP")
        ]
        ports = [_slice_port(port) for port in service["spec"].get("ports") or ()]
        old = next(iter(store.owned(service["metadata"]["uid"], SLICE)), None)
        if old is None:
            self._make(service, endpoints, ports)
        elif old["endpoints"] != endpoints or old["ports"] != ports:
            meta = {**old["metadata"], "generation": old["metadata"]["generation"] + 1}
            store.put(SLICE, {**old, "metadata": meta, "endpoints": endpoints, "ports": ports})

    def _make(self, service: Obj, endpoints: list[Obj], ports: list[Obj]) -> None:
        meta = service["metadata"]
        labels = {
            **(meta.get("labels") or {}),
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            "kubernetes.io/service-name": meta["name"],
        }
        if service["spec"].get("clusterIP") == "None":
            labels["service.kubernetes.io/headless"] = ""
        made = {
            "metadata": {
                "name": f"{meta['name']}-{self.engine.suffix()}",
                "generateName": f"{meta['name']}-",
                "namespace": meta["namespace"],
                "labels": labels,
                "ownerReferences": [owner_reference(SERVICE, service)],
            },
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": ports,
        }
        self.engine.made(SLICE, made)

    def _endpoint(self, pod: Obj) -> Obj:
        meta, leaving, ready = pod["metadata"], is_leaving(pod), is_ready(pod)
        node = pod["spec"].get("nodeName", "")
        found = self.engine.store.get(NODE, ("", node))
        endpoint: Obj = {
            "addresses": [pod["status"]["podIP"]],
            "conditions": {"ready": ready and not leaving, "serving": ready, "terminating": leaving},
        }
        if pod["spec"].get("hostname"):
            endpoint["hostname"] = pod["spec"]["hostname"]
        endpoint["targetRef"] = {
            "kind": "Pod",
            "namespace": meta["namespace"],
            "name": meta["name"],
            "uid": meta["uid"],
        }
        endpoint["nodeName"] = node
        if found:
            endpoint["zone"] = found["metadata"]["labels"].get(ZONE, "")
        return endpoint


class PodIndex:
    """Pods by the value of their `app` label, the one every selector of the fleet has."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._by_app: dict[tuple[str, str], dict[Key, None]] = {}
        engine.store.reactions.append(self.react)

    def react(self, change: Change) -> None:
        """Follow pods as they come and go."""
        if change.entry.kind is not POD or change.type == "MODIFIED":
            return
        at = (change.entry.key[0], change.entry.obj["metadata"]["labels"].get("app", ""))
        if change.type == "ADDED":
            self._by_app.setdefault(at, {})[change.entry.key] = None
        else:
            self._by_app.get(at, {}).pop(change.entry.key, None)

    def selected(self, namespace: str, selector: Obj | None) -> list[Obj]:
        """Pods that a selector takes, oldest first."""
        if not selector:
            return []
        entries = self.engine.store.shelves[POD].entries
        keys: Any = self._by_app.get((namespace, selector["app"]), ()) if "app" in selector else None
        pods = (
            [entry.obj for entry in self.engine.store.shelves[POD].present(namespace)]
            if keys is None
            else [entries[key].obj for key in keys]
        )
        return [pod for pod in pods if matches(selector, pod["metadata"]["labels"])]


class Budgets:
    """The status of PodDisruptionBudgets."""

    name = "budget"

    def __init__(self, engine: Engine, pods: PodIndex) -> None:
        self.engine = engine
        self.pods = pods
        self.budgets = Selectors(BUDGET)

    def react(self, change: Change) -> None:
        """A budget changed, or a pod that one guards."""
        if change.entry.kind is BUDGET:
            self.budgets.keep(change)
            self.engine.wake(self.name, change.entry.key)
        elif change.entry.kind is POD and _routing_changed(change):
            for key in self.budgets.of(change.entry.obj):
                self.engine.wake(self.name, key)

    def sync(self, key: Key) -> None:
        """Count the healthy and say how many may go."""
        store = self.engine.store
        budget = store.get(BUDGET, key)
        if budget is None:
            return
        pods = self.pods.selected(key[0], selector_of(BUDGET, budget))
        healthy = sum(1 for pod in pods if is_ready(pod) and not is_leaving(pod))
        expected = self._expected(pods)
        needed = _needed(budget["spec"], expected)
        allowed = max(healthy - needed, 0)
        generation = budget["metadata"]["generation"]
        words = ("True", "SufficientPods", "") if allowed else ("False", "InsufficientPods", "")
        old = budget.get("status") or {}
        conditions = condition(
            list(old.get("conditions") or ()), "DisruptionAllowed", *words, self.engine.stamp()
        )
        conditions = [{**one, "observedGeneration": generation} for one in conditions]
        status = {
            "observedGeneration": generation,
            "disruptionsAllowed": allowed,
            "currentHealthy": healthy,
            "desiredHealthy": needed,
            "expectedPods": expected,
            "conditions": conditions,
        }
        if status != old:
            store.put(BUDGET, {**budget, "status": status})

    def guards(self, pod: Obj) -> Obj | None:
        """The budget that a pod is under, or None."""
        for key in self.budgets.of(pod):
            budget = self.engine.store.get(BUDGET, key)
            if budget and matches(selector_of(BUDGET, budget), pod["metadata"]["labels"]):
                return budget
        return None

    def _expected(self, pods: list[Obj]) -> int:
        """What the owners of the pods want; the pods themselves where the owner is not known."""
        owners: dict[str, int] = {}
        for pod in pods:
            owner = controller_of(pod)
            if owner:
                owners.setdefault(owner["uid"], self._wanted(pod, owner))
        return sum(owners.values()) if owners else len(pods)

    def _wanted(self, pod: Obj, owner: Obj) -> int:
        namespace = pod["metadata"]["namespace"]
        for kind in self.engine.store.shelves:
            if kind.kind == owner["kind"]:
                found = self.engine.store.get(kind, (namespace, owner["name"]))
                return int(found["spec"].get("replicas", 0)) if found else 0
        return 0


def _needed(spec: Obj, expected: int) -> int:
    if spec.get("minAvailable") is not None:
        return _share(spec["minAvailable"], expected)
    return max(expected - _share(spec.get("maxUnavailable", 1), expected), 0)


def _share(value: Any, of: int) -> int:
    if isinstance(value, str) and value.endswith("%"):
        return math.ceil(of * int(value[:-1]) / 100)
    return int(value)


def _slice_port(port: Obj) -> Obj:
    target = port.get("targetPort", port["port"])
    number = target if isinstance(target, int) else 8080
    return {"name": port.get("name", ""), "protocol": port.get("protocol", "TCP"), "port": number}


def _routing_changed(change: Change) -> bool:
    if change.previous is None or change.type == "DELETED":
        return True
    return _routing(change.entry.obj) != _routing(change.previous.obj)


def _routing(pod: Obj) -> tuple[bool, bool, Any]:
    return is_ready(pod), is_leaving(pod), pod["status"].get("podIP")
