"""Which spans were taken already: senders repeat a body when its answer was lost, and a span that was pushed may be
fetched as well.

Keys lie in a table of four ways, each with the step in which it came; a minute later nothing can come again, for it
would be late. A full table forgets: a repeated span may then be taken as new, a new one never as a repeated one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from collectors.span_fields import U64, Bools
from collectors.span_ledger import STEP_NS

_WAYS = 4
_LEAST_BITS, _MOST_BITS = 10, 19  # places in each way; the largest table takes 24 MiB
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_KEPT_STEPS = 2 * 60 * 10**9 // STEP_NS  # as old as a span may be, and as far ahead as its clock


class Seen:
    """The keys of the spans of the last two minutes."""

    def __init__(self) -> None:
        self._make(_LEAST_BITS)
        self._since = 0  # step in which counting began anew
        self._count = 0

    def new(self, keys: U64, step: int) -> Bools:
        """For each key whether it comes for the first time; from now on it is known. `step` is that of now."""
        if step >= self._since + _KEPT_STEPS:
            self._since, self._count = step, 0
        if self._count + len(keys) > self._room:
            self._grow(len(keys), step)
        fresh = self._add(keys, np.full(len(keys), step, np.int32), step - _KEPT_STEPS)
        self._count += int(fresh.sum())
        return fresh

    def _make(self, bits: int) -> None:
        self._bits = bits
        self._keys = np.zeros((_WAYS, 1 << bits), np.uint64)
        self._steps: NDArray[np.int32] = np.zeros((_WAYS, 1 << bits), np.int32)
        self._room = self._keys.size // 4 if bits < _MOST_BITS else 1 << 62

    def _grow(self, more: int, step: int) -> None:
        young = self._steps > step - _KEPT_STEPS
        keys, steps = self._keys[young], self._steps[young]
        self._make(min((2 * (len(keys) + more)).bit_length(), _MOST_BITS))
        self._add(keys, steps, 0)

    def _add(self, keys: U64, steps: NDArray[np.int32], old: int) -> Bools:
        """Put in those of the keys that are not there, over such as came in step `old` or before."""
        place = ((keys * _SPREAD) >> np.uint64(64 - self._bits)).astype(np.int64)
        fresh = np.ones(len(keys), bool)
        for held in self._keys:
            fresh &= held.take(place) != keys
        _only_firsts(keys, fresh)
        left = np.flatnonzero(fresh)
        for way in range(_WAYS):
            at = place[left]
            free = left if way == _WAYS - 1 else left[self._steps[way].take(at) <= old]
            self._keys[way, place[free]], self._steps[way, place[free]] = keys[free], steps[free]
            left = left[self._keys[way].take(at) != keys[left]]
            if not len(left):
                break
        return fresh


def _only_firsts(keys: U64, fresh: Bools) -> None:
    """Of equal keys only the first stays fresh."""
    ordered = np.sort(keys)
    if (ordered[1:] == ordered[:-1]).any():
        first = np.zeros(len(keys), bool)
        first[np.unique(keys, return_index=True)[1]] = True
        fresh &= first
