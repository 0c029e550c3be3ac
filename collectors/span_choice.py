"""Which calls of an edge are worth keeping as examples: the slowest, failed ones, and one of usual length.

Each edge has five places for every ten minutes; whatever the traffic, a join touches them with a few operations on
columns. Only the key of a call's span is noted here; `span_keep` finds the spans of its trace later.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.model.example import Why
from app.model.trace import Outcome
from collectors.span_fields import I64, U64

STRETCH_NS = 600 * 10**9
_SLOW, _FAILED, _TYPICAL = slice(0, 2), slice(2, 4), 4
_WHY = (Why.SLOW, Why.SLOW, Why.FAILED, Why.FAILED, Why.TYPICAL)
_PLACES = len(_WHY)
_MOST_SLOW = 4  # slow calls of an edge handed on in a stretch: two, and two that beat them later
_MOST_FAILED = 2
_EMPTY = -1
_NEVER = np.iinfo(np.int16).max
_SAMPLES = 3  # joins that must have shown an edge before one of its calls can be called typical
_STALE_NS = 60 * 10**9  # what was not asked for by then is forgotten: its bodies are gone


@dataclass(frozen=True, slots=True)
class Chosen:
    """One call: the row of its edge, the key of its span (the caller's where there is one), and why."""

    row: int
    key: int
    why: Why


class Choice:
    """The places of all edges of one joiner. Not thread-safe: its owner holds a lock."""

    def __init__(self) -> None:
        self._stretch = 0
        self._now = 0
        self._key: U64 = np.zeros((0, _PLACES), np.uint64)
        self._at: I64 = np.zeros((0, _PLACES), np.int64)  # when it was chosen, 0 = not waiting to be taken
        self._bucket: NDArray[np.int16] = np.zeros((0, _PLACES), np.int16)
        self._bar: NDArray[np.int16] = np.zeros(0, np.int16)  # a call in a higher bucket is slow
        self._taken: NDArray[np.int16] = np.zeros((0, 2), np.int16)  # slow and failed ones of this stretch
        self._usual: NDArray[np.int16] = np.zeros(0, np.int16)
        self._samples: NDArray[np.int16] = np.zeros(0, np.int16)
        self._wanted: NDArray[np.int16] = np.zeros(0, np.int16)  # bucket of a typical call, -1 = none wanted

    def begin(self, now_ns: int) -> None:
        """A join begins; with a new stretch of ten minutes every place is free again."""
        self._now = now_ns
        if now_ns // STRETCH_NS != self._stretch:
            self._stretch = now_ns // STRETCH_NS
            self._bucket[:] = _EMPTY
            self._bar[:] = _EMPTY
            self._taken[:] = 0
            self._wanted[:] = np.where(self._samples >= _SAMPLES, self._usual, _EMPTY)

    def wants(self, row: int, bucket: int, outcome: int) -> bool:
        """Whether `offer` would look at this one call; for those that are booked one at a time."""
        if row >= len(self._bar) or bucket > self._bar[row] or bucket == self._wanted[row]:
            return True
        return _is_bad(outcome) or bool(self._samples[row] < _SAMPLES)

    def offer(self, rows: I64, key: U64, bucket: I64, outcome: NDArray[np.int8]) -> None:
        """Look at calls: their edges' rows, the keys of their spans, buckets of their durations, outcomes."""
        if not len(rows):
            return
        self._grow(int(rows.max()) + 1)
        length = bucket.astype(np.int16)
        slow = np.flatnonzero(length > self._bar[rows])
        if len(slow):
            self._choose_slow(rows[slow], key[slow], length[slow])
        bad = np.flatnonzero((outcome == Outcome.FAILED) | (outcome == Outcome.UNCODED))
        if len(bad):
            self._choose_failed(rows[bad], key[bad], length[bad])
        usual = np.flatnonzero(length == self._wanted[rows])
        if len(usual):
            self._put(rows[usual], _TYPICAL, key[usual], length[usual])
            self._wanted[rows[usual]] = _EMPTY
        self._learn(rows, length)

    def keep(self, rows: I64) -> None:
        """Edges were numbered anew: what was row `rows[i]` is row i, all others are gone."""
        self._grow(int(rows.max(initial=-1)) + 1)
        for name in ("_key", "_at", "_bucket", "_bar", "_taken", "_usual", "_samples", "_wanted"):
            setattr(self, name, getattr(self, name)[rows])

    def ripe(self, before: int, most: int) -> list[Chosen]:
        """Up to `most` calls chosen before a moment (ns), failed ones first; `settle` must follow."""
        stale = (self._at > 0) & (self._at < before - _STALE_NS)
        if stale.any():
            self._forget(*np.nonzero(stale))
        row, place = np.nonzero((self._at > 0) & (self._at <= before))
        rank = np.array([1, 1, 0, 0, 2])[place]
        order = np.lexsort((self._at[row, place], rank))[:most]
        found = zip(row[order].tolist(), place[order].tolist(), strict=True)
        return [Chosen(one, int(self._key[one, at]), _WHY[at]) for one, at in found]

    def settle(self, done: Iterable[Chosen], lost: Iterable[Chosen]) -> None:
        """The traces of some calls are kept, the spans of others are not at hand: another may take their place."""
        for one in done:
            self._done(one)
        for one in lost:
            mine = self._places(one)
            if len(mine):
                self._forget(np.full(len(mine), one.row), mine)

    def _done(self, taken: Chosen) -> None:
        """The place waits for nothing any more, and still holds its bar."""
        mine = self._places(taken)
        if not len(mine):
            return
        self._at[taken.row, mine] = 0
        if taken.why is Why.SLOW:
            self._taken[taken.row, 0] += 1
            self._set_bar(np.array([taken.row]))
        elif taken.why is Why.FAILED:
            self._taken[taken.row, 1] += 1

    def _places(self, one: Chosen) -> I64:
        if one.row >= len(self._bar):  # edges may have been numbered anew
            return np.zeros(0, np.int64)
        return np.flatnonzero((self._key[one.row] == np.uint64(one.key)) & (self._at[one.row] > 0))

    def _forget(self, row: I64, place: I64) -> None:
        self._at[row, place] = 0
        self._bucket[row, place] = _EMPTY
        self._set_bar(row)
        typical = row[place == _TYPICAL]
        self._wanted[typical] = self._usual[typical]

    def _set_bar(self, row: I64) -> None:
        """Where the less slow of the two slow calls lies; out of reach once enough were handed on."""
        enough = self._taken[row, 0] >= _MOST_SLOW
        self._bar[row] = np.where(enough, _NEVER, self._bucket[row, _SLOW].min(axis=1))

    def _choose_slow(self, rows: I64, key: U64, length: NDArray[np.int16]) -> None:
        """The slowest of each edge takes the place of the less slow one of the two before it."""
        first = _last_of_each(rows, np.argsort(length, kind="stable"))
        row = rows[first]
        place = self._bucket[row, _SLOW].argmin(axis=1)
        self._put(row, place, key[first], length[first])
        self._set_bar(row)

    def _choose_failed(self, rows: I64, key: U64, length: NDArray[np.int16]) -> None:
        first = _last_of_each(rows, np.arange(len(rows)))
        waiting = (self._at[rows[first], _FAILED] > 0).sum(axis=1)
        first = first[self._taken[rows[first], 1] + waiting < _MOST_FAILED]
        if len(first):
            row = rows[first]
            place = 2 + (self._at[row, _FAILED] > 0).argmin(axis=1)
            self._put(row, place, key[first], length[first])

    def _put(self, row: I64, place: I64 | int, key: U64, length: NDArray[np.int16]) -> None:
        self._key[row, place], self._at[row, place], self._bucket[row, place] = key, self._now, length

    def _learn(self, rows: I64, length: NDArray[np.int16]) -> None:
        """Move each edge's usual bucket one step towards one of its calls.

        A running median in one number (Ma, Muthukrishnan, Sandler: Frugal streaming, 2013).
        """
        sample = np.full(len(self._usual), _EMPTY, np.int16)
        sample[rows] = length
        row = np.flatnonzero(sample >= 0)
        seen = sample[row]
        new = self._samples[row] == 0
        self._usual[row] = np.where(new, seen, self._usual[row] + np.sign(seen - self._usual[row]))
        ready = row[self._samples[row] == _SAMPLES - 1]
        self._samples[row] = np.minimum(self._samples[row] + 1, _SAMPLES)
        self._wanted[ready] = self._usual[ready]

    def _grow(self, rows: int) -> None:
        have = len(self._bar)
        if rows <= have:
            return
        more = max(rows, 2 * have, 64) - have
        self._key = np.concatenate([self._key, np.zeros((more, _PLACES), np.uint64)])
        self._at = np.concatenate([self._at, np.zeros((more, _PLACES), np.int64)])
        self._bucket = np.concatenate([self._bucket, np.full((more, _PLACES), _EMPTY, np.int16)])
        self._bar = np.concatenate([self._bar, np.full(more, _EMPTY, np.int16)])
        self._taken = np.concatenate([self._taken, np.zeros((more, 2), np.int16)])
        self._usual = np.concatenate([self._usual, np.zeros(more, np.int16)])
        self._samples = np.concatenate([self._samples, np.zeros(more, np.int16)])
        self._wanted = np.concatenate([self._wanted, np.full(more, _EMPTY, np.int16)])


def _is_bad(outcome: int) -> bool:
    return outcome in (Outcome.FAILED, Outcome.UNCODED)


def _last_of_each(rows: I64, order: I64) -> I64:
    """Of each distinct row the occurrence that comes last in `order`."""
    at = np.full(int(rows.max()) + 1, -1)
    at[rows[order]] = order
    found: I64 = at[at >= 0]
    return found
