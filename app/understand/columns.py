"""Numbers of many elements in columns, and how a witness gives its numbers to those that have none yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.model.fleet import EdgeTraffic, NodeTraffic
from app.model.series import BUCKETS, Floats
from app.understand.testimony import Testimony

Index = NDArray[np.int64]
Bools = NDArray[np.bool_]
_NOBODY = np.iinfo(np.int64).max


@dataclass(slots=True)
class Columns:
    """Merged numbers of n elements. NaN = unknown.

    rps: per second. failed, caller_errors: shares of the requests. raw: requests really looked at in the
    window of the chosen witness. latency, server_latency: (n, BUCKETS) counts. chosen: index of the
    testimony the rate rests on (-1 none); those below `fresh_count` are fresh. doubted: a better witness
    than the chosen one, or the chosen one itself, has gone silent. garbled: a fresh witness sees the element but told
    no number of it. floor: seconds below which its latencies are not told apart. rates, seen: (testimonies, n) requests
    per second of each (NaN = gave none), and whether it knows the element at all.
    """

    rps: Floats
    failed: Floats
    caller_errors: Floats
    raw: Floats
    latency: Floats
    server_latency: Floats
    chosen: Index
    doubted: Bools
    garbled: Bools
    floor: Floats
    rates: Floats
    seen: Bools
    fresh_count: int

    def __len__(self) -> int:
        return len(self.rps)

    def joined(self, more: Columns) -> Columns:
        """These elements followed by `more`, of the same witnesses."""

        def along(name: str, axis: int = 0) -> Any:
            return np.concatenate([getattr(self, name), getattr(more, name)], axis=axis)

        plain = ("rps", "failed", "caller_errors", "raw", "latency", "server_latency", "chosen")
        marks = ("doubted", "garbled", "floor")
        return Columns(
            **{name: along(name) for name in (*plain, *marks)},
            rates=along("rates", 1),
            seen=along("seen", 1),
            fresh_count=self.fresh_count,
        )


def blank(testimonies: list[Testimony], count: int) -> Columns:
    """`count` elements of which nothing is known."""

    def nan() -> Floats:
        return np.full(count, np.nan)

    return Columns(
        rps=nan(),
        failed=nan(),
        caller_errors=nan(),
        raw=nan(),
        latency=np.zeros((count, BUCKETS)),
        server_latency=np.zeros((count, BUCKETS)),
        chosen=np.full(count, -1, np.int64),
        doubted=np.zeros(count, bool),
        garbled=np.zeros(count, bool),
        floor=np.zeros(count),
        rates=np.full((len(testimonies), count), np.nan),
        seen=np.zeros((len(testimonies), count), bool),
        fresh_count=sum(testimony.fresh for testimony in testimonies),
    )


def take(
    columns: Columns, number: int, testimony: Testimony, rows: Index, traffic: NodeTraffic | EdgeTraffic
) -> None:
    """Give the rates of one witness to the elements that have none yet."""
    count = len(columns)
    requests = summed(rows, _sane(traffic.requests), count)
    there = np.bincount(rows, minlength=count) > 0
    told = there & ~np.isnan(requests)
    columns.garbled |= there & ~told & testimony.fresh
    rps = requests / testimony.seconds
    columns.rates[number] = np.where(told, rps, np.nan)
    mine = told & (columns.chosen < 0)
    columns.chosen[mine] = number
    columns.rps[mine] = rps[mine]
    columns.raw[mine] = summed(rows, _sane(traffic.raw), count)[mine]
    columns.failed[mine] = _share(summed(rows, _sane(traffic.failed), count), requests)[mine]
    if isinstance(traffic, EdgeTraffic):
        errors = summed(rows, _sane(traffic.caller_errors), count)
        columns.caller_errors[mine] = _share(errors, requests)[mine]


def take_latency(
    columns: Columns,
    into: Floats,
    timed: Bools,
    testimony: Testimony,
    rows: Index,
    latency: Floats,
    floor: Floats | None = None,
) -> None:
    """Give latency to the elements not yet `timed`; a silent witness may not speak beside a fresh one."""
    wanted = ~timed
    if not testimony.fresh:
        wanted &= (columns.chosen < 0) | (columns.chosen >= columns.fresh_count)
    picked = wanted[rows]
    if not picked.any():
        return
    offered = latency if picked.all() else latency[picked]
    clean = np.where(np.isfinite(offered) & (offered > 0), offered, 0.0)
    found = summed_rows(rows[picked], clean, len(columns))
    given = np.asarray(found.any(axis=1))
    into[given] = found[given]
    if floor is not None:
        np.maximum.at(columns.floor, rows[picked], floor[picked] * given[rows[picked]])
    timed |= given


def doubted_of(columns: Columns, testimonies: list[Testimony]) -> Bools:
    """Elements whose chosen witness is silent, or of which a more trusted witness has fallen silent."""
    if not testimonies:
        return columns.doubted
    ranks = np.array([testimony.rank for testimony in testimonies])
    fresh = np.array([testimony.fresh for testimony in testimonies])
    silent = columns.seen & ~fresh[:, None]
    best_silent = np.where(silent, ranks[:, None], _NOBODY).min(axis=0)
    chosen_rank = np.where(columns.chosen >= 0, ranks[columns.chosen], _NOBODY)
    return np.asarray((best_silent < _NOBODY) & (best_silent <= chosen_rank))


def _sane(counts: Floats) -> Floats:
    """Counts as they can be: infinite and negative ones are unknown."""
    return np.where(np.isfinite(counts) & (counts >= 0), counts, np.nan)


def _share(part: Floats, whole: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(whole > 0, np.minimum(part / whole, 1.0), np.nan)


def summed(rows: Index, values: Floats, count: int) -> Floats:
    """Values added per index, shape (count,)."""
    return np.bincount(rows, values, minlength=count).astype(np.float64)


def summed_rows(rows: Index, values: Floats, count: int) -> Floats:
    """Rows of `values` added per index, shape (count, BUCKETS)."""
    out = np.zeros((count, BUCKETS))
    if not len(rows):
        return out
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    if len(starts) == len(rows):
        out[rows] = values
    else:
        out[ordered[starts]] = np.add.reduceat(values[order], starts, axis=0)
    return out
