"""Spans to columns without an object per span: numpy looks at the same field of all spans at once.

Encoders write fields in the order of their numbers, so a span begins with its ids, goes on with name, kind and
times, and ends with attributes, events, links and status. Every span is walked to its last byte; one that is
written in any other way is told as `odd`, for a full decoder to read. A walk only moves forward and must end
exactly where the span ends, so bytes of a neighbour that it may have looked at never count.
Source: protobuf encoding guide; field numbers of opentelemetry-proto 1.x.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collectors.otlp_wire import status_is_error
from collectors.span_columns import I64, Bools, Columns

U8 = NDArray[np.uint8]

# Records of adjoining fields, each with its tag (and length) in front.
_IDS = np.dtype([("tag", "<u2"), ("trace", "<u8", 2), ("tag2", "<u2"), ("span", "<u8")])
_PARENT = np.dtype([("tag", "<u2"), ("id", "<u8")])
_TIMES = np.dtype(
    [("tag", "u1"), ("kind", "u1"), ("tag7", "u1"), ("start", "<u8"), ("tag8", "u1"), ("end", "<u8")]
)
_TRACE_TAG, _SPAN_TAG, _PARENT_TAG, _NO_PARENT_TAG = 0x100A, 0x0812, 0x0822, 0x0022
_STATE_TAG, _NAME_TAG, _KIND_TAG, _START_TAG, _END_TAG = 0x1A, 0x2A, 0x30, 0x39, 0x41
_STATUS_TAG, _FLAGS_TAG, _CODE_TAG = 0x7A, 0x85, 0x18

_MOST_FIELDS = 160  # attributes, events and links of one span; SDKs stop at 128 attributes
_LOST = 1 << 40  # a step that leads out of any body
MOST_BYTES = 1 << 31

_DELIMITED = np.zeros(256, bool)
_DELIMITED[[0x4A, 0x5A, 0x6A]] = True  # attributes, events, links; status is asked apart
_COUNTS = (0x50, 0x60, 0x70)  # how many of these the SDK dropped


@dataclass(slots=True)
class Scanned:
    """Columns of all spans; what they say of the spans in `odd` (row numbers) means nothing."""

    columns: Columns
    odd: list[int]


def scan(body: bytes, begins: I64, ends: I64) -> Scanned:
    """The columns of the spans at `begins` to `ends` (each inside the body)."""
    octets = np.frombuffer(body, np.uint8)
    ids = _records(body, begins, _IDS)
    fits = (ids["tag"] == _TRACE_TAG) & (ids["tag2"] == _SPAN_TAG)
    at, states = _states(body, octets, begins + _IDS.itemsize)
    parents = _records(body, at, _PARENT)
    has_parent = parents["tag"] == _PARENT_TAG
    at += has_parent * _PARENT.itemsize + (parents["tag"] == _NO_PARENT_TAG) * 2
    named = octets.take(at, mode="clip") == _NAME_TAG
    at += np.where(named, _delimited(octets, at), 0)
    times = _records(body, at, _TIMES)
    fits &= (times["tag"] == _KIND_TAG) & (times["tag7"] == _START_TAG) & (times["tag8"] == _END_TAG)
    fits &= times["kind"] < 128
    error = np.zeros(len(begins), bool)
    fits &= _walk(body, octets, at + _TIMES.itemsize, ends, error)
    columns = Columns(
        trace=ids["trace"],
        span=ids["span"],
        parent=np.where(has_parent, parents["id"], np.uint64(0)),
        kind=times["kind"],
        start=times["start"],
        end=times["end"],
        error=error,
        bad=np.zeros(len(begins), bool),
        states=states,
    )
    return Scanned(columns, np.flatnonzero(~fits).tolist())


def _records(body: bytes, at: I64, shape: np.dtype[np.void]) -> NDArray[np.void]:
    """A record at each place, copied out of the body. Places too near to its end yield what lies before them."""
    size = shape.itemsize
    windows = np.ndarray((len(body) - size + 1,), f"V{size}", body, 0, (1,))
    found: NDArray[np.void] = windows[np.minimum(at, len(windows) - 1)].view(shape)
    return found


def _delimited(octets: U8, at: I64) -> I64:
    """Bytes from a tag to the end of its length-delimited content; lengths of three bytes and more are _LOST."""
    low = octets.take(at + 1, mode="clip").astype(np.int64)
    if not (low > 127).any():
        return low + 2
    high = octets.take(at + 2, mode="clip").astype(np.int64)
    long = np.where(high < 128, (low & 127) + (high << 7) + 3, _LOST)
    return np.where(low < 128, low + 2, long)


def _states(body: bytes, octets: U8, at: I64) -> tuple[I64, dict[int, bytes]]:
    """Places behind the tracestate, and the tracestates of the spans that have one."""
    rows = np.flatnonzero(octets.take(at, mode="clip") == _STATE_TAG)
    if not len(rows):
        return at, {}
    begins = at[rows]
    at[rows] += _delimited(octets, begins)
    heads = begins + np.where(octets.take(begins + 1, mode="clip") < 128, 2, 3)
    spans = zip(rows.tolist(), heads.tolist(), at[rows].tolist(), strict=True)
    return at, {row: body[begin:end] for row, begin, end in spans if begin < end}


def _walk(body: bytes, octets: U8, at: I64, ends: I64, error: Bools) -> Bools:
    """Step over fields 9 to 16, one field of all spans at a time, noting errors; True = ended where it should."""
    arrived = np.zeros(len(at), bool)
    rows = np.arange(len(at))
    for _ in range(_MOST_FIELDS):
        going = at < ends
        if not going.all():
            arrived[rows] = at == ends
            rows, at, ends = rows[going], at[going], ends[going]
        if not len(rows):
            break
        at = at + _step(body, octets, rows, at, error)
    return arrived


def _step(body: bytes, octets: U8, rows: I64, at: I64, error: Bools) -> I64:
    """The size of the field at each place."""
    tag = octets.take(at, mode="clip")
    step = _delimited(octets, at)
    usual = _DELIMITED.take(tag)
    if usual.all():
        return step
    second = octets.take(at + 1, mode="clip")
    told = np.flatnonzero(tag == _STATUS_TAG)
    if len(told):
        error[rows[told]] = _errors(body, octets, at[told], step[told])
    short = np.isin(tag, _COUNTS) & (second < 128)
    flags = (tag == _FLAGS_TAG) & (second == 1)
    step[~usual & (tag != _STATUS_TAG)] = _LOST
    step[short] = 2
    step[flags] = 6
    return step


def _errors(body: bytes, octets: U8, at: I64, size: I64) -> Bools:
    """Whether the status at each place says ERROR; most are empty or a bare code."""
    code = octets.take(at + 3, mode="clip")
    found: Bools = (size == 4) & (octets.take(at + 2, mode="clip") == _CODE_TAG) & (code == 2)
    for row in np.flatnonzero((size > 4) & (size < _LOST)).tolist():
        begin = int(at[row])
        head = 2 if body[begin + 1] < 128 else 3
        found[row] = status_is_error(body[begin + head : begin + int(size[row])])
    return found
