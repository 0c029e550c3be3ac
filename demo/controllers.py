"""The engine under every controller: model time, a queue of keys that want attention, names, stamps and events.

Controllers run as discrete events: a change wakes those it concerns after a short lag, and `run_until` lets
them act in the order of their due times, however long the steps of the caller are.
"""

from __future__ import annotations

import heapq
import itertools
import random
import uuid
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from demo import kube_managed
from demo.kube_kinds import EVENT, Key, Kind, Obj
from demo.kube_objects import ALPHABET
from demo.kube_store import Change, Store
from demo.seam import LoadOf

LAG = 0.04  # seconds of model time from a change to the controller that hears of it
EVENT_SECONDS = 3600.0  # the API server keeps Events for an hour by default
EVENT_LIMIT = 20_000


class Controller(Protocol):
    """One reconciler: hears of changes, brings one object at a time closer to what is wanted."""

    name: str

    def react(self, change: Change) -> None:
        """Wake the keys that a change concerns; must be cheap."""
        ...

    def sync(self, key: Key) -> None:
        """Look at one key and do what is due."""
        ...


class Engine:
    """What controllers share. The caller holds `store.lock`."""

    def __init__(self, store: Store, *, seed: int, clock: Callable[[], float]) -> None:
        self.store = store
        self.rng = random.Random(seed)
        self.now = 0.0  # model seconds
        self.age = 0.0  # how far in the past things happen while the cluster is seeded
        self.quiet = False  # no Events are written while the cluster is seeded
        self.load: LoadOf | None = None
        self.status_trees: dict[tuple[tuple[str, ...], tuple[str, ...]], Obj] = {}  # by the shape of a status
        self._clock = clock
        self._target = 0.0
        self._stamp = (0, "")
        self._heap: list[tuple[float, int, str, Key]] = []
        self._due: dict[tuple[str, Key], float] = {}
        self._order = itertools.count()
        self._controllers: dict[str, Controller] = {}
        self._events: dict[tuple[str, str, str], Key] = {}
        self._event_age: deque[tuple[float, Key, tuple[str, str, str]]] = deque()

    def add(self, controller: Controller) -> None:
        """Let a controller take part."""
        self._controllers[controller.name] = controller
        self.store.reactions.append(controller.react)

    def wake(self, controller: str, key: Key, delay: float = LAG) -> None:
        """Have a controller look at a key after `delay` model seconds, or earlier if that is planned already."""
        due = self.now + delay
        planned = self._due.get((controller, key))
        if planned is not None and planned <= due:
            return
        self._due[controller, key] = due
        heapq.heappush(self._heap, (due, next(self._order), controller, key))

    def run_until(self, now: float) -> None:
        """Let everything happen that is due until `now`."""
        self._target = max(now, self._target)
        while self._heap and self._heap[0][0] <= now:
            due, _, controller, key = heapq.heappop(self._heap)
            if self._due.get((controller, key)) != due:
                continue
            del self._due[controller, key]
            self.now = max(self.now, due)
            self._controllers[controller].sync(key)
        self.now = max(self.now, now)

    def moment(self) -> float:
        """Epoch seconds of what happens right now."""
        return self._clock() - max(self._target - self.now, 0.0) - self.age

    def stamp(self) -> str:
        """The moment as metav1.Time has it: whole seconds."""
        second = int(self.moment())
        if second != self._stamp[0]:
            self._stamp = (second, stamp_of(second))
        return self._stamp[1]

    def precise(self) -> str:
        """The moment as metav1.MicroTime has it."""
        return datetime.fromtimestamp(self.moment(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def uid(self) -> str:
        """A uid from the seeded generator."""
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

    def service_address(self) -> str:
        """A cluster address for a KubeService."""
        return f"10.96.{self.rng.randrange(256)}.{self.rng.randrange(2, 255)}"

    def suffix(self) -> str:
        """Five letters for a generated name."""
        return "".join(self.rng.choice(ALPHABET) for _ in range(5))

    def made(
        self, kind: Kind, obj: Obj, *, manager: str = "kube-controller-manager", fields: Obj | None = None
    ) -> Obj:
        """File a new object with uid, creation time, generation and managedFields (`fields`, where known)."""
        meta = obj["metadata"]
        system: Obj = {"uid": self.uid(), "creationTimestamp": self.stamp()}
        if kind.counts_generations or kind.kind == "Pod":
            system["generation"] = 1
        entry = kube_managed.entry_for(
            fields or kube_managed.fields_of(obj),
            manager=manager,
            api_version=kind.api_version,
            time=self.stamp(),
        )
        return self.store.put(kind, {**obj, "metadata": {**meta, **system, "managedFields": [entry]}})

    def event(self, kind: Kind, obj: Obj, reason: str, message: str, *, component: str, **more: str) -> None:
        """Write or repeat an Event. `more`: type, host, field_path. The scheduler's have only an eventTime."""
        if self.quiet:
            return
        sign = (obj["metadata"]["uid"], reason, message)
        known = self._events.get(sign)
        if known and (component == "default-scheduler" or self._repeat(known)):
            return
        event = self._new_event(kind, obj, reason, message, component=component, **more)
        key = (event["metadata"]["namespace"], event["metadata"]["name"])
        self._events[sign] = key
        self._event_age.append((self.moment(), key, sign))
        self.store.put(EVENT, event)
        self._forget_events()

    def _repeat(self, key: Key) -> bool:
        event = self.store.get(EVENT, key)
        if event is None:
            return False
        self.store.put(EVENT, {**event, "count": event["count"] + 1, "lastTimestamp": self.stamp()})
        return True

    def _new_event(
        self, kind: Kind, obj: Obj, reason: str, message: str, *, component: str, **more: str
    ) -> Obj:
        meta = obj["metadata"]
        namespace = meta.get("namespace") or "default"
        involved = {
            "kind": kind.kind,
            "namespace": meta.get("namespace"),
            "name": meta["name"],
            "uid": meta["uid"],
            "apiVersion": kind.api_version,
            "resourceVersion": meta.get("resourceVersion"),
            "fieldPath": more.get("field_path"),
        }
        scheduler = component == "default-scheduler"
        stamp = None if scheduler else self.stamp()
        event: Obj = {
            "metadata": {
                "name": f"{meta['name']}.{self.rng.getrandbits(64):016x}",
                "namespace": namespace,
                "uid": self.uid(),
                "creationTimestamp": self.stamp(),
            },
            "involvedObject": {name: value for name, value in involved.items() if value},
            "reason": reason,
            "message": message,
            "source": {} if scheduler else {"component": component, **_host(more)},
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
        }
        if not scheduler:
            event["count"] = 1
        event["type"] = more.get("type", "Normal")
        event["eventTime"] = self.precise() if scheduler else None
        if scheduler:
            event["action"] = "Binding" if reason == "Scheduled" else "Scheduling"
        event["reportingComponent"] = component
        event["reportingInstance"] = "default-scheduler-control-plane" if scheduler else more.get("host", "")
        return event

    def _forget_events(self) -> None:
        limit = self.moment() - EVENT_SECONDS
        while self._event_age and (self._event_age[0][0] < limit or len(self._event_age) > EVENT_LIMIT):
            _, key, sign = self._event_age.popleft()
            if self._events.get(sign) == key:
                del self._events[sign]
            self.store.delete(EVENT, key)


def stamp_of(seconds: float) -> str:
    """Epoch seconds as metav1.Time."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _host(more: dict[str, str]) -> Obj:
    return {"host": more["host"]} if "host" in more else {}
