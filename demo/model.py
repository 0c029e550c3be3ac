"""The fleet under load: a fluid model, computed analytically per step and counted in seeded draws.

Each step takes what callers send (open-loop demand, calls, retries), puts it in front of the ready pods,
and works out waiting, failures and latency; what a service suffers reaches its callers in the next step.
It knows pods only through `demo.seam.PodsOf` and says nothing about Prometheus, traces or Kubernetes.
"""

from __future__ import annotations

import threading

import numpy as np

from app.model.series import Floats
from demo import counting, demand, queueing
from demo.catalog import Catalog
from demo.counting import NETWORK_SECONDS, REFUSAL_SECONDS
from demo.faults import Faults, no_faults
from demo.ledger import Ledger, bounds_of, empty, middles
from demo.plan import Plan, gathered
from demo.pods import Pods, carried, columns, survivors
from demo.seam import PodsOf, PodView
from demo.state import PodState, RowState, State, figures, idle_pods, quiet
from demo.totals import Totals

BASE_ERRORS = 2e-4
CONSUMER_SHARE = 0.93  # consumers leave this little of a pod's capacity idle while they have a backlog
_NOTICED = 1e-5  # rarer time-outs are left out
_WARM_UP_STEPS = 40
_REFRESH_ROUNDS = 5  # a big fleet asks for the pods of a fifth of its services per step


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
        self.state: State = quiet(self.plan)
        self.produced = np.zeros(len(catalog.topics))  # messages since the start
        self.consumed = np.zeros(len(self.plan.consumers))
        self._cluster = cluster
        self._random = np.random.default_rng(seed)
        self._middles = middles(self.bounds)
        self._figures = figures(self.plan)
        self._outside = np.array(list(catalog.demand.values()))
        self._rounds = _REFRESH_ROUNDS if catalog.big else 1
        self._round = 0
        self._views = [self._ask(i) for i in range(len(catalog.services))]
        self.pods: Pods = self._placed(columns(self.plan, self._views))
        self.pod_state: PodState = idle_pods(len(self.pods.views))
        buckets, call_buckets = len(self.bounds) + 1, 1 if catalog.big else len(self.bounds) + 1
        self.ledger: Ledger = empty(self.pods, buckets, call_buckets)
        self.totals = Totals(self.plan, buckets, call_buckets)
        self.rows: RowState = self._row_state()
        for _ in range(_WARM_UP_STEPS):
            self._advance(1.0)
        self._usage = (self._pod_at, self.pod_state.utilisation)

    def step(self, dt: float) -> None:
        """Advance by `dt` seconds of model time (at most 1 s per step keeps queues honest) and count."""
        with self.lock:
            self.moment += dt
            self._refresh()
            self._advance(dt)
            self._count(dt)
            self._usage = (self._pod_at, self.pod_state.utilisation)

    def cpu_usage(self, namespace: str, pod: str) -> float:
        """Share of the pod's CPU request in use (seam `LoadOf`); 0 for a pod the model does not know.

        Takes no lock: the cluster asks while it holds its own, which a step takes inside this one's.
        """
        places, utilisation = self._usage
        place = places.get((namespace, pod))
        return 0.0 if place is None else 0.05 + 0.9 * float(utilisation[place])

    def served_rates(self) -> Floats:
        """Expected requests per second, shape (pod-endpoint rows, OUTCOMES, buckets)."""
        return counting.served_rates(self._figures, self.pods, self.pod_state, self.rows, self.bounds)

    def called_rates(self) -> tuple[Floats, Floats]:
        """Expected calls per second, shape (pod-call rows, CALL_OUTCOMES, buckets or 1), and mean seconds."""
        bounds = None if self.plan.catalog.big else self.bounds
        return counting.called_rates(self.plan, self._figures, self.pods, self.state, self.pod_state, bounds)

    def place_of(self, namespace: str, pod: str) -> int | None:
        """Index of a pod in the columns."""
        return self._pod_at.get((namespace, pod))

    def _ask(self, service: int) -> list[PodView]:
        found = self.plan.catalog.services[service]
        return self._cluster.pods(found.namespace, found.name)

    def _placed(self, pods: Pods) -> Pods:
        services = self.plan.catalog.services
        names = (services[s].namespace for s in pods.service.tolist())
        self._pod_at = {
            (space, v.name): i for i, (space, v) in enumerate(zip(names, pods.views, strict=True))
        }
        return pods

    def _refresh(self) -> None:
        """Ask the cluster for pods; on any change move counters and queues to the new columns."""
        self._round = (self._round + 1) % self._rounds
        changed = False
        for i in range(self._round, len(self._views), self._rounds):
            views = self._ask(i)
            if views is not self._views[i]:
                changed = changed or views != self._views[i]
                self._views[i] = views
        if not changed:
            return
        old, self.pods = self.pods, self._placed(columns(self.plan, self._views))
        self.ledger = self.ledger.moved(old, self.pods)
        backlog = carried(self.pod_state.backlog, survivors(old, self.pods))
        self.pod_state = idle_pods(len(self.pods.views))
        self.pod_state.backlog = backlog

    def _advance(self, dt: float) -> None:
        self._send()
        self._wait_in_pods(dt)
        self.rows = self._row_state()
        self._answer()
        self._answer_stores()
        self._feel()
        self._consume(dt)

    def _send(self) -> None:
        """What arrives everywhere: outside demand, and the calls of requests that were let in."""
        plan, s, endpoints = self.plan, self.state, len(self.plan.catalog.endpoints)
        levels = demand.route_levels(self.seed, np.array([self.moment]), len(plan.entry))[0]
        outside = np.zeros(endpoints)
        np.add.at(outside, plan.entry, self._outside * levels * self.faults.demand)
        let_in = s.rate * (1.0 - s.refused[plan.endpoint_service])
        tries = queueing.attempts(s.call_failing, self.faults.retries)
        s.call_rate = let_in[plan.source] * self._figures.times * tries
        reached = gathered(plan.target, s.call_rate, len(plan.targets))
        s.rate = outside + reached[:endpoints]
        s.rate[plan.consumers] = s.consumed
        s.produced = reached[endpoints + len(plan.catalog.stores) :]

    def _wait_in_pods(self, dt: float) -> None:
        """Spread the work over ready pods; queues fill where it is more than they can do."""
        plan, s, pods, p, services = self.plan, self.state, self.pods, self.pod_state, len(self._views)
        p.lost = pods.lost(self.faults) & pods.ready
        ready = gathered(pods.service, pods.ready, services)
        p.share = pods.ready / np.maximum(ready, 1.0)[pods.service]
        work = gathered(plan.endpoint_service, s.rate * self._figures.cost, services)
        capacity, arriving = self._pod_capacity(), work[pods.service] * p.share
        most = self._figures.queue[pods.service]
        backlog = np.where(pods.ready & ~p.lost, p.backlog, 0.0)
        p.backlog, dropped = queueing.drain(backlog, arriving, capacity, most, dt)
        p.refused = np.where(arriving > 0, np.minimum(dropped / np.maximum(arriving, 1e-9), 1.0), 0.0)
        p.refused[p.lost] = 1.0
        p.utilisation = np.where(p.lost, 0.0, np.minimum(arriving / np.maximum(capacity, 1e-9), 1.0))
        steady = queueing.stationary_wait(p.utilisation, capacity)
        p.wait = np.minimum(np.maximum(steady, p.backlog / capacity), most / capacity)
        refused = gathered(pods.service, p.share * p.refused, services)
        s.refused = np.where(ready > 0, np.minimum(refused, 1.0), 1.0)

    def _pod_capacity(self) -> Floats:
        """Requests a second per pod: its CPU's share of the version, or its threads while they wait on others."""
        plan, s, pods, f = self.plan, self.state, self.pods, self._figures
        held = s.rate * (f.seconds + s.dep_mean)
        rate = gathered(plan.endpoint_service, s.rate, len(f.capacity))
        mean = gathered(plan.endpoint_service, held, len(f.capacity)) / np.maximum(rate, 1e-9)
        by_threads = f.threads / np.maximum(mean, 1e-6)
        by_cpu = f.capacity * self.faults.capacity
        return np.asarray(np.minimum(by_cpu[pods.service] / pods.slower, by_threads[pods.service]))

    def _row_state(self) -> RowState:
        """Latency and failures of each endpoint in each pod."""
        s, p, pods, f = self.state, self.pod_state, self.pods, self._figures
        pod, endpoint = pods.endpoints.pod, pods.endpoints.thing
        own = f.seconds[endpoint] * pods.slower[pod]
        mean = p.wait[pod] + own + s.dep_mean[endpoint]
        variance = (0.3 * p.wait[pod]) ** 2 + (f.spread[endpoint] * own) ** 2 + s.dep_variance[endpoint]
        late = queueing.share_above(f.deadline[endpoint], mean, variance)
        late[late < _NOTICED] = 0.0
        sound = (1.0 - BASE_ERRORS) * (1.0 - pods.faulty[pod]) * (1.0 - s.dep_failing[endpoint])
        rate = s.rate[endpoint] * p.share[pod] * ~p.lost[pod]
        return RowState(rate, mean, variance, late, 1.0 - sound)

    def _answer(self) -> None:
        """What callers find at each endpoint: moments of latency, and the shares that fail or are lost."""
        s, p, rows, pods = self.state, self.pod_state, self.rows, self.pods
        pod, endpoint, n = pods.endpoints.pod, pods.endpoints.thing, len(self.plan.catalog.endpoints)
        weight = p.share[pod] * ~p.lost[pod]
        total = gathered(endpoint, weight, n)
        scale = np.maximum(total, 1e-9)
        mean = np.minimum(rows.mean, self._figures.deadline[endpoint])
        failing = 1.0 - (1.0 - p.refused[pod]) * (1.0 - rows.late) * (1.0 - rows.failed)
        s.mean[:n] = np.where(total > 0, gathered(endpoint, weight * mean, n) / scale, REFUSAL_SECONDS)
        square = gathered(endpoint, weight * (rows.variance + mean**2), n) / scale
        s.variance[:n] = np.maximum(square - s.mean[:n] ** 2, 1e-9)
        s.failing[:n] = np.where(total > 0, gathered(endpoint, weight * failing, n) / scale, 1.0)
        s.lost[:n] = gathered(endpoint, p.share[pod] * p.lost[pod], n)

    def _answer_stores(self) -> None:
        """The same of stores and of the broker."""
        plan, s, first = self.plan, self.state, len(self.plan.catalog.endpoints)
        end = first + len(plan.catalog.stores)
        slower = self.faults.store_slower
        load = gathered(plan.target, s.call_rate, len(plan.targets))[first:end]
        capacity, own = plan.store("capacity") / slower, plan.store("seconds") * slower
        s.mean[first:end] = own + queueing.stationary_wait(load / capacity, capacity)
        s.variance[first:end] = (plan.store("spread") * own) ** 2
        s.failing[first:end] = self.faults.store_errors
        s.mean[end:], s.variance[end:] = 0.0025, 0.002**2

    def _feel(self) -> None:
        """What endpoints feel of the targets they call, retries and time-outs included."""
        plan, s, f, n = self.plan, self.state, self._figures, len(self.plan.catalog.endpoints)
        mean, variance = s.mean[plan.target] + NETWORK_SECONDS, s.variance[plan.target]
        late = queueing.share_above(f.timeout, mean, variance)
        late[late < _NOTICED] = 0.0
        lost = s.lost[plan.target]
        s.call_timeout = lost + (1.0 - lost) * late
        s.call_failing = 1.0 - (1.0 - s.failing[plan.target]) * (1.0 - s.call_timeout)
        tries = f.times * queueing.attempts(s.call_failing, self.faults.retries)
        took = (1.0 - s.call_timeout) * np.minimum(mean, f.timeout) + s.call_timeout * f.timeout
        s.dep_mean = gathered(plan.source, tries * took, n)
        s.dep_variance = gathered(plan.source, tries * variance, n)
        hurt = f.critical * np.minimum(f.times, 1.0) * s.call_failing ** (1.0 + self.faults.retries)
        s.dep_failing = 1.0 - np.exp(gathered(plan.source, np.log1p(-np.minimum(hurt, 0.999999)), n))

    def _consume(self, dt: float) -> None:
        """Consumers work off their topics with what capacity the requests of their service leave."""
        plan, s, pods, p, cost = self.plan, self.state, self.pods, self.pod_state, self._figures.cost
        services, endpoints = len(self._views), len(plan.catalog.endpoints)
        alive = pods.ready & ~p.lost
        capacity = gathered(pods.service, self._pod_capacity() * alive, services)
        messages = np.zeros(endpoints)
        messages[plan.consumers] = s.consumed
        requests = gathered(plan.endpoint_service, (s.rate - messages) * cost, services)
        service = plan.endpoint_service[plan.consumers]
        room = np.maximum(CONSUMER_SHARE * capacity - requests, 0.0)[service] / cost[plan.consumers]
        incoming = s.produced[plan.consumed - endpoints - len(plan.catalog.stores)]
        s.consumed = np.minimum(s.lag / dt + incoming, room)
        s.lag = np.maximum(s.lag + (incoming - s.consumed) * dt, 0.0)

    def _count(self, dt: float) -> None:
        """Draw what happened in `dt` seconds and add it to the ledger."""
        draw, ledger = self._random.poisson, self.ledger
        served = draw(self.served_rates() * dt).astype(np.float64)
        seconds = served @ self._middles
        ledger.served += served
        ledger.served_seconds += seconds
        self.totals.add_served(self.pods.endpoints.thing, served, seconds)
        rates, each = self.called_rates()
        called = draw(rates * dt).astype(np.float64)
        seconds = called[:, :, 0] * each if called.shape[2] == 1 else called @ self._middles
        ledger.called += called
        ledger.called_seconds += seconds
        self.totals.add_called(self.pods.calls.thing, called, seconds)
        cores = self._figures.cpu_millis[self.pods.service] / 1000.0
        ledger.cpu_seconds += (0.02 + 0.9 * self.pod_state.utilisation) * cores * dt
        self.produced = self.produced + self.state.produced * dt
        self.consumed = self.consumed + self.state.consumed * dt
