"""Parsed spans to columns: one list comprehension per field, then numpy.

Knows which spans are usable (ids and times) and who sent them; attributes are only handed out on request, for the
few spans whose attributes matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.model.series import Floats
from app.model.trace import sampling_multiplier
from collectors.otlp_body import Malformed
from collectors.otlp_wire import (
    JsonSpan,
    Wanted,
    parse_json,
    parse_protobuf,
    status_is_error,
)
from collectors.span_origin import Origin, json_origin, proto_origin, ratio
from collectors.span_rows import JsonRows, ProtoRows, Rows

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]

_ODD = np.uint64(0x9E3779B97F4A7C15)  # any odd constant spreads trace ids; this one is 2^64 / golden ratio
_NONE = bytes(8)
_NO_TRACE = bytes(16)
_FUTURE_NS = 60 * 10**9  # clocks of senders may be this far ahead


@dataclass(frozen=True, slots=True)
class Flaws:
    """What was wrong with single spans of a body: counts, and whether identifiers or times were to blame."""

    ids: int = 0
    times: int = 0
    nameless: int = 0

    @property
    def rejected(self) -> int:
        """Spans refused in the answer (a span without a service name is accepted and ignored)."""
        return self.ids + self.times


@dataclass(frozen=True, slots=True)
class Batch:
    """The usable spans of one body, in columns of equal length.

    key: mixed (trace, span) id; parent: the same of the parent; root: no parent. start, end: ns since the epoch.
    error: status ERROR. weight: requests each span stands for. origin: index into `origins`. row: index into
    `rows`. arrived: when the body came, ns.
    """

    rows: Rows
    origins: tuple[Origin, ...]
    origin: NDArray[np.int32]
    row: NDArray[np.int32]
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


@dataclass(slots=True)
class _Raw:
    """Columns as read, before anything is judged; `bad` are rows whose ids have a wrong length or alphabet."""

    rows: Rows
    origins: list[Origin]
    counts: list[int]
    trace: bytes
    span: bytes
    parent: bytes
    kind: list[int]
    start: list[int]
    end: list[int]
    error: list[int]
    tracestate: list[bytes]
    bad: list[int]


def mix(trace_id: bytes, span_id: bytes) -> int:
    """The key of one span, as the columns hold it."""
    low = np.frombuffer(trace_id[8:16], np.uint64)
    return int((np.frombuffer(span_id, np.uint64) ^ (low * _ODD))[0])


def read_protobuf(body: bytes, *, now_ns: int, sampling_attribute: str | None = None) -> Batch:
    """An OTLP protobuf body as a batch. Raises Malformed."""
    spans: list[Any] = []
    origins: list[Origin] = []
    counts: list[int] = []
    for group in parse_protobuf(body).resource_spans:
        before = len(spans)
        for scope in group.scope_spans:
            spans.extend(scope.spans)
        origins.append(proto_origin(group.resource))
        counts.append(len(spans) - before)
    spans_ids, traces = [s.span_id for s in spans], [s.trace_id for s in spans]
    parents = [s.parent_span_id or _NONE for s in spans]
    bad = _fix_lengths(traces, spans_ids, parents)
    raw = _Raw(
        rows=ProtoRows(spans),
        origins=origins,
        counts=counts,
        trace=b"".join(traces),
        span=b"".join(spans_ids),
        parent=b"".join(parents),
        kind=[s.kind for s in spans],
        start=[s.start for s in spans],
        end=[s.end for s in spans],
        error=[i for i, s in enumerate([s.status for s in spans]) if s and status_is_error(s)],
        tracestate=[s.trace_state for s in spans],
        bad=bad,
    )
    return _batch(raw, body, now_ns=now_ns, sampling_attribute=sampling_attribute)


def read_json(body: bytes, *, now_ns: int, sampling_attribute: str | None = None) -> Batch:
    """An OTLP JSON body as a batch. Raises Malformed."""
    spans: list[JsonSpan] = []
    origins: list[Origin] = []
    counts: list[int] = []
    for group in parse_json(body).resource_spans or []:
        before = len(spans)
        for scope in group.scope_spans or []:
            spans.extend(scope.spans or [])
        origins.append(json_origin(bytes(group.resource.attributes) if group.resource else b"[]"))
        counts.append(len(spans) - before)
    traces = [_unhex(s.trace_id) for s in spans]
    span_ids = [_unhex(s.span_id) for s in spans]
    parents = [_unhex(s.parent_span_id) or _NONE for s in spans]
    bad = _fix_lengths(traces, span_ids, parents)
    raw = _Raw(
        rows=JsonRows(spans),
        origins=origins,
        counts=counts,
        trace=b"".join(traces),
        span=b"".join(span_ids),
        parent=b"".join(parents),
        kind=[s.kind or 0 for s in spans],
        start=[s.start_time_unix_nano or 0 for s in spans],
        end=[s.end_time_unix_nano or 0 for s in spans],
        error=[i for i, s in enumerate(spans) if s.status is not None and s.status.code == 2],
        tracestate=[(s.trace_state or "").encode() for s in spans],
        bad=bad,
    )
    return _batch(raw, body, now_ns=now_ns, sampling_attribute=sampling_attribute)


def _unhex(text: str | None) -> bytes:
    """Bytes of a hex id; an illegible one becomes a single byte, which no length check accepts."""
    if not text:
        return b""
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b"?"


def _fix_lengths(traces: list[bytes], spans: list[bytes], parents: list[bytes]) -> list[int]:
    """Rows with an id of a wrong length; their ids are replaced so that columns keep their shape."""
    if set(map(len, traces)) <= {16} and set(map(len, spans)) <= {8} and set(map(len, parents)) <= {8}:
        return []
    bad = []
    for row, (trace, span, parent) in enumerate(zip(traces, spans, parents, strict=True)):
        if len(trace) != 16 or len(span) != 8 or len(parent) != 8:
            traces[row], spans[row], parents[row] = _NO_TRACE, _NONE, _NONE
            bad.append(row)
    return bad


def _batch(raw: _Raw, body: bytes, *, now_ns: int, sampling_attribute: str | None) -> Batch:
    count = len(raw.kind)
    trace = np.frombuffer(raw.trace, np.uint64).reshape(count, 2)
    span, parent = np.frombuffer(raw.span, np.uint64), np.frombuffer(raw.parent, np.uint64)
    start, end = _times(raw.start), _times(raw.end)
    origin = np.repeat(np.arange(len(raw.origins), dtype=np.int32), raw.counts)
    ids_ok = (span != 0) & ((trace[:, 0] | trace[:, 1]) != 0)
    ids_ok[raw.bad] = False
    times_ok = (start != 0) & (end >= start) & (end <= now_ns + _FUTURE_NS)
    named = np.array([found.service is not None for found in raw.origins], bool)[origin]
    keep = np.flatnonzero(ids_ok & times_ok & named)
    mixed = trace[:, 1] * _ODD
    error = np.zeros(count, bool)
    error[raw.error] = True
    flaws = Flaws(
        ids=int(count - ids_ok.sum()),
        times=int((ids_ok & ~times_ok).sum()),
        nameless=int((ids_ok & times_ok & ~named).sum()),
    )
    return Batch(
        rows=raw.rows,
        origins=tuple(raw.origins),
        origin=origin[keep],
        row=keep.astype(np.int32),
        key=(span ^ mixed)[keep],
        parent=(parent ^ mixed)[keep],
        root=(parent == 0)[keep],
        kind=np.clip(np.array(raw.kind, np.int64), 0, 127).astype(np.int8)[keep],
        start=start[keep].astype(np.int64),
        end=end[keep].astype(np.int64),
        error=error[keep],
        weight=_weights(raw, origin, body, sampling_attribute)[keep],
        arrived=now_ns,
        flaws=flaws,
    )


def _times(values: Sequence[int]) -> U64:
    try:
        return np.array(values, np.uint64)
    except OverflowError as error:
        raise Malformed("a time does not fit into 64 bits") from error


def _weights(raw: _Raw, origin: NDArray[np.int32], body: bytes, attribute: str | None) -> Floats:
    """Requests per span: tracestate's threshold, else 1 / the configured ratio, else 1."""
    by_origin = np.ones(max(len(raw.origins), 1))
    if attribute:
        by_origin[: len(raw.origins)] = [1 / (found.number(attribute) or 1.0) for found in raw.origins]
    weights: Floats = by_origin[origin]
    if attribute and attribute.encode() in body:
        _by_span_attribute(raw, weights, attribute)
    if any(raw.tracestate):
        states = set(raw.tracestate)
        known = {state: sampling_multiplier(state[:512].decode("ascii", "replace")) for state in states}
        told = np.array([known[state] or 0.0 for state in raw.tracestate])
        weights = np.where(told > 0, told, weights)
    return weights


def _by_span_attribute(raw: _Raw, weights: Floats, attribute: str) -> None:
    wanted = Wanted(attribute)
    first = 0
    for found, count in zip(raw.origins, raw.counts, strict=True):
        if found.number(attribute) is None:  # else the resource has spoken for all its spans
            for row in range(first, first + count):
                told = ratio(raw.rows.attributes(raw.rows.pick(row, wanted)).get(attribute, ""))
                weights[row] = 1 / (told or 1.0)
        first += count
