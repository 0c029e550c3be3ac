"""Adds up the series of one kind of evidence: rows by party (or pair of parties), times as the second axis.

Every distinct label set is read once; the adding itself is columns. Of several families of one protocol that
speak of the same owner, only one is counted, and of them one that tells outcomes if there is any.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from app.model.series import BUCKETS, Floats, rebin
from collectors.families import Family, Found, Part
from collectors.prometheus_wire import Table
from collectors.promql import TAG, read_tag

Codes = NDArray[np.int64]
COARSE_SECONDS = 0.05


class Outcome(IntEnum):
    """How a row's requests ended; UNTOLD = its labels do not say."""

    SUCCESS = 0
    CALLER_ERROR = 1
    FAILED = 2
    UNTOLD = 3


@dataclass(frozen=True, slots=True)
class Reading:
    """What a label set means: who owns the row, which output row it adds to, how its requests ended."""

    owner: Hashable
    key: Hashable
    outcome: Outcome = Outcome.UNTOLD


Reader = Callable[[Found, Mapping[str, str]], Reading | None]


@dataclass(slots=True)
class Tally:
    """Sums per key over the window. Shapes: (n, T), latencies (n, T, BUCKETS). NaN = not told.

    `server_time` is the rate of summed server seconds (service graph only), `volume` the bytes of both directions
    (TCP only). `floor` (n,) is the bound of a lowest classic bucket too wide to tell its latencies apart (0 = it is
    not), `coarse` the share of all latencies that fell into such a bucket. `expired`, `paired`: halves of calls that
    were lost and found (T,); NaN = not told.
    """

    keys: list[Hashable]
    requests: Floats
    failed: Floats
    caller_errors: Floats
    latency: Floats
    server_latency: Floats
    server_time: Floats
    volume: Floats
    floor: Floats
    expired: Floats
    paired: Floats
    dropped: int = 0
    coarse: float = 0.0
    families: list[Family] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(slots=True)
class _Sets:
    """Distinct label sets of a table: code per series, and per code its family, part and reading."""

    code: Codes
    index: list[int]
    part: list[Part]
    reading: list[Reading | None]


def tally(tables: Sequence[Table], found: Sequence[Found], read: Reader, seconds: float) -> Tally:
    """The sums of `tables` (rates per second over `seconds`), each row read by `read`. NaN and ±Inf are dropped."""
    sets = [_distinct(table, found, read) for table in tables]
    chosen = _choose(sets, found, (Part.COUNT, Part.FAILED, Part.SERVER_TIME, Part.BYTES), told=True)
    chosen_latency = _choose(sets, found, (Part.LATENCY, Part.SERVER_LATENCY), told=False)
    keys: dict[Hashable, int] = {}
    rows = [_rows(one, found, keys, chosen, chosen_latency) for one in sets]
    times = max((table.values.shape[1] for table in tables if len(table)), default=1)
    result = _empty(list(keys), times)
    result.families = [one.family for one in found]
    for table, one, row in zip(tables, sets, rows, strict=True):
        if len(table):
            _add_counts(result, table, one, row, seconds)
            _add_latency(result, table, one, row, found, seconds)
            _add_pairing(result, table, one, seconds)
    return result


def _distinct(table: Table, found: Sequence[Found], read: Reader) -> _Sets:
    names = [name for name in table.labels if name not in {TAG, "le"}]
    sets = list(zip(table.labels[TAG], *(table.labels[name] for name in names), strict=True))
    index: dict[tuple[str, ...], int] = {}
    code = np.fromiter((index.setdefault(one, len(index)) for one in sets), np.int64, len(sets))
    made = _Sets(code, [], [], [])
    for tag, *values in index:
        number, part = read_tag(tag) or (-1, Part.COUNT)
        known = 0 <= number < len(found) and part not in (Part.EXPIRED, Part.PAIRED)
        labels = dict(zip(names, values, strict=True))
        made.index.append(number)
        made.part.append(part)
        made.reading.append(read(found[number], labels) if known else None)
    return made


Chosen = dict[tuple[Hashable, str], tuple[bool, int]]


def _choose(sets: Iterable[_Sets], found: Sequence[Found], parts: tuple[Part, ...], *, told: bool) -> Chosen:
    """Per owner and protocol the family to count: first those that tell outcomes, then the order of trust."""
    best: Chosen = {}
    for one in sets:
        for number, part, reading in zip(one.index, one.part, one.reading, strict=True):
            if reading is None or part not in parts:
                continue
            place = (reading.owner, found[number].family.protocol)
            rank = (told and reading.outcome is Outcome.UNTOLD, number)
            best[place] = min(best.get(place, rank), rank)
    return best


def _rows(
    one: _Sets, found: Sequence[Found], keys: dict[Hashable, int], counts: Chosen, latency: Chosen
) -> Codes:
    """The output row of each distinct label set; -1 = not counted."""
    row = np.full(len(one.index), -1, np.int64)
    for code, (number, part, reading) in enumerate(zip(one.index, one.part, one.reading, strict=True)):
        if reading is None:
            continue
        chosen = latency if part in (Part.LATENCY, Part.SERVER_LATENCY) else counts
        if chosen[(reading.owner, found[number].family.protocol)][1] == number:
            row[code] = keys.setdefault(reading.key, len(keys))
    return row


def _empty(keys: list[Hashable], times: int) -> Tally:
    n = len(keys)
    plain = [np.zeros((n, times)) for _ in range(5)]
    return Tally(
        keys,
        plain[0],
        plain[1],
        plain[2],
        np.zeros((n, times, BUCKETS)),
        np.zeros((n, times, BUCKETS)),
        server_time=plain[3],
        volume=plain[4],
        floor=np.zeros(n),
        expired=np.full(times, np.nan),
        paired=np.full(times, np.nan),
    )


def _add_counts(result: Tally, table: Table, one: _Sets, row: Codes, seconds: float) -> None:
    parts = np.array([part.value for part in one.part])[one.code]
    outcome = np.array([r.outcome if r else Outcome.UNTOLD for r in one.reading])[one.code]
    target = row[one.code]
    good = np.isfinite(table.values)
    values = np.where(good, np.maximum(table.values, 0.0), 0.0) * seconds
    is_count = (parts == Part.COUNT) & (target >= 0)
    result.dropped += int((~good[is_count]).sum())
    seen = np.zeros(result.requests.shape, bool)
    told = np.zeros(result.requests.shape, bool)
    np.logical_or.at(seen, target[is_count], good[is_count])
    np.logical_or.at(told, target[is_count], good[is_count] & (outcome[is_count] != Outcome.UNTOLD)[:, None])
    np.add.at(result.requests, target[is_count], values[is_count])
    for wanted, column in ((Outcome.FAILED, result.failed), (Outcome.CALLER_ERROR, result.caller_errors)):
        at = is_count & (outcome == wanted)
        np.add.at(column, target[at], values[at])
    others = (
        (Part.FAILED, result.failed),
        (Part.SERVER_TIME, result.server_time),
        (Part.BYTES, result.volume),
    )
    for part, column in others:
        at = (parts == part) & (target >= 0)
        np.add.at(column, target[at], values[at])
    touched = np.unique(target[is_count])
    result.requests[touched] = np.where(seen, result.requests, np.nan)[touched]
    result.failed[touched] = np.where(told, result.failed, np.nan)[touched]


def _add_latency(
    result: Tally, table: Table, one: _Sets, row: Codes, found: Sequence[Found], seconds: float
) -> None:
    bounds = _bounds(table.labels.get("le"))
    if bounds is None:
        return
    parts = np.array([part.value for part in one.part])[one.code]
    family = np.array(one.index)[one.code]
    target = row[one.code]
    for part, column in ((Part.LATENCY, result.latency), (Part.SERVER_LATENCY, result.server_latency)):
        for number in np.unique(family[(parts == part) & (target >= 0)]):
            at = np.flatnonzero((parts == part) & (target >= 0) & (family == number) & ~np.isnan(bounds))
            unit = found[int(number)].family.unit
            coarse = _spread(column, result.floor, target[at], bounds[at] * unit, table.values[at] * seconds)
            result.coarse = max(result.coarse, coarse)


def _add_pairing(result: Tally, table: Table, one: _Sets, seconds: float) -> None:
    parts = np.array([part.value for part in one.part])[one.code]
    for part, column in ((Part.EXPIRED, result.expired), (Part.PAIRED, result.paired)):
        at = parts == part
        if at.any():
            held = np.where(np.isfinite(table.values[at]), table.values[at], 0.0).sum(axis=0) * seconds
            column[:] = np.where(np.isnan(column), 0.0, column) + held


def _bounds(texts: list[str] | None) -> Floats | None:
    """`le` as numbers; text that is none is NaN and its row is left out."""
    if texts is None:
        return None
    known = {text: _number(text) for text in set(texts)}
    return np.array([known[text] for text in texts], dtype=np.float64)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan


def _spread(column: Floats, floor: Floats, target: Codes, bounds: Floats, values: Floats) -> float:
    """Cumulative classic buckets into the log-histograms of `column`; rows with equal bounds go together.

    Answers the share of counts in a lowest bucket wider than COARSE_SECONDS; its bound goes into `floor`.
    """
    rows, row = np.unique(target, return_inverse=True)
    les, place = np.unique(bounds, return_inverse=True)
    times = values.shape[1]
    cumulative = np.zeros((len(rows), len(les), times))
    np.add.at(cumulative, (row, place), np.where(np.isfinite(values), np.maximum(values, 0.0), 0.0))
    there = np.zeros((len(rows), len(les)), bool)
    there[row, place] = True
    coarse = total = 0.0
    patterns, pattern = np.unique(there, axis=0, return_inverse=True)
    for number, mask in enumerate(patterns):
        upper = les[mask & np.isfinite(les) & (les > 0)]
        if not len(upper):
            continue
        members = np.flatnonzero(pattern.ravel() == number)
        inside = np.flatnonzero(mask & (les > 0))
        counts = _differences(cumulative[members][:, inside], top=bool(np.isinf(les[inside[-1]])))
        flat = np.moveaxis(counts, 2, 1).reshape(-1, counts.shape[1])
        column[rows[members]] += rebin(upper, flat).reshape(len(members), times, BUCKETS)
        total += float(flat.sum())
        if upper[0] >= COARSE_SECONDS:
            coarse += float(flat[:, 0].sum())
            floor[rows[members]] = np.maximum(floor[rows[members]], upper[0])
    return coarse / total if total else 0.0


def _differences(cumulative: Floats, *, top: bool) -> Floats:
    """Counts per bucket (rows, m + 1, times) of cumulative ones; the last is +Inf, 0 where it is not exposed."""
    rising = np.maximum.accumulate(cumulative, axis=1)
    counts = np.diff(rising, axis=1, prepend=0.0)
    return counts if top else np.concatenate([counts, np.zeros_like(counts[:, :1])], axis=1)
