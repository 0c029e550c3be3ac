"""Minute frames of one element, for what is usual of it."""

from __future__ import annotations

import numpy as np

from app.model.fleet import Frame
from app.model.series import BUCKETS, histogram
from tests.support.fleets import MINUTE, NOON


def frame(
    i: int, *, p95: float = 0.1, requests: float = 600.0, failed: float = 0.0, health: str = "healthy"
) -> Frame:
    latency = np.zeros((1, BUCKETS)) if np.isnan(requests) else (histogram(np.array([p95])) * requests)[None]
    none = np.zeros(0)
    return Frame(
        "demo",
        NOON + i * MINUTE,
        MINUTE,
        ("a",),
        np.array([requests]),
        np.array([failed]),
        latency,
        (),
        none,
        none,
        np.zeros((0, BUCKETS)),
        (health,),
    )
