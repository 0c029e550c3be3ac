"""What a test wants to know of the running model: a service's rate, failures and p95, as its own metrics have them."""

from dataclasses import dataclass

import numpy as np

from demo.model import Fleet
from demo.scenario import Director


@dataclass(frozen=True)
class Figures:
    rate: float
    errors: float
    p95: float


def figures_of(fleet: Fleet, service: str) -> Figures:
    """Expected figures of the last step over all pods and routes of a service; seconds and shares."""
    endpoints, rows = fleet.plan.catalog.endpoints, fleet.pods.endpoints
    mine = [endpoints[e].service == service and not endpoints[e].topic for e in rows.thing]
    rates = fleet.served_rates()[np.array(mine)]
    total = float(rates.sum())
    buckets = np.cumsum(rates.sum(axis=(0, 1)))
    place = int(np.searchsorted(buckets, 0.95 * total))
    below = float(buckets[place - 1]) if place else 0.0
    edges = np.concatenate(([0.0], fleet.bounds, [fleet.bounds[-1] * 2]))
    inside = (0.95 * total - below) / (float(buckets[place]) - below)
    p95 = float(edges[place] + inside * (edges[place + 1] - edges[place]))
    return Figures(total, float(rates[:, 2:].sum()) / total, p95)


def run(fleet: Fleet, director: Director | None, seconds: int) -> None:
    """Seconds of model time, one step each."""
    for _ in range(seconds):
        if director:
            director.tick()
        fleet.step(1.0)


def served_total(fleet: Fleet, service: str) -> float:
    """Requests that the present pods of a service have counted since they started."""
    endpoints, rows = fleet.plan.catalog.endpoints, fleet.pods.endpoints
    mine = [endpoints[e].service == service and not endpoints[e].topic for e in rows.thing]
    return float(fleet.ledger.served[np.array(mine)].sum())
