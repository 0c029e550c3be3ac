"""What the fleet's processes have counted since they started: classic histograms and counters, in columns."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from app.model.series import Floats
from demo.pods import Pods, carried, rows_before, survivors

FINE = (0.002, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0)
COARSE = (0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
OUTCOMES = 5  # of a request: answered, missing (404), failed (500), refused (503), given up (504)
CALL_OUTCOMES = 3  # of a call: answered, failed, timed out


def bounds_of(*, big: bool) -> Floats:
    """Upper bounds (seconds) of the fleet's histograms, without +Inf."""
    return np.array(COARSE if big else FINE)


def middles(bounds: Floats) -> Floats:
    """A typical duration of each bucket, the +Inf bucket included."""
    edges = np.concatenate(([0.0], bounds, [bounds[-1] * 2]))
    return np.asarray((edges[1:] + edges[:-1]) / 2)


@dataclass
class Ledger:
    """Cumulative counts. `served` (rows, outcome, bucket), `called` (rows, outcome, bucket or 1), and sums (s)."""

    served: Floats
    served_seconds: Floats
    called: Floats
    called_seconds: Floats
    cpu_seconds: Floats

    def moved(self, old: Pods, new: Pods) -> Ledger:
        """The counts of pods that stay, at their new places; zeros for new ones."""
        pods = survivors(old, new)
        served = rows_before(old.endpoints, new.endpoints, pods)
        called = rows_before(old.calls, new.calls, pods)
        origin = {"cpu_seconds": pods, "called": called, "called_seconds": called}
        moved = {f.name: carried(getattr(self, f.name), origin.get(f.name, served)) for f in fields(self)}
        return Ledger(**moved)


def empty(pods: Pods, buckets: int, call_buckets: int) -> Ledger:
    """All zero."""
    rows, calls = len(pods.endpoints), len(pods.calls)
    return Ledger(
        np.zeros((rows, OUTCOMES, buckets)),
        np.zeros((rows, OUTCOMES)),
        np.zeros((calls, CALL_OUTCOMES, call_buckets)),
        np.zeros((calls, CALL_OUTCOMES)),
        np.zeros(len(pods.views)),
    )
