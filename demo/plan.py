"""A catalog compiled to columns: indexes of services, endpoints, calls, stores and topics, and nominal rates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from app.model.series import Floats
from demo.catalog import Call, Catalog, Endpoint, Service, Store, Topic

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """Columns of one catalog.

    A *target* is what a call reaches: endpoints come first, then stores, then topics, in catalog order.
    """

    catalog: Catalog

    @cached_property
    def service_at(self) -> dict[tuple[str, str], int]:
        """Index of a service by (namespace, name)."""
        return {(s.namespace, s.name): i for i, s in enumerate(self.catalog.services)}

    @cached_property
    def endpoint_service(self) -> Index:
        """Service index of each endpoint."""
        at = {s.name: i for i, s in enumerate(self.catalog.services)}
        return np.array([at[e.service] for e in self.catalog.endpoints])

    @cached_property
    def targets(self) -> tuple[Endpoint | Store | Topic, ...]:
        """Everything a call can reach."""
        return (*self.catalog.endpoints, *self.catalog.stores, *self.catalog.topics)

    @cached_property
    def target_at(self) -> dict[str, int]:
        """Index of a target by the name calls use."""
        names = [t.key if isinstance(t, Endpoint) else t.name for t in self.targets]
        return {name: i for i, name in enumerate(names)}

    @cached_property
    def source(self) -> Index:
        """Endpoint index of each call's source."""
        return np.array([self.target_at[c.source] for c in self.catalog.calls])

    @cached_property
    def target(self) -> Index:
        """Target index of each call."""
        return np.array([self.target_at[c.target] for c in self.catalog.calls])

    @cached_property
    def calls_of(self) -> dict[int, list[int]]:
        """Call indexes by endpoint index, in order."""
        found: dict[int, list[int]] = {}
        for i, source in enumerate(self.source.tolist()):
            found.setdefault(source, []).append(i)
        return found

    @cached_property
    def endpoints_of(self) -> dict[int, list[int]]:
        """Endpoint indexes by service index."""
        found: dict[int, list[int]] = {}
        for i, service in enumerate(self.endpoint_service.tolist()):
            found.setdefault(service, []).append(i)
        return found

    @cached_property
    def entry(self) -> Index:
        """Endpoint indexes that outside demand reaches."""
        return np.array([self.target_at[key] for key in self.catalog.demand])

    @cached_property
    def consumers(self) -> Index:
        """Endpoint indexes that consume a topic."""
        return np.array([i for i, e in enumerate(self.catalog.endpoints) if e.topic], dtype=np.int64)

    @cached_property
    def consumed(self) -> Index:
        """Target index of the topic of each consumer."""
        endpoints = self.catalog.endpoints
        return np.array([self.target_at[endpoints[i].topic] for i in self.consumers], dtype=np.int64)

    def service(self, field: str) -> Floats:
        """A numeric field of all services."""
        return _column(self.catalog.services, field)

    def endpoint(self, field: str) -> Floats:
        """A numeric field of all endpoints."""
        return _column(self.catalog.endpoints, field)

    def call(self, field: str) -> Floats:
        """A numeric field of all calls."""
        return _column(self.catalog.calls, field)

    def store(self, field: str) -> Floats:
        """A numeric field of all stores."""
        return _column(self.catalog.stores, field)

    def nominal(self) -> tuple[Floats, Floats]:
        """Rates (1/s) at demand level 1 without failures: of endpoints, and of calls."""
        endpoints = len(self.catalog.endpoints)
        outside = np.zeros(endpoints)
        np.add.at(outside, self.entry, np.array(list(self.catalog.demand.values())))
        times, rates = self.call("times"), outside
        for _ in range(32):
            reached = gathered(self.target, rates[self.source] * times, len(self.targets))
            settled = outside + reached[:endpoints]
            settled[self.consumers] += reached[self.consumed]
            if np.allclose(settled, rates):
                break
            rates = settled
        return rates, rates[self.source] * times


def _column(
    rows: tuple[Service, ...] | tuple[Endpoint, ...] | tuple[Call, ...] | tuple[Store, ...], field: str
) -> Floats:
    return np.array([getattr(row, field) for row in rows], dtype=np.float64)


def gathered(index: Index, weights: Floats | NDArray[np.bool_], size: int) -> Floats:
    """Sum of `weights` per index, shape (size,)."""
    return np.asarray(np.bincount(index, weights, size), dtype=np.float64)
