"""Counts of calls by step of time, kept sparsely: a cell is (row, column) -> amount.

A row is an edge or a (service, version). Its columns are requests, failed, caller errors, raw, spans seen, then
the buckets of the caller's and of the callee's durations.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.model.series import BUCKETS, Floats
from app.model.trace import Outcome
from collectors.span_fields import I64

STEP_NS = 10 * 10**9
EVER = 1 << 62  # a step that never comes

REQUESTS, FAILED, CALLER_ERRORS, RAW, SEEN = range(5)
CLIENT = 5
SERVER = CLIENT + BUCKETS
WIDTH = SERVER + BUCKETS

# Adding up later is cheaper than keeping sums: only when this many cells came, and as many as were summed up before,
# is a step summed while it grows.
_MOST_CELLS = 500_000

Cells = tuple[I64, Floats]


def cells(
    rows: I64,
    *,
    weight: Floats,
    raw: Floats,
    outcome: NDArray[np.int8],
    client: I64 | None = None,
    server: I64 | None = None,
) -> Cells:
    """One call per row -> cells. `client`, `server`: bucket of the duration on that side, -1 = not known.

    `weight` = requests a span stands for, `raw` = spans or messages really seen: requests = weight x raw, a
    duration counts `weight` times.
    """
    base = rows * WIDTH
    requests = weight * raw
    bad = (outcome == Outcome.FAILED) | (outcome == Outcome.UNCODED)
    caller = outcome == Outcome.CALLER
    keys = [base + REQUESTS, base + RAW, base[bad] + FAILED, base[caller] + CALLER_ERRORS]
    amounts = [requests, raw, requests[bad], requests[caller]]
    for first, bucket in ((CLIENT, client), (SERVER, server)):
        if bucket is not None:
            known = bucket >= 0
            keys.append(base[known] + first + bucket[known])
            amounts.append(weight[known])
    return np.concatenate(keys), np.concatenate(amounts)


class Ledger:
    """Cells by step; a step is STEP_NS of the spans' own time."""

    def __init__(self) -> None:
        self._steps: dict[int, list[Cells]] = {}

    def add(
        self,
        step: I64,
        rows: I64,
        *,
        weight: Floats,
        raw: Floats,
        outcome: NDArray[np.int8],
        client: I64 | None = None,
        server: I64 | None = None,
    ) -> None:
        """Count calls, each in its own step."""
        for one in np.unique(step).tolist():
            mine = step == one
            made = cells(
                rows[mine],
                weight=weight[mine],
                raw=raw[mine],
                outcome=outcome[mine],
                client=None if client is None else client[mine],
                server=None if server is None else server[mine],
            )
            self._put(one, made)

    def seen(self, step: int, rows: I64) -> None:
        """Count spans of a row that are no calls to it."""
        self._put(step, (rows * WIDTH + SEEN, np.ones(len(rows))))

    def _put(self, step: int, made: Cells) -> None:
        chunks = self._steps.setdefault(step, [])
        chunks.append(made)
        if sum(len(keys) for keys, _ in chunks[1:]) > max(_MOST_CELLS, len(chunks[0][0])):
            self._steps[step] = [_merge(chunks)]

    def rows(self) -> I64:
        """Rows of which anything is kept, in order."""
        held = [np.unique(keys // WIDTH) for chunks in self._steps.values() for keys, _ in chunks]
        return np.unique(np.concatenate([np.zeros(0, np.int64), *held]))

    def renumber(self, row_map: I64) -> None:
        """Give every row its new number; all kept rows must have one."""
        for step, chunks in self._steps.items():
            self._steps[step] = [(row_map[keys // WIDTH] * WIDTH + keys % WIDTH, n) for keys, n in chunks]

    def total(self, first: int, rows: int, extra: Cells | None = None, *, end: int = EVER) -> Floats:
        """Counts of all steps from `first` on, before `end` (plus `extra` cells), shape (rows, WIDTH)."""
        chunks = [chunk for step, held in self._steps.items() if first <= step < end for chunk in held]
        chunks += [extra] if extra is not None else []
        if not chunks:
            return np.zeros((rows, WIDTH))
        keys, amounts = _beside(chunks)
        return (
            np.bincount(keys, amounts, minlength=rows * WIDTH)
            .astype(np.float64, copy=False)
            .reshape(rows, WIDTH)
        )

    def forget(self, before: int) -> None:
        """Drop steps older than `before`."""
        for step in [step for step in self._steps if step < before]:
            del self._steps[step]


def _beside(chunks: list[Cells]) -> Cells:
    return np.concatenate([keys for keys, _ in chunks]), np.concatenate([amounts for _, amounts in chunks])


def _merge(chunks: list[Cells]) -> Cells:
    """Equal keys added up."""
    keys, amounts = _beside(chunks)
    distinct, which = np.unique(keys, return_inverse=True)
    return distinct, np.bincount(which, amounts).astype(np.float64)
