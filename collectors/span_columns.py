"""The columns in which spans are kept, and which spans are usable (ids and times).

Knows nothing of encodings; attributes are only handed out on request, for the few spans whose attributes matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app.model.series import Floats
from app.model.trace import sampling_multiplier
from collectors.otlp_wire import Wanted
from collectors.span_fields import I64, U64, Bools
from collectors.span_origin import Origin, ratio
from collectors.span_rows import Rows

_ODD = np.uint64(0x9E3779B97F4A7C15)  # any odd constant spreads trace ids; this one is 2^64 / golden ratio
_PER_SPAN = ("origin", "row", "trace", "key", "parent", "root", "kind", "start", "end", "error", "weight")
_FUTURE_NS = 60 * 10**9  # clocks of senders may be this far ahead


Off = tuple[int, str]  # by how many ns a time is off, and the service whose it is


@dataclass(frozen=True, slots=True)
class Flaws:
    """What was wrong with single spans of a body: counts, and whether identifiers or times were to blame.

    ahead: the span that ends farthest in the future, if any is refused for that.
    """

    ids: int = 0
    times: int = 0
    nameless: int = 0
    ahead: Off | None = None

    @property
    def rejected(self) -> int:
        """Spans refused in the answer (a span without a service name is accepted and ignored)."""
        return self.ids + self.times


@dataclass(frozen=True, slots=True)
class Batch:
    """The usable spans of one body, in columns of equal length.

    trace: low half of the trace id. key: mixed (trace, span) id; parent: the same of the parent; root: no parent.
    start, end: ns since the epoch. error: status ERROR. weight: requests each span stands for. origin: index into
    `origins`. row: index into `rows`. arrived: when the body came, ns.
    """

    rows: Rows
    origins: tuple[Origin, ...]
    origin: NDArray[np.int32]
    row: NDArray[np.int32]
    trace: U64
    key: U64
    parent: U64
    root: Bools
    kind: NDArray[np.int8]
    start: I64
    end: I64
    error: Bools
    weight: Floats
    arrived: int
    flaws: Flaws

    def __len__(self) -> int:
        return len(self.key)

    def only(self, kept: I64 | Bools) -> Batch:
        """The batch with some of its spans."""
        return replace(self, **{name: getattr(self, name)[kept] for name in _PER_SPAN})


@dataclass(slots=True)
class Columns:
    """The fields of the spans of one body as read, before anything is judged.

    trace: shape (n, 2). states: the tracestate of the rows that have one. bad: an id had a wrong length or alphabet.
    """

    trace: U64
    span: U64
    parent: U64
    kind: NDArray[np.uint8]
    start: U64
    end: U64
    error: Bools
    bad: Bools
    states: dict[int, bytes]

    def replace(self, rows: list[int], better: Columns) -> None:
        """Put what another reader found into some rows."""
        for name in ("trace", "span", "parent", "kind", "start", "end", "error", "bad"):
            getattr(self, name)[rows] = getattr(better, name)
        for at, row in enumerate(rows):
            self.states.pop(row, None)
            if at in better.states:
                self.states[row] = better.states[at]


def mix(trace_id: bytes, span_id: bytes) -> int:
    """The key of one span, as the columns hold it."""
    low = np.frombuffer(trace_id[8:16], np.uint64)
    return int((np.frombuffer(span_id, np.uint64) ^ spread(low))[0])


def spread(trace: U64) -> U64:
    """The low halves of trace ids as numbers that differ in all their bits, also where ids are counted up."""
    mixed = (trace ^ (trace >> np.uint64(32))) * _ODD
    mixed ^= mixed >> np.uint64(29)
    found: U64 = mixed * _ODD
    return found


def batch_of(
    columns: Columns,
    rows: Rows,
    origins: Sequence[Origin],
    counts: Sequence[int],
    *,
    told_in: bytes,
    now_ns: int,
    sampling_attribute: str | None,
) -> Batch:
    """The usable ones of the spans in `columns`; `counts` are the spans of each origin, `told_in` the body."""
    span, parent, trace = columns.span, columns.parent, columns.trace
    start, end = columns.start, columns.end
    origin = np.repeat(np.arange(len(origins), dtype=np.int32), counts)
    ids_ok = (span != 0) & ((trace[:, 0] | trace[:, 1]) != 0) & ~columns.bad
    times_ok = (start != 0) & (end >= start) & (end <= now_ns + _FUTURE_NS)
    named = np.array([found.service is not None for found in origins], bool)[origin]
    fine = ids_ok & times_ok & named
    keep = np.flatnonzero(fine)
    mixed = spread(trace[:, 1])
    batch = Batch(
        rows=rows,
        origins=tuple(origins),
        origin=origin,
        row=np.arange(len(span), dtype=np.int32),
        trace=np.ascontiguousarray(trace[:, 1]),
        key=span ^ mixed,
        parent=parent ^ mixed,
        root=parent == 0,
        kind=columns.kind.astype(np.int8),
        start=start.astype(np.int64),
        end=end.astype(np.int64),
        error=columns.error,
        weight=_weights(columns, rows, origins, counts, told_in, sampling_attribute),
        arrived=now_ns,
        flaws=Flaws(
            ids=int(len(span) - ids_ok.sum()),
            times=int((ids_ok & ~times_ok).sum()),
            nameless=int((ids_ok & times_ok & ~named).sum()),
            ahead=farthest(origins, origin, end.astype(np.float64) - now_ns, ids_ok & named & ~times_ok),
        ),
    )
    return batch if len(keep) == len(span) else batch.only(keep)


def farthest(
    origins: Sequence[Origin], origin: NDArray[np.int32], off: Floats | I64, some: Bools
) -> Off | None:
    """Of some spans the one whose time is off most (ns); None = there are none, or none is off."""
    spans = np.flatnonzero(some & (off > 0))
    if not len(spans):
        return None
    worst = int(spans[off[spans].argmax()])
    service = origins[int(origin[worst])].service
    return int(off[worst]), service.name if service is not None else ""


def _weights(
    columns: Columns,
    rows: Rows,
    origins: Sequence[Origin],
    counts: Sequence[int],
    body: bytes,
    attribute: str | None,
) -> Floats:
    """Requests per span: tracestate's threshold, else 1 / the configured ratio, else 1."""
    by_origin = [1 / (found.number(attribute) or 1.0) if attribute else 1.0 for found in origins]
    weights: Floats = np.repeat(np.array(by_origin, np.float64), counts)
    if attribute and attribute.encode() in body:
        _by_span_attribute(rows, origins, counts, weights, attribute)
    states = columns.states
    known = {
        state: sampling_multiplier(state[:512].decode("ascii", "replace")) for state in set(states.values())
    }
    for row, state in states.items():
        weights[row] = known[state] or weights[row]
    return weights


def _by_span_attribute(
    rows: Rows, origins: Sequence[Origin], counts: Sequence[int], weights: Floats, attribute: str
) -> None:
    wanted = Wanted(attribute)
    first = 0
    for found, count in zip(origins, counts, strict=True):
        if found.number(attribute) is None:  # else the resource has spoken for all its spans
            mine = range(first, first + count)
            for row, picked in zip(mine, rows.pick(mine, wanted), strict=True):
                told = ratio(rows.attributes(picked).get(attribute, ""))
                weights[row] = 1 / (told or 1.0)
        first += count
