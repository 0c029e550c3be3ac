"""What is wrong with the fleet right now: knobs that scenarios turn and the model reads."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from app.model.series import Floats
from demo.plan import Plan


@dataclass(frozen=True, slots=True)
class VersionFault:
    """A release that answers `errors` of its requests with 500 and takes `slower` times as long."""

    errors: float
    slower: float


BAD_VERSIONS = {("payment", "4.2.0"): VersionFault(errors=0.25, slower=1.8)}


@dataclass
class Faults:
    """Columns of factors (1 = normal) in the order of the plan, and the nodes that do not answer."""

    demand: Floats  # per entry route
    capacity: Floats  # per service
    store_slower: Floats  # per store
    store_errors: Floats  # per store, share of failing calls
    retries: Floats  # per call, replaces the catalog's number
    lost_nodes: set[str] = field(default_factory=set)


def no_faults(plan: Plan) -> Faults:
    """A quiet fleet."""
    stores = len(plan.catalog.stores)
    return Faults(
        demand=np.ones(len(plan.entry)),
        capacity=np.ones(len(plan.catalog.services)),
        store_slower=np.ones(stores),
        store_errors=np.full(stores, 2e-5),
        retries=plan.call("retries"),
    )
