"""From the state of a step to the events that its processes would count: expected rates per outcome and bucket."""

from __future__ import annotations

import numpy as np

from app.model.series import Floats
from demo import queueing
from demo.ledger import CALL_OUTCOMES, OUTCOMES
from demo.plan import Plan, gathered
from demo.pods import Pods
from demo.state import Figures, PodState, RowState, State

NETWORK_SECONDS = 0.0008
REFUSAL_SECONDS = 0.002


def served_rates(figures: Figures, pods: Pods, p: PodState, rows: RowState, bounds: Floats) -> Floats:
    """Expected requests per second, shape (pod-endpoint rows, OUTCOMES, buckets)."""
    pod, endpoint = pods.endpoints.pod, pods.endpoints.thing
    deadline, missing = figures.deadline[endpoint], figures.missing[endpoint]
    shares = queueing.bucket_shares(bounds, rows.mean, rows.variance, deadline)
    let_in = rows.rate * (1.0 - p.refused[pod])
    in_time = let_in * (1.0 - rows.late)
    good = in_time * (1.0 - rows.failed)
    rates = np.zeros((len(rows.rate), OUTCOMES, shares.shape[1]))
    rates[:, 0] = (good * (1.0 - missing))[:, None] * shares
    rates[:, 1] = (good * missing)[:, None] * shares
    rates[:, 2] = (in_time * rows.failed)[:, None] * shares
    rates[:, 3, int(np.searchsorted(bounds, REFUSAL_SECONDS))] = rows.rate * p.refused[pod]
    rates[np.arange(len(deadline)), 4, np.searchsorted(bounds, deadline)] = let_in * rows.late
    return rates


def called_rates(
    plan: Plan, figures: Figures, pods: Pods, s: State, p: PodState, bounds: Floats | None
) -> tuple[Floats, Floats]:
    """Expected calls per second, shape (pod-call rows, CALL_OUTCOMES, buckets), and their mean seconds.

    Without `bounds` there is one bucket for all.
    """
    call = pods.calls.thing
    works = p.share * (1.0 - p.refused)
    total = gathered(pods.service, works, len(figures.capacity))
    rate = s.call_rate[call] * (works / np.maximum(total, 1e-9)[pods.service])[pods.calls.pod]
    answered, failing = 1.0 - s.call_timeout, s.failing[plan.target]
    outcome = np.stack([answered * (1.0 - failing), answered * failing, s.call_timeout], axis=1)
    mean = s.mean[plan.target] + NETWORK_SECONDS
    seconds = np.stack([mean, mean, figures.timeout], axis=1)[call]
    if bounds is None:
        return (rate[:, None] * outcome[call])[:, :, None], seconds
    shares = queueing.bucket_shares(bounds, mean, s.variance[plan.target], figures.timeout)
    cells = outcome[:, :, None] * np.repeat(shares[:, None, :], CALL_OUTCOMES, axis=1)
    cells[:, 2] = 0.0
    cells[np.arange(len(mean)), 2, np.searchsorted(bounds, figures.timeout)] = outcome[:, 2]
    return rate[:, None, None] * cells[call], seconds
