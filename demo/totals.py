"""Everything that ever happened in the fleet, whatever became of the pods: the truth that evidence is held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from app.model.series import Floats
from demo.catalog import Endpoint, Service, Store, Topic
from demo.ledger import CALL_OUTCOMES, OUTCOMES
from demo.plan import Index, Plan

OUTSIDE = "user"
_ANSWERED = 2  # outcomes of a request that are no failure: answered, missing


@dataclass(frozen=True, slots=True)
class Flow:
    """Calls of a service (None = from outside) to a service or store since the start.

    `counts` (CALL_OUTCOMES, buckets): answered, failed, timed out. `seconds` is their sum.
    """

    source: Service | None
    target: Service | Store
    counts: Floats
    seconds: float


@dataclass(frozen=True, slots=True)
class Passed:
    """Messages of a topic since the start: sent by a service, or processed by one (`consumer`)."""

    topic: Topic
    service: Service
    consumer: bool
    counts: Floats
    seconds: float


class Totals:
    """Sums over all pods by endpoint and by call. `add` takes what one step counted."""

    def __init__(self, plan: Plan, buckets: int, call_buckets: int) -> None:
        self._plan = plan
        self._served = np.zeros((len(plan.catalog.endpoints), OUTCOMES, buckets))
        self._called = np.zeros((len(plan.catalog.calls), CALL_OUTCOMES, call_buckets))
        self._served_seconds = np.zeros(len(self._served))
        self._called_seconds = np.zeros(len(self._called))

    def add_served(self, endpoint: Index, counts: Floats, seconds: Floats) -> None:
        """Requests per (pod, endpoint) row, and the sum of their seconds by outcome."""
        _add(self._served, endpoint, counts)
        _add(self._served_seconds, endpoint, seconds.sum(axis=1))

    def add_called(self, call: Index, counts: Floats, seconds: Floats) -> None:
        """Calls per (pod, call) row, and the sum of their seconds by outcome."""
        _add(self._called, call, counts)
        _add(self._called_seconds, call, seconds.sum(axis=1))

    def flows(self) -> list[Flow]:
        """Calls by pair, those from outside first."""
        plan = self._plan
        outside = [self._outside(int(endpoint)) for endpoint in plan.entry]
        inside = [
            Flow(self._caller(c), self._place(target), self._called[c], float(self._called_seconds[c]))
            for c in range(len(self._called))
            if not isinstance(target := plan.targets[plan.target[c]], Topic)
        ]
        merged: dict[tuple[str, str], Flow] = {}
        for flow in (*outside, *inside):
            key = (flow.source.name if flow.source else "", flow.target.name)
            known = merged.get(key)
            merged[key] = flow if known is None else _together(known, flow)
        return list(merged.values())

    def messages(self) -> list[Passed]:
        """Sends and processing by topic and service."""
        plan, found = self._plan, []
        for c, at in enumerate(plan.target.tolist()):
            topic = plan.targets[at]
            if isinstance(topic, Topic):
                counts, seconds = self._called[c], float(self._called_seconds[c])
                found.append(Passed(topic, self._caller(c), consumer=False, counts=counts, seconds=seconds))
        for endpoint, at in zip(plan.consumers.tolist(), plan.consumed.tolist(), strict=True):
            topic = plan.targets[at]
            assert isinstance(topic, Topic)
            counts, seconds = _as_calls(self._served[endpoint]), float(self._served_seconds[endpoint])
            found.append(
                Passed(topic, self._service(endpoint), consumer=True, counts=counts, seconds=seconds)
            )
        return found

    def truth(self) -> list[dict[str, Any]]:
        """Calls and failures by edge since the start; stores by host, topics by name, the outside as `user`."""
        rows = [
            (flow.source.name if flow.source else OUTSIDE, _shown(flow.target), flow.counts)
            for flow in self.flows()
        ]
        for one in self.messages():
            ends = (one.topic.name, one.service.name) if one.consumer else (one.service.name, one.topic.name)
            rows.append((*ends, one.counts))
        merged: dict[tuple[str, str], list[float]] = {}
        for source, target, counts in rows:
            edge = merged.setdefault((source, target), [0.0, 0.0])
            edge[0] += float(counts.sum())
            edge[1] += float(counts[1:].sum())
        return [{"source": a, "target": b, "calls": n, "failed": k} for (a, b), (n, k) in merged.items()]

    def _outside(self, endpoint: int) -> Flow:
        counts = _as_calls(self._served[endpoint])
        return Flow(None, self._service(endpoint), counts, float(self._served_seconds[endpoint]))

    def _caller(self, call: int) -> Service:
        return self._service(int(self._plan.source[call]))

    def _service(self, endpoint: int) -> Service:
        return self._plan.catalog.services[int(self._plan.endpoint_service[endpoint])]

    def _place(self, target: Endpoint | Store) -> Service | Store:
        if isinstance(target, Store):
            return target
        return self._service(self._plan.target_at[target.key])


def _add(into: Floats, place: Index, values: Floats) -> None:
    """`into[place] += values`, places repeating."""
    if not len(place):
        return
    order = np.argsort(place, kind="stable")
    ordered = place[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    into[ordered[starts]] += np.add.reduceat(values[order], starts, axis=0)


def _as_calls(served: Floats) -> Floats:
    """Outcomes of requests as those of calls: answered, failed, never timed out by the caller."""
    failed = served[_ANSWERED:].sum(axis=0)
    return np.stack([served[:_ANSWERED].sum(axis=0), failed, np.zeros_like(failed)])


def _together(one: Flow, other: Flow) -> Flow:
    return Flow(one.source, one.target, one.counts + other.counts, one.seconds + other.seconds)


def _shown(target: Service | Store) -> str:
    return target.host if isinstance(target, Store) else target.name
