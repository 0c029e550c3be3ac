"""The fleet under load: a fluid model, computed analytically per step and counted in seeded draws.

Each step takes what callers send (open-loop demand, calls, retries), puts it in front of the ready pods,
and works out waiting, failures and latency; what a service suffers reaches its callers in the next step.
It knows pods only through `demo.seam.PodsOf` and says nothing about Prometheus, traces or Kubernetes.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.model.series import Floats
from demo import demand, queueing
from demo.catalog import Catalog
from demo.faults import Faults, no_faults
from demo.ledger import CALL_OUTCOMES, OUTCOMES, Ledger, bounds_of, empty, middles
from demo.plan import Plan
from demo.pods import Pods, carried, columns, survivors
from demo.seam import PodsOf, PodView

BASE_ERRORS = 2e-4
NETWORK_SECONDS = 0.0008
REFUSAL_SECONDS = 0.002
_WARM_UP_STEPS = 40
_REFRESH_ROUNDS = 5  # a big fleet asks for the pods of a fifth of its services per step


@dataclass
class State:
    """What the last step found, in the plan's order; a step reads the old and leaves the new.

    Endpoints: rate (arriving, 1/s). Services: refused (share). Targets: mean, variance (s, s²), failing, lost
    (shares). Calls: call_rate (attempts, 1/s), call_failing (share of attempts), call_timeout (share).
    Dependencies of an endpoint: dep_mean, dep_variance, dep_failing. Consumers: lag (messages), consumed (1/s).
    """

    rate: Floats
    refused: Floats
    mean: Floats
    variance: Floats
    failing: Floats
    lost: Floats
    call_rate: Floats
    call_failing: Floats
    call_timeout: Floats
    dep_mean: Floats
    dep_variance: Floats
    dep_failing: Floats
    lag: Floats
    consumed: Floats
    produced: Floats


@dataclass
class PodState:
    """Per pod: share of its service's traffic, backlog (requests), wait (s), refused (share), utilisation."""

    share: Floats
    backlog: Floats
    wait: Floats
    refused: Floats
    utilisation: Floats
    lost: NDArray[np.bool_]


@dataclass
class RowState:
    """Per (pod, endpoint): arriving rate, latency moments, and the shares late (504) and failed (500)."""

    rate: Floats
    mean: Floats
    variance: Floats
    late: Floats
    failed: Floats


class Fleet:
    """The running model. `step` advances it; `lock` guards readers in other threads.

    `moment` is model time in seconds since 1970: it starts at `start` and runs as fast as it is stepped.
    """

    def __init__(self, catalog: Catalog, cluster: PodsOf, *, seed: int, start: float) -> None:
        self.plan = Plan(catalog)
        self.faults: Faults = no_faults(self.plan)
        self.seed = seed
        self.moment = start
        self.lock = threading.RLock()
        self.bounds = bounds_of(big=catalog.big)
        self._cluster = cluster
        self._random = np.random.default_rng(seed)
        self._middles = middles(self.bounds)
        self._outside = np.array(list(catalog.demand.values()))
        self._views: list[list[PodView]] = [[] for _ in catalog.services]
        self._rounds = _REFRESH_ROUNDS if catalog.big else 1
        self._round = 0
        self._fields()
        self.state = self._quiet()
        self.pods = self._ask_all()
        self.ledger: Ledger = empty(self.pods, len(self.bounds) + 1, self._call_buckets)
        self.pod_state = self._idle_pods()
        self.rows = self._row_state()
        self.offsets = {"produced": np.zeros(len(catalog.topics)), "consumed": np.zeros(len(self.plan.consumers))}
        for _ in range(_WARM_UP_STEPS):
            self._advance(1.0)

    def step(self, dt: float) -> None:
        """Advance by `dt` seconds of model time (at most 1 s per step keeps queues honest) and count."""
        with self.lock:
            self.moment += dt
            self._refresh()
            self._advance(dt)
            self._count(dt)

    def cpu_usage(self, namespace: str, pod: str) -> float:
        """Share of the pod's CPU request in use (seam `LoadOf`); 0 for a pod the model does not know."""
        with self.lock:
            place = self._pod_at.get((namespace, pod))
            return 0.0 if place is None else 0.05 + 0.9 * float(self.pod_state.utilisation[place])

    def _fields(self) -> None:
        plan = self.plan
        self._endpoints, self._targets = len(plan.catalog.endpoints), len(plan.targets)
        self._call_buckets = 1 if plan.catalog.big else len(self.bounds) + 1
        for name in ("seconds", "spread", "cost", "missing", "deadline"):
            setattr(self, f"_{name}", plan.endpoint(name))
        self._times, self._critical, self._timeout = (plan.call(f) for f in ("times", "critical", "timeout"))
        self._capacity, self._threads, self._queue = (plan.service(f) for f in ("capacity", "threads", "queue"))

    def _quiet(self) -> State:
        rates, call_rates = self.plan.nominal()
        services, calls = len(self.plan.catalog.services), len(call_rates)
        t, e, c = self._targets, self._endpoints, len(self.plan.consumers)
        zeros = np.zeros
        return State(
            rates, zeros(services), np.full(t, 0.005), np.full(t, 1e-6), zeros(t), zeros(t), call_rates,
            zeros(calls), zeros(calls), zeros(e), zeros(e), zeros(e), zeros(c), rates[self.plan.consumers],
            zeros(len(self.plan.catalog.topics)),
        )  # fmt: skip

    # Pods

    def _ask(self, service: int) -> list[PodView]:
        found = self.plan.catalog.services[service]
        return list(self._cluster.pods(found.namespace, found.name))

    def _ask_all(self) -> Pods:
        self._views = [self._ask(i) for i in range(len(self._views))]
        return self._placed(columns(self.plan, self._views))

    def _placed(self, pods: Pods) -> Pods:
        services = self.plan.catalog.services
        names = (services[s].namespace for s in pods.service.tolist())
        self._pod_at = {(space, v.name): i for i, (space, v) in enumerate(zip(names, pods.views, strict=True))}
        return pods

    def _refresh(self) -> None:
        """Ask the cluster for pods; on any change move counters and queues to the new columns."""
        self._round = (self._round + 1) % self._rounds
        changed = False
        for i in range(self._round, len(self._views), self._rounds):
            views = self._ask(i)
            if views != self._views[i]:
                self._views[i], changed = views, True
        if not changed:
            return
        old, self.pods = self.pods, self._placed(columns(self.plan, self._views))
        self.ledger = self.ledger.moved(old, self.pods)
        backlog = carried(self.pod_state.backlog, survivors(old, self.pods))
        self.pod_state = self._idle_pods()
        self.pod_state.backlog = backlog

    def _idle_pods(self) -> PodState:
        n = len(self.pods.views)
        return PodState(*(np.zeros(n) for _ in range(5)), np.zeros(n, dtype=bool))

    # One step

    def _advance(self, dt: float) -> None:
        self._send(dt)
        self._wait_in_pods(dt)
        self.rows = self._row_state()
        self._answer()
        self._feel()
        self._consume(dt)

    def _send(self, dt: float) -> None:
        """What arrives everywhere: outside demand, and the calls of requests that were let in."""
        plan, s = self.plan, self.state
        levels = demand.route_levels(self.seed, np.array([self.moment]), len(plan.entry))[0]
        outside = np.zeros(self._endpoints)
        np.add.at(outside, plan.entry, self._outside * levels * self.faults.demand)
        let_in = s.rate * (1.0 - s.refused[plan.endpoint_service])
        tries = queueing.attempts(s.call_failing, self.faults.retries)
        s.call_rate = let_in[plan.source] * self._times * tries
        reached = np.bincount(plan.target, s.call_rate, self._targets)
        s.rate = outside + reached[: self._endpoints]
        s.rate[plan.consumers] = s.consumed
        s.produced = reached[self._endpoints + len(plan.catalog.stores) :]

    def _wait_in_pods(self, dt: float) -> None:
        """Spread the work over ready pods; queues fill where it is more than they can do."""
        plan, s, pods, p = self.plan, self.state, self.pods, self.pod_state
        services = len(plan.catalog.services)
        p.lost = pods.lost(self.faults) & pods.ready
        ready = np.bincount(pods.service, pods.ready, services)
        p.share = pods.ready / np.maximum(ready, 1.0)[pods.service]
        work = np.bincount(plan.endpoint_service, s.rate * self._cost, services)
        capacity = self._pod_capacity()
        arriving = work[pods.service] * p.share
        backlog = np.where(pods.ready & ~p.lost, p.backlog, 0.0)
        p.backlog, dropped = queueing.drain(backlog, arriving, capacity, self._queue[pods.service], dt)
        p.refused = np.where(arriving > 0, np.minimum(dropped / np.maximum(arriving, 1e-9), 1.0), 0.0)
        p.refused[p.lost] = 1.0
        p.utilisation = np.where(p.lost, 0.0, np.minimum(arriving / np.maximum(capacity, 1e-9), 1.0))
        steady = queueing.stationary_wait(p.utilisation, capacity)
        p.wait = np.minimum(np.maximum(steady, p.backlog / capacity), self._queue[pods.service] / capacity)
        s.refused = np.where(ready > 0, np.bincount(pods.service, p.share * p.refused, services), 1.0)

    def _pod_capacity(self) -> Floats:
        """Requests a second per pod: its CPU's share of the version, or its threads while they wait on others."""
        plan, s, pods = self.plan, self.state, self.pods
        held = self._seconds + s.dep_mean
        work = np.bincount(plan.endpoint_service, s.rate, len(self._capacity))
        mean = np.bincount(plan.endpoint_service, s.rate * held, len(self._capacity)) / np.maximum(work, 1e-9)
        by_threads = self._threads / np.maximum(mean, 1e-6)
        by_cpu = self._capacity * self.faults.capacity
        return np.minimum(by_cpu[pods.service] / pods.slower, by_threads[pods.service])

    def _row_state(self) -> RowState:
        """Latency and failures of each endpoint in each pod."""
        s, p, pods = self.state, self.pod_state, self.pods
        pod, endpoint = pods.endpoints.pod, pods.endpoints.thing
        own = self._seconds[endpoint] * pods.slower[pod]
        mean = p.wait[pod] + own + s.dep_mean[endpoint]
        variance = (0.3 * p.wait[pod]) ** 2 + (self._spread[endpoint] * own) ** 2 + s.dep_variance[endpoint]
        late = queueing.share_above(self._deadline[endpoint], mean, variance)
        late[late < 1e-5] = 0.0
        sound = (1.0 - BASE_ERRORS) * (1.0 - pods.faulty[pod]) * (1.0 - s.dep_failing[endpoint])
        rate = s.rate[endpoint] * p.share[pod] * ~p.lost[pod]
        return RowState(rate, mean, variance, late, 1.0 - sound)

    def _answer(self) -> None:
        """What callers find at each target: moments of latency, and the shares that fail or are lost."""
        plan, s, p, rows, pods = self.plan, self.state, self.pod_state, self.rows, self.pods
        pod, endpoint, n = pods.endpoints.pod, pods.endpoints.thing, self._endpoints
        weight = p.share[pod] * ~p.lost[pod]
        total = np.bincount(endpoint, weight, n)
        scale = np.maximum(total, 1e-9)
        mean = np.minimum(rows.mean, self._deadline[endpoint])
        failing = 1.0 - (1.0 - p.refused[pod]) * (1.0 - rows.late) * (1.0 - rows.failed)
        s.mean[:n] = np.where(total > 0, np.bincount(endpoint, weight * mean, n) / scale, REFUSAL_SECONDS)
        square = np.bincount(endpoint, weight * (rows.variance + mean**2), n) / scale
        s.variance[:n] = np.maximum(square - s.mean[:n] ** 2, 1e-9)
        s.failing[:n] = np.where(total > 0, np.bincount(endpoint, weight * failing, n) / scale, 1.0)
        s.lost[:n] = np.bincount(endpoint, p.share[pod] * p.lost[pod], n)
        self._answer_stores()

    def _answer_stores(self) -> None:
        plan, s, first = self.plan, self.state, self._endpoints
        end = first + len(plan.catalog.stores)
        slower = self.faults.store_slower
        load = np.bincount(plan.target, s.call_rate, self._targets)[first:end]
        capacity = plan.store("capacity") / slower
        own = plan.store("seconds") * slower
        s.mean[first:end] = own + queueing.stationary_wait(load / capacity, capacity)
        s.variance[first:end] = (plan.store("spread") * own) ** 2
        s.failing[first:end] = self.faults.store_errors
        s.mean[end:], s.variance[end:] = 0.0025, 0.002**2

    def _feel(self) -> None:
        """What endpoints feel of the targets they call, retries and time-outs included."""
        plan, s, n = self.plan, self.state, self._endpoints
        mean = s.mean[plan.target] + NETWORK_SECONDS
        late = queueing.share_above(self._timeout, mean, s.variance[plan.target])
        late[late < 1e-5] = 0.0
        lost = s.lost[plan.target]
        s.call_timeout = lost + (1.0 - lost) * late
        s.call_failing = 1.0 - (1.0 - s.failing[plan.target]) * (1.0 - s.call_timeout)
        tries = self._times * queueing.attempts(s.call_failing, self.faults.retries)
        took = (1.0 - s.call_timeout) * np.minimum(mean, self._timeout) + s.call_timeout * self._timeout
        s.dep_mean = np.bincount(plan.source, tries * took, n)
        s.dep_variance = np.bincount(plan.source, tries * s.variance[plan.target], n)
        hurt = self._critical * np.minimum(self._times, 1.0) * s.call_failing ** (1.0 + self.faults.retries)
        s.dep_failing = 1.0 - np.exp(np.bincount(plan.source, np.log1p(-np.minimum(hurt, 0.999999)), n))

    def _consume(self, dt: float) -> None:
        """Consumers work off their topics with what capacity the requests of their service leave."""
        plan, s, pods, p = self.plan, self.state, self.pods, self.pod_state
        services = len(plan.catalog.services)
        alive = pods.ready & ~p.lost
        capacity = np.bincount(pods.service, self._pod_capacity() * alive, services)
        messages = np.zeros(self._endpoints)
        messages[plan.consumers] = s.consumed
        requests = np.bincount(plan.endpoint_service, (s.rate - messages) * self._cost, services)
        service = plan.endpoint_service[plan.consumers]
        room = np.maximum(0.93 * capacity - requests, 0.0)[service] / self._cost[plan.consumers]
        incoming = s.produced[plan.consumed - self._endpoints - len(plan.catalog.stores)]
        s.consumed = np.minimum(s.lag / dt + incoming, room)
        s.lag = np.maximum(s.lag + (incoming - s.consumed) * dt, 0.0)

    # Counting

    def _count(self, dt: float) -> None:
        """Draw what happened in `dt` seconds and add it to the ledger."""
        draw, ledger, p = self._random.poisson, self.ledger, self.pod_state
        served = draw(self.served_rates() * dt).astype(np.float64)
        ledger.served += served
        ledger.served_seconds += served @ self._middles
        rates, seconds = self.called_rates()
        called = draw(rates * dt).astype(np.float64)
        ledger.called += called
        ledger.called_seconds += called @ self._middles if called.shape[2] > 1 else called[:, :, 0] * seconds
        millis = self.plan.service("cpu_millis")[self.pods.service]
        ledger.cpu_seconds += (0.02 + 0.9 * p.utilisation) * millis / 1000.0 * dt
        self.offsets["produced"] += self.state.produced * dt
        self.offsets["consumed"] += self.state.consumed * dt

    def served_rates(self) -> Floats:
        """Expected requests per second, shape (pod-endpoint rows, OUTCOMES, buckets)."""
        rows, pods, p = self.rows, self.pods, self.pod_state
        pod, endpoint = pods.endpoints.pod, pods.endpoints.thing
        deadline = self._deadline[endpoint]
        shares = queueing.bucket_shares(self.bounds, rows.mean, rows.variance, deadline)
        let_in = rows.rate * (1.0 - p.refused[pod])
        in_time = let_in * (1.0 - rows.late)
        good = in_time * (1.0 - rows.failed)
        missing = self._missing[endpoint]
        rates = np.zeros((len(rows.rate), OUTCOMES, shares.shape[1]))
        rates[:, 0] = (good * (1.0 - missing))[:, None] * shares
        rates[:, 1] = (good * missing)[:, None] * shares
        rates[:, 2] = (in_time * rows.failed)[:, None] * shares
        rates[:, 3, int(np.searchsorted(self.bounds, REFUSAL_SECONDS))] = rows.rate * p.refused[pod]
        place = np.searchsorted(self.bounds, deadline)
        rates[np.arange(len(place)), 4, place] += let_in * rows.late
        return rates

    def called_rates(self) -> tuple[Floats, Floats]:
        """Expected calls per second, shape (pod-call rows, CALL_OUTCOMES, buckets or 1), and mean seconds."""
        plan, s, pods, p = self.plan, self.state, self.pods, self.pod_state
        call = pods.calls.thing
        works = p.share * (1.0 - p.refused)
        total = np.bincount(pods.service, works, len(self._capacity))
        rate = s.call_rate[call] * (works / np.maximum(total, 1e-9)[pods.service])[pods.calls.pod]
        answered = 1.0 - s.call_timeout
        failing = s.failing[plan.target]
        outcome = np.stack([answered * (1.0 - failing), answered * failing, s.call_timeout], axis=1)
        mean = s.mean[plan.target] + NETWORK_SECONDS
        seconds = np.stack([mean, mean, self._timeout], axis=1)[call]
        if self._call_buckets == 1:
            return (rate[:, None] * outcome[call])[:, :, None], seconds
        shares = queueing.bucket_shares(self.bounds, mean, s.variance[plan.target], self._timeout)
        cells = outcome[:, :, None] * np.repeat(shares[:, None, :], CALL_OUTCOMES, axis=1)
        cells[:, 2] = 0.0
        cells[np.arange(len(mean)), 2, np.searchsorted(self.bounds, self._timeout)] = outcome[:, 2]
        return rate[:, None, None] * cells[call], seconds
