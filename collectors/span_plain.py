"""Spans to columns through the parsers' own objects: one list comprehension per field, then numpy.

JSON comes this way, and protobuf wherever `span_scan` does not know the layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from collectors.otlp_body import Malformed
from collectors.otlp_wire import JsonSpan, status_is_error
from collectors.span_columns import Columns
from collectors.span_fields import U64

_NONE = bytes(8)
_NO_TRACE = bytes(16)


def of_protobuf(spans: Sequence[Any]) -> Columns:
    """Columns of parsed slim `Span`s."""
    states = [s.trace_state for s in spans]
    return columns_of(
        [s.trace_id for s in spans],
        [s.span_id for s in spans],
        [s.parent_span_id or _NONE for s in spans],
        kind=[s.kind for s in spans],
        start=[s.start for s in spans],
        end=[s.end for s in spans],
        error=[i for i, s in enumerate([s.status for s in spans]) if s and status_is_error(s)],
        states={row: state for row, state in enumerate(states) if state} if any(states) else {},
    )


def of_json(spans: Sequence[JsonSpan]) -> Columns:
    """Columns of parsed JSON spans. Raises Malformed (times beyond 64 bits)."""
    return columns_of(
        [_unhex(s.trace_id) for s in spans],
        [_unhex(s.span_id) for s in spans],
        [_unhex(s.parent_span_id) or _NONE for s in spans],
        kind=[s.kind or 0 for s in spans],
        start=[s.start_time_unix_nano or 0 for s in spans],
        end=[s.end_time_unix_nano or 0 for s in spans],
        error=[i for i, s in enumerate(spans) if s.status is not None and s.status.code == 2],
        states={i: s.trace_state.encode() for i, s in enumerate(spans) if s.trace_state},
    )


def columns_of(
    traces: list[bytes],
    ids: list[bytes],
    parents: list[bytes],
    *,
    kind: list[int],
    start: list[int],
    end: list[int],
    error: list[int],
    states: dict[int, bytes],
) -> Columns:
    """Columns out of lists, one entry a span; `error` are the rows that failed. Raises Malformed."""
    bad, failed = np.zeros(len(ids), bool), np.zeros(len(ids), bool)
    bad[_fix_lengths(traces, ids, parents)] = True
    failed[error] = True
    return Columns(
        trace=np.frombuffer(b"".join(traces), np.uint64).reshape(len(ids), 2),
        span=np.frombuffer(b"".join(ids), np.uint64),
        parent=np.frombuffer(b"".join(parents), np.uint64),
        kind=np.clip(np.array(kind, np.int64), 0, 127).astype(np.uint8),
        start=_times(start),
        end=_times(end),
        error=failed,
        bad=bad,
        states=states,
    )


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


def _times(values: Sequence[int]) -> U64:
    try:
        return np.array(values, np.uint64)
    except OverflowError as error:
        raise Malformed("a time does not fit into 64 bits") from error
