"""How many people come: a day's curve, slow waves and restlessness, the same for history and for the live model.

A pure function of seed and wall-clock moment, so that written history and running model meet without a step.
"""

from __future__ import annotations

import numpy as np

from app.model.series import Floats

_DAY = 86_400.0
_WAVES = ((5_400.0, 0.03), (1_260.0, 0.02), (410.0, 0.015))
_DAY_SWING = 0.08


def level(seed: int, moments: Floats) -> Floats:
    """Factor around 1 of the fleet's demand at moments (seconds since 1970), shape as given.

    The day swings by 8 % with its top in the evening; three seeded waves add up to 6.5 %.
    """
    phases = np.random.default_rng([seed, 77]).uniform(0.0, 2 * np.pi, len(_WAVES))
    factor = 1.0 + _DAY_SWING * np.sin(2 * np.pi * (moments - 50_400.0) / _DAY)
    for (period, swing), phase in zip(_WAVES, phases, strict=True):
        factor = factor + swing * np.sin(2 * np.pi * moments / period + phase)
    return np.asarray(factor)


def route_levels(seed: int, moments: Floats, routes: int) -> Floats:
    """As `level`, but each entry route breathes a little on its own: shape (len(moments), routes)."""
    rng = np.random.default_rng([seed, 78])
    periods, phases = rng.uniform(300.0, 1800.0, routes), rng.uniform(0.0, 2 * np.pi, routes)
    own = 0.03 * np.sin(2 * np.pi * moments[:, None] / periods + phases)
    return np.asarray(level(seed, moments)[:, None] * (1.0 + own))
