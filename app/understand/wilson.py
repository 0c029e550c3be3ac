"""How bad a ratio surely is, and at most: the Wilson score interval (E. B. Wilson, 1927; JASA 22, 209-212)."""

from __future__ import annotations

import numpy as np

from app.model.series import Floats

Z = 1.96  # 95 %


def lower_bound(failed: Floats, total: Floats, z: float = Z) -> Floats:
    """Lower bound of the interval of failed/total (95 % by default), per element; NaN where total is 0 or unknown."""
    return _bound(failed, total, -1, z)


def upper_bound(failed: Floats, total: Floats) -> Floats:
    """Upper bound of the 95 % interval of failed/total, per element; NaN where total is 0 or unknown."""
    return _bound(failed, total, 1, Z)


def _bound(failed: Floats, total: Floats, side: int, z: float) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.clip(failed / total, 0.0, 1.0)
        spread = z * np.sqrt(ratio * (1 - ratio) / total + z * z / (4 * total * total))
        bound = (ratio + z * z / (2 * total) + side * spread) / (1 + z * z / total)
    return np.asarray(np.where(total > 0, bound, np.nan), dtype=np.float64)
