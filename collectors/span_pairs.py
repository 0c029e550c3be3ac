"""Halves of calls and how they find each other: sorted keys on both sides, no dictionary."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from collectors.span_fields import I64, U64

# One waiting half. peer: party its attributes name, -1 = none. span: index in the flush it came with, -1 = before.
HALF = np.dtype(
    [
        ("key", "u8"),
        ("party", "i8"),
        ("peer", "i8"),
        ("end", "i8"),
        ("arrived", "i8"),
        ("weight", "f8"),
        ("bucket", "i8"),
        ("outcome", "i1"),
        ("queued", "?"),
        ("root", "?"),
        ("protocol", "i4"),
        ("trace", "u4"),
        ("span", "i4"),
    ]
)
Halves = NDArray[np.void]


def match(callers: U64, callees: U64) -> tuple[I64, I64]:
    """Indexes of pairs with equal keys: each caller at most once, with one of its callees.

    `callers` come sorted and distinct. The callees are sorted too: searchsorted with sorted probes is eight
    times as fast as with random ones.
    """
    if not len(callers) or not len(callees):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    order = np.argsort(callees)
    probes = callees[order]
    place = np.minimum(np.searchsorted(callers, probes), len(callers) - 1)
    hit = callers[place] == probes
    hit[1:] &= probes[1:] != probes[:-1]
    return place[hit], order[hit]


def in_order(halves: Halves) -> Halves:
    """Halves sorted by key, one of each."""
    ordered: Halves = halves[np.argsort(halves["key"])]
    distinct = np.ones(len(ordered), bool)
    distinct[1:] = ordered["key"][1:] != ordered["key"][:-1]
    return ordered if distinct.all() else ordered[distinct]


def either(caller: NDArray[np.int8], callee: NDArray[np.int8]) -> NDArray[np.int8]:
    """How a call ended, from both sides: a code decides over a bare ERROR, a failure over a caller's fault."""
    return np.maximum(caller, callee)
