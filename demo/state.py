"""The columns that the fleet's model works with: what the catalog fixes, and what one step leaves to the next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.model.series import Floats
from demo.plan import Plan


@dataclass(frozen=True)
class Figures:
    """The catalog's numbers, in the plan's order: of endpoints, of calls, of services."""

    seconds: Floats
    spread: Floats
    cost: Floats
    missing: Floats
    deadline: Floats
    times: Floats
    critical: Floats
    timeout: Floats
    capacity: Floats
    threads: Floats
    queue: Floats
    cpu_millis: Floats


def figures(plan: Plan) -> Figures:
    """Read them from a catalog."""
    endpoint = {name: plan.endpoint(name) for name in ("seconds", "spread", "cost", "missing", "deadline")}
    call = {name: plan.call(name) for name in ("times", "critical", "timeout")}
    service = {name: plan.service(name) for name in ("capacity", "threads", "queue", "cpu_millis")}
    return Figures(**endpoint, **call, **service)


@dataclass
class State:
    """What the last step found; a step reads the old and leaves the new.

    Endpoints: rate (arriving, 1/s). Services: refused (share). Targets: mean, variance (s, s²), failing, lost
    (shares). Calls: call_rate (attempts, 1/s), call_failing and call_timeout (shares of attempts).
    Dependencies of an endpoint: dep_mean, dep_variance, dep_failing. Consumers: lag (messages), consumed (1/s).
    Topics: produced (1/s).
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


def quiet(plan: Plan) -> State:
    """Nominal rates, nothing wrong: where the model begins to settle from."""
    rates, call_rates = plan.nominal()
    targets, endpoints, calls = len(plan.targets), len(rates), len(call_rates)
    return State(
        rate=rates,
        refused=np.zeros(len(plan.catalog.services)),
        mean=np.full(targets, 0.005),
        variance=np.full(targets, 1e-6),
        failing=np.zeros(targets),
        lost=np.zeros(targets),
        call_rate=call_rates,
        call_failing=np.zeros(calls),
        call_timeout=np.zeros(calls),
        dep_mean=np.zeros(endpoints),
        dep_variance=np.zeros(endpoints),
        dep_failing=np.zeros(endpoints),
        lag=np.zeros(len(plan.consumers)),
        consumed=rates[plan.consumers],
        produced=np.zeros(len(plan.catalog.topics)),
    )


@dataclass
class PodState:
    """Per pod: share of its service's traffic, backlog (requests), wait (s), refused (share), utilisation, lost."""

    share: Floats
    backlog: Floats
    wait: Floats
    refused: Floats
    utilisation: Floats
    lost: NDArray[np.bool_]


def idle_pods(count: int) -> PodState:
    """Nothing to do yet."""
    share, backlog, wait, refused, utilisation = np.zeros((5, count))
    return PodState(share, backlog, wait, refused, utilisation, np.zeros(count, dtype=bool))


@dataclass
class RowState:
    """Per (pod, endpoint): arriving rate, latency moments, and the shares late (504) and failed (500)."""

    rate: Floats
    mean: Floats
    variance: Floats
    late: Floats
    failed: Floats
