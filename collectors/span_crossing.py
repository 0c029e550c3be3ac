"""Which edges whole traces use, for a uniform choice of traces: what an outage of one of them would touch.

A trace is chosen by the bits of its id, so all its spans are, in whichever join they come. The share adapts: when
more is noted than can be kept, half of the chosen traces are dropped and from then on only their like is chosen.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from app.model.fleet import Crossings, Ints
from app.model.series import Floats
from collectors.span_columns import spread
from collectors.span_fields import I64, U64
from collectors.span_ledger import STEP_NS

U32 = NDArray[np.uint32]
KEPT_STEPS = 60
_MOST = 40_000  # (trace, edge) pairs: some thousand traces, and a few milliseconds to add them up
_ALL = 1 << 32
_ROOT, _ORPHAN = 0, 1

# A place where a trace enters; rank: a root span tells better than one whose parent never came.
ENTRY = np.dtype([("trace", "u4"), ("rank", "u1"), ("party", "i8"), ("weight", "f8")])
Entries = NDArray[np.void]


def short(trace: U64) -> U32:
    """The low halves of trace ids as evenly spread numbers of 32 bits."""
    found: U32 = (spread(trace) >> np.uint64(32)).astype(np.uint32)
    return found


@dataclass(frozen=True, slots=True)
class Places:
    """How numbers of parties and rows of edges read in a witness, -1 = not in it.

    source, target: the (resolved) parties of each row.
    """

    party: I64
    row: I64
    source: I64
    target: I64


class CrossingLog:
    """Edges and entries of chosen traces in the last ten minutes."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._limit = _ALL
        self._step = 0
        self._first = 0
        self._count = 0
        self._edges: dict[int, list[U64]] = defaultdict(list)
        self._entries: dict[int, list[Entries]] = defaultdict(list)

    def begin(self, step: int) -> None:
        """What comes now counts for this step; older ones than are kept are dropped."""
        self._first = self._first or step
        if step != self._step:
            self._step = step
            for kept in (self._edges, self._entries):
                for old in [one for one in kept if one <= step - KEPT_STEPS]:
                    del kept[old]
            self._tighten()

    def use(self, trace: U32, row: I64) -> None:
        """Calls of some traces over edges."""
        chosen = self._chosen(trace)
        if len(chosen):
            self._edges[self._step].append(
                trace[chosen].astype(np.uint64) << np.uint64(32) | row[chosen].astype(np.uint64)
            )
            self._count += len(chosen)
            if self._count > self._most:
                self._tighten()

    def enter(self, trace: U32, party: I64, weight: Floats, *, orphan: bool = False) -> None:
        """Spans where traces enter: roots, or such whose parent never came."""
        chosen = self._chosen(trace)
        if len(chosen):
            made = np.zeros(len(chosen), ENTRY)
            made["trace"], made["party"], made["weight"] = trace[chosen], party[chosen], weight[chosen]
            made["rank"] = _ORPHAN if orphan else _ROOT
            self._entries[self._step].append(made)
            self._count += len(chosen)

    def renumber(self, parties: I64, rows: I64) -> None:
        """Give parties and rows their new numbers; what has none is dropped."""
        for step, chunks in self._edges.items():
            codes = np.concatenate(chunks)
            row = rows[(codes & np.uint64(0xFFFFFFFF)).astype(np.int64)]
            high = codes & np.uint64(0xFFFFFFFF00000000)
            self._edges[step] = [(high | row.astype(np.uint64))[row >= 0]]
        for step, found in self._entries.items():
            entries = np.concatenate(found)
            entries["party"] = parties[entries["party"]]
            self._entries[step] = [entries[entries["party"] >= 0]]

    def _chosen(self, trace: U32) -> I64:
        return np.flatnonzero(trace < self._limit) if self._limit < _ALL else np.arange(len(trace))

    def _tighten(self) -> None:
        """Keep each pair of a step once; as long as that is still too much, keep half of the traces."""
        while True:
            limit = np.uint64(self._limit)
            for step, chunks in self._edges.items():
                codes = _distinct(np.concatenate(chunks))
                self._edges[step] = [codes[codes >> np.uint64(32) < limit]]
            for step, found in self._entries.items():
                entries = np.concatenate(found)
                self._entries[step] = [entries[entries["trace"] < limit]]
            self._count = sum(len(chunk) for chunks in self._edges.values() for chunk in chunks)
            self._count += sum(len(chunk) for chunks in self._entries.values() for chunk in chunks)
            if self._count <= self._most // 2 or self._limit <= 1:
                return
            self._limit //= 2

    def told(self, places: Places) -> Crossings | None:
        """What the chosen traces of the last ten minutes show; None = there was none with an entry."""
        entries = self._whole_entries(places)
        if not len(entries):
            return None
        place, entry = np.unique(places.party[entries["party"]], return_inverse=True)
        found = (chunk for chunks in self._edges.values() for chunk in chunks)
        codes = _distinct(np.concatenate([np.zeros(0, np.uint64), *found]))
        trace = codes >> np.uint64(32)
        at = np.minimum(np.searchsorted(entries["trace"], trace), len(entries) - 1)
        known = entries["trace"][at] == trace
        at, row = at[known], (codes[known] & np.uint64(0xFFFFFFFF)).astype(np.int64)
        ends = np.concatenate([places.party[places.source[row]], places.party[places.target[row]]])
        here = np.arange(len(entries))
        touched = np.concatenate([at, at, here]), np.concatenate([ends, place[entry]])
        node_entry, node_party, node_requests = _shares(entry, entries["weight"], *touched)
        edge_entry, edge_row, edge_requests = _shares(entry, entries["weight"], at, places.row[row])
        steps = min(self._step - self._first + 1, KEPT_STEPS)
        return Crossings(
            window=timedelta(seconds=steps * STEP_NS / 1e9),
            share=self._limit / _ALL,
            entry=place.astype(np.int32),
            traces=np.bincount(entry).astype(np.float64),
            requests=np.bincount(entry, entries["weight"]).astype(np.float64),
            node_entry=node_entry,
            node_party=node_party,
            node_requests=node_requests,
            edge_entry=edge_entry,
            edge_row=edge_row,
            edge_requests=edge_requests,
        )

    def _whole_entries(self, places: Places) -> Entries:
        """One entry for each trace, in the order of traces, if its party is in the witness."""
        found = [chunk for chunks in self._entries.values() for chunk in chunks]
        entries: Entries = np.concatenate([np.zeros(0, ENTRY), *found])
        entries = entries[np.lexsort((entries["rank"], entries["trace"]))]
        first = np.ones(len(entries), bool)
        first[1:] = entries["trace"][1:] != entries["trace"][:-1]
        whole: Entries = entries[first & (places.party[entries["party"]] >= 0)]
        return whole


def _shares(entry: I64, weight: Floats, trace: I64, thing: I64) -> tuple[Ints, Ints, Floats]:
    """(entry, thing, requests) of all pairs shown by traces, each trace once; things below 0 are left out."""
    pairs = _distinct(((trace[thing >= 0] << 32) | thing[thing >= 0]).astype(np.uint64)).astype(np.int64)
    trace, thing = pairs >> 32, pairs & 0xFFFFFFFF
    keys, which = np.unique((entry[trace] << 32) | thing, return_inverse=True)
    requests = np.bincount(which, weight[trace], minlength=len(keys)).astype(np.float64)
    return (keys >> 32).astype(np.int32), (keys & 0xFFFFFFFF).astype(np.int32), requests


def _distinct(codes: U64) -> U64:
    """Each code once, in order; ten times as fast as `np.unique` where most are distinct."""
    ordered: U64 = np.sort(codes)
    first = np.ones(len(ordered), bool)
    first[1:] = ordered[1:] != ordered[:-1]
    distinct: U64 = ordered[first]
    return distinct
