"""Named troubles: each says what it does to a fleet when it begins and how it ends.

`Director` starts one 60 s after the demo listens (wall time) or at once on request. Ending a scenario takes
away its cause; what the operators did meanwhile (more replicas, a rollback) stays.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

import numpy as np

from app import clock
from demo import demand
from demo.catalog import NAMESPACE
from demo.faults import BAD_VERSIONS, no_faults
from demo.model import Fleet
from demo.seam import PodsOf

_LOG = logging.getLogger("quarterdeck.demo.scenario")
DELAY = timedelta(seconds=60)


class Scenario(Protocol):
    """One trouble. `elapsed` is model time (s) since its onset."""

    sentence: str

    def begin(self, fleet: Fleet, cluster: PodsOf) -> None:
        """At the onset."""
        ...

    def hold(self, fleet: Fleet, elapsed: float) -> None:
        """Before each step while it lasts."""
        ...

    def end(self, fleet: Fleet, cluster: PodsOf) -> None:
        """Take the cause away."""
        ...


class _Quiet:
    """What scenarios have in common: nothing happens, and at the end all knobs are back at normal."""

    sentence = ""

    def begin(self, fleet: Fleet, cluster: PodsOf) -> None:
        """Nothing."""

    def hold(self, fleet: Fleet, elapsed: float) -> None:
        """Nothing."""

    def end(self, fleet: Fleet, cluster: PodsOf) -> None:
        """All knobs back to normal."""
        with fleet.lock:
            fleet.faults = no_faults(fleet.plan)


class TrafficSurge(_Quiet):
    """A sale: orders come 2.4 times as often, whatever the hour. Cured by scaling `order` to 6.

    The first quarter of a minute brings `order` near its limit (slow, no errors), then over it.
    """

    sentence = "A sale: orders come 2.4 times as often. More replicas of order cure it."
    first, full, others = 1.56, 2.4, 1.2
    waits, ramp = 15.0, 4.0  # seconds until the full surge begins, and that each rise takes

    def hold(self, fleet: Fleet, elapsed: float) -> None:
        """Rise in two steps; the day's own curve is taken out, so that every surge is the same."""
        risen = _share(elapsed / self.ramp)
        orders = 1.0 + (self.first - 1.0) * risen
        orders += (self.full - self.first) * _share((elapsed - self.waits) / self.ramp)
        levels = demand.route_levels(fleet.seed, np.array([fleet.moment]), len(fleet.plan.entry))[0]
        for i, key in enumerate(fleet.plan.catalog.demand):
            if "/api/orders" in key:
                fleet.faults.demand[i] = (1.0 - risen) + risen * orders / levels[i]
            else:
                fleet.faults.demand[i] = 1.0 + (self.others - 1.0) * risen


class BadDeploy(_Quiet):
    """CI releases a payment version that fails a quarter of its requests and is slower. Cured by a rollback."""

    sentence = "A bad release of payment: a quarter of its requests fail. A rollback cures it."
    service, version = next(iter(BAD_VERSIONS))

    def begin(self, fleet: Fleet, cluster: PodsOf) -> None:
        """Release it."""
        cluster.deploy(NAMESPACE, self.service, self.version)

    def end(self, fleet: Fleet, cluster: PodsOf) -> None:
        """Release the version before, if nobody has rolled back yet."""
        super().end(fleet, cluster)
        if any(pod.version == self.version for pod in cluster.pods(NAMESPACE, self.service)):
            good = next(s.version for s in fleet.plan.catalog.services if s.name == self.service)
            cluster.deploy(NAMESPACE, self.service, good)


class SlowDatabase(_Quiet):
    """orders-db answers 30 times as slowly and fails 2 % (a lost index). Only its end cures it."""

    sentence = "orders-db lost an index: 30 times as slow. It lasts until the scenario is ended."

    def begin(self, fleet: Fleet, cluster: PodsOf) -> None:
        """Slow it."""
        place = [store.name for store in fleet.plan.catalog.stores].index("orders-db")
        fleet.faults.store_slower[place], fleet.faults.store_errors[place] = 30.0, 0.02


class NodeLoss(_Quiet):
    """The node with most pods of `order` stops answering. The cluster moves its pods after a while."""

    sentence = "A node stops answering with all its pods, until the cluster starts them elsewhere."

    def __init__(self) -> None:
        self._node = ""

    def begin(self, fleet: Fleet, cluster: PodsOf) -> None:
        """Lose it."""
        self._node = _fullest_node(fleet, cluster)
        fleet.faults.lost_nodes.add(self._node)
        cluster.lose_node(self._node)

    def end(self, fleet: Fleet, cluster: PodsOf) -> None:
        """The node comes back."""
        super().end(fleet, cluster)
        cluster.restore_node(self._node)


class RetryStorm(_Quiet):
    """inventory stumbles for 15 s; its callers retry three times and keep it down. Cured by scaling it to 6."""

    sentence = "inventory stumbled and impatient retries keep it down. More replicas of inventory cure it."
    stumble_seconds = 15.0

    def hold(self, fleet: Fleet, elapsed: float) -> None:
        """Callers retry all the time, the stumble is short: what stays is the storm."""
        plan, faults = fleet.plan, fleet.faults
        ends = {i for i, e in enumerate(plan.catalog.endpoints) if e.service == "inventory"}
        for call, target in enumerate(plan.target.tolist()):
            if target in ends:
                faults.retries[call] = 3.0
        stumbling = elapsed < self.stumble_seconds
        faults.capacity[plan.service_at[(NAMESPACE, "inventory")]] = 0.15 if stumbling else 1.0


class QueueBacklog(_Quiet):
    """notification works at a fifth of its speed; order-events pile up. Cured by scaling it to 6."""

    sentence = "notification works slowly and order-events pile up. More replicas of notification cure it."

    def begin(self, fleet: Fleet, cluster: PodsOf) -> None:
        """Slow the consumer."""
        fleet.faults.capacity[fleet.plan.service_at[(NAMESPACE, "notification")]] = 0.2


def _share(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def _fullest_node(fleet: Fleet, cluster: PodsOf) -> str:
    """The node with most pods of order, then of anything; ties by name."""
    count: dict[str, int] = {}
    for service in fleet.plan.catalog.services[:11]:
        for pod in cluster.pods(service.namespace, service.name):
            count[pod.node] = count.get(pod.node, 0) + (100 if service.name == "order" else 1)
    if not count:
        raise LookupError("any pod of the shop")
    return min(count, key=lambda node: (-count[node], node))


KINDS: dict[str, Callable[[], Scenario]] = {
    "bad-deploy": BadDeploy,
    "traffic-surge": TrafficSurge,
    "slow-database": SlowDatabase,
    "node-loss": NodeLoss,
    "retry-storm": RetryStorm,
    "queue-backlog": QueueBacklog,
}


class ScenarioState(StrEnum):
    """Where the one scenario of the demo stands."""

    NONE = "none"
    WAITING = "waiting"
    RUNNING = "running"
    ENDED = "ended"


class UnknownScenario(ValueError):
    """No scenario of that name; the message lists those there are."""


class ScenarioImpossible(RuntimeError):
    """What the scenario needs is not there any more; the message says what."""


@dataclass
class Director:
    """Starts and ends scenarios of a fleet; called from the model's loop and from the control address."""

    fleet: Fleet
    cluster: PodsOf
    name: str | None = None
    state: ScenarioState = ScenarioState.NONE
    onset: datetime | None = None
    _scenario: Scenario | None = None
    _began: float = 0.0

    def schedule(self, name: str, delay: timedelta = DELAY) -> None:
        """Begin `name` after `delay` of wall time; a running one ends now. Raises UnknownScenario."""
        kind = _named(name)
        with self.fleet.lock:
            self.end()
            self._scenario = kind()
            self.name, self.state, self.onset = name, ScenarioState.WAITING, clock.now() + delay

    def start(self, name: str) -> None:
        """Begin `name` now; a running one ends first. Raises UnknownScenario, ScenarioImpossible."""
        kind = _named(name)
        with self.fleet.lock:
            self.end()
            self._scenario = kind()
            self.name, self.onset = name, clock.now()
            self._begin()

    def end(self) -> None:
        """End what runs or waits; without any, nothing happens."""
        with self.fleet.lock:
            if self._scenario is None:
                return
            if self.state is ScenarioState.RUNNING:
                self._scenario.end(self.fleet, self.cluster)
            self._scenario, self.state = None, ScenarioState.ENDED

    def tick(self) -> None:
        """Before each step of the model: begin what is due, hold what runs."""
        with self.fleet.lock:
            if self._scenario is None or self.onset is None:
                return
            if self.state is ScenarioState.WAITING and clock.now() >= self.onset:
                try:
                    self._begin()
                except ScenarioImpossible as impossible:
                    _LOG.warning("%s", impossible)
            if self.state is ScenarioState.RUNNING:
                self._scenario.hold(self.fleet, self.fleet.moment - self._began)

    def said(self) -> dict[str, Any]:
        """The answer of `GET /scenario`."""
        onset = self.onset.isoformat().replace("+00:00", "Z") if self.onset else None
        known = {name: kind().sentence for name, kind in KINDS.items()}
        return {"name": self.name, "onset": onset, "state": str(self.state), "known": known}

    def _begin(self) -> None:
        assert self._scenario is not None
        try:
            self._scenario.begin(self.fleet, self.cluster)
        except LookupError as missing:
            self._scenario, self.state = None, ScenarioState.ENDED
            raise ScenarioImpossible(f"{self.name} cannot begin, the cluster lacks {missing}") from missing
        self.state, self._began = ScenarioState.RUNNING, self.fleet.moment


def _named(name: str) -> Callable[[], Scenario]:
    kind = KINDS.get(name)
    if kind is None:
        raise UnknownScenario(f"no scenario {name!r}; there are {', '.join(sorted(KINDS))}")
    return kind
