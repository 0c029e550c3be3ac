"""Token buckets in this process: how often one caller may do one thing.

A bucket holds `burst` tokens and gains `burst / per` of them a second. Buckets that are full again are
forgotten, so memory follows the callers of the last minutes, and the number of buckets is capped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from threading import Lock

from app import clock


@dataclass(frozen=True, slots=True)
class Limit:
    """`burst` tokens, refilled evenly over `per`."""

    burst: int
    per: timedelta


@dataclass(frozen=True, slots=True)
class Taken:
    """The answer to one request for a token; `retry_after` and `reset` in seconds."""

    allowed: bool
    limit: int
    remaining: int
    retry_after: float
    reset: float


LIMITS: dict[str, Limit] = {
    "login": Limit(5, timedelta(minutes=15)),
    "setup": Limit(5, timedelta(minutes=15)),
    "token": Limit(100, timedelta(seconds=10)),  # 10 requests a second
    "session": Limit(300, timedelta(seconds=10)),  # a page opens many fragments at once
    "anonymous": Limit(200, timedelta(seconds=10)),
    "actions": Limit(10, timedelta(minutes=1)),
    "socket": Limit(60, timedelta(minutes=1)),
    "watch": Limit(40, timedelta(seconds=10)),
}
_MOST_BUCKETS = 50_000


class Limits:
    """All buckets of this process, by limit name and caller."""

    def __init__(
        self, limits: dict[str, Limit] | None = None, *, monotonic: Callable[[], float] = clock.monotonic
    ) -> None:
        self._limits = LIMITS if limits is None else LIMITS | limits
        self._monotonic = monotonic
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}
        self._lock = Lock()

    def take(self, name: str, key: str) -> Taken:
        """Take one token of `key`'s bucket for the limit `name`."""
        with self._lock:
            limit, level = self._level(name, key)
            allowed = level >= 1.0
            if allowed:
                level -= 1.0
                self._put(name, key, level)
            return _taken(limit, level, allowed=allowed)

    def give_back(self, name: str, key: str) -> None:
        """Return a token (a login that succeeded counts for nothing)."""
        with self._lock:
            limit, level = self._level(name, key)
            self._put(name, key, min(float(limit.burst), level + 1.0))

    def _level(self, name: str, key: str) -> tuple[Limit, float]:
        limit = self._limits[name]
        now = self._monotonic()
        level, at = self._buckets.get((name, key), (float(limit.burst), now))
        gained = (now - at) * limit.burst / limit.per.total_seconds()
        return limit, min(float(limit.burst), level + gained)

    def _put(self, name: str, key: str, level: float) -> None:
        if len(self._buckets) >= _MOST_BUCKETS:
            self._forget_full()
        self._buckets[(name, key)] = (level, self._monotonic())

    def _forget_full(self) -> None:
        full = [pair for pair in self._buckets if self._level(*pair)[1] >= self._limits[pair[0]].burst]
        for pair in full or list(self._buckets)[: _MOST_BUCKETS // 10]:
            del self._buckets[pair]


def _taken(limit: Limit, level: float, *, allowed: bool) -> Taken:
    rate = limit.burst / limit.per.total_seconds()
    retry_after = 0.0 if allowed else (1.0 - level) / rate
    return Taken(allowed, limit.burst, int(level), retry_after, (limit.burst - level) / rate)
