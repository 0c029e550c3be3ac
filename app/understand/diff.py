"""What changed between two windows: classes of every node and edge, in columns (reference: topology 8, R-T9).

A change is named only with enough requests in both windows, beyond the limits of health, and beyond what the
element does anyway (`spread`): errors by Newcombe's interval of two proportions, latency and volume by ratio.
"Gone" and "new" need the evidence that saw the element to have been alive in the other window; where it was not,
the element is incomparable, and `why` says so. Rows and their order are made in `diff_rows`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from app.model.fleet import EvidenceKind, Frame, Masks, kinds_of
from app.model.series import BOUNDS, Floats, quantiles
from app.model.stretch import Stretch
from app.understand.limits import THRESHOLDS, Thresholds
from app.understand.spread import beyond
from app.understand.wilson import Z, lower_bound

Bools = NDArray[np.bool_]
Index = NDArray[np.int64]
SIDES = ("nodes", "edges")


class Mark(StrEnum):
    """What became of a node or edge from A to B; the order is that of lists."""

    WORSE = "worse"
    NEW = "new"
    GONE = "gone"
    BETTER = "better"
    VOLUME = "volume"
    INCOMPARABLE = "incomparable"
    SAME = "same"


_MARKS = tuple(Mark)
_CODE = {mark: code for code, mark in enumerate(_MARKS)}


class Why(StrEnum):
    """Why an element cannot be compared."""

    BLIND_A = "blind_a"
    BLIND_B = "blind_b"
    BLIND = "blind"
    OTHER_WITNESS = "other_witness"
    TOO_FEW = "too_few"


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on a difference is one; all are starting values.

    heard: share of a window in which evidence must have been alive for silence to mean no requests. looked: seconds
    in which an element must have been looked at. errors: least difference of shares.
    volume_ratio, volume_rps: factor, and requests per second of the busier window. thin: requests expected in the
    silent window, below which silence proves nothing. spreads: how many times the own spread a change must exceed.
    """

    health: Thresholds = THRESHOLDS
    heard: float = 0.5
    looked: float = 60.0
    errors: float = 0.005
    volume_ratio: float = 2.0
    volume_rps: float = 1.0
    thin: float = 5.0
    spreads: float = 2.0


@dataclass(frozen=True, slots=True)
class Numbers:
    """n elements in one window; NaN = unknown. `requests` are sampling-corrected, `raw` were really looked at.

    seconds: how long the element was looked at. believed: rank of the evidence that was believed (-1: not kept).
    known: whether its requests are known at all, zero included; there: whether the window has the element.
    """

    requests: Floats
    raw: Floats
    failed: Floats
    seconds: Floats
    p95: Floats
    latency: Floats
    seen: Masks
    believed: Index
    known: Bools
    there: Bools

    @property
    def rps(self) -> Floats:
        """Requests per second over the time looked at."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(self.seconds > 0, self.requests / self.seconds, np.nan))

    @property
    def ratio(self) -> Floats:
        """Failed / requests."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(self.requests > 0, self.failed / self.requests, np.nan))


@dataclass(frozen=True, slots=True)
class Compared:
    """All nodes or all edges of both windows, in columns.

    errors, latency, volume: -1 less, 0 as before, +1 more. mark, why: per element ("" = comparable).
    slower: share of requests of the slower window that took longer than the usual slowest twentieth.
    """

    ids: tuple[str, ...]
    a: Numbers
    b: Numbers
    errors: Index
    latency: Index
    volume: Index
    slower: Floats
    mark: tuple[Mark, ...]
    why: tuple[str, ...]


LIMITS = Limits()


def compare(a: Stretch, b: Stretch, side: str, limits: Limits = LIMITS) -> Compared:
    """All `nodes` or `edges` of two windows of one cluster."""
    mine, theirs = _ids(a.frame, side), _ids(b.frame, side)
    ids = mine if mine == theirs else tuple(sorted({*mine, *theirs}))
    of_a, of_b = _numbers(a, side, ids, limits), _numbers(b, side, ids, limits)
    of_a, of_b = _silence(of_a, of_b, a, limits), _silence(of_b, of_a, b, limits)
    both = of_a.known & of_b.known & (of_a.requests > 0) & (of_b.requests > 0)
    both &= ~_otherwise_measured(of_a, of_b)

    def surely(metric: str, signs: Index, difference: Floats) -> Index:
        signs = np.where(both, signs, 0)
        return beyond(a, b, ids, metric, signs, np.abs(difference) / limits.spreads)

    errors = surely("errors", _errors(of_a, of_b, limits), of_b.ratio - of_a.ratio)
    latency = surely("latency", _latency(of_a, of_b, limits), _log(of_b.p95, of_a.p95))
    volume = surely("volume", _volume(of_a, of_b, limits), _log(of_b.rps, of_a.rps))
    why = _why(of_a, of_b, volume, limits)
    marks = _marks(of_a, of_b, errors, latency, volume, why)
    return Compared(ids, of_a, of_b, errors, latency, volume, _slower(of_a, of_b, latency), marks, why)


def _ids(frame: Frame, side: str) -> tuple[str, ...]:
    return frame.node_ids if side == "nodes" else frame.edge_ids


def _numbers(stretch: Stretch, side: str, ids: tuple[str, ...], limits: Limits) -> Numbers:
    """One window's rows spread over all ids; what is not in the window has no requests and is not `there`."""
    frame, own = stretch.frame, _ids(stretch.frame, side)
    prefix = "node" if side == "nodes" else "edge"
    place = {name: row for row, name in enumerate(own)}
    at = np.arange(len(ids)) if own == ids else np.array([place.get(name, -1) for name in ids], np.int64)
    there = at >= 0

    def taken(column: Floats, missing: float) -> Floats:
        out = np.full((len(ids), *column.shape[1:]), missing)
        out[there] = column[at[there]]
        return out

    masks: Masks = getattr(frame, f"{prefix}_seen")
    seen = np.zeros(len(ids), np.uint16)
    if len(masks) == len(own):
        seen[there] = masks[at[there]]
    requests, seconds = taken(getattr(frame, f"{prefix}_requests"), np.nan), taken(stretch.known(side), 0.0)
    latency = taken(getattr(frame, f"{prefix}_latency"), 0.0)
    believed, sampling = _believed(seen, frame)
    needed = np.where(requests > 0, limits.looked, limits.heard * frame.length.total_seconds())
    known = there & ~np.isnan(requests) & (seconds >= needed)
    p95 = quantiles(latency, (0.95,))[:, 0] if len(ids) else np.zeros(0)
    failed = taken(getattr(frame, f"{prefix}_failed"), np.nan)
    return Numbers(requests, requests * sampling, failed, seconds, p95, latency, seen, believed, known, there)


def _believed(seen: Masks, frame: Frame) -> tuple[Index, Floats]:
    """Rank of the most trusted kind of each mask (-1 = none), and the share of requests that kind looked at."""
    order = list(EvidenceKind)
    rank, share = np.full(len(seen), -1, np.int64), np.ones(len(seen))
    for mask in np.unique(seen).tolist():
        kinds = kinds_of(mask)
        if not kinds:
            continue
        heard = frame.witnesses.get(kinds[0].value)
        rank[seen == mask] = order.index(kinds[0])
        share[seen == mask] = heard.sampling_ratio if heard and heard.sampling_ratio else 1.0
    return rank, share


def _silence(mine: Numbers, other: Numbers, stretch: Stretch, limits: Limits) -> Numbers:
    """Elements that the window does not have had no requests, if what saw them in the other one was alive."""
    needed = limits.heard * stretch.frame.length.total_seconds()
    alive = np.array(
        [
            (heard := stretch.frame.witnesses.get(kind.value)) is not None and heard.seconds >= needed
            for kind in EvidenceKind
        ]
    )
    silent = ~mine.there & (other.believed >= 0) & alive[np.maximum(other.believed, 0)]
    zero, length = np.where(silent, 0.0, mine.requests), stretch.frame.length.total_seconds()
    return Numbers(
        zero,
        np.where(silent, 0.0, mine.raw),
        np.where(silent, 0.0, mine.failed),
        np.where(silent, length, mine.seconds),
        mine.p95,
        mine.latency,
        mine.seen,
        mine.believed,
        mine.known | silent,
        mine.there,
    )


# One metric each: -1, 0, +1 ----------------------------------------------------------------------


def _enough(a: Numbers, b: Numbers, limits: Limits) -> Bools:
    """Enough requests really looked at in both windows; sampled ones need more (reference: topology 4.4)."""

    def guard(one: Numbers) -> Floats:
        sampled = one.raw < one.requests
        return np.where(sampled, limits.health.guard_sampled, limits.health.guard_requests)

    with np.errstate(invalid="ignore"):
        return np.asarray((a.raw >= guard(a)) & (b.raw >= guard(b)))


def _errors(a: Numbers, b: Numbers, limits: Limits) -> Index:
    """Newcombe's interval for the difference of two proportions (Statistics in Medicine 17, 1998, method 10).

    Of thousands compared, a 95 % interval is wrong for some by chance alone: it widens with their number, so that
    less than one of all is expected to be.
    """
    z = max(Z, NormalDist().inv_cdf(1 - 0.5 / max(len(a.raw), 1)))
    with np.errstate(invalid="ignore"):
        pa, pb = np.clip(a.ratio, 0, 1), np.clip(b.ratio, 0, 1)
        low_a, low_b = lower_bound(pa * a.raw, a.raw, z), lower_bound(pb * b.raw, b.raw, z)
        high_a, high_b = (
            1 - lower_bound((1 - pa) * a.raw, a.raw, z),
            1 - lower_bound((1 - pb) * b.raw, b.raw, z),
        )
        more = (pb - pa) - np.hypot(pb - low_b, high_a - pa) > 0
        less = (pa - pb) - np.hypot(pa - low_a, high_b - pb) > 0
        matters = (np.abs(pb - pa) >= limits.errors) & _enough(a, b, limits)
    return _sign(more & matters, less & matters)


def _latency(a: Numbers, b: Numbers, limits: Limits) -> Index:
    ratio, above = limits.health.latency_ratio[0], limits.health.latency_above[0]
    enough = _enough(a, b, limits)
    with np.errstate(invalid="ignore"):
        more = (b.p95 > a.p95 * ratio) & (b.p95 > a.p95 + above) & enough
        less = (a.p95 > b.p95 * ratio) & (a.p95 > b.p95 + above) & enough
    return _sign(more, less)


def _volume(a: Numbers, b: Numbers, limits: Limits) -> Index:
    with np.errstate(invalid="ignore"):
        busy = np.maximum(a.rps, b.rps) >= limits.volume_rps
        busy &= np.maximum(a.raw, b.raw) >= limits.health.guard_requests
        return _sign(
            (b.rps > limits.volume_ratio * a.rps) & busy, (a.rps > limits.volume_ratio * b.rps) & busy
        )


def _sign(more: Bools, less: Bools) -> Index:
    return np.asarray(more.astype(np.int64) - less.astype(np.int64))


def _log(one: Floats, other: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.log(one / other))


def _slower(a: Numbers, b: Numbers, latency: Index) -> Floats:
    """Share of the slower window's requests beyond the faster one's p95, less the twentieth that always is."""
    out = np.zeros(len(latency))
    for slow, fast, way in ((b, a, 1), (a, b, -1)):
        rows = np.flatnonzero(latency == way)
        if len(rows):
            total = slow.latency[rows].sum(axis=1)
            usual = np.searchsorted(BOUNDS, fast.p95[rows])
            later = np.arange(slow.latency.shape[1])[None, :] >= usual[:, None]
            share = (slow.latency[rows] * later).sum(axis=1) / np.maximum(total, 1e-9)
            out[rows] = np.clip(share - 0.05, 0.0, 1.0)
    return out


# Classes -----------------------------------------------------------------------------------------


def _otherwise_measured(a: Numbers, b: Numbers) -> Bools:
    """Whether the numbers of both windows rest on different kinds of evidence."""
    return np.asarray((a.believed != b.believed) & (a.believed >= 0) & (b.believed >= 0))


def _why(a: Numbers, b: Numbers, volume: Index, limits: Limits) -> tuple[str, ...]:
    """Why each element cannot be compared; "" = it can."""
    with np.errstate(invalid="ignore"):
        talks_a, talks_b = a.requests > 0, b.requests > 0
        both = talks_a & talks_b
        few = both & ~_enough(a, b, limits) & (volume == 0)
        few |= talks_b & ~talks_a & a.there & (_expected(b, a) < limits.thin)
        few |= talks_a & ~talks_b & b.there & (_expected(a, b) < limits.thin)
    found = np.full(len(a.requests), "", object)
    found[few] = Why.TOO_FEW.value
    found[both & _otherwise_measured(a, b)] = Why.OTHER_WITNESS.value
    found[~a.known] = Why.BLIND_A.value
    found[~b.known] = Why.BLIND_B.value
    found[~a.known & ~b.known] = Why.BLIND.value
    return tuple(found.tolist())


def _expected(busy: Numbers, silent: Numbers) -> Floats:
    """Requests that the silent window would have been seen to have at the other one's rate."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(busy.seconds > 0, busy.raw / busy.seconds * silent.seconds, 0.0))


def _marks(
    a: Numbers, b: Numbers, errors: Index, latency: Index, volume: Index, why: tuple[str, ...]
) -> tuple[Mark, ...]:
    """One class per element: what got worse outweighs what got better."""
    with np.errstate(invalid="ignore"):
        talks_a, talks_b = a.requests > 0, b.requests > 0
    found = np.full(len(why), _CODE[Mark.SAME])
    found[volume != 0] = _CODE[Mark.VOLUME]
    found[(errors < 0) | (latency < 0)] = _CODE[Mark.BETTER]
    found[(errors > 0) | (latency > 0)] = _CODE[Mark.WORSE]
    found[talks_b & ~talks_a] = _CODE[Mark.NEW]
    found[talks_a & ~talks_b] = _CODE[Mark.GONE]
    found[np.array([bool(told) for told in why], bool)] = _CODE[Mark.INCOMPARABLE]
    return tuple(_MARKS[code] for code in found.tolist())
