"""Queueing and latency formulas over numpy columns; no state.

Durations are described by mean and variance and drawn as log-normals with these moments (Fenton-Wilkinson
for sums); waiting before saturation follows Sakasegawa's approximation of M/M/c (1977).
"""

from __future__ import annotations

import numpy as np

from app.model.series import Floats

SERVERS = 16.0  # parallel workers of a pod: how late waiting begins as utilisation grows
_EXPONENT = float(np.sqrt(2 * (SERVERS + 1)) - 1)
_TINY = 1e-9


def normal_cdf(x: Floats) -> Floats:
    """Standard normal distribution function by Page's logistic approximation (error < 2e-4)."""
    bounded = np.clip(x, -8.0, 8.0)
    shape = 1.5976 * bounded + 0.070565992 * bounded**3
    return np.asarray(1.0 / (1.0 + np.exp(-shape)))


def log_moments(mean: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of the logarithm of a log-normal with these moments."""
    safe = np.maximum(mean, _TINY)
    sigma2 = np.log1p(variance / (safe * safe))
    return np.log(safe) - sigma2 / 2, np.sqrt(np.maximum(sigma2, 1e-6))


def share_below(bounds: Floats, mean: Floats, variance: Floats) -> Floats:
    """Share of durations under each bound; bounds of shape (k,), moments (n,), answer (n, k)."""
    mu, sigma = log_moments(mean, variance)
    return normal_cdf((np.log(bounds)[None, :] - mu[:, None]) / sigma[:, None])


def share_above(limit: Floats, mean: Floats, variance: Floats) -> Floats:
    """Share of durations over a limit of its own for each row."""
    mu, sigma = log_moments(mean, variance)
    return 1.0 - normal_cdf((np.log(np.maximum(limit, _TINY)) - mu) / sigma)


def bucket_shares(bounds: Floats, mean: Floats, variance: Floats, limit: Floats) -> Floats:
    """Shares per classic bucket, shape (n, len(bounds) + 1), of durations that stayed under `limit`."""
    whole = np.maximum(1.0 - share_above(limit, mean, variance), _TINY)
    below = np.minimum(share_below(bounds, mean, variance) / whole[:, None], 1.0)
    below[bounds[None, :] >= limit[:, None]] = 1.0
    return np.diff(below, axis=1, prepend=0.0, append=1.0)


def stationary_wait(utilisation: Floats, capacity: Floats) -> Floats:
    """Mean seconds in the queue of a pod doing `capacity` requests a second, below saturation."""
    rho = np.clip(utilisation, 0.0, 0.985)
    return np.asarray(rho**_EXPONENT / (1.0 - rho) / np.maximum(capacity, _TINY))


def drain(
    backlog: Floats, arriving: Floats, capacity: Floats, limit: Floats, dt: float
) -> tuple[Floats, Floats]:
    """One step of a fluid queue: (backlog after, work dropped per second because the queue was full)."""
    wanted = np.maximum(backlog + (arriving - capacity) * dt, 0.0)
    kept = np.minimum(wanted, limit)
    return kept, (wanted - kept) / dt


def attempts(failing: Floats, retries: Floats) -> Floats:
    """Mean tries per call when each fails with probability `failing` and `retries` more are allowed."""
    f = np.clip(failing, 0.0, 1.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        series = (1.0 - f ** (retries + 1)) / (1.0 - f)
    return np.where(f > 0.9999, retries + 1.0, series)
